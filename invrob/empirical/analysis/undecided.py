"""Which pairs of points leave each other undecided in the trade-off plane, and how many images would decide them.

A point is undecided where the intervals allow that another one dominates it, and allow as well that it does not. With
more images the intervals get narrower, like 1 / sqrt(n), and the estimates move less from one choice of images to the
next. So there is a number from which on the intervals decide with a probability of `CHANCE` at least, if the true rates
are what was estimated: the usual calculation of a sample size (Cohen 1988). It counts the images of the two points as
independent; on the same images their rates move together, and are told apart sooner.

What more images do not make smaller is the spread between the seeds of a training, and what the attack may have missed,
which is as large as the audit leaves it. Where these alone keep a pair undecided no number of images decides it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, hypot, log10, sqrt
from typing import Any

from scipy.special import ndtr, ndtri

from invrob.empirical.analysis.plane import (
    DOMINATED,
    FRONT,
    UNDECIDED,
    Point,
    estimates_dominate,
    front_line,
    may_dominate,
    pareto_front,
)
from invrob.intervals import Estimate

CHANCE = 0.8  # with which the number of images that is told decides a pair
MOST = 10_000_000  # images: what would take more is as good as equal

ANSWERS = {
    "equal": "no number of images, for a rate of both is estimated the same",
    "close": f"more than {MOST:,} images of each",
    "attack": "no number of images, but perhaps a larger audit or a stronger attack",
    "seeds": "no number of images, but perhaps more seeds",
    "attack and seeds": "no number of images, but perhaps more seeds with a larger audit or a stronger attack",
    "unknown": "a number of images that cannot be told, for nobody kept how many these were",
}


@dataclass(frozen=True)
class Pair:
    """A point that is undecided, and another one that may dominate it.

    Args:
        point, rival: their places in the points that `undecided_pairs` was asked about.
        better: whether the estimates say that the rival dominates the point; else they say that it does not.
        images: how many images of each would decide between the two with probability 0.8 at least, if the true rates
            are the estimates; rounded up to two digits. None where no number would.
        reason: why none would: "equal" or "close" estimates; the "attack", which may have missed more than the rates
            differ by; the "seeds", whose rates differ by more; "attack and seeds"; or "unknown", where nobody kept how
            many images there were. "" where a number would.

    Example:
        >>> from invrob.empirical.analysis import Pair
        >>> Pair(0, 1, True, 2400, "").answer, Pair(0, 1, True, None, "seeds").answer
        ('2,400 images of each', 'no number of images, but perhaps more seeds')
    """

    point: int
    rival: int
    better: bool
    images: int | None
    reason: str = ""

    @property
    def answer(self) -> str:
        """What would probably decide between the two, in a few words."""
        return ANSWERS[self.reason] if self.images is None else f"{self.images:,} images of each"


def statuses_in_words(points: Sequence[Point]) -> tuple[str, ...]:
    """What each point is in the plane, for people: what the intervals say, and where they say nothing the estimates.

    Args:
        points: of `plane`, in any order.

    Returns:
        For each point, in their order: "certainly on the front", "on the estimated front, undecided", "undecided",
        "certainly dominated", or "excluded".

    Example:
        >>> from invrob.empirical.analysis import Point, statuses_in_words
        >>> from invrob.intervals import Estimate
        >>> fair, good = Estimate(0.5, 0.4, 0.6), Estimate(0.6, 0.5, 0.7)
        >>> statuses_in_words([Point(n, n, rate, rate, None, "sound") for n, rate in (("a", fair), ("b", good))])
        ('undecided', 'on the estimated front, undecided')
    """
    words = {FRONT: "certainly on the front", DOMINATED: "certainly dominated"}
    line = {id(point) for point in front_line(points)}
    return tuple(
        "on the estimated front, undecided" if status == UNDECIDED and id(point) in line else words.get(status, status)
        for point, status in zip(points, pareto_front(points), strict=True)
    )


def undecided_pairs(points: Sequence[Point]) -> tuple[Pair, ...]:
    """Which other points leave a point undecided, and how many images would probably decide between the two.

    Args:
        points: of `plane`, in any order.

    Returns:
        For each point that `pareto_front` calls undecided, in their order, a pair with every other point that may
        dominate it as far as the intervals say; at least one. None for all other points.

    Example:
        >>> from invrob.empirical.analysis import Point, undecided_pairs
        >>> from invrob.intervals import Estimate
        >>> fair, good = Estimate(0.5, 0.46, 0.54), Estimate(0.56, 0.52, 0.6)
        >>> a = Point("a", "net", fair, fair, None, "sound", images=600)
        >>> b = Point("b", "net", good, good, None, "sound", images=600)
        >>> undecided_pairs([a, b])[0]
        Pair(point=0, rival=1, better=True, images=2300, reason='')
    """
    return tuple(
        _pair(points, number, rival)
        for number, status in enumerate(pareto_front(points))
        if status == UNDECIDED
        for rival, other in enumerate(points)
        if rival != number and may_dominate(other, points[number])
    )


@dataclass(frozen=True)
class _Rate:
    """A rate of a point, and how its interval depends on the number of images."""

    estimate: float
    below: float  # how far the interval reaches, were `images` images its only error
    above: float
    seeds: float  # how far it reaches, were the seeds its only error
    images: int
    deviation: float  # of the estimate, from one choice of `images` images to the next
    missed: float = 0.0  # by how much it may be too high, for all that the attack may have missed

    def lowest(self, images: float) -> float:
        return self.estimate - hypot(self.below * sqrt(self.images / images), self.seeds) - self.missed

    def highest(self, images: float) -> float:
        return self.estimate + hypot(self.above * sqrt(self.images / images), self.seeds)

    def variance(self, images: float) -> float:
        return self.deviation**2 * self.images / images


def _pair(points: Sequence[Point], number: int, rival: int) -> Pair:
    point, other = points[number], points[rival]
    better = estimates_dominate(other, point)
    images, reason = None, "unknown"
    if point.images and other.images:
        images, reason = _decisive(point, other, better)
    return Pair(number, rival, better, images, reason)


def _decisive(point: Point, other: Point, better: bool) -> tuple[int | None, str]:
    """How many images would probably decide, and why none would."""
    if (images := _images(point, other, better)) is not None:
        return images, ""
    changes: dict[str, dict[str, Any]] = {"attack": {"floor": None}, "seeds": {"of_seeds": (0.0, 0.0)}}
    for reason, change in (*changes.items(), ("attack and seeds", {**changes["attack"], **changes["seeds"]})):
        if _images(replace(point, **change), replace(other, **change), better) is not None:
            return None, reason
    same = [rate(point).estimate == rate(other).estimate for rate in (_invariance, _robustness)]
    return None, "equal" if (any(same) if better else all(same)) else "close"


def _images(point: Point, other: Point, better: bool) -> int | None:
    """The smallest number of images, rounded up to two digits, that decides with `CHANCE`; None where `MOST` do not."""
    rates = [(rate(point), rate(other)) for rate in (_invariance, _robustness)]
    enough, few = MOST, max(point.images or 1, other.images or 1)
    if few >= enough or _chance(rates, better, enough) < CHANCE:
        return None
    while enough > few + 1 and enough > 1.005 * few:
        middle = round(sqrt(few * enough))  # for numbers that span decades
        few, enough = (few, middle) if _chance(rates, better, middle) >= CHANCE else (middle, enough)
    digit: int = 10 ** max(int(log10(enough)) - 1, 0)
    return ceil(enough / digit) * digit


def _chance(rates: Sequence[tuple[_Rate, _Rate]], better: bool, images: int) -> float:
    """With what probability, at least, intervals of so many images show that the second of each two rates is the better
    one in both pairs, or that it is worse in one of them. The two pairs need not be independent: it is Bonferroni's."""
    if better:
        return sum(_shown(other, own, images) for own, other in rates) - 1
    return max(_shown(own, other, images, strictly=True) for own, other in rates)


def _shown(higher: _Rate, lower: _Rate, images: int, strictly: bool = False) -> float:
    """With what probability the interval of one rate lies above that of the other, or touches it."""
    apart = higher.lowest(images) - lower.highest(images)
    deviation = sqrt(higher.variance(images) + lower.variance(images))
    if deviation > 0:
        return float(ndtr(apart / deviation))
    return float(apart > 0 if strictly else apart >= 0)


def _invariance(point: Point) -> _Rate:
    return _rate(point, point.invariance, point.of_seeds[0])


def _robustness(point: Point) -> _Rate:
    share = point.robustness
    missed = 0.0 if point.floor is None else max(share.low - point.floor, 0.0)
    return replace(_rate(point, share, point.of_seeds[1]), missed=missed)


def _rate(point: Point, share: Estimate, of_seeds: float) -> _Rate:
    """The parts of an interval. Where it ends at 0 or 1 it is cut off there, and the other side says more."""
    below, above = (
        sqrt(max(reach**2 - of_seeds**2, 0.0)) for reach in (share.estimate - share.low, share.high - share.estimate)
    )
    if of_seeds:
        below, above = (
            max(below, above) if cut else own for cut, own in ((share.low == 0, below), (share.high == 1, above))
        )
    deviation = (below + above) / 2 / float(ndtri((1 + point.confidence) / 2))
    return _Rate(share.estimate, below, above, of_seeds, point.images or 1, deviation)
