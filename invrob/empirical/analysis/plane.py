"""The trade-off plane: rate of invariance at one theta against robustness at one epsilon, a point per training, and the
Pareto front of the points.

A front of estimates alone would crown whoever was lucky with the test images: here a point is on the front, or
dominated, only where the intervals say so, each at its own level and not at all of them jointly. Robustness counts from
its `floor`, below which no attack as strong as the audit brings it: no status rests on what the attack missed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose

from invrob.empirical.analysis.same_images import check_same_data, images_note
from invrob.empirical.analysis.statistics import floor_of, mean_of
from invrob.empirical.experiments import Result, clean_accuracy
from invrob.empirical.profiles import Card, MeasuredOn, Rates, format_epsilon, table_epsilons
from invrob.errors import InputError
from invrob.intervals import Estimate

Models = Mapping[str, Sequence[Result | Card]]  # by name: the seeds of a training of a run, or the card of one model
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


def place_of(models: Models, theta: float | None, epsilon: float | None) -> tuple[float, float]:
    """Where a plane is to be cut: the theta and the epsilon that were measured, for the ones asked for to three digits.
    None stands for the largest theta, and the first epsilon that tables show. Raises InputError."""
    thetas, epsilons = shared_grids(models)
    return (
        thetas[-1] if theta is None else _on_grid("theta", theta, thetas),
        table_epsilons(epsilons)[0] if epsilon is None else _on_grid("epsilon", epsilon, epsilons),
    )


def shared_grids(models: Models) -> tuple[list[float], list[float]]:
    """The thetas and the epsilons that every model was measured at. Raises InputError where there are none."""
    settings_of(models)
    measured = [model for seeds in models.values() for model in seeds]
    return (
        _shared("thetas", [model.invariance for model in measured]),
        _shared("epsilons", [model.robustness for model in measured]),
    )


def settings_of(models: Models) -> tuple[str, str]:
    """The norm and the transformation that the models were measured with. Raises InputError where there are two."""
    measured = [model for seeds in models.values() for model in seeds]
    if not measured:
        raise InputError("models = {} holds nothing: a plane takes at least one model")
    for setting, values in (
        ("norm", {model.robustness.norm for model in measured}),
        ("transformation", {model.invariance.transformation for model in measured}),
        ("border", {model.invariance.border for model in measured}),
        ("path", {model.invariance.path for model in measured}),
        ("confidence", {f"{p.confidence:g}" for model in measured for p in (model.invariance, model.robustness)}),
    ):
        if len(values) > 1:
            raise InputError(
                f"models were measured with {setting} = {' and '.join(sorted(values))}: plot one at a time"
            )
    return measured[0].robustness.norm, measured[0].invariance.transformation


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
    left = [p for p in believed if not any(_beats(_corner(q, "estimate"), _corner(p, "estimate")) for q in believed)]
    return tuple(sorted(left, key=lambda p: (p.invariance.estimate, p.name)))


def _if_exact(point: Point) -> str:
    return "sound" if point.believed else point.verdict


def _shared(name: str, profiles: Sequence[Rates]) -> list[float]:
    grids = [profile.values.tolist() for profile in profiles]
    shared = [value for value in grids[0] if all(value in grid for grid in grids)]
    if not shared:
        raise InputError(f"models share none of their {name}: measure them on the same ones")
    return shared


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
    )


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
    rates = [rate for profile in profiles if (rate := profile.measured_at(value)) is not None]
    return mean_of(rates, profiles[0].images, profiles[0].confidence)


def _on_grid(name: str, value: float, grid: Sequence[float]) -> float:
    near = [known for known in grid if isclose(known, value, rel_tol=1e-3, abs_tol=1e-9)]
    if not near:
        text = format_epsilon if name == "epsilon" else "{:g}".format
        raise InputError(f"{name} = {value:g} was not measured: choose one of {', '.join(map(text, grid))}")
    return min(near, key=lambda known: abs(known - value))


Corner = tuple[float, float]  # of a point and its intervals: invariance and robustness


def _beats(these: Corner, those: Corner) -> bool:
    return these[0] >= those[0] and these[1] >= those[1] and these != those


def _status(point: Point, others: Sequence[Point]) -> str:
    if not point.believed:
        return EXCLUDED
    least, most = _least(point), _corner(point, "high")
    if any(_beats(_least(other), most) for other in others):
        return DOMINATED
    return UNDECIDED if any(_beats(_corner(other, "high"), least) for other in others) else FRONT


def _least(point: Point) -> Corner:
    """The lower bounds, with all that the attack may have missed."""
    invariance, robustness = _corner(point, "low")
    return invariance, robustness if point.floor is None else min(robustness, point.floor)


def _corner(point: Point, bound: str) -> Corner:
    return getattr(point.invariance, bound), getattr(point.robustness, bound)
