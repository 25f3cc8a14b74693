"""The names that the command line knows before PyTorch is loaded are those that there are."""

import pytest

from invrob import names
from invrob.empirical.attacks import NORMS
from invrob.empirical.experiments import PRESETS
from invrob.empirical.profiles import WEAK, adversary_of
from invrob.empirical.transforms import TRANSFORMATIONS
from invrob.errors import InputError
from invrob.lazy import lazily


@pytest.mark.parametrize(
    ("known", "there"),
    [
        (names.PRESETS, PRESETS),
        (names.NORMS, NORMS),
        (names.TRANSFORMATIONS, TRANSFORMATIONS),
        (names.WEAK, WEAK),
    ],
    ids=["presets", "norms", "transformations", "weak attacks"],
)
def test_the_names_that_are_known_beforehand_are_those_that_there_are(known, there):
    assert known == tuple(there)


@pytest.mark.parametrize("text", ["average", "grid", "worst-of-1", "worst-of-10", "worst-of-999999"])
def test_every_adversary_that_passes_is_one(text):
    names.check_adversary(text)
    adversary = adversary_of(text)
    assert text == ("average" if adversary is None else adversary.name)


@pytest.mark.parametrize("text", ["worst-of-0", "worst-of-", "worst-of-1000000", "worst-of-1.5", "avarage", "", None])
def test_what_is_no_adversary_is_refused_with_what_is_one(text):
    with pytest.raises(InputError, match="use 'average', 'grid', or 'worst-of-10' for ten random changes"):
        names.check_adversary(text)


def test_a_lazy_face_imports_the_module_of_a_name_alone_and_refuses_other_names():
    find = lazily("email", {"utils": ["quote"], "no_such_module": ["nothing"]})
    assert find("quote")('"') == '\\"'
    with pytest.raises(AttributeError, match="module 'email' has no attribute 'unquoted'"):
        find("unquoted")
