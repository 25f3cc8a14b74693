"""The trade-off plane: rate of invariance at one theta against robustness at one epsilon, a point per training, and the
Pareto front of the points.

A front of estimates alone would crown whoever was lucky with the test images: here a point is on the front, or
dominated, only where the intervals say so, each at its own level and not at all of them jointly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

from invrob.empirical.analysis.statistics import averaged
from invrob.empirical.analysis.trainings import by_training
from invrob.empirical.experiments import Result, grid_of
from invrob.empirical.profiles import Card, shown_epsilon, shown_epsilons
from invrob.errors import InputError
from invrob.intervals import Estimate, clopper_pearson

Pair = tuple[dict[str, Any], dict[str, Any]]  # the two profiles, as `to_dict` wrote them
Models = Sequence[Result] | Mapping[str, Sequence[Result] | Card | Pair]
FRONT, DOMINATED, UNDECIDED, EXCLUDED = "front", "dominated", "undecided", "excluded"


@dataclass(frozen=True)
class Point:
    """One training in the plane; with several seeds, their means, and intervals that cover their spread."""

    name: str
    network: str
    invariance: Estimate  # the rate at theta
    robustness: Estimate  # 1 - fooling rate at epsilon
    accuracy: Estimate | None  # on the unchanged images; None without labels
    verdict: str  # "sound", "masked", "black-box", or "constant" for a classifier with one answer for everything

    @property
    def believed(self) -> bool:
        """Whether the point may take part in a front."""
        return self.verdict == "sound"


def plane(models: Models, theta: float | None = None, epsilon: float | None = None) -> tuple[Point, ...]:
    """One point per model: finished cells of a run (those that differ by their seed alone are one point); or by name
    lists of such cells, cards, and pairs of profiles as `results.read_card` reads them.

    theta, epsilon: values that every model was measured at; the ones of `place_of` where left out. Raises
    InputError for others, naming those there are, for no models, and for models measured in two norms or under two
    transformations."""
    named = _named(models)
    theta, epsilon = place_of(models, theta, epsilon)
    return tuple(_point(name, network, seeds, theta, epsilon) for name, (network, seeds) in named.items())


def place_of(models: Models, theta: float | None, epsilon: float | None) -> tuple[float, float]:
    """Where a plane is to be cut: the theta and the epsilon that were measured, for the ones asked for to three digits.
    None stands for the largest theta, and the first epsilon that tables show. Raises InputError."""
    thetas, epsilons = shared_grids(models)
    return (
        thetas[-1] if theta is None else _on_grid("theta", theta, thetas),
        shown_epsilons(epsilons)[0] if epsilon is None else _on_grid("epsilon", epsilon, epsilons),
    )


def shared_grids(models: Models) -> tuple[list[float], list[float]]:
    """The thetas and the epsilons that every model was measured at. Raises InputError where there are none."""
    settings_of(models)
    pairs, grids = _pairs(models), []
    for profile, axis in ((0, "thetas"), (1, "epsilons")):
        shared = [v for v in grid_of(pairs[0][profile]) if all(v in grid_of(pair[profile]) for pair in pairs)]
        if not shared:
            raise InputError(f"models share none of their {axis}: measure them on the same ones")
        grids.append(shared)
    return grids[0], grids[1]


def settings_of(models: Models) -> tuple[str, str]:
    """The norm and the transformation that the models were measured with. Raises InputError where there are two."""
    found = []
    for profile, setting, usual in ((1, "norm", "linf"), (0, "transformation", "rotation")):
        names = {str(pair[profile].get(setting, usual)) for pair in _pairs(models)}
        if len(names) > 1:
            raise InputError(f"models were measured with {setting} = {' and '.join(sorted(names))}: plot one at a time")
        found.append(names.pop())
    return found[0], found[1]


def pareto_front(points: Sequence[Point]) -> tuple[str, ...]:
    """What each point is, in their order: "front", "dominated", "undecided", or "excluded" where it cannot be believed.

    One point dominates another when it is at least as good in both rates and better in one. "dominated": by another
    point for certain, its lower bounds against these upper ones. "front": by no other point, not even its upper bounds
    against these lower ones. "undecided": the intervals allow both. Excluded points dominate nobody."""
    return tuple(
        _status(point, [other for other in points if other is not point and other.believed]) for point in points
    )


def front_line(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points whose estimates no believed point's estimates dominate, by growing invariance: the line of the front.

    It holds every point on the front, and none that is dominated."""
    believed = [point for point in points if point.believed]
    left = [p for p in believed if not any(_beats(_estimates(q), _estimates(p)) for q in believed)]
    return tuple(sorted(left, key=lambda p: (p.invariance.estimate, p.name)))


def _named(models: Models) -> dict[str, tuple[str, list[Pair]]]:
    """Name -> network, and the profiles of each seed."""
    groups: Mapping[str, Any] = models if isinstance(models, Mapping) else by_training(models)
    if not groups:
        raise InputError("models = [] holds nothing: a plane takes at least one model")
    named = {}
    for name, group in groups.items():
        if isinstance(group, Card):
            named[name] = (name, [(group.invariance.to_dict(), group.robustness.to_dict())])
        elif isinstance(group[0], dict):  # a pair of plain profiles; else the results of one training
            named[name] = (name, [group])
        else:
            named[name] = (group[0].network, [(result.invariance, result.robustness) for result in group])
    return named


def _pairs(models: Models) -> list[Pair]:
    return [pair for _, seeds in _named(models).values() for pair in seeds]


def _point(name: str, network: str, seeds: Sequence[Pair], theta: float, epsilon: float) -> Point:
    turned, attacked = [pair[0] for pair in seeds], [pair[1] for pair in seeds]
    constant = any(profile["sanity"]["constant"] for profile in attacked)
    unsound = [str(profile["verdict"]) for profile in attacked if profile["verdict"] != "sound"]
    clean = [_accuracy(profile) for profile in attacked if profile["clean_accuracy"] is not None]
    return Point(
        name,
        network,
        _estimate(turned, theta),
        _estimate(attacked, epsilon),
        _estimate(clean, 0.0) if clean else None,
        "constant" if constant else max(unsound, default="sound"),
    )


def _accuracy(profile: dict[str, Any]) -> dict[str, Any]:
    """The clean accuracy as a profile of one value."""
    n = profile["images"]
    share = clopper_pearson(round(profile["clean_accuracy"] * n), n)
    return {"thetas": [0.0], "rate": [share.estimate], "low": [share.low], "high": [share.high], "images": n}


def _estimate(profiles: Sequence[dict[str, Any]], value: float) -> Estimate:
    grids = [grid_of(profile).index(value) for profile in profiles]
    cut = [
        {"thetas": [value], "images": profile["images"], **{k: [profile[k][i]] for k in ("rate", "low", "high")}}
        for profile, i in zip(profiles, grids, strict=True)
    ]
    _, rate, low, high = averaged(cut)
    return Estimate(float(rate[0]), float(low[0]), float(high[0]))


def _on_grid(name: str, value: float, grid: Sequence[float]) -> float:
    near = [known for known in grid if isclose(known, value, rel_tol=1e-3, abs_tol=1e-9)]
    if not near:
        shown = shown_epsilon if name == "epsilon" else "{:g}".format
        raise InputError(f"{name} = {value:g} was not measured: choose one of {', '.join(map(shown, grid))}")
    return min(near, key=lambda known: abs(known - value))


Rates = tuple[float, float]  # invariance and robustness


def _beats(these: Rates, those: Rates) -> bool:
    return these[0] >= those[0] and these[1] >= those[1] and these != those


def _estimates(point: Point) -> Rates:
    return point.invariance.estimate, point.robustness.estimate


def _status(point: Point, others: Sequence[Point]) -> str:
    if not point.believed:
        return EXCLUDED
    least, most = _corner(point, "low"), _corner(point, "high")
    if any(_beats(_corner(other, "low"), most) for other in others):
        return DOMINATED
    return UNDECIDED if any(_beats(_corner(other, "high"), least) for other in others) else FRONT


def _corner(point: Point, bound: str) -> Rates:
    return getattr(point.invariance, bound), getattr(point.robustness, bound)
