"""Means over seeds, with intervals that cover the images and the seeds; several tests at once; means of classes."""

from collections.abc import Sequence
from math import isinf

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from invrob.checks import Array
from invrob.empirical.profiles import Rates
from invrob.intervals import Estimate

LEVEL = 0.05  # of two-sided tests
LEAST_P = 1e-100  # where p-values end: far below it the quantiles of t overflow

Parts = Sequence[tuple[float, float]]  # variances, each with the degrees of freedom that it was estimated from


def half_width(parts: Parts, confidence: float = 1 - LEVEL) -> float:
    """Half the interval of a mean whose error is a sum of independent parts, after Banerjee (1960).

    Each part has a t quantile of its own: half^2 = sum of t^2 variance. The interval covers at least as often as it
    says, however few degrees of freedom a part has, where Satterthwaite's approximation covers too seldom.

    Args:
        parts: a variance and its degrees of freedom for each part; infinite degrees where the variance is known.
        confidence: of the interval, in (0, 1).

    Returns:
        Half the width of the interval, 0 or larger.

    Example:
        >>> from invrob.empirical.analysis import half_width
        >>> round(half_width([(0.01, float("inf"))]), 3), round(half_width([(0.01, 99), (0.01, 1)]), 3)
        (0.196, 1.286)
    """
    return _half((1 - confidence) / 2, parts)


def p_value(effect: float, parts: Parts) -> float:
    """The two-sided p-value of no effect: 1 - the confidence at which the interval of `half_width` ends at 0.

    Args:
        effect: the mean that was found.
        parts: of its error, as for `half_width`.

    Returns:
        In [0, 1]: below 0.05 exactly where the interval of 95 % holds no 0.

    Example:
        >>> from invrob.empirical.analysis import half_width, p_value
        >>> parts = [(0.01, 99), (0.01, 1)]
        >>> round(p_value(half_width(parts, 0.9), parts), 6), p_value(0.0, parts)
        (0.1, 1.0)
    """
    if effect == 0:
        return 1.0
    size = abs(effect)
    if _half(LEAST_P / 2, parts) <= size:
        return 0.0
    # On a scale of logarithms, so that small p-values are as exact as large ones.
    log_p: float = brentq(lambda log: _half(np.exp(log) / 2, parts) - size, np.log(LEAST_P), 0.0, xtol=1e-9)
    return float(np.exp(log_p))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values: where those below 0.05 are believed, one of all is wrong in 5 % at most.

    Args:
        p_values: of several tests, in any order; none at all is fine.

    Returns:
        The adjusted ones in the same order, each at least as large as its own and at most 1.

    Example:
        >>> from invrob.empirical.analysis import holm
        >>> holm([0.03, 0.01, 0.5])
        [0.06, 0.03, 0.5]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def mean_of(estimates: Sequence[Estimate], images: int, confidence: float = 1 - LEVEL) -> Estimate:
    """The mean of a share over seeds: a single estimate as it is, of several an interval for images and seeds.

    The images are shared, so their error does not shrink with the number of seeds. The spread over the seeds comes on
    top, after Banerjee as in `half_width`. Each side has its own error of the images: a share close to 0 can hardly be
    smaller, but it can well be larger.

    Args:
        estimates: one for each seed, in [0, 1], with intervals at level `confidence`; at least one.
        images: how many images each rests on, the same for all.
        confidence: of the intervals that are given and of the one that is returned, in (0, 1).

    Returns:
        The mean and its interval, cut off at 0 and 1. That of a single estimate is about one training: it does not
        cover what another training would give.

    Example:
        >>> from invrob.empirical.analysis import mean_of
        >>> from invrob.intervals import Estimate
        >>> mean_of([Estimate(0.5, 0.4, 0.6)], images=100)
        Estimate(estimate=0.5, low=0.4, high=0.6)
    """
    if len(estimates) == 1:
        return estimates[0]
    means = np.array([estimate.estimate for estimate in estimates])
    below = means - [estimate.low for estimate in estimates]
    above = np.array([estimate.high for estimate in estimates]) - means
    normal = float(ndtri((1 + confidence) / 2))  # of a normal interval, which these are close to
    seeds = (float(means.var(ddof=1)) / len(means), len(means) - 1.0)
    mean = float(means.mean())

    def half(widths: Array) -> float:
        return half_width([(float((widths**2).mean()) / normal**2, max(images - 1.0, 1.0)), seeds], confidence)

    return Estimate(mean, max(mean - half(below), 0.0), min(mean + half(above), 1.0))


def averaged(profiles: Sequence[Rates], rate: str = "rate") -> tuple[Array, Array, Array, Array]:
    """The mean of a rate over the seeds of one training along the whole axis, by `mean_of`.

    Args:
        profiles: one for each seed, at least one; those at other values than the first are left out.
        rate: "rate", or "accuracy" where the profiles were measured with labels.

    Returns:
        The values of the axis, and the mean, its low and its high, each [T].
    """
    values, images, confidence = profiles[0].values, profiles[0].images, profiles[0].confidence
    names = (rate, "low", "high") if rate == "rate" else (rate, f"{rate}_low", f"{rate}_high")
    triples = [
        zip(*(getattr(profile, name).tolist() for name in names), strict=True)
        for profile in profiles
        if np.array_equal(profile.values, values)
    ]
    means = [
        mean_of([Estimate(*triple) for triple in at_value], images, confidence)
        for at_value in zip(*triples, strict=True)
    ]
    mean, low, high = (np.array([getattr(m, bound) for m in means]) for bound in ("estimate", "low", "high"))
    return values, mean, low, high


def floor_of(profile: Rates) -> Array | None:
    """Below what the rate of the population does not lie, sampling and what the attack missed together.

    Args:
        profile: any.

    Returns:
        Its `floor` [T], at most its `low`; None where nothing bounds what the attack missed: without an audit, and
        where there was no attack.
    """
    floor: Array | None = getattr(profile, "floor", None)
    return floor


def floor_means(profiles: Sequence[Rates]) -> Array | None:
    """The floor of the mean rate over the seeds of one training, along the whole axis.

    It lies below the `low` of `averaged` by what the attacks may have missed, on average over the seeds.

    Args:
        profiles: one for each seed, at least one; those at other values than the first are left out.

    Returns:
        The floor [T] in [0, 1]; None where one of the profiles has none.
    """
    same = [profile for profile in profiles if np.array_equal(profile.values, profiles[0].values)]
    missed = []
    for profile in same:
        floor = floor_of(profile)
        if floor is None:
            return None
        missed.append(np.maximum(profile.low - floor, 0.0))
    floors: Array = np.maximum(averaged(profiles)[2] - np.mean(missed, axis=0), 0.0)
    return floors


def class_means(profiles: Sequence[Rates], values: Sequence[float]) -> dict[int, Array]:
    """The mean rate over the seeds for each class that any of them has images of.

    Args:
        profiles: one for each seed, each measured at `values`.
        values: M values of their axis.

    Returns:
        For each label the mean rates, [M], over the profiles with images of that class, in the order of the labels.
    """
    rates: dict[int, list[Array]] = {}
    for profile in profiles:
        columns = [profile.values.tolist().index(value) for value in values]
        for row in profile.classes:
            rates.setdefault(row.label, []).append(row.rate[columns])
    return {label: np.mean(rates[label], axis=0) for label in sorted(rates)}


def _half(tail: float, parts: Parts) -> float:
    """Half of the interval that leaves `tail` outside on either side."""
    return float(np.sqrt(sum(variance * _quantile(tail, degrees) ** 2 for variance, degrees in parts if variance > 0)))


def _quantile(tail: float, degrees: float) -> float:
    """What Student's t exceeds with probability `tail`."""
    return float(-(ndtri(tail) if isinf(degrees) else stdtrit(degrees, tail)))
