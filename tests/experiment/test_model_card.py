"""The fields of a model card: read from TOML, refused in words, and no part of what a run computes."""

import re

import pytest

from invrob.empirical.experiments import ModelCard, read_experiment, read_model_card, to_toml
from invrob.errors import InputError

RUN = 'dataset = "mnist-mini"\nmodels = ["stdcnn"]\n'
FIELDS = 'author = "A. Müller"\ndate = 2026-01-02\nintended_use = ["Sorting mail.", "Not for cheques."]\n'
ROWS = [("author", "A. Müller"), ("date", "2026-01-02"), ("intended use", "Sorting mail.\nNot for cheques.")]


@pytest.fixture
def file(tmp_path):
    """Writes a text into a file, and gives its path."""

    def write(text):
        path = tmp_path / "card.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("text", [FIELDS, f"[card]\n{FIELDS}", f"{RUN}[card]\n{FIELDS}"])
def test_a_card_stands_at_the_top_of_a_file_or_in_its_table(file, text):
    assert read_model_card(file(text)).rows == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('autor = "x"', "autor is unknown; did you mean 'author'? (known here: author, date, version, license,"),
        ("[card]\nfactors = 3", "card.factors = 3 is no text: write it in quotes, or as a list of lines in quotes"),
        ('details = ["a", 3]', "details = ['a', 3] is no text"),
        ('author = " "', "author = ' ' is no text"),
        (f'caveats = "{"x" * 20_001}"', "caveats has more than 20,000 characters: shorten it"),
        ("card = 3", "holds no field of a model card: it has author, date,"),
        ("", "holds no field of a model card"),
        ("x =", "is not valid TOML"),
    ],
)
def test_a_card_that_says_nothing_or_something_unknown_is_refused_with_the_way_out(file, text, message):
    path = file(text)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}:? ?{re.escape(message)}"):
        read_model_card(path)


def test_the_card_of_an_experiment_changes_nothing_of_what_is_run(file):
    plain = read_experiment(file(RUN))
    told = read_experiment(file(f"{RUN}[card]\n{FIELDS}"))
    assert told.card == ModelCard(author="A. Müller", date="2026-01-02", intended_use=ROWS[2][1])
    assert (told, hash(told)) == (plain, hash(plain))
    assert told.cells("f") == plain.cells("f")
    assert read_experiment(file(f"{RUN}seeds = [1]\n")) != plain
    assert read_experiment(file(to_toml(told))).card == told.card


def test_a_field_that_a_card_of_an_experiment_lacks_is_refused_by_the_same_names(file):
    with pytest.raises(InputError, match=r"card\.usage is unknown.* \(known here: author, date, version, license, co"):
        read_experiment(file(f'{RUN}[card]\nusage = "x"\n'))
