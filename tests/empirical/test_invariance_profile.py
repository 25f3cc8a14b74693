"""invariance_profile: closed forms where the dependence on the angle is known, and the grid of angles it rests on."""

import json
from math import nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob import InputError, Rotation, invariance_profile
from invrob.empirical.models import build
from invrob.empirical.profiles.sampling import (
    FEWEST,
    bands_of,
    draw,
    parts_of,
    rates_in_boxes,
    rates_of_classes,
    values_in_parts,
)
from invrob.empirical.transforms.rotation import rotate
from invrob.intervals import mean_bounds, share_bounds

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
        [invariance_profile(above(0), dots(bearings), thetas, seed=s, over=Rotation(step=7.5)).rate for s in range(40)]
    )
    assert (estimates[:, 0] == 1).all()
    error, spread = estimates.mean(0) - exact, estimates.std(0, ddof=1) / 40**0.5
    assert (np.abs(error) <= 3.5 * spread + 0.15 / np.maximum(thetas, 1)).all()  # the dot's 0.15 degrees
    assert (estimates.std(0) < 0.08).all()  # stratified: one independent angle for each of 4 images would give 0.2


@pytest.mark.parametrize("step", [7.5, None])
def test_the_error_is_below_that_of_one_draw_per_image_and_theta_at_every_theta(step):
    bearings, thetas = np.linspace(2, 88, 64), np.arange(15.0, 91, 15)  # as above: each stays for theta + min(b, theta)
    share = (thetas + np.minimum(bearings[:, None], thetas)) / (2 * thetas)
    loop = np.sqrt((share * (1 - share)).sum(0)) / len(bearings)
    profiles = [
        invariance_profile(above(0), dots(bearings), thetas, seed=s, over=Rotation(step=step)) for s in range(12)
    ]
    estimates = np.array([profile.rate for profile in profiles])
    assert (estimates.std(0, ddof=1) < loop).all()


def test_all_rotations_keep_half_of_a_half_plane():
    for seed in range(3):
        profile = invariance_profile(above(0), dots(np.linspace(3, 177, 24)), [180], seed=seed, over=Rotation(step=3))
        assert profile.rate[0] == pytest.approx(0.5, abs=4 * 0.5 / (24 * 60) ** 0.5)  # at most the error of coins


def test_accuracy_under_rotation_is_against_the_true_label():
    images, truth = dots([30.0] * 8), torch.tensor([1] * 6 + [0] * 2)  # right for six, wrong for two
    profile = invariance_profile(above(0), images, [0, 30, 60], truth, over=Rotation(step=0.5))
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
@pytest.mark.parametrize("step", [7.5, None])
def test_a_model_that_no_rotation_changes_has_rate_1(blind, step):
    images = dots(np.linspace(0, 170, 10))
    profile = invariance_profile(blind, images, [0, 15, 90, 180], torch.zeros(10).long(), over=Rotation(step=step))
    assert profile.rate.tolist() == [1] * 4
    assert (profile.low[1:] < 0.8).all()  # ten images do not show that all others stay as well
    assert (profile.accuracy == profile.clean_accuracy).all()


def test_an_invariant_group_network_keeps_its_prediction_at_quarter_turns():
    model, images = build("gcnn", head="invariant", width=0.2).eval(), torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        logits = [model(rotate(images, angle)) for angle in (0, 90, 180, 270)]
    assert all(torch.allclose(z, logits[0], atol=1e-4) for z in logits)


def test_a_step_gives_every_image_an_angle_of_its_own_in_every_band(net, digits):
    # What finished profiles rest on, written as a plain loop.
    images, thetas = digits.test.images[:83], np.array([0.0, 15, 30, 60])
    angles = draw(thetas, 15, 83, np.random.default_rng(5)).radii
    kept = np.zeros((83, 4))
    with torch.no_grad():
        clean = net(images).argmax(1)
        for i in range(83):
            for column, angle in enumerate(angles[:, i]):
                kept[i, column] = net(rotate(images[i : i + 1], float(angle))).argmax(1) == clean[i]
    profile = invariance_profile(net, images, thetas, seed=5, over=Rotation(step=15))
    expected = [1, kept[:, 0].mean(), kept[:, :2].mean(), kept.mean()]
    assert profile.rate.tolist() == pytest.approx(expected, abs=1e-12)
    assert profile.per_image == pytest.approx((1 + kept[:, 0] + kept[:, :2].mean(1) + kept.mean(1)) / 4, abs=1e-12)


# ---- bands that several thetas share

EVERY_15 = np.arange(0.0, 181, 15)


def crossings(n, rng):
    """What n images do that keep their class up to some angle to either side, and lose it beyond: those angles [2, n],
    the smaller the likelier, and the class [n] of each, whose images hold out longer the higher it is."""
    classes = rng.integers(0, 4, n)
    return 180 * rng.random((2, n)) ** (2 / (1 + classes)), classes


def shares(limits, thetas):
    """The exact share of the angles in [-theta, theta] at which each image keeps its class, [n, T]."""
    inside = np.minimum(limits[..., None], thetas).sum(0) / np.maximum(2 * thetas, 1e-300)
    return np.where(thetas > 0, inside, 1.0)


def asked(limits, thetas, seed, step=None):
    """The draws of such images, and whether they keep their class: unchanged, and at each draw [n, 1 + M]."""
    draws = draw(thetas, step, limits.shape[1], np.random.default_rng(seed))
    hits = np.abs(draws.radii) < np.where(draws.radii < 0, limits[0], limits[1])
    return draws, np.vstack([np.ones((1, limits.shape[1]), bool), hits]).T


def swept(limits, thetas, seed):
    """What the sweep says about such images, [n, T]."""
    draws, hits = asked(limits, thetas, seed)
    return rates_in_boxes(hits, draws, thetas)


def swept_by_class(limits, classes, thetas, seed):
    """What the sweep says about each class."""
    draws, hits = asked(limits, thetas, seed)
    return rates_of_classes(hits, draws, classes, thetas, 0.95, mean_bounds)


@pytest.mark.parametrize("step", [None, 15])
@pytest.mark.parametrize("thetas", [EVERY_15, np.zeros(1)])
def test_of_no_images_there_are_no_draws_and_no_rates(step, thetas):
    draws, nothing = asked(np.zeros((2, 0)), thetas, 0, step)
    assert draws.radii.shape == draws.part_of.shape == (len(draws.radii), 0)
    assert rates_in_boxes(nothing, draws, thetas).shape == (0, len(thetas))
    assert rates_of_classes(nothing, draws, np.zeros(0, dtype=int), thetas, 0.95, mean_bounds) == ()


@given(grids, st.integers(1, 300), seeds)
@settings(deadline=None, max_examples=50)
def test_each_image_has_an_angle_in_every_band_and_each_interval_its_share_of_images(thetas, n, seed):
    thetas = np.array(thetas)
    draws = draw(thetas, None, n, np.random.default_rng(seed))
    intervals, angles, where = draws.parts, draws.radii, draws.part_of
    bands = bands_of(intervals, max(1, n // FEWEST))
    assert angles.shape == where.shape == (len(bands), n)
    assert [i for band in bands for i in range(band.start, band.stop)] == [*range(len(intervals))]
    assert {t for t in thetas if t > 0} <= {*intervals[:, 1]}
    sizes = np.abs(angles)
    assert ((intervals[where, 0] <= sizes) & (sizes <= intervals[where, 1])).all()
    for band, part_of, angle in zip(bands, where, angles, strict=True):
        counts = np.bincount(part_of - band.start, minlength=band.stop - band.start)
        widths = np.diff(intervals[band]).ravel()
        assert (counts >= 1).all()
        assert np.abs(counts - n * widths / widths.sum()).max() <= 1 + len(counts)
        for interval in range(band.start, band.stop):
            right = (angle[part_of == interval] > 0).sum()
            assert abs(2 * right - (part_of == interval).sum()) <= 1
        if len(counts) > 1:
            assert intervals[band.stop - 1, 1] <= 2 * intervals[band.start, 0] * (1 + 1e-6)
            assert n >= FEWEST * len(counts)


def test_in_shared_bands_the_rates_have_no_bias_and_less_error_than_one_draw_per_theta():
    limits, _ = crossings(400, np.random.default_rng(1))
    estimates = np.array([swept(limits, EVERY_15, seed).mean(0) for seed in range(400)])[:, 1:]
    exact = shares(limits, EVERY_15)[:, 1:]
    error = estimates.std(0, ddof=1)
    assert (np.abs(estimates.mean(0) - exact.mean(0)) <= 4 * error / 20).all()
    assert (error < 0.9 * np.sqrt((exact * (1 - exact)).sum(0)) / 400).all()


def test_in_shared_bands_the_rates_have_no_bias_where_most_images_are_of_one_class():
    # A split by class would give the rate of all images to the parts that a small class did not draw in.
    rng = np.random.default_rng(6)
    classes = rng.choice(40, 200, p=[0.61] + [0.01] * 39)
    limits = np.where(classes == 0, 60.0, 140.0) * np.ones((2, 1))
    estimates = np.array([swept(limits, EVERY_15, seed).mean(0) for seed in range(300)])
    error = estimates.std(0, ddof=1) / 300**0.5
    assert (np.abs(estimates.mean(0) - shares(limits, EVERY_15).mean(0)) <= 4 * error + 1e-9).all()


def test_in_shared_bands_the_rates_of_a_class_with_many_images_have_no_bias_either():
    limits, classes = crossings(400, np.random.default_rng(2))
    estimates = np.array([[row.rate for row in swept_by_class(limits, classes, EVERY_15, seed)] for seed in range(200)])
    error = estimates.std(0, ddof=1) / 200**0.5
    exact = np.array([shares(limits[:, classes == label], EVERY_15).mean(0) for label in range(4)])
    assert (np.abs(estimates.mean(0) - exact) <= 4 * error).all()
    assert (estimates >= 0).all()
    assert (estimates <= 1).all()


def test_a_class_with_few_draws_in_an_interval_has_the_wider_one_of_two_intervals():
    limits, classes = crossings(400, np.random.default_rng(2))
    classes[:20] = 9  # 3 draws on average in the six intervals of the last band
    rows = {row.label: row for row in swept_by_class(limits, classes, EVERY_15, 0)}
    low, high = share_bounds(rows[9].rate, rows[9].images)
    assert (rows[9].low[7:] <= low[7:]).all()
    assert (rows[9].high[7:] >= high[7:]).all()
    low, high = share_bounds(rows[1].rate, rows[1].images)
    assert (rows[1].high - rows[1].low)[-1] < 0.9 * (high - low)[-1]


@given(st.integers(1, 200), st.integers(1, 5), seeds)
@settings(deadline=None, max_examples=50)
def test_in_shared_bands_a_class_that_always_stays_has_exactly_1_and_one_that_never_does_0(n, kinds, seed):
    rng = np.random.default_rng(seed)
    for answer in (0.0, 1.0):
        limits = np.full((2, n), 200 * answer)
        assert (swept(limits, EVERY_15, seed)[:, 1:] == answer).all()
        for row in swept_by_class(limits, rng.integers(0, kinds, n), EVERY_15, seed):
            assert (row.rate[1:] == answer).all()
    classes = np.arange(n) % 2
    if n >= 100:  # so that none of the two is without an angle in an interval
        none, all_of_it = swept_by_class(np.where(classes, 200, 0) * np.ones((2, 1)), classes, EVERY_15, seed)
        assert (none.rate[1:] == 0).all()
        assert (all_of_it.rate[1:] == 1).all()


@given(grids, st.integers(64, 150), seeds)
@settings(deadline=None, max_examples=50)
def test_in_shared_bands_rates_are_shares_whatever_the_model_does(thetas, n, seed):
    rng = np.random.default_rng(seed)
    draws = draw(np.array(thetas), None, n, rng)
    hits = rng.random((n, 1 + len(draws.radii))) < rng.random()
    values = rates_in_boxes(hits, draws, np.array(thetas))
    rows = rates_of_classes(hits, draws, rng.integers(0, 20, n), np.array(thetas), 0.95, mean_bounds)
    of_all = (*mean_bounds(values, 0.95), values.mean(0))
    for low, high, rate in (of_all, *((row.low, row.high, row.rate) for row in rows)):
        assert (low >= 0).all()
        assert (low[np.array(thetas) > 0] <= rate[np.array(thetas) > 0]).all()
        assert (rate <= high).all()
        assert (high <= 1).all()


@given(st.integers(3, 60), st.integers(2, 59), seeds)
@settings(deadline=None, max_examples=50)
def test_values_of_a_class_have_the_mean_and_the_standard_error_of_the_draws_that_were_made(n, drawn, seed):
    drawn, rng = min(drawn, n - 1), np.random.default_rng(seed)
    seen = np.zeros((n, 1))
    seen[rng.permutation(n)[:drawn]] = 1
    hit = seen * rng.integers(0, 2, (n, 1))
    sample = hit[seen == 1]
    values = values_in_parts(hit, seen, np.array([0.3]))
    assert values.mean() == pytest.approx(sample.mean())
    assert values.std() / n**0.5 == pytest.approx(sample.std(ddof=1) / drawn**0.5)
    assert values_in_parts(hit, np.ones((n, 1)), np.array([0.3])) == pytest.approx(hit)


def test_a_class_without_a_draw_in_an_interval_takes_the_rate_of_all_images():
    assert values_in_parts(np.zeros((4, 2)), np.array([[1.0, 0]] * 4), np.array([0.5, 0.3])).tolist() == [[0, 0.3]] * 4


def test_few_draws_agree_with_many(net, digits):
    few, many = (
        invariance_profile(net, digits.test.images[:400], EVERY_15, digits.test.labels[:400], over=Rotation(step=step))
        for step in (None, 7.5)
    )
    assert (few.evaluations, many.evaluations) == (7, 25)
    for name in ("rate", "accuracy"):
        assert np.abs(getattr(few, name) - getattr(many, name)).max() < 0.05
    assert few.clean_accuracy == many.clean_accuracy
    assert few.per_image.mean() == pytest.approx(few.rate.mean())
    assert sum(row.images * row.rate for row in few.classes) / 400 == pytest.approx(few.rate, abs=0.02)
    for row in (few, *few.classes):
        assert ((row.low <= row.rate) & (row.rate <= row.high)).all()


# ---- the grid of angles


@given(grids, st.floats(0.5, 180))
@settings(deadline=None, max_examples=100)
def test_intervals_tile_the_angles_with_an_edge_at_every_theta(thetas, step):
    thetas = np.array(thetas)
    bands = parts_of(thetas, step)
    assert (bands[1:, 0] == bands[:-1, 1]).all()
    widths = np.diff(bands, axis=1)
    assert (widths > 0).all()
    assert (widths <= step * (1 + 1e-6)).all()
    if len(bands):
        assert (bands[0, 0], bands[-1, 1]) == (0, thetas[-1])
    assert {t for t in thetas if t > 0} <= {*bands[:, 1]}


@given(st.lists(st.integers(0, 180), min_size=1, max_size=6, unique=True).map(sorted), st.integers(1, 60), seeds)
@settings(deadline=None, max_examples=30)
def test_with_a_step_the_images_share_out_both_sides_of_every_band_evenly(thetas, n, seed):
    draws = draw(np.array(thetas, dtype=float), 20, n, np.random.default_rng(seed))
    bands, sizes = draws.parts, np.abs(draws.radii)
    assert draws.radii.shape == (len(bands), n)
    assert (draws.part_of == np.arange(len(bands))[:, None]).all()
    assert ((bands[:, :1] <= sizes) & (sizes <= bands[:, 1:])).all()
    shares_of_band = np.copysign((sizes - bands[:, :1]) / np.diff(bands, axis=1), draws.radii)
    places = np.floor((shares_of_band + 1) / 2 * n + 1e-7 * np.sign(shares_of_band))
    assert (np.abs(np.sort(places) - np.arange(n)) <= 1).all()  # the n-th part of a band each; 1 for rounding


def test_which_image_gets_which_angle_is_random_and_anew_in_every_band():
    angles = np.array([draw(np.array([90.0]), 30, 24, np.random.default_rng(seed)).radii for seed in range(500)])
    for image in range(24):
        places = np.sort(angles[:, 0, image] / 60 + 0.5)
        assert np.abs(places - np.arange(1, 501) / 500).max() < 1.95 / 500**0.5 + 1 / 500  # Kolmogorov-Smirnov, 0.1 %
    for other in (1, 2, 7, 8, 10):  # images of a class, where labels repeat in a cycle, have no angles in common
        both = np.corrcoef(angles[:, 0, :-other].ravel(), angles[:, 0, other:].ravel())[0, 1]
        assert abs(both) < 0.08  # -1 / 23 for a permutation, and 0.01 by chance
    assert abs(np.corrcoef(angles[:, 0].ravel(), angles[:, 1].ravel())[0, 1]) < 0.04


# ---- what a profile is


@pytest.fixture(scope="module")
def profile(_trained, digits):
    return invariance_profile(
        _trained, digits.test.images[:80], [0, 15, 45, 180], digits.test.labels[:80], over=Rotation(step=15)
    )


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


@pytest.mark.parametrize("step", [20, None])
def test_the_same_seed_gives_the_same_bits_and_another_seed_other_angles(net, digits, step):
    images, grid = digits.test.images[:70], [0, 20, 40, 60]
    first, again, other = (
        invariance_profile(net, images, grid, seed=s, over=Rotation(step=step)) for s in (1, np.int64(1), 2)
    )
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict())
    assert first.rate.tolist() != other.rate.tolist()


def test_without_labels_there_is_no_accuracy(net, digits):
    profile = invariance_profile(net, digits.test.images[:10], [0, 30])
    assert (profile.accuracy, profile.accuracy_low, profile.accuracy_high, profile.clean_accuracy) == (None,) * 4


@pytest.mark.parametrize(("n", "step", "draws"), [(1, 10, 10), (7, 10, 10), (30, 10, 10), (63, None, 5), (96, None, 4)])
def test_evaluations_are_the_images_that_went_through_the_model(n, step, draws):
    seen = []

    def counting(x):
        seen.append(len(x))
        return above(0)(x)

    profile = invariance_profile(counting, dots([30.0] * n), [0, 30, 60, 75, 90], over=Rotation(step=step))
    whole = [size for size in seen if size == n]  # that memory suffices is tried with 1 and 2 of very many
    assert sum(whole) == n * profile.evaluations == n * (1 + draws)


def test_theta_0_alone_asks_once_and_is_certain(net, digits):
    profile = invariance_profile(net, digits.test.images[:5], [0], digits.test.labels[:5])
    assert (profile.rate.tolist(), profile.low.tolist(), profile.evaluations) == ([1], [1], 1)


@pytest.mark.filterwarnings("ignore:images .* all pixels of all images are 0:UserWarning")
def test_fill_and_interpolation_reach_the_rotation():
    corner = lambda x: torch.stack([x[:, 0, 0, 0], torch.full((len(x),), 0.5)], 1)  # noqa: E731
    black, white = (
        invariance_profile(corner, torch.zeros(8, 1, 9, 9), [0, 40], over=Rotation(fill=fill)) for fill in (0.0, 1.0)
    )
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
STEP = "is outside (0, 180] degrees: smaller is finer, and None asks the model least"
FILL = "must be a finite number: it is the value of the pixels outside the image"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"thetas": []}, f"thetas = [] {THETAS}"),
        ({"thetas": [90, 30]}, f"thetas = [90.0, 30.0] {THETAS}"),
        ({"thetas": [30, 30]}, f"thetas = [30.0, 30.0] {THETAS}"),
        ({"thetas": [360]}, "thetas holds 360.0, outside [0, 180]: degrees to either side, so 180 is every rotation"),
        ({"thetas": [-5, 5]}, "thetas holds -5.0, outside [0, 180]: degrees to either side, so 180 is every rotation"),
        ({"thetas": [nan]}, "thetas holds nan, outside [0, 180]: degrees to either side, so 180 is every rotation"),
        (
            {"over": {"step": 0}},
            f"step = 0 {STEP}",
        ),
        (
            {"over": {"step": nan}},
            f"step = nan {STEP}",
        ),
        ({"seed": -1}, "seed = -1 must be an integer in [0, 2^63)"),
        ({"confidence": 1}, "confidence = 1 is outside (0, 1): write 0.95 for 95 %"),
        (
            {"over": {"fill": nan}},
            f"fill = nan {FILL}",
        ),
        (
            {"interpolation": "bicubic"},
            "interpolation = 'bicubic' is unknown: use 'bilinear' or 'nearest'",
        ),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused_in_words(arguments, text):
    def measure(thetas=(0, 30), over=None, **settings):
        return invariance_profile(above(0), dots([30.0] * 2), thetas, over=Rotation(**over or {}), **settings)

    with pytest.raises(InputError) as caught:
        measure(**arguments)
    assert str(caught.value) == text


def test_one_number_is_no_list_of_angles():
    with pytest.raises(InputError, match=r"^thetas = 30 must be a list of numbers"):
        invariance_profile(nn.Identity(), dots([30.0]), 30)
