"""Confidence intervals for shares of a sample, shared by both halves.

NumPy and SciPy are loaded where an interval is computed: commands that print shares alone need neither."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invrob.errors import InputError

if TYPE_CHECKING:
    import numpy as np

ENOUGH = 8  # values: of fewer the spread says too little, and an exact interval stands in where it is wider
TENTH = 10**9  # a tenth of a percent, in units of 1e-12


@dataclass(frozen=True)
class Estimate:
    """A share in [0, 1] with a two-sided confidence interval."""

    estimate: float
    low: float
    high: float


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """The exact binomial interval of Clopper and Pearson (1934) for `successes` out of `n` >= 1 independent trials.

    confidence: the two-sided level, in (0, 1). Raises InputError outside these ranges."""
    from scipy.stats import binomtest

    from invrob.checks import check_confidence

    check_confidence(confidence)
    if n < 1:
        raise InputError(f"n = {n} must be at least 1: there is no share of an empty sample")
    if not 0 <= successes <= n:
        raise InputError(f"successes = {successes} is outside [0, {n}]: it counts how many of n = {n} succeeded")
    interval = binomtest(successes, n).proportion_ci(confidence, method="exact")
    return Estimate(successes / n, float(interval.low), float(interval.high))


def share_bounds(shares: "np.ndarray", n: int, confidence: float = 0.95) -> "tuple[np.ndarray, np.ndarray]":
    """Clopper-Pearson bounds (low, high) for each of `shares` in [0, 1], each a mean of `n` >= 1 independent values.

    For values in [0, 1] that are not 0 or 1 the count is not whole; the same beta quantiles then err on the wide side,
    since no such variable varies more than a coin with its mean."""
    import numpy as np
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    hits = np.asarray(shares, dtype=float) * n
    low = np.where(hits > 0, beta.ppf(tail, np.maximum(hits, 1e-12), n - hits + 1), 0.0)
    high = np.where(hits < n, beta.ppf(1 - tail, hits + 1, np.maximum(n - hits, 1e-12)), 1.0)
    return low, high


def mean_bounds(values: "np.ndarray", confidence: float = 0.95) -> "tuple[np.ndarray, np.ndarray]":
    """Bounds (low, high), each [T], for the means that are estimated by the column means of `values` [N >= 1, T].

    The rule of Agresti and Coull (1998), carried over from counts to other values: normal bounds, after z^2 / 2 values
    of 0 and as many of 1 were added, where z is the normal quantile. So they are never a point, and cover near 0 and 1
    as well. With fewer than eight rows those of `share_bounds` are taken where they are wider. values: independent
    rows, whose true means are in [0, 1]."""
    import numpy as np
    from scipy.stats import norm

    n, mean, z = len(values), values.mean(0), float(norm.ppf((1 + confidence) / 2))
    added = z**2 / 2
    centre = (n * mean + added) / (n + 2 * added)
    squares = ((values - centre) ** 2).sum(0) + added * (centre**2 + (1 - centre) ** 2)
    reach = z * np.sqrt(squares) / (n + 2 * added)
    bounds = np.clip(centre - reach, 0, 1), np.clip(centre + reach, 0, 1)
    return widened(bounds, share_bounds(np.clip(mean, 0, 1), n, confidence)) if n < ENOUGH else bounds


def widened(
    bounds: "tuple[np.ndarray, np.ndarray]", others: "tuple[np.ndarray, np.ndarray]", where: "np.ndarray | bool" = True
) -> "tuple[np.ndarray, np.ndarray]":
    """`bounds` (low, high), each [T], moved out to `others` where these lie further out and `where` (bool [T])."""
    import numpy as np

    (low, high), (lower, higher) = bounds, others
    return np.where(where, np.minimum(low, lower), low), np.where(where, np.maximum(high, higher), high)


def percent(share: float) -> str:
    """`share` of 1 as a percentage with one decimal, rounded half to even: `percent(0.0625)` is "6.2".

    Every table, page and picture writes rates by this one function, so that one value never has two roundings. The
    decimal value is what is rounded: 0.1235 is a tie, though the binary number closest to it is not. A share that
    differs from a tie by less than 1e-12, as sums of floating-point numbers do, counts as the tie. "nan" for no
    number."""
    if not math.isfinite(share):
        return "nan"
    # Whole numbers from here on, and the same steps as `percent` in the page's script.
    tenths, rest = divmod(math.floor(abs(share) * 1e12 + 0.5), TENTH)
    tenths += rest * 2 > TENTH or (rest * 2 == TENTH and tenths % 2 == 1)
    sign = "-" if share < 0 and tenths else ""
    return f"{sign}{tenths // 10}.{tenths % 10}"


def p_text(p: float) -> str:
    """A p-value as people write it: "p < 0.001", or two digits of it, such as "p = 0.012".

    Every note, table and page writes p-values by this one function; JSON has them exactly."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
