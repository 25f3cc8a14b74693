"""Models that share a plane were measured on the same images, or it is said, or refused."""

from dataclasses import replace
from itertools import permutations

import planted
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import invrob
from invrob.empirical.analysis import by_training, images_note, note_on_images, plane
from invrob.empirical.figures import plane_figure
from invrob.empirical.profiles import Card, MeasuredOn

RUN = MeasuredOn(100, None, "mnist-mini", "af", "test")  # of a run: no fingerprint of the images themselves
PROFILE = MeasuredOn(100, "1c", "mnist-mini", "af", "test")
PYTHON = MeasuredOn(100, "1c")
NETWORK = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))

anything = st.builds(
    MeasuredOn,
    st.integers(1, 2),
    st.sampled_from([None, "1c", "2d"]),
    st.sampled_from([None, "mnist-mini"]),
    st.sampled_from([None, "af", "b0"]),
    st.sampled_from([None, "test", "train"]),
)


@given(anything, anything)
def test_whether_images_are_the_same_does_not_depend_on_the_order(one, other):
    assert one.same_images(other) is other.same_images(one)
    assert one.same_data(other) is other.same_data(one)
    assert one.same_images(one) is not False


@pytest.mark.parametrize(
    ("other", "images", "data"),
    [
        (PROFILE, True, True),
        (replace(RUN, images=60), False, True),
        (replace(RUN, split="train"), False, False),
        (replace(PROFILE, dataset_fingerprint="b0"), False, False),
        (replace(RUN, dataset="npz:the same under another name.npz"), True, True),
        (PYTHON, None, None),
        (replace(PYTHON, images=60), False, None),
    ],
)
def test_a_run_is_compared_by_its_data_its_split_and_its_number_of_images(other, images, data):
    assert RUN.same_images(other) is images
    assert RUN.same_data(other) is data


def test_images_are_compared_by_themselves_where_both_are_known():
    assert PYTHON.same_images(PROFILE) is True
    assert PYTHON.same_images(replace(PROFILE, images_fingerprint="2d")) is False
    assert PROFILE.same_images(replace(PROFILE, images_fingerprint="2d")) is False
    assert PROFILE.same_images(replace(PROFILE, dataset_fingerprint="b0")) is False  # its labels or classes are others


def card(measured_on):
    return [Card(planted.invariance(), planted.robustness(), measured_on)]


REFUSED = {
    "another data set": (
        replace(RUN, dataset="npz:five.npz", dataset_fingerprint="b0"),
        "a on 100 test images of mnist-mini, b on 100 test images of npz:five.npz; measure",
    ),
    "another data set of the same name": (
        replace(RUN, dataset_fingerprint="b0"),
        "a on 100 test images of mnist-mini (SHA-256 1c), b on 100 test images of mnist-mini (SHA-256 b0); measure",
    ),
    "another split": (
        replace(RUN, split="train"),
        "a on 100 test images of mnist-mini, b on 100 train images of mnist-mini; measure",
    ),
    "other images of nobody knows what": (
        replace(PYTHON, images_fingerprint="2d"),
        "a on 100 test images of mnist-mini, b on 100 images; measure",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_models_of_other_data_are_refused_unless_that_is_asked_for_and_then_named(why):
    other, words = REFUSED[why]
    models = {"a": card(PROFILE), "b": card(other)}
    for ordered in permutations(models.items()):
        with pytest.raises(invrob.InputError, match=r"measured on different images: .*or take `mixed`"):
            plane(dict(ordered))
    with pytest.raises(invrob.InputError) as caught:
        plane(models)
    assert words in str(caught.value)
    note = note_on_images(plane(models, mixed=True))
    assert note.startswith("not all on the same images: a: 100 test images of mnist-mini")
    assert "; b: 100 " in note


def test_seeds_of_one_model_on_other_data_are_refused_too():
    with pytest.raises(invrob.InputError, match="measured on different images"):
        plane({"a": card(PROFILE) + card(replace(RUN, split="train"))})


NOTED = {
    "another number of images": (
        replace(RUN, images=60),
        "not all on the same images: a: 100 test images of mnist-mini; b: 60 test images of mnist-mini",
    ),
    "another choice of as many": (
        replace(PROFILE, images_fingerprint="2d"),
        "not all on the same images: a: 100 test images of mnist-mini (SHA-256 1c); "
        "b: 100 test images of mnist-mini (SHA-256 2d)",
    ),
    "nobody knows": (
        None,
        "not known to be on the same images: a: 100 test images of mnist-mini; b: images that nothing is known of",
    ),
    "the same by the run's own rule": (RUN, ""),
    "the same in Python": (PYTHON, ""),
}


@pytest.mark.parametrize("why", NOTED)
def test_other_images_of_the_same_data_are_named_in_the_points_and_on_the_figure(why):
    other, note = NOTED[why]
    points = plane({"a": card(PROFILE), "b": card(other)})
    assert note_on_images(points) == note
    below = plane_figure(points, 180, 0.1, "Title").texts[1].get_text().replace("\n", " ")
    assert below == (f"{note[0].upper()}{note[1:]}." if note else "")


def test_a_note_groups_the_models_and_shows_three_of_a_group():
    measured = dict.fromkeys("abcde", RUN) | {"f": replace(RUN, images=60)}
    assert images_note(measured) == (
        "not all on the same images: a, b, c and 2 more: 100 test images of mnist-mini; f: 60 test images of mnist-mini"
    )


def test_a_card_of_python_knows_its_images_and_comes_back_with_them():
    images = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    cards = {
        name: invrob.tradeoff(NETWORK, some, epsilons=[0, 0.1], thetas=[0, 90], attack=invrob.PGD(1))
        for name, some in (("a", images), ("b", images.clone()), ("c", images.flip(0)), ("d", images[:3]))
    }
    assert invrob.Card.from_dict(cards["a"].to_dict()) == cards["a"]
    assert note_on_images(plane({name: [cards[name]] for name in "ab"})) == ""
    for other in "cd":
        with pytest.raises(invrob.InputError, match="measured on different images"):
            plane({name: [cards[name]] for name in ("a", other)})


def test_a_card_of_an_earlier_version_is_read_and_nothing_is_known_of_its_images():
    plain = Card(planted.invariance(), planted.robustness()).to_dict()
    del plain["measured_on"]
    assert Card.from_dict(plain).measured_on is None


def test_the_trainings_of_a_run_are_of_the_same_images_and_say_nothing():
    trainings = by_training([planted.result(rotation=angle) for angle in (0, 90)])
    points = plane(trainings)
    assert note_on_images(points) == ""
    assert points[0].measured_on == MeasuredOn(100, None, "mnist-mini", "f", "test")


@pytest.mark.parametrize(("field", "value"), [("border", "disc"), ("path", "there-and-back")])
def test_rotations_of_another_kind_do_not_share_a_plane(field, value):
    turned = Card(replace(planted.invariance(), **{field: value}), planted.robustness())
    with pytest.raises(invrob.InputError, match=f"models were measured with {field} = "):
        plane({"a": card(None), "b": [turned]})
