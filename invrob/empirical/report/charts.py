"""The interactive charts as plain data: lines with bands, the trade-off plane at every place, a table of classes. The
page's script draws them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from invrob.checks import Array
from invrob.empirical.analysis import (
    Point,
    averaged,
    class_means,
    floor_means,
    front_line,
    front_notes,
    note_on_images,
    pareto_front,
    place_of,
    plane,
    shared_grids,
)
from invrob.empirical.profiles import Measurement, Rates, format_epsilon
from invrob.empirical.profiles.plots import NORM_NAMES
from invrob.empirical.report.gather import Training
from invrob.intervals import Estimate

HUES = ("Blues", "Oranges", "Greens", "Purples", "Reds", "Greys")  # of matplotlib: one per network
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "pentagon")  # of plotly: one per network
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # of plotly: one per training of a network
DIGITS = 5  # of a rate in the page


def styles(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """Colour for light and dark paper, marker and dash of each training, and what it is called."""
    groups = list(dict.fromkeys(training.group for training in trainings))
    listed = []
    for training in trainings:
        group = groups.index(training.group)
        members = [member for member in trainings if member.group == training.group]
        number = members.index(training)
        place = number / (len(members) - 1) if len(members) > 1 else 0.3
        shades = matplotlib.colormaps[HUES[group % len(HUES)]]
        listed.append(
            {
                "name": training.name,
                "short": training.short,
                "group": training.group,
                "light": to_hex(shades(1 - 0.42 * place)),
                "dark": to_hex(shades(0.25 + 0.35 * place)),
                "marker": MARKERS[group % len(MARKERS)],
                "dash": DASHES[number % len(DASHES)],
                "verdict": training.verdict,
                "seeds": len(training.seeds),
            }
        )
    return listed


def profile_charts(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """The two profiles of every training."""
    invariance, robustness = trainings[0].seeds[0].cell.profiling.card
    return [
        _chart("invariance", invariance, [(i, [r.invariance for r in t.seeds]) for i, t in enumerate(trainings)]),
        _chart("robustness", robustness, [(i, [r.robustness for r in t.seeds]) for i, t in enumerate(trainings)]),
    ]


def beside_charts(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """What else was measured: a chart for each measurement."""
    measurements = {
        name: result.cell.profiling.beside[name] for t in trainings for result in t.seeds for name in result.beside
    }
    charts = []
    for number, (name, measurement) in enumerate(measurements.items()):
        lines = [(i, [r.beside[name] for r in t.seeds if name in r.beside]) for i, t in enumerate(trainings)]
        charts.append(_chart(f"beside-{number}", measurement, [line for line in lines if line[1]]))
    return charts


def plane_chart(trainings: Sequence[Training]) -> dict[str, Any]:
    """The points at every theta and epsilon that all were measured at, the statuses, and the line of the front; and a
    note where they are not on the same images, as runs on two data sets are."""
    models = {training.name: training.seeds for training in trainings}
    thetas, epsilons = shared_grids(models)
    theta, epsilon = place_of(models, None, None)
    along = [plane(models, value, epsilons[0], mixed=True) for value in thetas]
    up = [plane(models, thetas[0], value, mixed=True) for value in epsilons]
    statuses, notes, lines = {}, {}, {}
    for (i, row), (j, column) in product(enumerate(along), enumerate(up)):
        points = [_crossed(a, b) for a, b in zip(row, column, strict=True)]
        statuses[f"{i},{j}"] = pareto_front(points)
        notes[f"{i},{j}"] = front_notes(points)
        lines[f"{i},{j}"] = [next(k for k, p in enumerate(points) if p is point) for point in front_line(points)]
    return {
        "thetas": thetas,
        "epsilons": epsilons,
        "shownEpsilons": [format_epsilon(value) for value in epsilons],
        "theta": thetas.index(theta),
        "epsilon": epsilons.index(epsilon),
        "norm": NORM_NAMES[trainings[0].seeds[0].robustness.norm],
        "invariance": [[rounded(row[k].invariance) for row in along] for k in range(len(trainings))],
        "robustness": [[rounded(column[k].robustness) for column in up] for k in range(len(trainings))],
        "accuracy": [rounded(point.accuracy) if point.accuracy else None for point in along[0]],
        "believed": [point.believed for point in along[0]],
        "floors": [[_rounded_floor(column[k]) for column in up] for k in range(len(trainings))],
        "statuses": statuses,
        "notes": notes,
        "lines": lines,
        "images": note_on_images(along[0]),
    }


def class_tables(trainings: Sequence[Training]) -> dict[str, Any]:
    """Both rates per class at every place of the plane: [training][class][place], None where a class has no image."""
    thetas, epsilons = shared_grids({training.name: training.seeds for training in trainings})
    means = {
        "invariance": [class_means([r.invariance for r in t.seeds], thetas) for t in trainings],
        "robustness": [class_means([r.robustness for r in t.seeds], epsilons) for t in trainings],
    }
    labels = sorted({label for of_kind in means.values() for row in of_kind for label in row})
    tables = {
        kind: [[_listed(row[label]) if label in row else None for label in labels] for row in of_kind]
        for kind, of_kind in means.items()
    }
    return {"labels": labels, **tables}


def rounded(share: Estimate) -> list[float]:
    """[estimate, low, high]."""
    return [round(value, DIGITS) for value in (share.estimate, share.low, share.high)]


def _rounded_floor(point: Point) -> float | None:
    return None if point.floor is None else round(point.floor, DIGITS)


def _crossed(along: Point, up: Point) -> Point:
    return replace(along, robustness=up.robustness, floor=up.floor)


def _chart(name: str, measurement: Measurement, lines: Sequence[tuple[int, list[Rates]]]) -> dict[str, Any]:
    """lines: the index of each training, and its rates, a profile for each seed."""
    label, ticks = f"epsilon, {NORM_NAMES[measurement.norm]} norm of the perturbation", None
    if measurement.over is not None:
        label = measurement.over.family.axis
    else:
        ticks = [format_epsilon(value) for value in lines[0][1][0].values]
    return {
        "id": name,
        "title": measurement.title,
        "axis": measurement.axis,
        "label": label,
        "ticks": ticks,
        "lines": [{"training": number, **_line(profiles)} for number, profiles in lines],
    }


def _line(profiles: Sequence[Rates]) -> dict[str, Any]:
    """One line of a chart, and its accuracy under the same changes of the images."""
    line: dict[str, Any] = {"images": profiles[0].images}
    for rate in ("rate", "accuracy"):
        x, mean, low, high = averaged(profiles, rate)
        line |= {"x": x.tolist(), rate: {"y": _listed(mean), "low": _listed(low), "high": _listed(high)}}
    floor = None if any(profile.verdict == "masked" for profile in profiles) else floor_means(profiles)
    return line if floor is None else line | {"floor": _listed(floor)}


def _listed(values: Array) -> list[float]:
    rates: list[float] = np.round(values, DIGITS).tolist()
    return rates
