"""Means over seeds, with intervals that cover the images and the seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t

from invrob.checks import Array
from invrob.empirical.experiments import grid_of


def over_seeds(
    means: np.ndarray, variances: np.ndarray, images: int, *, assumed: float = 0.0
) -> tuple[float, float, float, float]:
    """Mean, low, high (95 %) and two-sided p-value (of 0) for an effect measured once per seed on the same images.

    means, variances: [S] of the effect and of its error over the `images`. The images are shared, so their error does
    not shrink with S; the spread over the seeds is added to it, with Satterthwaite's degrees of freedom. With one seed
    there is no spread to see, and the variance `assumed` stands in for it."""
    seeds = len(means)
    parts: list[tuple[float, float]] = [(float(variances.mean()), max(images - 1, 1))]
    parts.append((float(means.var(ddof=1)) / seeds, seeds - 1) if seeds > 1 else (assumed, np.inf))
    variance, mean = sum(part for part, _ in parts), float(means.mean())
    if variance == 0:
        return mean, mean, mean, float(mean == 0)
    spread = sum(part**2 / degrees for part, degrees in parts)
    freedom = variance**2 / spread if spread else np.inf
    half = float(t.ppf(1 - LEVEL / 2, freedom)) * variance**0.5
    return mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / variance**0.5, freedom))


LEVEL = 0.05  # of the two-sided test


def averaged(profiles: Sequence[Mapping[str, Any]]) -> tuple[Array, Array, Array, Array]:
    """(values of the axis, rate, low, high), each [T]: one profile as it is, and of several seeds the mean and an
    interval that covers the images and the seeds."""
    rate, low, high = (np.array([profile[key] for profile in profiles]) for key in ("rate", "low", "high"))
    x = np.array(grid_of(dict(profiles[0])))
    if len(profiles) == 1:
        return x, rate[0], low[0], high[0]
    variances = ((high - low) / (2 * 1.96)) ** 2
    means = [over_seeds(rate[:, i], variances[:, i], profiles[0]["images"]) for i in range(len(x))]
    mean, least, most = (np.clip([m[j] for m in means], 0, 1) for j in range(3))
    return x, mean, least, most
