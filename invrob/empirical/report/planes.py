"""The trade-off plane at every place that all models were measured at, as plain data for the page's script, and as the
rows of the table of models, which stands there without a script as well."""

from collections.abc import Sequence
from itertools import product
from typing import Any

from invrob.empirical.analysis import (
    FRONT,
    UNDECIDED,
    Point,
    crossed,
    front_line,
    front_notes,
    note_on_images,
    pareto_front,
    place_of,
    plane,
    settings_of,
    shared_grids,
    undecided_pairs,
)
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.profiles.plots import NORM_NAMES
from invrob.empirical.report.charts import DIGITS, label_of
from invrob.empirical.report.gather import Training
from invrob.empirical.transforms import transformation_named
from invrob.intervals import Estimate

ESTIMATED = "estimated"  # on the front of the estimates, which the intervals leave undecided
PAIRS = 6  # undecided pairs that are told at a place, at most


def plane_chart(trainings: Sequence[Training]) -> dict[str, Any]:
    """The points at every theta and epsilon that all were measured at, their standings, the line of the front, and what
    would decide the pairs that are undecided; and a note where they are not on the same images, as models of two data
    sets are."""
    models = {training.name: training.seeds for training in trainings}
    thetas, epsilons = shared_grids(models)
    theta, epsilon = place_of(models, None, None)
    norm, transformation = settings_of(models)
    along = [plane(models, value, epsilons[0], mixed=True) for value in thetas]
    up = [plane(models, thetas[0], value, mixed=True) for value in epsilons]
    places = {
        f"{i},{j}": _at([crossed(a, b) for a, b in zip(row, column, strict=True)])
        for (i, row), (j, column) in product(enumerate(along), enumerate(up))
    }
    return {
        "thetas": thetas,
        "epsilons": epsilons,
        "shownThetas": [shown_theta(value, transformation) for value in thetas],
        "shownEpsilons": [format_epsilon(value) for value in epsilons],
        "theta": thetas.index(theta),
        "epsilon": epsilons.index(epsilon),
        "norm": NORM_NAMES[norm],
        "change": transformation,
        "axis": label_of(trainings[0].seeds[0].invariance),
        "invariance": [[rounded(row[k].invariance) for row in along] for k in range(len(trainings))],
        "robustness": [[rounded(column[k].robustness) for column in up] for k in range(len(trainings))],
        "accuracy": [rounded(point.accuracy) if point.accuracy else None for point in along[0]],
        "believed": [point.believed for point in along[0]],
        "floors": [[_rounded_floor(column[k]) for column in up] for k in range(len(trainings))],
        "places": places,
        "confidence": f"{100 * along[0][0].confidence:g} %",
        "images": note_on_images(along[0]),
    }


def shown_theta(theta: float, transformation: str) -> str:
    """A theta as people write it: 90° for a rotation."""
    unit = transformation_named(transformation).unit
    return f"{theta:g}°" if unit == "degrees" else f"{theta:g} {unit}".strip()


def model_rows(trainings: Sequence[Training], chart: dict[str, Any]) -> list[dict[str, Any]]:
    """The models at the place that the page opens at; the page's script moves the rows to other places.

    chart: of `plane_chart`."""
    i, j = chart["theta"], chart["epsilon"]
    place = chart["places"][f"{i},{j}"]
    return [
        {
            "number": k,
            "name": training.name,
            "verdict": training.verdict,
            "accuracy": _share(chart["accuracy"][k]),
            "invariance": _share(chart["invariance"][k][i]),
            "robustness": _share(chart["robustness"][k][j]),
            "floor": None if training.verdict == "masked" else chart["floors"][k][j],
            "standing": place["standings"][k],
        }
        for k, training in enumerate(trainings)
    ]


def rounded(share: Estimate) -> list[float]:
    """[estimate, low, high]."""
    return [round(value, DIGITS) for value in (share.estimate, share.low, share.high)]


def _at(points: Sequence[Point]) -> dict[str, Any]:
    """What stands at one place beside the points themselves, all by their numbers."""
    statuses = pareto_front(points)
    line = [next(k for k, p in enumerate(points) if p is point) for point in front_line(points)]
    standings = [ESTIMATED if s == UNDECIDED and k in line else s for k, s in enumerate(statuses)]
    pairs = [] if set(statuses) <= {FRONT} else undecided_pairs(points)
    both_ways = {(pair.rival, pair.point) for pair in pairs}  # two points may each leave the other one undecided
    once = [pair for pair in pairs if (pair.point, pair.rival) not in both_ways or pair.point < pair.rival]
    told = sorted(once, key=lambda pair: (pair.images is None, pair.images or 0))
    return {
        "standings": standings,
        "notes": front_notes(points),
        "line": line,
        "pairs": [[pair.point, pair.rival, pair.answer] for pair in told[:PAIRS]],
        "morePairs": max(len(told) - PAIRS, 0),
    }


def _share(triple: list[float] | None) -> Estimate | None:
    return None if triple is None else Estimate(*triple)


def _rounded_floor(point: Point) -> float | None:
    return None if point.floor is None else round(point.floor, DIGITS)
