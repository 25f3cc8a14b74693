"""The trade-off plane: rate of invariance at one theta against robustness at one epsilon, a point per training, and the
Pareto front of the points.

A front of estimates alone would crown whoever was lucky with the test images: here a point is on the front, or
dominated, only where the intervals say so, each at its own level and not at all of them jointly. Robustness counts from
its `floor`, below which no attack as strong as the audit brings it: no status rests on what the attack missed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from invrob.empirical.analysis.place import Models, place_of
from invrob.empirical.analysis.same_images import check_same_data, images_note
from invrob.empirical.analysis.statistics import floor_of, half_width, mean_of
from invrob.empirical.experiments import Result, clean_accuracy
from invrob.empirical.profiles import Card, MeasuredOn, Rates
from invrob.intervals import Estimate

FRONT, DOMINATED, UNDECIDED, EXCLUDED = "front", "dominated", "undecided", "excluded"


@dataclass(frozen=True)
class Point:
    """One training in the plane; with several seeds, their means, and intervals that cover their spread.

    With one seed the intervals are about this network, these images: another training may lie outside of them."""

    name: str
    network: str
    invariance: Estimate  # the rate at theta
    robustness: Estimate  # 1 - fooling rate at epsilon
    accuracy: Estimate | None  # on the unchanged images; None without labels
    verdict: str  # as `verdict_of` says
    floor: float | None = None  # of the robustness, what the attack may have missed included; None without an audit
    seeds: int = 1
    confidence: float = 0.95  # of the intervals and of the floor
    measured_on: MeasuredOn | None = field(default=None, compare=False)  # the images; None where nobody kept them
    images: int | None = None  # that both rates rest on; None where nobody kept it
    of_seeds: tuple[float, float] = (0.0, 0.0)  # half the interval of either rate, were the seeds its only error

    @property
    def believed(self) -> bool:
        """Whether the point may take part in a front: a weak attack is believed from its floor upwards. Without an
        audit the intervals are believed as they are, and the point says that it is unaudited."""
        return self.verdict in ("sound", "unaudited") or (self.verdict == "weak" and self.floor is not None)

    @property
    def covers(self) -> str:
        """What the intervals are about, in words."""
        return "this network, these images" if self.seeds == 1 else f"images and trainings, from {self.seeds} seeds"


def plane(
    models: Models, theta: float | None = None, epsilon: float | None = None, *, mixed: bool = False
) -> tuple[Point, ...]:
    """Where each model stands in the plane of both rates.

    Args:
        models: by name, at least one: what has the two profiles. `by_training` makes this of the results of a run; the
            card of a model of one's own is a list of one.
        theta: where rates of invariance are read, a value that every model was measured at; None as in `place_of`.
        epsilon: the same for robustness, in pixel units.
        mixed: take models that were measured on different data as well.

    Returns:
        One point per model, in their order. `note_on_images` says where they are not of the same images.

    Raises:
        InputError: for values that were not measured, naming those that were; for no models; for models that were
            measured in two norms, under two transformations, or at two levels of confidence; and, unless `mixed`, for
            models of two data sets, of two parts of one, or of images that are known to differ and no more.
    """
    theta, epsilon = place_of(models, theta, epsilon)
    if not mixed:
        check_same_data(models)
    return tuple(_point(name, seeds, theta, epsilon) for name, seeds in models.items())


def verdict_of(seeds: Sequence[Result | Card]) -> str:
    """The verdict on a model with these seeds.

    Args:
        seeds: what was measured of it, at least one.

    Returns:
        "constant" where one of them has one answer for everything, else the worst of "sound", "unaudited", "weak",
        "black-box" and "masked".
    """
    if any(m.collapsed if isinstance(m, Result) else m.robustness.sanity.constant for m in seeds):
        return "constant"
    verdicts = {model.robustness.verdict for model in seeds}
    return next((verdict for verdict in ("masked", "black-box", "weak", "unaudited") if verdict in verdicts), "sound")


def pareto_front(points: Sequence[Point]) -> tuple[str, ...]:
    """What each point is in the plane.

    One point dominates another when it is at least as good in both rates and better in one. The intervals decide, that
    of robustness from its floor upwards, where there is one.

    Args:
        points: of `plane`, in any order.

    Returns:
        For each point, in their order: "dominated", by another point for certain, its lower bounds against these upper
        ones; "front", by no other point, not even its upper bounds against these lower ones; "undecided", where the
        intervals allow both; "excluded", where it cannot be believed. Excluded points dominate nobody.

    Example:
        >>> from invrob.empirical.analysis import Point, pareto_front
        >>> from invrob.intervals import Estimate
        >>> fair, good = Estimate(0.5, 0.4, 0.6), Estimate(0.8, 0.7, 0.9)
        >>> points = [Point("a", "net", fair, fair, None, "sound"), Point("b", "net", good, good, None, "sound")]
        >>> pareto_front(points)
        ('dominated', 'front')
    """
    return tuple(
        _status(point, [other for other in points if other is not point and other.believed]) for point in points
    )


def front_notes(points: Sequence[Point]) -> tuple[str, ...]:
    """Why points are undecided, where the attacks are the reason.

    Args:
        points: of `plane`, in any order.

    Returns:
        For each point, in their order: a few words where it is undecided, and would be decided if no attack had missed
        anything; else "".
    """
    exact = pareto_front([replace(point, floor=None, verdict=_if_exact(point)) for point in points])
    return tuple(
        f"{before}, if no attack missed anything" if after == UNDECIDED != before else ""
        for before, after in zip(exact, pareto_front(points), strict=True)
    )


def scope_of(points: Sequence[Point]) -> str:
    """What the intervals of the points are about, in words for a caption.

    Args:
        points: of `plane`, at least one.

    Returns:
        Such as "this network, these images", with " or " between where points differ in their number of seeds.
    """
    return " or ".join(dict.fromkeys(point.covers for point in points))


def note_on_images(points: Sequence[Point]) -> str:
    """What a reader must know about the images of the points, for a caption.

    Args:
        points: of `plane`, in any order.

    Returns:
        A sentence that says which points are of which images; "" where all are of the same ones.
    """
    return images_note({point.name: point.measured_on for point in points}) if len(points) > 1 else ""


def front_line(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points whose estimates no believed point's estimates dominate, by growing invariance: the line of the front.

    It holds every point on the front, and none that is dominated."""
    believed = [point for point in points if point.believed]
    left = [p for p in believed if not any(estimates_dominate(q, p) for q in believed)]
    return tuple(sorted(left, key=lambda p: (p.invariance.estimate, p.name)))


def may_dominate(point: Point, other: Point) -> bool:
    """Whether one point dominates another one for certain, or as far as the intervals say.

    Args:
        point, other: of `plane`. One that is not believed dominates nobody.

    Returns:
        True also where both points may dominate each other.
    """
    return point.believed and _beats(_corner(point, "high"), _least(other))


def estimates_dominate(point: Point, other: Point) -> bool:
    """Whether the estimates of one point are at least as good as those of another one, and one of them better.

    Args:
        point, other: of `plane`, believed or not.
    """
    return _beats(_corner(point, "estimate"), _corner(other, "estimate"))


def crossed(along: Point, up: Point) -> Point:
    """The point at the theta of one point and the epsilon of another of the same training.

    Args:
        along: has the invariance, and all that is no matter of the place.
        up: has the robustness.

    Returns:
        The point that `plane` has at that theta and that epsilon.
    """
    of_seeds = (along.of_seeds[0], up.of_seeds[1])
    return replace(along, robustness=up.robustness, floor=up.floor, of_seeds=of_seeds)


def _if_exact(point: Point) -> str:
    return "sound" if point.believed else point.verdict


def _point(name: str, seeds: Sequence[Result | Card], theta: float, epsilon: float) -> Point:
    first = seeds[0]
    profiles = [model.robustness for model in seeds]
    accuracies = [accuracy for profile in profiles if (accuracy := clean_accuracy(profile)) is not None]
    confidence = profiles[0].confidence
    return Point(
        name,
        first.network if isinstance(first, Result) else name,
        _mean_at([model.invariance for model in seeds], theta),
        _mean_at(profiles, epsilon),
        mean_of(accuracies, profiles[0].images, confidence) if accuracies else None,
        verdict_of(seeds),
        _floor_at(profiles, epsilon),
        len(seeds),
        confidence,
        first.measured_on,
        min(rates.images for model in seeds for rates in (model.invariance, model.robustness)),
        (_of_seeds([model.invariance for model in seeds], theta), _of_seeds(profiles, epsilon)),
    )


def _of_seeds(profiles: Sequence[Rates], value: float) -> float:
    """Half the interval of the mean rate at `value`, if the images were no part of its error; 0 for a single seed."""
    estimates = np.array([profile.rate_at(value).estimate for profile in profiles])
    if len(estimates) < 2:
        return 0.0
    variance = float(estimates.var(ddof=1)) / len(estimates)
    return half_width([(variance, len(estimates) - 1.0)], profiles[0].confidence)


def _floor_at(profiles: Sequence[Rates], epsilon: float) -> float | None:
    """The floor of the mean: as far below its interval as the floors of the seeds lie below theirs, on average."""
    missed = []
    for profile in profiles:
        floor, at = floor_of(profile), profile.values == epsilon
        if floor is None:
            return None
        missed.append(max(float(profile.low[at][0] - floor[at][0]), 0.0))
    return max(_mean_at(profiles, epsilon).low - sum(missed) / len(missed), 0.0)


def _mean_at(profiles: Sequence[Rates], value: float) -> Estimate:
    rates = [profile.rate_at(value) for profile in profiles]
    return mean_of(rates, profiles[0].images, profiles[0].confidence)


Corner = tuple[float, float]  # of a point and its intervals: invariance and robustness


def _beats(these: Corner, those: Corner) -> bool:
    return these[0] >= those[0] and these[1] >= those[1] and these != those


def _status(point: Point, others: Sequence[Point]) -> str:
    if not point.believed:
        return EXCLUDED
    if any(_beats(_least(other), _corner(point, "high")) for other in others):
        return DOMINATED
    return UNDECIDED if any(may_dominate(other, point) for other in others) else FRONT


def _least(point: Point) -> Corner:
    """The lower bounds, with all that the attack may have missed."""
    invariance, robustness = _corner(point, "low")
    return invariance, robustness if point.floor is None else min(robustness, point.floor)


def _corner(point: Point, bound: str) -> Corner:
    return getattr(point.invariance, bound), getattr(point.robustness, bound)
