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

REPEATS = 200
LEAST = 0.93 - 2 * (0.05 * 0.95 / REPEATS) ** 0.5  # at the worst theta: 93 %, and the noise of 200 repeats


def grid(count, furthest=180):
    return np.linspace(0, furthest, count)


@pytest.mark.parametrize(
    ("kind", "classes", "n", "thetas"),
    [
        ("various", 2, 100, grid(13)),
        ("various", 10, 32, grid(37)),
        ("various", 10, 400, grid(5)),
        ("various", 100, 400, grid(37)),  # 60 % with a split by class
        ("various", 1000, 400, grid(37)),  # 26 %
        ("various", 10, 200, np.array([0.01, 1, 2, 90, 91, 92, 93, 180])),
        ("robust", 10, 100, grid(13)),
        ("same", 10, 100, grid(13)),
        ("shifts", 10, 100, grid(5, 8)),
    ],
)
def test_the_default_sweep_covers_at_every_theta(kind, classes, n, thetas):
    found = coverage.covered(
        coverage.population(kind, classes), n, thetas, partial(coverage.profile, step=None), REPEATS, rows=3
    )
    for name in ("rate", "accuracy", "classes"):
        assert (found[name] >= LEAST).all(), name
    assert found["width"].max() < 2.2 * 2 * 0.5 / n**0.5  # no wider than coins, but for the few images of n = 32


@pytest.mark.parametrize(
    ("kind", "step", "n", "thetas"),
    [
        ("various", 7.5, 20, grid(13)),
        ("various", 15, 200, grid(13)),
        ("various", 60, 20, grid(4)),
        ("various", 60, 1000, grid(4)),
        ("various", 180, 20, grid(2)),
        ("various", 180, 2000, grid(2)),  # 27 % with eight angles for all images
        ("same", 60, 200, grid(4)),
    ],
)
def test_a_fixed_step_covers_at_every_theta(kind, step, n, thetas):
    found = coverage.covered(
        coverage.population(kind), n, thetas, partial(coverage.profile, step=step), REPEATS, rows=3
    )
    for name in ("rate", "accuracy", "classes"):
        assert (found[name] >= LEAST).all(), name


def test_with_labels_in_a_cycle_of_eight_the_classes_are_covered_as_well():
    everyone = coverage.population("various", 8)
    everyone = coverage.Population(everyone.limits, np.arange(coverage.SIZE) % 8, everyone.right)
    measure = partial(coverage.profile, step=60)
    found = coverage.covered(everyone, 800, grid(4), measure, 100, rows=8)  # 32 % by groups of eight
    assert (found["classes"] >= LEAST).all()


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
    found = coverage.covered(coverage.population("various"), n, grid(5), measure, REPEATS)
    assert (found["rate"] >= 0.95 - 2 * (0.05 * 0.95 / REPEATS) ** 0.5).all()
    assert found["rate"][1:].mean() < 1
