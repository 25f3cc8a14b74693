"""Confidence intervals for shares of a sample, shared by both halves."""

from dataclasses import dataclass

from scipy.stats import binomtest

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
    if not 0 < confidence < 1:
        raise InputError(f"confidence = {confidence} is outside (0, 1): write 0.95 for 95 %")
    if n < 1:
        raise InputError(f"n = {n} must be at least 1: there is no share of an empty sample")
    interval = binomtest(successes, n).proportion_ci(confidence, method="exact")
    return Estimate(successes / n, float(interval.low), float(interval.high))
