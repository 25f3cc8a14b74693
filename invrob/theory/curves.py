"""The curves of the (a, b) plane, and the two rates that they are made of. Classes of results draw themselves by these.

A threshold rule sign(tau x_0 + s) has the accuracy a on clean samples and b under the attack, with s ~ N(+m y, 1) on
clean and N(-m y, 1) on attacked samples, m = c sqrt(2)."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from invrob.checks import checked_count
from invrob.theory.distribution import checked_c, checked_p, separation


def frontier_curve(p: float, c: float = 3.0, points: int = 400) -> NDArray[np.float64]:
    """The exact frontier of (a, b) as a polyline [2 points + 1, 2] from the clean to the attacked Bayes classifier,
    through the corner (p, p). It is a part of the border of all that can be reached: see `reachable_outline`.

    Args:
        p: how often x_0 equals the label, in [1/2, 1).
        c: mean of a number times sqrt(d), in (0, 1e6].
        points: of each half.

    Raises:
        InputError: outside these ranges.

    Example:
        >>> frontier_curve(0.7, points=50).shape
        (101, 2)
    """
    p, m = checked_p(p), separation(checked_c(c))
    start = bayes_tau(p, m)
    tau = start + np.linspace(0, 1, points) * (m + 8)  # 8 standard deviations on, s crosses -tau no more
    half = np.column_stack([clean_rate(p, tau, m), attacked_rate(p, tau, m)])
    return np.concatenate([half, [[p, p]], half[::-1, ::-1]])


def reachable_outline(p: float, c: float = 3.0, points: int = 400) -> NDArray[np.float64]:
    """The border of the set of all (a, b) that classifiers have, as a closed polygon [4 points + 5, 2].

    It runs from the corner (p, p), over the clean Bayes classifier, to (1 - p, 1 - p), and back over the attacked one.
    Every vertex is reached by a threshold rule. At p = 1/2 the set is a segment, which is run through twice.

    Args:
        p: how often x_0 equals the label, in [1/2, 1).
        c: mean of a number times sqrt(d), in (0, 1e6].
        points: vertices of each quarter, at least 1.

    Raises:
        InputError: outside these ranges.

    Example:
        >>> outline = reachable_outline(0.7, points=50)
        >>> outline.shape, outline.max().round(4)
        ((205, 2), np.float64(1.0))
    """
    points = checked_count("points", points)
    p, m = checked_p(p), separation(checked_c(c))
    far = m + 8  # 8 standard deviations on, s crosses the threshold no more
    taus = [math.inf, *np.linspace(far, -far, 2 * points + 1), -math.inf]
    half = np.array([(float(clean_rate(p, tau, m)), float(attacked_rate(p, tau, m))) for tau in map(float, taus)])
    return np.concatenate([half, half[-2::-1, ::-1]])


def bayes_tau(p: float, m: float) -> float:
    """The threshold of the Bayes classifier of the clean law."""
    return (math.log(1 - (1 - p)) - math.log(1 - p)) / (2 * m)


def clean_rate(p: float, tau: float | NDArray[np.float64], m: float) -> NDArray[np.float64]:
    """a of the rule that is not mirrored."""
    return np.asarray(p * ndtr(m + tau) + (1 - p) * ndtr(m - tau))


def attacked_rate(p: float, tau: float | NDArray[np.float64], m: float) -> NDArray[np.float64]:
    """b of the rule that is not mirrored."""
    return np.asarray(p * ndtr(tau - m) + (1 - p) * ndtr(-m - tau))


def difference(tau: float, m: float) -> float:
    """a - b of the rule that is not mirrored; also its fooling rate, as A only turns right into wrong. Even in tau."""
    return float(ndtr(m - abs(tau)) - ndtr(-m - abs(tau)))
