"""Which files a user's code is made of, and that what is executed is what stands in them: whatever was imported before,
from wherever, under whichever name."""

import importlib
import os
import sys

import pytest

from invrob.empirical.models import import_named, sum_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    before = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_file_that_was_edited_is_executed_again(here):
    write(here / "edited.py", "def build():\n    return 1\n")
    first = import_named("edited:build")
    stamp = os.stat(here / "edited.py").st_mtime_ns
    write(here / "edited.py", "def build():\n    return 2\n")
    os.utime(here / "edited.py", ns=(stamp, stamp))  # of the same size and second: a .pyc would not notice
    second = import_named("edited.py:build")
    assert (first.value(), second.value()) == (1, 2)
    assert first.source != second.source
    assert sys.modules["edited"].build() == 2


def test_a_file_that_did_not_change_is_executed_once(here):
    write(here / "once.py", "import sys\nsys.counted = getattr(sys, 'counted', 0) + 1\ndef build():\n    return 1\n")
    values = [import_named("once:build").value for _ in range(3)]
    assert values[0] is values[2]
    assert sys.counted == 1
    del sys.counted


@pytest.mark.parametrize(
    "statement",
    ["import helper", "from helper import WIDTH", "from pack import helper", "from pack.helper import *", "import a.b"],
)
def test_an_edit_of_what_the_module_imports_is_another_source(here, statement):
    for place in ("helper.py", "pack/helper.py", "a/b.py", "unrelated.py"):
        write(here / place, "WIDTH = 1\n")
    write(here / "mine.py", f"def build():\n    return 1\n\n\n{statement}\n")
    imported = {"import a.b": "a/b.py"}.get(statement, "pack/helper.py" if "pack" in statement else "helper.py")
    first = import_named("mine:build")
    assert sorted(first.files) == sorted(str(here / name) for name in ("mine.py", imported))
    write(here / "unrelated.py", "WIDTH = 2\n")
    assert import_named("mine:build").source == first.source
    write(here / imported, "WIDTH = 2\n")
    assert import_named("mine:build").source != first.source


def test_relative_imports_and_packages_belong_to_the_source(here):
    write(here / "pack/__init__.py", "from .parts import layer\n")
    write(here / "pack/parts/layer.py", "from ..sizes import WIDTH\n")
    write(here / "pack/sizes.py", "WIDTH = 5\n")
    write(here / "pack/nets.py", "def build():\n    from . import sizes\n    return sizes.WIDTH\n")
    for spec in ("pack.nets:build", "./pack/nets.py:build"):
        named = import_named(spec)
        assert named.called() == 5
        names = ("pack/__init__.py", "pack/nets.py", "pack/parts/layer.py", "pack/sizes.py")
        assert sorted(named.files) == [str(here / name) for name in names]


def test_folders_with_modules_of_the_same_names_are_kept_apart(here, monkeypatch):
    for folder in ("a", "b"):
        write(here / folder / "layers.py", f"NAME = {folder!r}\n")
        lazy = "def lazy():\n    import layers\n    return layers.NAME\n"
        write(here / folder / "net.py", f"import layers\n\n\ndef build():\n    return layers.NAME\n\n\n{lazy}")
    first, second = import_named("./a/net.py:build"), import_named("./b/net.py:build")
    lazy = import_named("./a/net.py:lazy")
    import_named("./b/net.py:lazy")
    assert (first.value(), second.value(), lazy.called()) == ("a", "b", "a")
    names = []
    for folder in ("a", "b"):
        monkeypatch.chdir(here / folder)
        names.append(import_named("net:build").value())
    assert names == ["a", "b"]


def test_a_module_that_the_caller_has_imported_stays_the_callers(here, monkeypatch):
    write(here / "one/mynet.py", "def build():\n    return 'one'\n")
    write(here / "two/mynet.py", "def build():\n    return 'two'\n")
    monkeypatch.syspath_prepend(here / "one")
    mine = importlib.import_module("mynet")
    assert import_named("./two/mynet.py:build").value() == "two"
    assert sys.modules["mynet"] is mine
    assert str(here / "two") not in sys.path


@pytest.mark.parametrize("name", ["torch", "random", "my-net", "net.v2", "2nd"])
def test_a_file_may_be_called_like_a_package_or_like_no_module_at_all(here, name):
    write(
        here / f"nets/{name}.py", "import random\nimport torch\n\n\ndef build():\n    return torch.nn.Linear, random\n"
    )
    linear, module = import_named(f"./nets/{name}.py:build").value()
    assert linear is sys.modules["torch"].nn.Linear
    assert module is sys.modules["random"]


def test_a_folder_without_init_that_is_named_like_a_package_hides_nothing(here):
    write(here / "pydantic/notes.txt", "")
    write(here / "mine.py", "import pydantic\n\n\ndef build():\n    return pydantic.BaseModel\n")
    named = import_named("mine:build")
    assert list(named.files) == [str(here / "mine.py")]
    assert named.value() is sys.modules["pydantic"].BaseModel


def test_another_process_finds_a_module_of_a_folder_without_init_by_its_place(here):
    write(here / "nets/layers.py", "WIDTH = 3\n")
    write(here / "nets/mine.py", "from nets.layers import WIDTH\n\n\ndef build():\n    return WIDTH\n")
    named = import_named("nets.mine:build")
    again = import_named(named.place)
    assert (again.value(), again.source) == (3, named.source)


SCRIPT = """
import functools

from helping import block

WIDTH = 4
UNRELATED = 1


class Base:
    def size(self):
        return WIDTH


class Block(Base):
    scale = 2

    def forward(self):
        return block(self.size())


def build(num_classes, depth=1):
    return [Block() for _ in range(depth)]


def closed(value):
    return lambda: (value, Block)


class Config:
    def __init__(self, width):
        self.width = width


other = closed(Config(3))
some = functools.partial(build, depth=2)
"""


@pytest.fixture
def script(here):
    write(here / "helping.py", "def block(x):\n    return x\n")

    def sums(text=SCRIPT):
        write(here / "script.py", text)
        return {name: sum_of(import_named(f"script:{name}").value) for name in ("build", "other", "some", "Block")}

    return sums


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("WIDTH = 4", "WIDTH = 5", {"build", "other", "some", "Block"}),
        ("scale = 2", "scale = 3", {"build", "other", "some", "Block"}),
        ("return WIDTH", "return WIDTH + 1", {"build", "other", "some", "Block"}),
        ("depth=1", "depth=3", {"build", "some"}),
        ("depth=2", "depth=3", {"some"}),
        ("Config(3)", "Config(4)", {"other"}),
        ("UNRELATED = 1", "UNRELATED = 2", set()),
    ],
)
def test_a_callable_is_known_by_all_that_it_rests_on_and_by_nothing_else(script, old, new, changed):
    before = script()
    after = script(SCRIPT.replace(old, new))
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_callable_is_known_by_the_functions_of_other_files_that_it_calls(script, here):
    before = script()
    write(here / "helping.py", "def block(x):\n    return 2 * x\n")
    after = script()
    assert {name for name in before if before[name] == after[name]} == set()


def test_a_lambda_is_known_by_what_it_does_and_not_by_the_statement_around_it():
    one, same = sum_of(lambda n: n + 1), [sum_of(lambda n: n + 1)]
    other = sum_of(lambda n: n + 2)
    assert same == [one]
    assert other != one
