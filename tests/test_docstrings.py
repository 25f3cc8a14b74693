"""Docstrings: their examples run, and those of public functions say what goes in, comes out and is refused."""

import doctest
import inspect
import re
from dataclasses import FrozenInstanceError, fields
from importlib import import_module
from pathlib import Path

import pytest

import invrob
from invrob.theory import GaussianTradeoff

ROOT = Path(__file__).resolve().parents[1]
WITH_EXAMPLES = [file for file in sorted((ROOT / "invrob").rglob("*.py")) if ">>> " in file.read_text("utf-8")]
PUBLIC = [getattr(invrob, name) for name in invrob.__all__ if not name.startswith("_")]
FUNCTIONS = [public for public in PUBLIC if inspect.isfunction(public)]
SETTINGS = [invrob.PGD, invrob.Square, invrob.Weak, invrob.Rotation, invrob.WorstOf, invrob.Grid, invrob.Preprocessing]


def section(docstring, name):
    """The lines of a section of a docstring, or None."""
    found = re.search(rf"^{name}:\n((?:    .*\n?|\n)+)", docstring, re.MULTILINE)
    return None if found is None else found[1]


@pytest.mark.parametrize("file", WITH_EXAMPLES, ids=lambda file: str(file.relative_to(ROOT)))
def test_examples_in_docstrings_run_and_print_what_they_say(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(example, out=report.append)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__name__)
def test_a_public_name_begins_with_a_sentence(public):
    first = inspect.getdoc(public).partition("\n\n")[0]
    assert first[0].isupper()
    assert first.endswith(".")


@pytest.mark.parametrize("public", [*FUNCTIONS, GaussianTradeoff], ids=lambda public: public.__name__)
def test_a_public_function_says_what_it_takes_returns_and_refuses_and_shows_a_call(public):
    text = inspect.getdoc(public)
    arguments = section(text, "Args")
    for parameter in inspect.signature(public).parameters:
        assert re.search(rf"^    (\w+, )*{parameter}(, \w+)*: ", arguments, re.MULTILINE), parameter
    assert section(text, "Raises")
    assert ">>> " in section(text, "Example")
    if inspect.isfunction(public):
        assert section(text, "Returns")


@pytest.mark.parametrize("public", FUNCTIONS, ids=lambda public: public.__name__)
def test_a_public_function_takes_at_most_nine_parameters_and_settings_by_keyword(public):
    parameters = [p for name, p in inspect.signature(public).parameters.items() if name != "progress"]
    by_position = [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]
    # A model has a file, and its file a prefix; a grid has jobs, and a folder that may hold another one.
    assert len(parameters) <= {invrob.load_model: 10, invrob.experiment: 11}.get(public, 9)
    alone = (
        ["spec"],
        ["path"],
        ["source", "limit"],
        ["dataset", "images"],
        ["models", "data"],
    )  # and no labels
    assert by_position in alone or by_position[-1] == "labels"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.__name__)
def test_a_setting_is_a_frozen_value_with_an_example(setting):
    assert ">>> " in section(inspect.getdoc(setting), "Example")
    assert setting() == setting()
    assert hash(setting()) == hash(setting())
    field = fields(setting)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(setting(), field, 3)
