"""Confidence intervals: exact where they claim to be, and covering what they should in simulations."""

from fractions import Fraction
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from invrob import InputError
from invrob.intervals import clopper_pearson, mean_bounds, p_text, percent, share_bounds, widened

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


SAMPLES = {
    "coins": (lambda rng, n: (rng.random(n) < 0.6).astype(float), 0.6),
    "spread out": (lambda rng, n: rng.beta(2, 1, n), 2 / 3),
    "many at 1": (lambda rng, n: np.where(rng.random(n) < 0.7, 1.0, rng.random(n)), 0.85),  # most images never change
    "nearly all": (lambda rng, n: (rng.random(n) < 0.99).astype(float), 0.99),
    "nearly none": (lambda rng, n: (rng.random(n) < 0.02).astype(float), 0.02),
    "few halves": (lambda rng, n: np.where(rng.random(n) < 0.97, 1.0, 0.5), 0.985),
    "one value but for one in a thousand": (lambda rng, n: np.where(rng.random(n) < 0.001, 0.0, 0.5), 0.4995),
    "beyond 0 and 1": (lambda rng, n: 0.8 + 1.2 * ((rng.random(n) < 0.7) - 0.7), 0.8),  # as where images share bands
}


@pytest.mark.parametrize("n", [5, 20, 60, 200, 1000])
@pytest.mark.parametrize("kind", SAMPLES)
def test_intervals_of_means_cover_as_often_as_they_say(kind, n):
    sample, mean = SAMPLES[kind]
    values = sample(np.random.default_rng(n), n * 1000).reshape(n, 1000)  # a column is a repeat
    low, high = mean_bounds(values)
    assert ((low <= mean) & (mean <= high)).mean() > 0.93 - 2 * 0.007  # 0.93, and the noise of 1,000 repeats


@given(counts, st.floats(0.5, 0.999))
@settings(deadline=None, max_examples=100)
def test_of_counts_the_interval_is_that_of_agresti_and_coull(count, confidence):
    k, n = count[0], count[1] + 7
    z = norm.ppf((1 + confidence) / 2)
    share = (k + z**2 / 2) / (n + z**2)
    reach = z * np.sqrt(share * (1 - share) / (n + z**2))
    low, high = mean_bounds((np.arange(n) < k).astype(float)[:, None], confidence)
    assert (low[0], high[0]) == pytest.approx((max(0, share - reach), min(1, share + reach)))


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
@settings(deadline=None, max_examples=50)
def test_of_fewer_than_eight_values_the_interval_holds_the_exact_one(count, confidence):
    k, n = count
    low, high = mean_bounds((np.arange(n) < k).astype(float)[:, None], confidence)
    exact = share_bounds(np.array([k / n]), n, confidence)
    assert low[0] <= exact[0][0]
    assert exact[1][0] <= high[0]


@pytest.mark.parametrize(("value", "n"), [(1.0, 1), (1.0, 10), (1.0, 500), (0.0, 40), (0.5, 1), (0.5, 1000)])
def test_without_variation_the_interval_is_not_a_point(value, n):
    low, high = mean_bounds(np.full((n, 1), value))
    assert high - low > 1 / (n + 1)
    assert low <= value <= high


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_intervals_of_means_lie_in_0_1_and_hold_the_mean(seed, n, columns):
    values = np.random.default_rng(seed).choice([0, 0.25, 1], (n, columns))
    low, high = mean_bounds(values)
    assert low.shape == high.shape == (columns,)
    assert ((low >= 0) & (low <= values.mean(0)) & (values.mean(0) <= high) & (high <= 1)).all()


def test_bounds_are_moved_outwards_only_and_only_where_it_is_asked_for():
    bounds, others = (np.array([0.2, 0.2, 0.2]), np.array([0.6, 0.6, 0.6])), (np.array([0.1, 0.3, 0.1]), np.ones(3))
    low, high = widened(bounds, others, np.array([True, True, False]))
    assert (low.tolist(), high.tolist()) == ([0.1, 0.2, 0.2], [1, 1, 0.6])


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


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.1234, "12.3"),
        (0.0625, "6.2"),  # exact in binary: a tie, to the even side
        (0.1235, "12.4"),  # a tie in decimals, whatever the closest binary number is
        (0.1245, "12.4"),
        (1 - 0.8765, "12.4"),  # 0.12349999999999994: a tie, but for rounding errors
        (0.12450001, "12.5"),
        (0.9995, "100.0"),
        (0.0, "0.0"),
        (-0.0502, "-5.0"),
        (-0.0004, "0.0"),
        (nan, "nan"),
    ],
)
def test_a_percentage_has_one_decimal_and_its_ties_go_to_the_even_side(share, text):
    assert percent(share) == text


@given(st.integers(0, 2000), st.sampled_from([20, 100, 200, 1000, 2000]))
def test_a_percentage_is_that_of_exact_arithmetic(k, n):
    k = min(k, n)
    tenths = round(Fraction(1000 * k, n))  # half to even
    assert percent(k / n) == f"{tenths // 10}.{tenths % 10}"


@pytest.mark.parametrize(
    ("p", "written"),
    [
        (0.0, "p < 0.001"),
        (4e-20, "p < 0.001"),
        (0.00099999, "p < 0.001"),
        (0.001, "p = 0.001"),
        (0.00123, "p = 0.0012"),
        (0.0346, "p = 0.035"),
        (0.5, "p = 0.5"),
        (0.9999, "p = 1"),
        (1.0, "p = 1"),
    ],
)
def test_a_p_value_is_written_as_people_write_it(p, written):
    assert p_text(p) == written
