"""invariance_profile: closed forms where the dependence on the angle is known, and the grid of angles it rests on."""

import json
from math import nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob import InputError, invariance_profile
from invrob.empirical.invariance import GROUPS, _angles, _bands
from invrob.empirical.models import build
from invrob.empirical.transforms import rotate

seeds = st.integers(0, 2**32 - 1)
grids = st.lists(st.just(0.0) | st.floats(1e-3, 180), min_size=1, max_size=6, unique=True).map(sorted)
SIDE = 21
Y, X = torch.meshgrid(10.0 - torch.arange(SIDE), torch.arange(SIDE) - 10.0, indexing="ij")  # y upwards, centre (0, 0)


def dots(degrees):
    """A blurred dot [N, 1, 21, 21] per angle, 6 pixels from the centre, counter-clockwise from the right."""
    angles = torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float64)).float()[:, None, None]
    return torch.exp(-((X - 6 * angles.cos()) ** 2 + (Y - 6 * angles.sin()) ** 2) / 4)[:, None]


def bearing(images):
    """The angle [N] in degrees of the centre of mass, in (-180, 180]."""
    mass = images[:, 0]
    return torch.rad2deg(torch.atan2((mass * Y).sum((1, 2)), (mass * X).sum((1, 2))))


def above(threshold):
    """Class 1 where the dot stands at more than `threshold` degrees."""
    return lambda images: torch.stack([torch.zeros(len(images)), bearing(images) - threshold], 1)


# ---- the truth


def test_a_rotation_turns_a_dot_by_its_angle():
    # What the closed forms below stand on.
    for angle in (-100.0, -7.5, 0.3, 45.0, 130.0):
        assert bearing(rotate(dots([20.0]), angle)).item() == pytest.approx(20 + angle, abs=0.15)


def test_the_rate_is_the_share_of_angles_that_do_not_cross_the_threshold():
    # A dot at b > 0 is class 1, and leaves it when turned by less than -b, or by more than 180 - b where the sign
    # flips: of [-theta, theta] it stays for theta + min(b, theta) below 180 - b, for exactly 180 of all 360 at 180.
    bearings = np.array([10.0, 37.0, 60.0, 85.0])
    thetas = np.array([0.0, 5, 20, 45, 70, 90])
    exact = [1.0] + [((t + np.minimum(bearings, t)) / (2 * t)).mean() for t in thetas[1:]]
    estimates = np.array(
        [invariance_profile(above(0), dots(bearings), thetas, seed=s, step=7.5).rate for s in range(40)]
    )
    assert (estimates[:, 0] == 1).all()
    error, spread = estimates.mean(0) - exact, estimates.std(0, ddof=1) / 40**0.5
    assert (np.abs(error) <= 3.5 * spread + 0.15 / np.maximum(thetas, 1)).all()  # the dot's own 0.15 degrees
    assert (estimates.std(0) < 0.08).all()  # stratified: one independent angle for each of 4 images would give 0.2


def test_the_error_is_below_that_of_one_draw_per_image_and_theta_at_every_theta():
    bearings, thetas = np.linspace(2, 88, 64), np.arange(15.0, 91, 15)  # as above: each stays for theta + min(b, theta)
    share = (thetas + np.minimum(bearings[:, None], thetas)) / (2 * thetas)
    loop = np.sqrt((share * (1 - share)).sum(0)) / len(bearings)
    estimates = np.array([invariance_profile(above(0), dots(bearings), thetas, seed=s).rate for s in range(12)])
    assert (estimates.std(0, ddof=1) < loop).all()


def test_all_rotations_keep_half_of_a_half_plane():
    for seed in range(3):
        profile = invariance_profile(above(0), dots(np.linspace(3, 177, 24)), [180], seed=seed, step=3)
        assert profile.rate[0] == pytest.approx(0.5, abs=0.01)


def test_accuracy_under_rotation_is_against_the_true_label():
    images, truth = dots([30.0] * 8), torch.tensor([1] * 6 + [0] * 2)  # right for six, wrong for two
    profile = invariance_profile(above(0), images, [0, 30, 60], truth, step=0.5)
    assert profile.clean_accuracy == profile.accuracy[0] == 0.75
    assert profile.rate.tolist() == pytest.approx([1, 1, 0.75], abs=0.01)
    assert profile.accuracy.tolist() == pytest.approx([0.75, 0.75, 0.75 * 0.75 + 0.25 * 0.25], abs=0.02)
    assert [(row.label, row.images) for row in profile.classes] == [(0, 2), (1, 6)]


@pytest.mark.parametrize(
    "blind",
    [
        lambda x: torch.eye(5)[3].expand(len(x), 5),  # constant
        lambda x: torch.stack([x[:, 0, 8:13, 8:13].sum((1, 2)) * 0, x[:, 0, 10, 10] - 0.5], 1),  # the centre alone
        lambda x: torch.stack([((X**2 + Y**2 < 64) * x[:, 0]).mean((1, 2)), torch.full((len(x),), 0.002)], 1),
    ],
    ids=["constant", "centre pixel", "brightness in a disc"],
)
def test_a_model_that_no_rotation_changes_has_rate_1(blind):
    profile = invariance_profile(blind, dots(np.linspace(0, 170, 10)), [0, 15, 90, 180], torch.zeros(10).long())
    assert profile.rate.tolist() == pytest.approx([1] * 4, abs=1e-12)
    assert (profile.rate <= 1).all()
    assert (profile.low[1:] < 0.8).all()  # ten images do not show that all others stay as well
    assert (profile.accuracy == profile.clean_accuracy).all()


def test_an_invariant_group_network_keeps_its_prediction_at_quarter_turns():
    model, images = build("gcnn", head="invariant", width=0.2).eval(), torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        logits = [model(rotate(images, angle)) for angle in (0, 90, 180, 270)]
    assert all(torch.allclose(z, logits[0], atol=1e-4) for z in logits)


# ---- the grid of angles


@given(grids, st.floats(0.5, 180))
@settings(deadline=None, max_examples=100)
def test_bands_tile_the_angles_with_an_edge_at_every_theta(thetas, step):
    thetas = np.array(thetas)
    bands = _bands(thetas, step)
    assert (bands[1:, 0] == bands[:-1, 1]).all()
    widths = np.diff(bands, axis=1)
    assert (widths > 0).all()
    assert (widths <= step * (1 + 1e-6)).all()
    if len(bands):
        assert (bands[0, 0], bands[-1, 1]) == (0, thetas[-1])
    assert {t for t in thetas if t > 0} <= {*bands[:, 1]}


@given(st.lists(st.integers(0, 180), min_size=1, max_size=6, unique=True).map(sorted), seeds)
@settings(deadline=None, max_examples=30)
def test_every_band_gets_one_angle_in_each_quarter_of_either_side(thetas, seed):
    bands = _bands(np.array(thetas), 20)
    angles = _angles(bands, np.random.default_rng(seed))
    assert angles.shape == (len(bands), GROUPS)
    assert ((bands[:, :1] <= np.abs(angles)) & (np.abs(angles) <= bands[:, 1:])).all()
    places = (np.abs(angles) - bands[:, :1]) / np.diff(bands, axis=1)
    quarters = np.sign(angles) * (np.floor(places * GROUPS / 2) + 1)
    assert (np.sort(quarters) == [-4, -3, -2, -1, 1, 2, 3, 4]).all()


def test_the_angles_of_a_group_are_uniform_and_no_part_belongs_to_it():
    bands = _bands(np.array([30.0]), 30)
    draws = np.array([_angles(bands, np.random.default_rng(seed)) for seed in range(500)])  # [500, 1, GROUPS]
    for group in range(GROUPS):
        places = np.sort((draws[:, 0, group]) / 60 + 0.5)
        assert np.abs(places - np.arange(1, 501) / 500).max() < 1.63 / 500**0.5 + 1 / 500  # Kolmogorov-Smirnov, 1 %


# ---- what a profile is


@pytest.fixture(scope="module")
def profile(_trained, digits):
    return invariance_profile(_trained, digits.test.images[:80], [0, 15, 45, 180], digits.test.labels[:80], step=15)


def test_a_profile_has_the_fields_that_others_rely_on(profile):
    assert profile.thetas.tolist() == [0, 15, 45, 180]
    for values in (profile.rate, profile.low, profile.high, profile.accuracy):
        assert values.shape == (4,)
        assert values.dtype == np.float64
        assert ((values >= 0) & (values <= 1)).all()
    assert (profile.rate[0], profile.low[0], profile.high[0]) == (1, 1, 1)
    assert (profile.low <= profile.rate).all()
    assert (profile.rate <= profile.high).all()
    assert 0.9 < profile.rate[1] > profile.rate[2] > profile.rate[3] > 0.2
    assert profile.per_image.shape == (80,)


def test_the_rows_of_the_classes_sum_to_the_whole(profile, digits):
    assert [row.label for row in profile.classes] == [*range(10)]
    assert [row.images for row in profile.classes] == digits.test.labels[:80].bincount().tolist()
    assert sum(row.images * row.rate for row in profile.classes) / 80 == pytest.approx(profile.rate)


def test_to_dict_is_plain_json(profile):
    plain = json.loads(json.dumps(profile.to_dict(), allow_nan=False))
    assert plain["thetas"] == [0, 15, 45, 180]
    assert plain["rate"] == profile.rate.tolist()
    assert plain["classes"][6]["images"] == profile.classes[6].images


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_angles(net, digits):
    images = digits.test.images[:20]
    first, again, other = (invariance_profile(net, images, [0, 60], seed=s, step=30) for s in (1, np.int64(1), 2))
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict())
    assert first.rate.tolist() != other.rate.tolist()


def test_without_labels_there_is_no_accuracy(net, digits):
    profile = invariance_profile(net, digits.test.images[:10], [0, 30])
    assert (profile.accuracy, profile.accuracy_low, profile.accuracy_high, profile.clean_accuracy) == (None,) * 4


@pytest.mark.parametrize("n", [1, 7, 8, 30])
def test_evaluations_are_the_images_that_went_through_the_model(n):
    seen = []

    def counting(x):
        seen.append(len(x))
        return above(0)(x)

    profile = invariance_profile(counting, dots([30.0] * n), [0, 30, 90], step=10)
    assert sum(seen) == n * profile.evaluations == n * (1 + 9)


def test_theta_0_alone_asks_once_and_is_certain(net, digits):
    profile = invariance_profile(net, digits.test.images[:5], [0], digits.test.labels[:5])
    assert (profile.rate.tolist(), profile.low.tolist(), profile.evaluations) == ([1], [1], 1)


def test_fill_and_interpolation_reach_the_rotation():
    corner = lambda x: torch.stack([x[:, 0, 0, 0], torch.full((len(x),), 0.5)], 1)  # noqa: E731
    black, white = (invariance_profile(corner, torch.zeros(8, 1, 9, 9), [0, 40], fill=fill) for fill in (0.0, 1.0))
    assert black.rate[1] == 1
    assert white.rate[1] < 0.5  # the corner turns white
    values = set()

    def watching(x):
        values.update(x.unique().tolist())
        return corner(x)

    invariance_profile(watching, (torch.rand(4, 1, 9, 9) > 0.5).float(), [20], interpolation="nearest")
    assert values == {0, 1}


# ---- what is refused

THETAS = "must be at least one number, each larger than the one before: sort them"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"thetas": []}, f"thetas = [] {THETAS}"),
        ({"thetas": [90, 30]}, f"thetas = [90.0, 30.0] {THETAS}"),
        ({"thetas": [30, 30]}, f"thetas = [30.0, 30.0] {THETAS}"),
        ({"thetas": [360]}, "thetas holds 360.0, outside [0, 180]: degrees to either side, so 180 is every rotation"),
        ({"thetas": [-5, 5]}, "thetas holds -5.0, outside [0, 180]: degrees to either side, so 180 is every rotation"),
        ({"thetas": [nan]}, "thetas holds nan, outside [0, 180]: degrees to either side, so 180 is every rotation"),
        ({"step": 0}, "step = 0 is outside (0, 180] degrees: 7.5 is the default, smaller is finer"),
        ({"step": nan}, "step = nan is outside (0, 180] degrees: 7.5 is the default, smaller is finer"),
        ({"seed": -1}, "seed = -1 must be an integer in [0, 2^63)"),
        ({"confidence": 1}, "confidence = 1 is outside (0, 1): write 0.95 for 95 %"),
        ({"fill": nan}, "fill = nan must be a finite number: it is the value of the pixels outside the image"),
        (
            {"interpolation": "bicubic"},
            "interpolation = 'bicubic' is unknown: use 'bilinear' or 'nearest'",
        ),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused_in_words(arguments, text):
    with pytest.raises(InputError) as caught:
        invariance_profile(above(0), dots([30.0] * 2), **{"thetas": [0, 30], **arguments})
    assert str(caught.value) == text


def test_one_number_is_no_list_of_angles():
    with pytest.raises(InputError, match=r"^thetas = 30 must be a list of numbers"):
        invariance_profile(nn.Identity(), dots([30.0]), 30)
