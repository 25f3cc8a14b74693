"""Confidence intervals: exact where they claim to be, and covering what they should in simulations."""

from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from invrob import InputError
from invrob.intervals import bootstrap_bounds, clopper_pearson, share_bounds

counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.floats(0.5, 0.999))
@settings(deadline=None, max_examples=100)
def test_both_functions_give_the_exact_interval_of_scipy(count, confidence):
    k, n = count
    exact = binomtest(k, n).proportion_ci(confidence, method="exact")
    low, high = share_bounds(np.array([k / n]), n, confidence)
    assert (low[0], high[0]) == pytest.approx((exact.low, exact.high), abs=1e-9)
    estimate = clopper_pearson(k, n, confidence)
    assert estimate.estimate == k / n
    assert (estimate.low, estimate.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert 0 <= estimate.low <= estimate.estimate <= estimate.high <= 1


@pytest.mark.parametrize("n", [1, 2, 10, 50])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_exact_interval_covers_every_share_at_least_as_often_as_it_says(n, confidence):
    low, high = share_bounds(np.arange(n + 1) / n, n, confidence)
    for share in np.linspace(0, 1, 201):
        covered = binom.pmf(np.arange(n + 1), n, share)[(low <= share) & (share <= high)].sum()
        assert covered >= confidence - 1e-12


@given(st.floats(0, 1), st.integers(1, 500))
@settings(deadline=None, max_examples=100)
def test_bounds_of_any_share_enclose_it_and_grow_with_it(share, n):
    shares = np.array([share, min(1.0, share + 0.01)])
    low, high = share_bounds(shares, n)
    assert (low <= shares + 1e-12).all()
    assert (shares <= high + 1e-12).all()
    assert low[0] <= low[1] + 1e-12
    assert high[0] <= high[1] + 1e-12


def coverage(draw, mean, repeats=300):
    """How often the bootstrap interval of `draw(rng)` [N] holds `mean`."""
    held = 0
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        low, high = bootstrap_bounds(draw(rng)[:, None], rng, draws=400)
        held += low[0] <= mean <= high[0]
    return held / repeats


@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda rng: (rng.random(200) < 0.6).astype(float), 0.6),
        (lambda rng: rng.beta(2, 1, 100), 2 / 3),
        (lambda rng: np.where(rng.random(200) < 0.7, 1.0, rng.random(200)), 0.85),  # most images never change
        (lambda rng: (rng.random(100) < 0.99).astype(float), 0.99),
        (lambda rng: (rng.random(30) < 0.02).astype(float), 0.02),
        (lambda rng: np.where(rng.random(60) < 0.97, 1.0, 0.5), 0.985),
    ],
    ids=["coins", "spread out", "many at 1", "nearly all", "nearly none", "few halves"],
)
def test_the_bootstrap_covers_about_as_often_as_it_says(draw, mean):
    assert coverage(draw, mean) >= 0.95 - 0.035  # a percentile bootstrap and 300 repeats: 0.0126 standard error


@pytest.mark.parametrize(("value", "n"), [(1.0, 1), (1.0, 10), (1.0, 500), (0.0, 40), (0.5, 1)])
def test_without_variation_the_interval_is_not_a_point(value, n):
    low, high = bootstrap_bounds(np.full((n, 1), value), np.random.default_rng(0))
    binomial_low, binomial_high = share_bounds(np.array([value]), n)
    if value in (0, 1):
        assert (low, high) == (pytest.approx(binomial_low), pytest.approx(binomial_high))
        assert high - low > 1 / (n + 1)
    else:
        assert low < value < high


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_bootstrap_intervals_lie_in_0_1_hold_the_mean_and_are_replayable(seed, n, columns):
    values = np.random.default_rng(seed).choice([0, 0.25, 1], (n, columns))
    low, high = bootstrap_bounds(values, np.random.default_rng(seed))
    assert low.shape == high.shape == (columns,)
    assert ((low >= 0) & (low <= values.mean(0) + 1e-12) & (values.mean(0) <= high + 1e-12) & (high <= 1)).all()
    again = bootstrap_bounds(values, np.random.default_rng(seed))
    assert (again[0] == low).all()
    assert (again[1] == high).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, 0), "n = 0 must be at least 1: there is no share of an empty sample"),
        ((5, 4), "successes = 5 is outside [0, 4]: it counts how many of n = 4 succeeded"),
        ((-1, 4), "successes = -1 is outside [0, 4]: it counts how many of n = 4 succeeded"),
        ((1, 4, 95), "confidence = 95 is outside (0, 1): write 0.95 for 95 %"),
        ((1, 4, 0.0), "confidence = 0.0 is outside (0, 1): write 0.95 for 95 %"),
        ((1, 4, nan), "confidence = nan is outside (0, 1): write 0.95 for 95 %"),
    ],
)
def test_impossible_counts_are_refused_in_words(arguments, text):
    with pytest.raises(InputError) as caught:
        clopper_pearson(*arguments)
    assert str(caught.value) == text
