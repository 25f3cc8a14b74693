"""worst_case_profile: closed forms and plain loops beside both adversaries, and what they may not ask twice."""

import json
from math import sin

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from invrob import Grid, InputError, Rotation, WorstOf, invariance_profile, worst_case_profile
from invrob.empirical.profiles.worst_case import draw_sources, grid_points, kept_in_all_draws, most_evaluations
from invrob.empirical.transforms.families import TRANSFORMATIONS

NAMES = list(TRANSFORMATIONS)
ADVERSARIES = (Grid(), WorstOf(1), WorstOf(3))
seeds = st.integers(0, 2**32 - 1)
names = st.sampled_from(NAMES)
Y, X = torch.meshgrid(10.0 - torch.arange(21), torch.arange(21) - 10.0, indexing="ij")  # y upwards, centre (0, 0)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def dots(n, x=0.0, y=0.0):
    """n times the same blurred dot at (x, y) from the middle of 21 x 21 pixels."""
    return torch.exp(-((X - x) ** 2 + (Y - y) ** 2) / 2).expand(n, 1, 21, 21)


def right_of(threshold):
    """Class 1 where the centre of mass lies to the right of the threshold."""
    return lambda x: torch.stack([torch.full((len(x),), threshold), (x[:, 0] * X).sum((1, 2)) / x[:, 0].sum((1, 2))], 1)


def fickle(images):
    """Changes its mind at small changes, sooner for some images than for others."""
    weights = noise(images[0].numel(), 3, seed=1).to(images)
    return (images.flatten(1) @ weights * 3).sin()


def constant(images):
    return torch.tensor([[0.0, 1.0]]).expand(len(images), 2)


# ---- the grid


@pytest.mark.parametrize("name", NAMES)
def test_the_grid_is_what_a_plain_loop_over_all_its_points_finds(name):
    change, images = TRANSFORMATIONS[name], noise(12, 1, 8, 8)
    labels = torch.arange(12) % 3
    thetas = change.values[:3]
    profile = worst_case_profile(fickle, images, thetas, labels, over=name, against=Grid())
    clean = fickle(images).argmax(1)
    for column, theta in enumerate(thetas):
        reach = float(change.reach(np.array(theta)))
        gaps = [np.arange(-int(reach / step), int(reach / step) + 1) * step for step in change.steps]
        inside = np.stack(np.meshgrid(*gaps), -1).reshape(-1, len(gaps))
        corners = np.concatenate(
            [
                np.stack(np.meshgrid(*[[-t, t]] * len(gaps)), -1).reshape(-1, len(gaps))
                for t in change.reach(np.array(thetas))
                if t <= reach
            ]
        )
        stays = torch.ones(12, dtype=torch.bool)
        for point in np.concatenate([inside, corners]):
            stays &= fickle(change.apply(images, point[None])).argmax(1) == clean
        assert profile.rate[column] == stays.double().mean()
        assert profile.accuracy[column] == (stays & (clean == labels)).double().mean()
        assert ((profile.levels > column) == stays.numpy()).all()
    assert profile.rate[0] == 1 > profile.rate[-1]


@given(names, st.integers(1, 3), seeds)
@settings(deadline=None, max_examples=40)
def test_the_points_of_each_theta_are_in_its_box_and_in_no_smaller_one(name, finer, seed):
    change = TRANSFORMATIONS[name]
    low, high = change.limits[0], min(change.limits[1], 4 * change.values[1])
    values = sorted({low + (high - low) * x for x in np.random.default_rng(seed).random(3)})
    thetas = change.checked(values if change.dimensions else [0, 1])
    reach, points = change.reach(thetas), grid_points(change, thetas, finer)
    assert len(points) == len(thetas)
    for shell, smaller, size in zip(points, [0.0, *reach], reach, strict=False):
        sizes = np.abs(shell).max(1)
        assert ((smaller < sizes) & (sizes <= size * (1 + 1e-12))).all()
        assert (np.diff(sizes) <= 0).all()
        assert len(np.unique(shell, axis=0)) == len(shell)
    for index, size in enumerate(reach):  # the corners
        assert not size or (np.abs(np.concatenate(points[: index + 1])) == size).all(1).sum() >= 2**change.dimensions


@given(names, st.sampled_from([1, 2, 3]), seeds)
@settings(deadline=None, max_examples=20)
def test_the_curve_of_the_grid_never_rises_nor_with_a_finer_grid(name, finer, seed):
    change, images = TRANSFORMATIONS[name], noise(10, 1, 6, 6, seed=seed)
    coarse, fine = (
        worst_case_profile(fickle, images, change.values[:3], over=name, against=Grid(times))
        for times in (finer, 2 * finer)
    )
    for profile in (coarse, fine):
        assert (np.diff(profile.rate) <= 0).all()
    assert (fine.levels <= coarse.levels).all()


def test_the_grid_finds_a_threshold_at_the_first_theta_beyond_it():
    shifted = worst_case_profile(right_of(2.5), dots(5), [0, 1, 2, 3, 4], over="translation", against=Grid())
    assert shifted.rate.tolist() == [1, 1, 1, 0, 0]
    turned = worst_case_profile(right_of(6 * sin(np.pi / 9)), dots(5, 0, 6), [10, 19, 21, 30], against=Grid())
    assert turned.rate.tolist() == [1, 1, 0, 0]  # 21 and 30 degrees are no multiples of 5, but corners
    assert turned.levels.tolist() == [2] * 5


@pytest.mark.parametrize("name", NAMES)
def test_the_grid_asks_about_no_image_that_has_moved_already(name):
    images, seen = noise(20, 1, 8, 8), []

    def counting(x):
        seen.append(len(x))
        return fickle(x)

    thetas = TRANSFORMATIONS[name].values[:3]
    profile = worst_case_profile(counting, images, thetas, over=name, against=Grid())
    seen = seen[seen.index(20) :]  # before that, how much memory it takes
    assert seen == sorted(seen, reverse=True)
    assert sum(seen) == round(20 * profile.evaluations)
    assert profile.evaluations < most_evaluations(TRANSFORMATIONS[name], thetas, Grid()) or name.endswith("flip")


# ---- worst of k


@pytest.mark.parametrize("k", [1, 2, 10])
def test_worst_of_k_has_the_kth_power_of_the_rate(k):
    profile = worst_case_profile(right_of(1.5), dots(400), [0, 1, 2, 4, 5], over="translation", against=WorstOf(k))
    inside = np.minimum(1, (1.5 / np.maximum(profile.thetas, 1e-9) + 1) / 2) ** k
    assert profile.rate == pytest.approx(inside, abs=4 * 0.5 / 400**0.5)
    assert (profile.rate[inside == 1] == 1).all()
    assert profile.levels is None
    turned = worst_case_profile(right_of(6 * sin(np.pi / 9)), dots(400, 0, 6), [10, 30, 40], against=WorstOf(k))
    assert turned.rate == pytest.approx([1, (5 / 6) ** k, 0.75**k], abs=4 * 0.5 / 400**0.5)


@pytest.mark.parametrize("name", ["rotation", "rotation+translation"])
def test_the_worst_of_one_is_the_average_in_expectation(name):
    images = noise(40, 1, 6, 6)
    thetas, labels = TRANSFORMATIONS[name].values[:4], torch.arange(40) % 3
    worst, average = (
        [measure(fickle, images, thetas, labels, seed=seed, over=name, **how) for seed in range(20)]
        for measure, how in ((worst_case_profile, {"against": WorstOf(1)}), (invariance_profile, {}))
    )
    for field in ("rate", "accuracy"):
        a, b = (np.array([getattr(profile, field) for profile in profiles]) for profiles in (worst, average))
        error = np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / 20)
        assert (np.abs(a.mean(0) - b.mean(0)) <= 4 * error + 1e-12).all()


@pytest.mark.parametrize("name", ["rotation", "translation", "rotation+translation"])
def test_the_draws_of_each_theta_are_uniform_in_its_box_though_larger_ones_lend_them(name):
    change = TRANSFORMATIONS[name]
    volumes, rng = change.volumes(np.array(change.values[1:5])), np.random.default_rng(2)
    radii = volumes[:, None] * rng.uniform(-1, 1, (4, 5000))
    source = draw_sources(radii, volumes)
    assert (source >= np.arange(4)[:, None]).all()
    assert (np.diff(source, axis=0) >= 0).all()
    for theta, volume in enumerate(volumes):
        used = radii[source[theta], np.arange(5000)]
        assert stats.kstest(used / volume, "uniform", args=(-1, 2)).pvalue > 0.01
    lent = (source[:-1] == source[1:]).mean(1)
    assert lent == pytest.approx(volumes[:-1] / volumes[1:], abs=0.03)


@given(st.sampled_from([name for name in NAMES if not name.endswith("flip")]), st.integers(1, 5), seeds, st.booleans())
@settings(deadline=None, max_examples=40)
def test_what_is_not_asked_does_not_matter(name, draws, seed, labelled):
    """Against a plain loop that asks about every draw of every theta, for a model that is a formula of the draw."""
    change, n = TRANSFORMATIONS[name], 15
    volumes = change.volumes(np.array(change.values[:4]))
    clean, weights = np.arange(n) % 3, np.random.default_rng(seed).random(n) * 3
    truth = (np.arange(n) // 2) % 3 if labelled else None
    asked = []

    def answer(who, parameters):
        asked.append(len(who))
        move = weights[who] * np.abs(parameters).sum(1) / change.reach(np.array(change.values[3]))
        return (clean[who] + np.floor(move).astype(int)) % 3

    kept, correct = kept_in_all_draws(answer, clean, truth, change, volumes, draws, np.random.default_rng(seed))
    lazy = sum(asked)
    rng, stays, right = np.random.default_rng(seed), np.ones((n, 4), bool), np.ones((n, 4), bool)
    for _ in range(draws):
        radii = volumes[:, None] * rng.uniform(-1, 1, (4, n))
        parameters, source = change.parameters(radii, rng), draw_sources(radii, volumes)
        for theta in range(1, 4):
            answers = answer(np.arange(n), parameters[source[theta], np.arange(n)])
            stays[:, theta] &= answers == clean
            right[:, theta] &= answers == truth
    right[:, 0] = clean == truth
    assert (kept == stays).all()
    assert correct is None if truth is None else (correct == right).all()
    assert lazy <= 3 * n * draws


def test_a_prediction_that_becomes_right_counts_for_the_accuracy_of_random_draws_alone():
    """Wrong as it is, right wherever it is shifted: as on average, so in the worst of k; a grid has the image too."""
    reference = dots(3)

    def recognising(x):
        same = (x == reference[:1]).flatten(1).all(1).float()
        return torch.stack([same, 1 - same], 1)

    labels = torch.ones(3).long()
    worst, grid = (
        worst_case_profile(recognising, reference, [0, 2], labels, over="translation", against=adversary)
        for adversary in (WorstOf(4), Grid())
    )
    assert (worst.accuracy.tolist(), worst.rate.tolist(), worst.clean_accuracy) == ([0, 1], [1, 0], 0)
    assert (grid.accuracy.tolist(), grid.rate.tolist()) == ([0, 0], [1, 0])


# ---- both


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_a_constant_classifier_is_kept_whole_and_asked_as_often_as_planned(name, adversary):
    thetas = TRANSFORMATIONS[name].values[:4]
    profile = worst_case_profile(
        constant, noise(100, 1, 5, 5), thetas, torch.arange(100) % 2, over=name, against=adversary
    )
    assert (profile.rate == 1).all()
    assert (profile.accuracy == 0.5).all()
    assert (profile.low[0], profile.low[-1]) == (1, pytest.approx(0.025 ** (1 / 100)))
    planned = most_evaluations(TRANSFORMATIONS[name], thetas, adversary)
    assert profile.evaluations == pytest.approx(planned, rel=0 if adversary == Grid() else 0.2)


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_a_worst_case_is_plain_json_with_a_row_per_class_and_replayable(adversary):
    images, labels = noise(30, 1, 6, 6), torch.arange(30) % 3
    how = {"over": "translation", "against": adversary, "seed": 3}
    first, again = (worst_case_profile(fickle, images, [0, 1, 2], labels, **how) for _ in range(2))
    plain = json.loads(json.dumps(first.to_dict(), allow_nan=False))
    assert plain == again.to_dict()
    assert (plain["transformation"], plain["adversary"], plain["thetas"]) == ("translation", adversary.name, [0, 1, 2])
    assert sum(row.images * row.rate for row in first.classes) / 30 == pytest.approx(first.rate)
    assert ((first.low <= first.rate) & (first.rate <= first.high)).all()
    assert first.accuracy[0] == first.clean_accuracy


@pytest.mark.filterwarnings("ignore:images .* all pixels of all images are 0:UserWarning")
def test_fill_and_interpolation_reach_the_images():
    corner = lambda x: torch.stack([x[:, 0, 0, 0], torch.full((len(x),), 0.5)], 1)  # noqa: E731
    black, white = (
        worst_case_profile(corner, torch.zeros(8, 1, 9, 9), [40], over=Rotation(fill=fill), against=Grid())
        for fill in (0.0, 1.0)
    )
    assert (black.rate[0], white.rate[0]) == (1, 0)
    values = set()

    def watching(x):
        values.update(x.unique().tolist())
        return corner(x)

    worst_case_profile(watching, (noise(4, 1, 9, 9) > 0.5).float(), [20], interpolation="nearest")
    assert values == {0, 1}


@pytest.mark.parametrize("name", NAMES)
def test_about_no_images_nothing_is_asked(name):
    def refusing(rows, parameters):
        raise AssertionError

    change, nobody = TRANSFORMATIONS[name], np.zeros(0, dtype=int)
    volumes = change.volumes(np.array(change.values[:2]))
    kept, correct = kept_in_all_draws(refusing, nobody, nobody, change, volumes, 3, np.random.default_rng(0))
    assert kept.shape == correct.shape == (0, 2)
    assert change.apply(noise(0, 1, 6, 6), np.zeros((1, max(change.dimensions, 1)))).shape == (0, 1, 6, 6)


UNKNOWN = "is unknown: use 'average', 'grid', or 'worst-of-10' for ten random changes"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"against": "worst-of-0"}, f"against = 'worst-of-0' {UNKNOWN}"),
        ({"against": "worst"}, f"against = 'worst' {UNKNOWN}"),
        ({"against": None}, f"against = None {UNKNOWN}"),
        (
            {"against": "average"},
            "against = 'average' is no adversary: use 'grid', or 'worst-of-10' for ten random changes",
        ),
        (
            {"against": "worst-of-3", "over": Rotation(step=5)},
            "step = 5 is made for against = 'average': leave it out for worst-of-3",
        ),
        (
            {"against": "grid", "over": "translation", "thetas": [1000]},
            "the grid has 4,004,001 points, more than 1,000,000: use smaller thetas, a "
            "coarser grid, or worst-of-100 in its place",
        ),
        (
            {"thetas": [3, 3]},
            "thetas = [3.0, 3.0] must be at least one number, each larger than the one before: sort them",
        ),
        ({"seed": -1}, "seed = -1 must be an integer in [0, 2^63)"),
    ],
)
def test_arguments_out_of_range_are_refused_in_words(arguments, text):
    with pytest.raises(InputError) as caught:
        worst_case_profile(fickle, noise(2, 1, 6, 6), **{"thetas": [0, 3], **arguments})
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (lambda: Grid(finer=0), "finer = 0 must be an integer of at least 1"),
        (lambda: Grid(finer=True), "finer = True must be an integer of at least 1"),
        (lambda: WorstOf(0), "draws = 0 must be an integer of at least 1"),
        (lambda: WorstOf(2.0), "draws = 2.0 must be an integer of at least 1"),
    ],
)
def test_a_count_of_an_adversary_is_a_whole_number_above_zero(setting, text):
    with pytest.raises(InputError) as caught:
        setting()
    assert str(caught.value) == text
