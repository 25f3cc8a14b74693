"""Means over seeds, with intervals that cover the images and the seeds; means of classes."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm, t

from invrob.checks import Array
from invrob.empirical.profiles import Rates
from invrob.intervals import Estimate

LEVEL = 0.05  # of two-sided tests


def over_seeds(
    means: Array, variances: Array, images: int, *, assumed: float = 0.0, confidence: float = 1 - LEVEL
) -> tuple[float, float, float, float]:
    """The mean of an effect that was measured once per seed on the same images, and whether it differs from 0.

    The images are shared, so their error does not shrink with the number of seeds. The spread over the seeds is added
    to it, with Satterthwaite's degrees of freedom.

    Args:
        means: [S] the effect, a mean over the images, for each of S >= 1 seeds.
        variances: [S] the squared standard error of each, over the choice of images.
        images: how many images there are.
        assumed: with one seed there is no spread to see, and this variance stands in for it.
        confidence: of the interval, in (0, 1).

    Returns:
        Mean, low, high and the two-sided p-value of an effect of 0.

    Example:
        >>> import numpy as np
        >>> from invrob.empirical.analysis import over_seeds
        >>> [round(number, 2) for number in over_seeds(np.array([0.1, 0.2, 0.3]), np.zeros(3), images=100)]
        [0.2, -0.05, 0.45, 0.07]
    """
    seeds = len(means)
    parts: list[tuple[float, float]] = [(float(variances.mean()), max(images - 1, 1))]
    parts.append((float(means.var(ddof=1)) / seeds, seeds - 1) if seeds > 1 else (assumed, np.inf))
    variance, mean = sum(part for part, _ in parts), float(means.mean())
    if variance == 0:
        return mean, mean, mean, float(mean == 0)
    spread = sum(part**2 / degrees for part, degrees in parts)
    freedom = variance**2 / spread if spread else np.inf
    half = float(t.ppf((1 + confidence) / 2, freedom)) * variance**0.5
    return mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / variance**0.5, freedom))


def mean_of(estimates: Sequence[Estimate], images: int, confidence: float = 1 - LEVEL) -> Estimate:
    """The mean of a share over seeds: a single estimate as it is, of several an interval for images and seeds.

    Args:
        estimates: one for each seed, in [0, 1], with intervals at level `confidence`; at least one.
        images: how many images each rests on, the same for all.
        confidence: of the intervals that are given and of the one that is returned, in (0, 1).

    Returns:
        The mean and its interval, cut off at 0 and 1.

    Example:
        >>> from invrob.empirical.analysis import mean_of
        >>> from invrob.intervals import Estimate
        >>> mean_of([Estimate(0.5, 0.4, 0.6)], images=100)
        Estimate(estimate=0.5, low=0.4, high=0.6)
    """
    if len(estimates) == 1:
        return estimates[0]
    widths = np.array([estimate.high - estimate.low for estimate in estimates])
    errors = widths / (2 * norm.ppf((1 + confidence) / 2))  # of a normal interval, which these are close to
    means = np.array([estimate.estimate for estimate in estimates])
    mean, low, high, _ = over_seeds(means, errors**2, images, confidence=confidence)
    return Estimate(*(min(max(share, 0.0), 1.0) for share in (mean, low, high)))


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
