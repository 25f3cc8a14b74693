"""Results go to JSON and come back equal and of the same type; what is damaged is refused in words."""

import json
from dataclasses import MISSING, fields, is_dataclass, replace
from math import inf, nan
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType
from typing import get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import invrob
from invrob import InputError
from invrob.empirical.profiles import (
    BlackBoxProfile,
    Card,
    ClassRates,
    InvarianceProfile,
    QuarterTurns,
    RobustnessProfile,
    WeakProfile,
    WorstCaseProfile,
    quarter_turn_consistency,
)
from invrob.records import PER_IMAGE, Levels, Numbers

PROFILES = [InvarianceProfile, WorstCaseProfile, RobustnessProfile, BlackBoxProfile, WeakProfile]
KINDS = [*PROFILES, QuarterTurns, ClassRates, Card]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)

SCALARS = {
    float: st.floats(allow_nan=False, allow_infinity=False),
    int: st.integers(0, 2**63 - 1),
    bool: st.booleans(),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    NoneType: st.none(),
}


def anything(hint, name, values, images):
    """What a field of this type may hold, in a result of so many values and images."""
    if hint in (Numbers, Levels):
        length = images if name in PER_IMAGE else values
        entries, dtype = (SCALARS[float], float) if hint == Numbers else (st.integers(0, 2**62), np.int64)
        return st.lists(entries, min_size=length, max_size=length).map(lambda listed: np.array(listed, dtype))
    if hint in SCALARS:
        return st.just(images) if name == "images" else SCALARS[hint]
    if is_dataclass(hint):
        return results(hint, values, images)
    if get_origin(hint) is tuple:
        return st.lists(anything(get_args(hint)[0], "", values, images), max_size=2).map(tuple)
    return st.one_of([anything(kind, name, values, images) for kind in get_args(hint)])


def results(kind, values, images):
    """Results of a kind, with arrays of these lengths and anything else that its fields may hold."""
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{f.name: anything(hints[f.name], f.name, values, images) for f in fields(kind)})


def any_result(kind):
    """Results of a kind with up to 3 values and 4 images; quarter turns are always 3."""
    values = st.just(3) if kind is QuarterTurns else st.integers(1, 3)
    return st.tuples(values, st.integers(1, 4)).flatmap(lambda lengths: results(kind, *lengths))


def told(value):
    """All of a value as text; the `repr` of a result is a summary."""
    return repr(value.to_dict() if hasattr(value, "to_dict") else value)


def read_again(result):
    """The result out of a file."""
    return type(result).from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))


def assert_same(again, result):
    """Equal, and of the same types down to every field and every array."""
    assert again == result
    assert hash(again) == hash(result)
    pending = [(again, result)]
    while pending:
        ours, theirs = pending.pop()
        assert type(ours) is type(theirs)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert ours.tobytes() == theirs.tobytes()
        elif is_dataclass(ours):
            pending += zip(vars(ours).values(), vars(theirs).values(), strict=True)
        elif isinstance(ours, tuple):
            pending += zip(ours, theirs, strict=True)


# ---- there and back


@every_kind
@given(data=st.data())
@settings(deadline=None, max_examples=12)
def test_a_result_comes_back_equal_and_of_the_same_types(kind, data):
    result = data.draw(any_result(kind))
    assert_same(read_again(result), result)


@pytest.mark.parametrize("kind", [*PROFILES, QuarterTurns, Card], ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(deadline=None, max_examples=8)
def test_a_result_comes_back_from_its_file_equal_and_of_the_same_types(kind, data):
    result = data.draw(any_result(kind))
    with TemporaryDirectory() as folder:
        path = result.save(Path(folder) / "result.json")
        assert_same(kind.load(path), result)
        assert_same(invrob.load(path), result)


@pytest.fixture(scope="module")
def measured():
    """A result of each kind, measured on a few images with labels, without labels, and with seeds of numpy."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 4))
    images = torch.rand((6, 1, 6, 6), generator=torch.Generator().manual_seed(0))
    labels, seed, epsilons, thetas = torch.arange(6) % 4, np.int64(3), [0, 0.05, 0.2], [0, 45, 180]

    def constant(x):
        return torch.nn.functional.one_hot(torch.zeros(len(x)).long(), 3).float()

    return [
        *(
            invrob.robustness_profile(network, images, epsilons, truth, attack=attack, seed=seed)
            for network, truth in ((model, labels), (model, None), (constant, None))
            for attack in (invrob.PGD(np.int64(3)), invrob.Square(20), "weak")
        ),
        *(
            invrob.invariance_profile(model, images, np.array(thetas), truth, against=against, seed=seed)
            for truth in (labels, None)
            for against in ("average", "grid", "worst-of-3")
        ),
        invrob.tradeoff(model, images, labels, epsilons=epsilons, thetas=thetas, seed=seed),
        invrob.tradeoff(model, images, epsilons=epsilons, thetas=thetas, attack=invrob.Square(20)),
        quarter_turn_consistency(model, images, confidence=np.float64(0.9)),
    ]


def test_measured_results_come_back_equal_and_a_second_way_changes_nothing(measured):
    assert {type(result) for result in measured} == {*KINDS} - {ClassRates}
    for result in measured:
        again = read_again(result)
        assert again == result
        assert hash(again) == hash(result)
        assert_same(read_again(again), again)
        assert json.dumps(again.to_dict()) == json.dumps(result.to_dict())


def test_a_card_in_json_is_what_to_dict_says_and_holds_both_verdicts(measured):
    for card in (result for result in measured if isinstance(result, Card)):
        assert json.loads(card.to_json()) == card.to_dict()
        assert card.to_dict()["robustness"]["verdict"] == card.verdict
        assert type(read_again(card).robustness) is type(card.robustness)


def test_whole_numbers_that_were_written_by_hand_are_read_as_floats(measured):
    profile = measured[0]
    plain = {**profile.to_dict(), "rate": [1, 1, 0], "epsilons": [0, 0.1, 1], "confidence": 0.9}
    read = RobustnessProfile.from_dict(plain)
    assert read.rate.dtype == read.epsilons.dtype == np.float64
    assert read == replace(profile, rate=np.array([1.0, 1, 0]), epsilons=np.array([0, 0.1, 1]), confidence=0.9)


# ---- equality


@every_kind
@given(data=st.data())
@settings(deadline=None, max_examples=12)
def test_results_differ_where_any_field_does(kind, data):
    result = data.draw(any_result(kind))
    values = len(result.rate) if hasattr(result, "rate") else 1
    images = result.images if hasattr(result, "images") else 1
    name = data.draw(st.sampled_from([f.name for f in fields(kind) if f.name != "images"]))
    hint = get_type_hints(kind, include_extras=True)[name]
    before = getattr(result, name)
    if isinstance(before, Card | InvarianceProfile | RobustnessProfile | BlackBoxProfile):
        values, images = len(before.rate), before.images
    other = data.draw(anything(hint, name, values, images).filter(lambda value: told(value) != told(before)))
    changed = replace(result, **{name: other})
    arrays = isinstance(before, np.ndarray) or isinstance(other, np.ndarray)
    same = np.array_equal(before, other) if arrays else before == other  # 0.0 and -0.0
    assert (changed == result) is same
    assert replace(result) == result
    if same:
        assert hash(changed) == hash(result)


def test_zeros_of_either_sign_are_equal_and_have_equal_hashes(measured):
    zero, minus = (replace(measured[0], rate=sign * np.zeros(3), clean_accuracy=sign * 0.0) for sign in (1, -1))
    assert zero == minus
    assert hash(zero) == hash(minus)


def test_without_labels_a_result_differs_from_the_same_with_them(measured):
    with_labels = measured[0]
    without = replace(with_labels, accuracy=None)
    assert with_labels != without
    assert without != with_labels
    assert with_labels != with_labels.to_dict()


# ---- damage


def damaged(plain, path, wrong):
    """A copy of a plain dict with something wrong in the place of what `path` leads to."""
    first, *rest = path
    return {**plain, first: damaged(plain[first], rest, wrong) if rest else wrong}


@every_kind
@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_a_damaged_dict_is_refused_in_words_that_name_the_class(kind, data):
    result = data.draw(any_result(kind))
    plain = result.to_dict()
    path, hint = [], kind
    while is_dataclass(hint):  # down to a field that is no result
        name = data.draw(st.sampled_from([f.name for f in fields(hint) if f.name != "findings"]))
        hint = get_type_hints(hint, include_extras=True)[name]
        path.append(name)
        if kind is Card and name == "robustness":
            hint = type(result.robustness)
    wrong = [{"a": 1}, nan, inf, -inf, [nan], ["1"], "2", [10**400], object(), {1, 2}, [[1.0]], [None]]
    wrong = [3] if hint in (str, tuple[str, ...]) else wrong
    broken = damaged(plain, path, data.draw(st.sampled_from(wrong)))
    with pytest.raises(InputError, match=f"^this is no {kind.__name__}: "):
        kind.from_dict(broken)


@every_kind
@given(data=st.data())
@settings(deadline=None, max_examples=12)
def test_a_missing_field_is_named(kind, data):
    plain = data.draw(any_result(kind)).to_dict()
    name = data.draw(st.sampled_from([f.name for f in fields(kind) if f.default is MISSING]))  # older files lack others
    del plain[name]
    with pytest.raises(InputError) as caught:
        kind.from_dict(plain)
    assert str(caught.value) == f"this is no {kind.__name__}: {name}: Field required"


@pytest.mark.parametrize("kind", [*PROFILES, QuarterTurns, ClassRates], ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(deadline=None, max_examples=12)
def test_lists_of_unlike_lengths_and_empty_ones_are_refused(kind, data):
    result = data.draw(any_result(kind))
    plain = result.to_dict()
    lists = [name for name, value in vars(result).items() if isinstance(value, np.ndarray)]
    name = data.draw(st.sampled_from(lists))
    wrong = [{name: plain[name] + [0]}, {name: [*plain[name], 0, 0]}, {name: []}, {key: [] for key in lists}]
    with pytest.raises(InputError, match=f"^this is no {kind.__name__}: .*needs? a (number|rate) for each"):
        kind.from_dict({**plain, **data.draw(st.sampled_from(wrong))})


@pytest.mark.parametrize("plain", [None, 3, "{}", [], {}, [{"rate": [1.0]}], {"rate": {}}, nan], ids=repr)
@every_kind
def test_what_is_no_result_at_all_is_refused(kind, plain):
    with pytest.raises(InputError, match=f"^this is no {kind.__name__}: "):
        kind.from_dict(plain)


def test_faults_are_said_in_words(measured):
    plain = measured[0].to_dict()
    cases = {
        "rate.1: Input should be a finite number": {"rate": [1.0, nan, 0.5]},
        "images: Input should be a valid integer": {"images": "6"},
        "Value error, its lists need a number for each image": {"images": 7},
        "Value error, its classes need a rate for each value": {
            "classes": [{"label": 0, "images": 6, "rate": [1.0], "low": [0.5], "high": [1.0]}]
        },
        "sanity.constant: Input should be a valid boolean": {"sanity": {**plain["sanity"], "constant": 1}},
        "levels.0: Input should be greater than or equal to 0": {"levels": [-1] * 6},
        "Object of type ndarray is not JSON serializable": {"rate": np.ones(3)},
    }
    for text, change in cases.items():
        with pytest.raises(InputError) as caught:
            RobustnessProfile.from_dict({**plain, **change})
        assert str(caught.value) == f"this is no RobustnessProfile: {text}"
