"""Confidence intervals for shares of a sample, shared by both halves."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binomtest

from invrob.checks import check_confidence
from invrob.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """A share in [0, 1] with a two-sided confidence interval."""

    estimate: float
    low: float
    high: float


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """The exact binomial interval of Clopper and Pearson (1934) for `successes` out of `n` >= 1 independent trials.

    confidence: the two-sided level, in (0, 1). Raises InputError outside these ranges."""
    check_confidence(confidence)
    if n < 1:
        raise InputError(f"n = {n} must be at least 1: there is no share of an empty sample")
    if not 0 <= successes <= n:
        raise InputError(f"successes = {successes} is outside [0, {n}]: it counts how many of n = {n} succeeded")
    interval = binomtest(successes, n).proportion_ci(confidence, method="exact")
    return Estimate(successes / n, float(interval.low), float(interval.high))


def share_bounds(shares: np.ndarray, n: int, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Clopper-Pearson bounds (low, high) for each of `shares` in [0, 1], each a mean of `n` >= 1 independent values.

    For values in [0, 1] that are not 0 or 1 the count is not whole; the same beta quantiles then err on the wide side,
    since no such variable varies more than a coin with its mean."""
    tail = (1 - confidence) / 2
    hits = np.asarray(shares, dtype=float) * n
    low = np.where(hits > 0, beta.ppf(tail, np.maximum(hits, 1e-12), n - hits + 1), 0.0)
    high = np.where(hits < n, beta.ppf(1 - tail, hits + 1, np.maximum(n - hits, 1e-12)), 1.0)
    return low, high


def bootstrap_bounds(
    values: np.ndarray, rng: np.random.Generator, confidence: float = 0.95, draws: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bounds (low, high), each [T], for the column means of `values` [N, T] in [0, 1], over the N rows.

    Where fewer than ten rows differ from the extreme (all 0 or all 1) a bootstrap sees almost no variation and is far
    too sure of itself: there the wider one of its interval and `share_bounds` is taken."""
    n = len(values)
    # einsum and not @: BLAS splits a sum among threads as the load of the machine has it, which moves the last bits.
    counts = (rng.multinomial(n, np.full(n, 1 / n), size=min(100, draws - start)) for start in range(0, draws, 100))
    means = np.concatenate([np.einsum("bn,nt->bt", count.astype(float), values) / n for count in counts])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    few = np.minimum((values > 0).sum(0), (values < 1).sum(0)) < 10
    binomial_low, binomial_high = share_bounds(values.mean(0), n, confidence)
    return (
        np.clip(np.where(few, np.minimum(low, binomial_low), low), 0, 1),
        np.clip(np.where(few, np.maximum(high, binomial_high), high), 0, 1),
    )
