"""A configuration is an experiment or refused in words, whatever it holds."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import TOML, cases

from invrob.empirical.experiments.experiment import GRID_KEYS, Experiment, Profiling, read_experiment
from invrob.empirical.training.recipes import Recipe
from invrob.errors import InputError

KEYS = sorted(
    {*GRID_KEYS, *Profiling.model_fields, *Recipe.model_fields, *Experiment.model_fields, "nmae", "", "ü", "a.b"}
)
SCALARS = [
    *(
        "1",
        "0",
        "-1",
        "1.5",
        "true",
        '"stdcnn"',
        '"cusp"',
        '""',
        '"fast"',
        '"mnist-mini"',
        "nan",
        "inf",
        "-inf",
        "-0.0",
    ),
    *(
        "1e400",
        "9" * 400,
        "-" + "9" * 400,
        "9" * 5000,
        "0x10",
        "1979-05-27",
        "07:32:00",
        '"\\u0000"',
        "'''\n'''",
        "180",
    ),
    '"' + "x" * 10_000 + '"',
]
scalars = st.sampled_from(SCALARS) | st.integers().map(str) | st.floats().map(repr) | st.text().map(json.dumps)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
        | st.dictionaries(st.sampled_from(KEYS).map(json.dumps), inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        )
    ),
    max_leaves=5,
)
lines = st.builds("{} = {}".format, st.sampled_from(KEYS).map(json.dumps) | st.sampled_from(["epochs", "x"]), values)
headers = st.sampled_from(
    ["[profiling]", "[[models]]", "[models]", "[models.stdcnn]", "[[profiling]]", "[x]", "[", "[a.b.c]"]
)


@st.composite
def changed(draw):
    """A configuration that is valid but for a few lines."""
    text = TOML.format(data="bars.npz").splitlines()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text) - 1))
        how = draw(st.sampled_from(["insert", "replace", "remove", "repeat", "value"]))
        if how == "insert":
            text.insert(place, draw(lines | headers))
        elif how == "replace":
            text[place] = draw(lines | headers)
        elif how == "remove" and len(text) > 1:
            del text[place]
        elif how == "repeat":
            text.append(text[place])
        elif " = " in text[place]:
            text[place] = text[place].split(" = ")[0] + " = " + draw(values)
    return "\n".join(text).encode()


@st.composite
def mutilated(draw):
    """One whose bytes are not what they were."""
    content = bytearray(TOML.format(data="bars.npz").encode())
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content) - 1))
        content[place : place + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
    return bytes(content)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "my.toml"


def is_read_or_refused(path, content):
    path.write_bytes(content)
    refused = ""
    try:
        experiment = read_experiment(path)
        cells = experiment.cells("f")
    except InputError as error:
        refused = str(error)
    if refused:
        assert refused.startswith((str(path), "models lists"))
        assert len(refused) < 5000  # or nobody reads it to its end
        return
    assert all(cell.key for cell in cells)  # every value has an address, so none is NaN or infinite
    again = Experiment.model_validate(json.loads(experiment.model_dump_json()))
    assert again == experiment


@cases(300)
@given(changed() | mutilated() | st.binary(max_size=99))
def test_a_configuration_is_an_experiment_or_refused_in_words(path, content):
    is_read_or_refused(path, content)


@pytest.mark.parametrize(
    "content",
    [
        b"x = " + b"[" * 100_000,
        b"x = " + b"{a = " * 3000,
        b"a." * 3000 + b"b = 1",
        b"x = " + b"9" * 100_000,
        b"\xff\xfe" + "dataset = 'x'".encode("utf-16-le"),
        b"\xef\xbb\xbfdataset = 1",
        b"dataset = 'mnist-mini'\0",
        b"dataset = 'mnist-mini'\n[models.stdcnn]\ncurriculum = [{}]",
        b"dataset = 'mnist-mini'\n[models.stdcnn]\nrecipe = []",
        b"dataset = 'mnist-mini'\n[models.stdcnn]\nrecipe = '" + b"x" * 10_000 + b"'",
        b"dataset = 'mnist-mini'\n[models.stdcnn]\ncurriculum = [{until = {}, x = 1}]",
        b"dataset = 'mnist-mini'\nmodels = [" + b"'x'," * 10_000 + b"]",
        b"",
        b"\r",
    ],
    ids=[
        "brackets",
        "braces",
        "dots",
        "digits",
        "utf-16",
        "mark",
        "nul",
        "no stage",
        "no recipe",
        "long recipe",
        "bad stage",
        "many",
        "empty",
        "return",
    ],
)
def test_a_malicious_configuration_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(path))) as refused:
        read_experiment(path)
    assert len(str(refused.value)) < 5000


@pytest.mark.parametrize("place", ["/dev/null", ".", "no/such.toml", "x" * 300 + ".toml"])
def test_what_is_no_configuration_file_is_refused(invrob, place, tmp_path):
    done = invrob("empirical", "run", "--config", place, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert not (tmp_path / "out").exists()
