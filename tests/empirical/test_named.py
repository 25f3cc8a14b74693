"""Code of users by name: every way to write it gives the same callable, two files of one name are two, and arguments
are held against the signature."""

import sys

import pytest

from invrob import InputError
from invrob.empirical.models import call_factory, factory_arguments, import_named

BUILD = "WHERE = {where!r}\n\n\ndef build(num_classes, width=1.0):\n    return WHERE, num_classes, width\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def written(folder, name="builders.py"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(BUILD.format(where=folder.name))
    return folder / name


@pytest.mark.parametrize(
    "spec", ["builders:build", "builders.py:build", "./builders.py:build", "{here}/builders.py:build"]
)
def test_a_builder_in_the_current_folder_is_found_however_it_is_written(here, spec):
    file = written(here)
    named = import_named(spec.format(here=here))
    assert named.value(3) == (here.name, 3, 1.0)
    assert list(named.files) == [str(file)]
    assert named.source == import_named("builders:build").source


@pytest.mark.parametrize("folder", ["first", "mes r\u00e9seaux", "a b"])
def test_two_files_of_one_name_are_two_modules(here, folder):
    written(here)
    written(here / folder)
    assert import_named("builders:build").value(2)[0] == here.name
    assert import_named(f"./{folder}/builders.py:build").value(2)[0] == folder
    assert import_named("builders.py:build").value(2)[0] == here.name
    assert str(here) not in sys.path


def test_a_file_of_a_package_is_imported_as_a_part_of_it(here):
    package = here / "bundle"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "sizes.py").write_text("WIDTH = 7\n")
    (package / "nets.py").write_text("from . import sizes\n\n\ndef build():\n    return sizes.WIDTH\n")
    assert import_named("./bundle/nets.py:build").value() == import_named("bundle.nets:build").value() == 7


def test_the_source_is_that_of_the_module_and_of_the_file_where_the_callable_was_written(here):
    written(here, "inner.py")
    (here / "outer.py").write_text("from inner import build\n")
    named = import_named("outer:build")
    assert sorted(named.files) == [str(here / "inner.py"), str(here / "outer.py")]
    (here / "inner.py").write_text((here / "inner.py").read_text() + "# another\n")
    assert import_named("outer:build").source != named.source


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("absent:build", "module 'absent' is not here: it must be installed or in the current folder"),
        ("absent.py:build", "absent.py is not there: name the Python file"),
        ("builders:bild", "module 'builders' has no 'bild'; did you mean 'build'?"),
        ("builders", "'builders' names no code: write pkg.module:callable or mynet.py:callable"),
        (":build", "':build' names no code"),
    ],
)
def test_what_is_not_there_is_named(here, spec, text):
    written(here)
    with pytest.raises(InputError) as caught:
        import_named(spec)
    assert text in str(caught.value)


def test_a_module_that_ends_the_process_or_needs_another_one_is_named(here):
    (here / "ending.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(InputError, match="'ending' ended the process as it was imported"):
        import_named("ending:build")
    (here / "needing.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        import_named("needing.py:build")


GIVEN = {"classes": 10, "channels": 1, "size": 28}


@pytest.mark.parametrize(
    ("signature", "optional", "taken"),
    [
        ("num_classes", False, {"num_classes": 10}),
        ("n_classes, in_channels, img_size", False, {"n_classes": 10, "in_channels": 1, "img_size": 28}),
        ("num_classes=1000, width=2", False, {}),
        ("num_classes=1000, width=2", True, {"num_classes": 10}),
        ("**anything", True, {}),
        ("*sizes", True, {}),
    ],
)
def test_a_factory_gets_what_is_known_of_the_data_by_the_usual_names(here, signature, optional, taken):
    (here / "made.py").write_text(f"def build({signature}):\n    return 1\n")
    assert factory_arguments(import_named("made:build"), GIVEN, {}, by="`x`", optional=optional) == taken


def test_arguments_win_and_wrong_or_missing_ones_are_named_with_the_signature(here):
    named = import_named(f"{written(here)}:build")
    assert call_factory(named, GIVEN, {"num_classes": 3, "width": 0.5}, by="`x`")[1:] == (3, 0.5)
    with pytest.raises(InputError) as caught:
        call_factory(named, GIVEN, {"widht": 1}, by="`x`")
    assert "build(num_classes, width=1.0) has no argument 'widht'; did you mean 'width'?" in str(caught.value)
    with pytest.raises(InputError) as caught:
        call_factory(named, {}, {}, by="`x`")
    assert "cannot be called without the argument num_classes: give num_classes=... by `x`" in str(caught.value)
