"""Changes by name: their boxes, the pictures they make, and invariance profiles with closed forms over each of them."""

import hashlib
import json
from math import inf, log, nan, tan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from invrob import InputError, invariance_profile
from invrob.empirical.profiles import Change
from invrob.empirical.profiles.sampling import draw
from invrob.empirical.transforms.families import TRANSFORMATIONS
from invrob.empirical.transforms.rotation import rotate

NAMES = list(TRANSFORMATIONS)
BOXES = [name for name in NAMES if TRANSFORMATIONS[name].dimensions]
laws = settings(deadline=None, max_examples=30)
seeds = st.integers(0, 2**32 - 1)
Y, X = torch.meshgrid(10.0 - torch.arange(21), torch.arange(21) - 10.0, indexing="ij")  # y upwards, centre (0, 0)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def dots(n, x=0.0, y=0.0):
    """n times the same blurred dot at (x, y) from the middle of 21 x 21 pixels."""
    return torch.exp(-((X - x) ** 2 + (Y - y) ** 2) / 2).expand(n, 1, 21, 21)


def mean_of(coordinate):
    return lambda images: (images[:, 0] * coordinate).sum((1, 2)) / images[:, 0].sum((1, 2))


def above(threshold, measure):
    """Class 1 where `measure` of the image exceeds the threshold."""
    return lambda images: torch.stack([torch.full((len(images),), threshold), measure(images)], 1)


# ---- boxes


@laws
@given(st.sampled_from(NAMES), st.lists(st.floats(-1, 1), min_size=1, max_size=50), st.floats(0.01, 1), seeds)
def test_parameters_lie_on_the_box_of_their_volume_to_the_side_of_their_sign(name, shares, size, seed):
    change = TRANSFORMATIONS[name]
    radii = np.array(shares) * size
    parameters = change.parameters(radii, np.random.default_rng(seed))
    d = max(change.dimensions, 1)
    assert parameters.shape == (len(radii), d)
    assert np.abs(parameters).max(1) == pytest.approx(np.abs(radii) ** (1 / d), abs=1e-12)
    outermost = np.take_along_axis(parameters, np.abs(parameters).argmax(1)[:, None], 1)[:, 0]
    assert (outermost * radii >= 0).all()


@pytest.mark.parametrize("name", BOXES)
def test_uniform_radii_are_uniform_parameters(name):
    change = TRANSFORMATIONS[name]
    volume = change.volumes(np.array([change.values[2]]))
    rng = np.random.default_rng(3)
    points = change.parameters(rng.uniform(-1, 1, 20_000) * volume, rng) / change.reach(np.array([change.values[2]]))
    for column in points.T:
        assert stats.kstest(column, "uniform", args=(-1, 2)).pvalue > 0.01
    eighths = (np.floor(4 * points + 4).astype(int) * 8 ** np.arange(points.shape[1])).sum(1)
    counts = np.bincount(eighths, minlength=8 ** points.shape[1])  # of the cells of 8^d in the box
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_boxes_nest_and_only_the_first_value_changes_nothing(name):
    change = TRANSFORMATIONS[name]
    values = change.checked(change.values)
    volumes = change.volumes(values)
    assert volumes[0] == 0
    assert values[0] == change.limits[0]
    assert (np.diff(volumes) > 0).all()
    assert np.asarray(change.reach(values)) ** max(change.dimensions, 1) == pytest.approx(volumes)
    assert len(change.steps) == max(change.dimensions, 1)


def test_an_angle_is_its_volume_and_takes_no_draw_beside_its_radius():
    change, rng = TRANSFORMATIONS["rotation"], np.random.default_rng(1)
    thetas = np.array([0.0, 7.3, 180])
    assert (change.volumes(thetas) == thetas).all()
    radii = np.array([[-1 / 3, 17.123]])
    assert (change.parameters(radii, rng) == radii[..., None]).all()
    assert rng.random() == np.random.default_rng(1).random()


@pytest.mark.parametrize(
    ("n", "step", "thetas", "digests"),
    [
        (1, None, [0.0, 15, 30, 60], ("db2c73db5423d1cd", "08d0fc5b3500f456", "a1e03200f1f82ad2")),
        (83, None, [5.0, 7, 8, 170], ("df3f27bedf730700", "b3fc7ee8aa4b804c", "82ffd0f01db28664")),
        (400, None, range(0, 181, 15), ("cad6c5f97dd6d706", "80fccc7f3a64cacf", "c30e1f1848262f9c")),
        (400, 7.5, range(0, 181, 15), ("6a6c6fbae3c04b81", "50e8e129fab22fd7", "ffe7e80bf09a44e1")),
        (31, 60.0, [0.0, 15, 30, 60], ("424e003ec71b44e3", "f8c8db213e876e52", "1ba8547b42774a6a")),
    ],
)
def test_the_angles_of_a_rotation_are_those_that_finished_profiles_of_this_version_rest_on(n, step, thetas, digests):
    """Digests of intervals, angles, and the interval of each angle: with other ones `PROFILE_VERSION` must rise."""
    draws = draw(np.array(thetas, dtype=float), step, n, np.random.default_rng(5))
    arrays = (draws.parts, draws.radii, draws.part_of)
    assert tuple(hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in arrays) == digests


# ---- pictures


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("together", [True, False])
def test_the_first_value_leaves_every_bit(name, together):
    change, images = TRANSFORMATIONS[name], noise(3, 2, 7, 8)
    zeros = np.zeros((1 if together else 3, max(change.dimensions, 1)))
    assert torch.equal(change.apply(images, zeros, fill=0.5), images)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_one_change_for_all_is_that_change_for_each(name, mode):
    change, images = TRANSFORMATIONS[name], noise(4, 1, 9, 9)
    single = change.parameters(change.volumes(np.array([change.values[1]])), np.random.default_rng(0))
    alike = np.repeat(single, 4, axis=0)
    assert torch.equal(change.apply(images, single, mode, 0.3), change.apply(images, alike, mode, 0.3))
    alone = torch.cat([change.apply(image[None], single, mode, 0.3) for image in images])
    assert torch.equal(change.apply(images, single, mode, 0.3), alone)


def test_flips_are_those_of_torch_for_the_images_that_are_flipped():
    images = noise(3, 2, 4, 5)
    for name, axis in (("horizontal-flip", 3), ("vertical-flip", 2)):
        flipped = TRANSFORMATIONS[name].apply(images, np.array([[1.0], [0.0], [1.0]]))
        assert torch.equal(flipped[[0, 2]], images[[0, 2]].flip(axis))
        assert torch.equal(flipped[1], images[1])


def test_rotation_with_translation_turns_first_and_then_shifts_by_a_tenth():
    images = noise(1, 1, 9, 9)
    both = TRANSFORMATIONS["rotation+translation"].apply(images, np.array([[90.0, 20.0, -10.0]]))
    shifted = TRANSFORMATIONS["translation"].apply(rotate(images, 90.0), np.array([[2.0, -1.0]]))
    assert torch.equal(both, shifted)
    assert torch.equal(shifted[:, :, 2:, :-1], rotate(images, 90.0)[:, :, :-2, 1:])  # down and to the left


def test_scaling_by_a_factor_multiplies_the_area_by_its_square():
    small, large = (
        TRANSFORMATIONS["scaling"].apply(dots(1).double(), np.array([[log(f)]])).sum().item() for f in (1, 1.5)
    )
    assert large / small == pytest.approx(1.5**2, rel=0.01)


# ---- closed forms

CLOSED = {
    # name: model, images, values, the share of changes at each that keeps the dot below its threshold
    "rotation": (above(10.0, lambda x: torch.rad2deg(torch.atan2(mean_of(Y)(x), mean_of(X)(x)))), dots(1000, 6), 10.0),
    "translation": (above(1.5, mean_of(X)), dots(1000), 1.5),
    "shear": (above(6 * tan(np.pi / 9), mean_of(X)), dots(1000, 0, 6), 20.0),
    "scaling": (above(6 * 1.2, mean_of(X)), dots(1000, 6), log(1.2)),
    "rotation+translation": (above(-4.5, lambda x: -mean_of(Y)(x)), dots(1000, 0, 6), 15.0),
}


@pytest.mark.parametrize("name", BOXES)
def test_the_rate_is_the_share_of_the_box_below_the_threshold(name):
    """Each model changes its mind at one size of one parameter, `limit`, to the one side."""
    model, images, limit = CLOSED[name]
    change = TRANSFORMATIONS[name]
    values = change.values[:5]
    profile = invariance_profile(model, images, values, over=name, seed=2)
    assert (profile.transformation, profile.border, profile.path) == (name, "zero", "there")
    sizes = np.maximum(change.reach(np.array(values)), 1e-300)
    if name == "rotation+translation":  # 1.5 pixels lower by the shift, or by the turn: (1 - cos) 6 pixels of it
        rng = np.random.default_rng(0)
        points = rng.uniform(-1, 1, (200_000, 3)) * np.maximum(sizes, 1e-300)[:, None, None]
        lower = 6 * (1 - np.cos(np.deg2rad(points[..., 0]))) + points[..., 1] / 10
        expected = (lower < 1.5).mean(1)
    else:
        expected = np.minimum(1, (limit / sizes + 1) / 2)
    assert profile.rate == pytest.approx(expected, abs=4 * 0.5 / 1000**0.5)
    assert (profile.rate[expected == 1] == 1).all()
    assert profile.rate[-1] < 0.95


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_classifier_keeps_everything_and_is_as_accurate_as_ever(name):
    constant = lambda x: torch.tensor([[0.0, 1.0]]).expand(len(x), 2)  # noqa: E731
    labels = torch.arange(40) % 2
    profile = invariance_profile(constant, noise(40, 1, 8, 8), TRANSFORMATIONS[name].values, labels, over=name)
    assert (profile.rate == 1).all()
    assert profile.accuracy == pytest.approx(0.5)
    assert (profile.low[1:] < 1).all()
    assert [row.rate.min() for row in profile.classes] == [1, 1]


def test_in_a_box_of_many_dimensions_the_rates_have_no_bias():
    change = TRANSFORMATIONS["translation"]
    thetas = np.array([1, 1.2, 1.4, 2, 2.5, 5.0])  # some share a band
    estimates = []
    for seed in range(60):
        images = dots(100)
        model = above(0.8, mean_of(X))
        estimates.append(invariance_profile(model, images, thetas, over="translation", seed=seed).rate)
    error = np.std(estimates, axis=0, ddof=1) / 60**0.5
    assert change.dimensions == 2
    assert (np.abs(np.mean(estimates, 0) - (0.8 / thetas + 1) / 2) <= 4 * error).all()


def test_a_flip_is_asked_once_and_its_rate_is_a_count():
    images = noise(50, 1, 6, 6)
    left = lambda x: torch.stack([x[..., :3].sum((1, 2, 3)), x[..., 3:].sum((1, 2, 3))], 1)  # noqa: E731
    profile = invariance_profile(left, images, [0, 1], over="horizontal-flip")
    assert (profile.rate.tolist(), profile.evaluations) == ([1, 0], 2)
    assert profile.high[1] == pytest.approx(1 - 0.025 ** (1 / 50))  # Clopper-Pearson for 0 of 50
    some = torch.cat([images[:20], torch.ones(30, 1, 6, 6) - images[:30] * 0])  # thirty without a left or a right
    half = invariance_profile(left, some, [1], over="horizontal-flip")
    assert (half.rate[0], half.low[0]) == (0.6, pytest.approx(stats.beta.ppf(0.025, 30, 21)))
    same = invariance_profile(left, images, [1], over="vertical-flip")
    assert (same.rate.tolist(), same.evaluations) == ([1], 2)
    assert invariance_profile(left, images, [0], over="vertical-flip").evaluations == 1


def test_a_profile_of_another_change_is_plain_json_and_replayable():
    model, images, _ = CLOSED["translation"]
    first, again, other = (
        invariance_profile(model, images[:50], [1, 4], over="translation", seed=seed) for seed in (1, 1, 2)
    )
    assert json.dumps(first.to_dict(), allow_nan=False) == json.dumps(again.to_dict())
    assert first.to_dict()["transformation"] == "translation"
    assert first.rate.tolist() != other.rate.tolist()


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"over": "translations"},
            "over = 'translations' is unknown; did you mean 'translation'?: use rotation, translation, "
            "scaling, shear, rotation+translation, horizontal-flip, vertical-flip",
        ),
        (
            {"over": ["shear"]},
            "over = ['shear'] is unknown; did you mean 'shear'?: use rotation, translation, scaling, shear, "
            "rotation+translation, horizontal-flip, vertical-flip",
        ),
        (
            {"over": "scaling", "thetas": [0, 2]},
            "thetas holds 0.0, outside [1, 100]: factors between 1 / value and value, so 1 changes nothing",
        ),
        (
            {"over": "shear", "thetas": [90]},
            "thetas holds 90.0, outside [0, 80]: degrees that an upright line leans to either side; at 90 nothing is "
            "left",
        ),
        (
            {"over": "translation", "thetas": [inf]},
            "thetas holds inf, outside [0, 10000]: pixels to either side, along both axes",
        ),
        (
            {"over": "translation", "thetas": [nan]},
            "thetas holds nan, outside [0, 10000]: pixels to either side, along both axes",
        ),
        (
            {"over": "vertical-flip", "thetas": [0, 0.5]},
            "thetas = [0.0, 0.5] must be 0, 1 or both: 1 is the mirror image, 0 the image as it is",
        ),
    ],
)
def test_arguments_out_of_range_are_refused_in_words(arguments, text):
    with pytest.raises(InputError) as caught:
        invariance_profile(above(0.0, mean_of(X)), dots(2), **{"thetas": [0, 3], **arguments})
    assert str(caught.value) == text


@pytest.mark.parametrize("name", NAMES)
def test_every_change_refuses_an_interpolation_and_a_fill_that_it_does_not_have(name):
    with pytest.raises(InputError, match=r"^interpolation = 'cubic' is unknown: use 'bilinear' or 'nearest'"):
        invariance_profile(above(0.0, mean_of(X)), dots(2), [1], over=name, interpolation="cubic")
    with pytest.raises(InputError, match=r"^fill = nan must be a finite number"):
        Change(name, fill=nan)
    with pytest.raises(InputError, match=r"^name = 'sheer' is unknown; did you mean 'shear'"):
        Change("sheer")
