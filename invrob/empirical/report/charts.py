"""The interactive charts as plain data: lines with bands, the trade-off plane at every place, a table of classes. The
page's script draws them."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from invrob.checks import Array
from invrob.empirical.analysis import Point, averaged, front_line, pareto_front, place_of, plane, shared_grids
from invrob.empirical.figures import beside_title
from invrob.empirical.profiles import shown_epsilon
from invrob.empirical.profiles.plots import NORM_NAMES
from invrob.empirical.report.gather import Training
from invrob.empirical.transforms import TRANSFORMATIONS
from invrob.intervals import Estimate

HUES = ("Blues", "Oranges", "Greens", "Purples", "Reds", "Greys")  # of matplotlib: one per network
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "pentagon")  # of plotly: one per network
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # of plotly: one per training of a network
DIGITS = 5  # of a rate in the page

Profile = dict[str, Any]


def styles(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """Colour for light and dark paper, marker and dash of each training, and what it is called."""
    groups = list(dict.fromkeys(training.group for training in trainings))
    listed = []
    for training in trainings:
        group = groups.index(training.group)
        own = [t for t in trainings if t.group == training.group]
        place = own.index(training) / max(len(own) - 1, 1) if len(own) > 1 else 0.3
        shades = matplotlib.colormaps[HUES[group % len(HUES)]]
        listed.append(
            {
                "name": training.name,
                "short": training.short,
                "group": training.group,
                "light": to_hex(shades(1 - 0.42 * place)),
                "dark": to_hex(shades(0.25 + 0.35 * place)),
                "marker": MARKERS[group % len(MARKERS)],
                "dash": DASHES[own.index(training) % len(DASHES)],
                "verdict": training.verdict,
                "seeds": len(training.seeds),
            }
        )
    return listed


def profile_charts(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """The two profiles of every training."""
    turned = [(i, [r.invariance for r in t.seeds]) for i, t in enumerate(trainings)]
    attacked = [(i, [r.robustness for r in t.seeds]) for i, t in enumerate(trainings)]
    return [
        _chart("invariance", "Rate of invariance", turned),
        _chart("robustness", "Robustness: 1 - fooling rate", attacked),
    ]


def beside_charts(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """What else was measured, one chart per name, whatever it is."""
    names = dict.fromkeys(name for training in trainings for result in training.seeds for name in result.beside)
    charts = []
    for number, name in enumerate(names):
        lines = [(i, [r.beside[name] for r in t.seeds if name in r.beside]) for i, t in enumerate(trainings)]
        charts.append(_chart(f"beside-{number}", beside_title(name), [line for line in lines if line[1]]))
    return charts


def plane_chart(trainings: Sequence[Training]) -> dict[str, Any]:
    """The points at every theta and epsilon that all were measured at, the statuses, and the line of the front."""
    models = {training.name: training.seeds for training in trainings}
    thetas, epsilons = shared_grids(models)
    theta, epsilon = place_of(models, None, None)
    along = [plane(models, value, epsilons[0]) for value in thetas]
    up = [plane(models, thetas[0], value) for value in epsilons]
    statuses, lines = {}, {}
    for (i, row), (j, column) in product(enumerate(along), enumerate(up)):
        points = [_crossed(a, b) for a, b in zip(row, column, strict=True)]
        statuses[f"{i},{j}"] = pareto_front(points)
        lines[f"{i},{j}"] = [next(k for k, p in enumerate(points) if p is point) for point in front_line(points)]
    return {
        "thetas": thetas,
        "epsilons": epsilons,
        "shownEpsilons": [shown_epsilon(value) for value in epsilons],
        "theta": thetas.index(theta),
        "epsilon": epsilons.index(epsilon),
        "norm": _norm(trainings[0].seeds[0].robustness),
        "invariance": [[rounded(row[k].invariance) for row in along] for k in range(len(trainings))],
        "robustness": [[rounded(column[k].robustness) for column in up] for k in range(len(trainings))],
        "accuracy": [rounded(point.accuracy) if point.accuracy else None for point in along[0]],
        "statuses": statuses,
        "lines": lines,
    }


def class_tables(trainings: Sequence[Training]) -> dict[str, Any]:
    """Both rates per class at every place of the plane: [training][class][place], None where a class has no image."""
    thetas, epsilons = shared_grids({training.name: training.seeds for training in trainings})
    profiles = [p for t in trainings for r in t.seeds for p in (r.invariance, r.robustness)]
    labels = sorted({row["label"] for profile in profiles for row in profile["classes"]})
    each = {"invariance": ("thetas", thetas), "robustness": ("epsilons", epsilons)}
    tables = {
        kind: [[_of_class([getattr(r, kind) for r in t.seeds], label, *axis) for label in labels] for t in trainings]
        for kind, axis in each.items()
    }
    return {"labels": labels, **tables}


def rounded(share: Estimate) -> list[float]:
    """[estimate, low, high]."""
    return [round(value, DIGITS) for value in (share.estimate, share.low, share.high)]


def _crossed(along: Point, up: Point) -> Point:
    return Point(along.name, along.network, along.invariance, up.robustness, along.accuracy, along.verdict)


def _of_class(profiles: Sequence[Profile], label: int, axis: str, grid: Sequence[float]) -> list[float] | None:
    rows = [(row["rate"], profile[axis]) for profile in profiles for row in profile["classes"] if row["label"] == label]
    if not rows:
        return None
    mean = np.mean([[rate[values.index(value)] for value in grid] for rate, values in rows], axis=0)
    return _list(mean)


def _chart(name: str, title: str, lines: Sequence[tuple[int, list[Profile]]]) -> dict[str, Any]:
    """lines: the index of each training, and its profiles of one kind, a seed each."""
    first = lines[0][1][0]
    epsilons = "epsilons" in first
    return {
        "id": name,
        "title": title,
        "axis": "epsilon" if epsilons else "theta",
        "label": f"epsilon, {_norm(first)} norm of the perturbation" if epsilons else _angle(first),
        "ticks": [shown_epsilon(value) for value in first["epsilons"]] if epsilons else None,
        "lines": [{"training": number, **_line(profiles)} for number, profiles in lines],
    }


def _line(profiles: Sequence[Profile]) -> dict[str, Any]:
    """One line of a chart, and its accuracy under the same changes of the images."""
    alike = [profile for profile in profiles if len(profile["rate"]) == len(profiles[0]["rate"])]
    x, rate, low, high = averaged(alike)
    right = [{**p, **{k: p[f"accuracy{tail}"] for k, tail in BOUNDS.items()}} for p in alike]
    _, accuracy, accuracy_low, accuracy_high = averaged(right)
    return {
        "x": x.tolist(),
        "rate": {"y": _list(rate), "low": _list(low), "high": _list(high)},
        "accuracy": {"y": _list(accuracy), "low": _list(accuracy_low), "high": _list(accuracy_high)},
        "images": profiles[0]["images"],
    }


BOUNDS = {"rate": "", "low": "_low", "high": "_high"}


def _list(values: Array) -> list[float]:
    rounded_values: list[float] = np.round(values, DIGITS).tolist()
    return rounded_values


def _norm(profile: Profile) -> str:
    norm = str(profile.get("norm", "linf"))
    return NORM_NAMES.get(norm, norm)


def _angle(profile: Profile) -> str:
    name = str(profile.get("transformation", "rotation"))
    return TRANSFORMATIONS[name].axis if name in TRANSFORMATIONS else name
