"""The intervals of profiles over theta cover what they say, in populations whose truth is known (tools/coverage.py)."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from invrob.intervals import share_bounds

SPEC = importlib.util.spec_from_file_location(
    "coverage_tables", Path(__file__).resolve().parents[2] / "tools/coverage.py"
)
coverage = sys.modules[SPEC.name] = importlib.util.module_from_spec(SPEC)  # a dataclass looks its module up by name
SPEC.loader.exec_module(coverage)


def least(repeats, level=0.93):
    """The smallest share at the worst theta: the level, less the noise of so many repeats."""
    return level - 2 * (0.05 * 0.95 / repeats) ** 0.5


def grid(count, furthest=180):
    return np.linspace(0, furthest, count)


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "classes", "n", "thetas", "repeats"),
    [
        ("various", 2, 100, grid(13), 200),
        ("various", 10, 32, grid(37), 200),
        ("various", 10, 400, grid(5), 200),
        ("various", 100, 400, grid(37), 40),  # 60 % with a split by class
        ("various", 1000, 400, grid(37), 25),  # 26 %
        ("various", 10, 200, np.array([0.01, 1, 2, 90, 91, 92, 93, 180]), 200),
        ("robust", 10, 100, grid(13), 200),
        ("same", 10, 100, grid(13), 200),
        ("shifts", 10, 100, grid(5, 8), 200),
    ],
)
def test_the_default_sweep_covers_at_every_theta(kind, classes, n, thetas, repeats):
    found = coverage.covered(
        coverage.population(kind, classes), n, thetas, partial(coverage.profile, step=None), repeats, rows=3
    )
    for name in ("rate", "accuracy", "classes"):
        assert (found[name] >= least(repeats)).all(), name
    assert found["width"].max() < 2.2 * 2 * 0.5 / n**0.5  # no wider than coins, but for the few images of n = 32


@pytest.mark.parametrize(
    ("kind", "step", "n", "thetas"),
    [
        ("various", 7.5, 20, grid(13)),
        pytest.param("various", 15, 200, grid(13), marks=pytest.mark.long),
        pytest.param("various", 60, 20, grid(4), marks=pytest.mark.long),
        pytest.param("various", 60, 1000, grid(4), marks=pytest.mark.long),
        pytest.param("various", 180, 20, grid(2), marks=pytest.mark.long),
        pytest.param("various", 180, 2000, grid(2), marks=pytest.mark.long),  # 27 % with eight angles for all images
        ("same", 60, 200, grid(4)),
    ],
)
def test_a_fixed_step_covers_at_every_theta(kind, step, n, thetas):
    found = coverage.covered(coverage.population(kind), n, thetas, partial(coverage.profile, step=step), 200, rows=3)
    for name in ("rate", "accuracy", "classes"):
        assert (found[name] >= least(200)).all(), name


def test_with_labels_in_a_cycle_of_eight_the_classes_are_covered_as_well():
    everyone = coverage.population("various", 8)
    everyone = coverage.Population(everyone.limits, np.arange(coverage.SIZE) % 8, everyone.right)
    measure = partial(coverage.profile, step=60)
    found = coverage.covered(everyone, 800, grid(4), measure, 100, rows=8)  # 32 % by groups of eight
    assert (found["classes"] >= least(100)).all()


def test_where_nothing_changes_the_accuracy_is_a_count_with_the_exact_interval():
    everyone, seen = coverage.population("various"), []
    for seed in range(20):
        some = everyone.take(np.random.default_rng(seed).integers(0, coverage.SIZE, 20))
        fields = coverage.profile(some, grid(3), None, seed)
        exact = share_bounds(np.array([some.right.mean()]), 20)
        assert (fields["accuracy_low"][0], fields["accuracy_high"][0]) == (exact[0][0], exact[1][0])
        seen.append(fields["accuracy"][0])
    assert len(set(seen)) > 3


@pytest.mark.parametrize("n", [20, 200])
def test_the_worst_case_covers_at_every_theta(n):
    measure = partial(coverage.worst_of, draws=5)
    found = coverage.covered(coverage.population("various"), n, grid(5), measure, 200, rows=3, draws=5)
    for name in ("rate", "accuracy", "classes"):
        assert (found[name] >= least(200, 0.95)).all(), name
    assert found["rate"][1:].mean() < 1


@pytest.mark.parametrize("size", [1, 4, 12])
def test_a_small_class_that_is_unlike_all_others_is_covered_as_well(size):
    limits, labels = np.full((1, 2, coverage.SIZE), 300.0), np.ones(coverage.SIZE, dtype=int)
    limits[..., : coverage.SIZE // 2], labels[: coverage.SIZE // 2] = 20.0, 0  # its images fall at 20 degrees, no other
    everyone = coverage.Population(limits, labels, np.ones(coverage.SIZE, dtype=bool))
    exact, held = everyone.shares(grid(37))[0], []
    for seed in range(60):
        some = everyone.take(np.array([0] * size + [-1] * (400 - size)))
        row = coverage.profile(some, grid(37), None, seed)["classes"][0]
        held.append((row.low <= exact) & (exact <= row.high))
    assert (np.mean(held, 0) >= least(60)).all()
