"""The interactive charts as plain data: lines with bands, and a table of classes. The page's script draws them."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from invrob.checks import Array
from invrob.empirical.analysis import averaged, class_means, floor_means, shared_grids
from invrob.empirical.profiles import (
    BlackBoxProfile,
    InvarianceProfile,
    Rates,
    WeakProfile,
    WorstCaseProfile,
    format_epsilon,
)
from invrob.empirical.profiles.plots import NORM_NAMES
from invrob.empirical.report.gather import Profiled, Training
from invrob.empirical.transforms import transformation_named

HUES = (  # of matplotlib: one per network, and one per model of one's own
    *("Blues", "Oranges", "Greens", "Purples", "Reds", "Greys"),
    *("YlOrBr", "PuRd", "GnBu", "RdPu", "BuGn", "copper_r"),
)
BORDERS = {"zero": "", "canvas": ", on a larger black canvas", "disc": ", inside the disc only"}
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "pentagon")  # of plotly: one per network
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # of plotly: one per training of a network
DIGITS = 12  # of a rate in the page: as many as `percent` looks at, so that the page's script rounds as Python does
OWN = "own models"  # what folders of `invrob profile` hold


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
                "group": OWN if isinstance(training.source, Profiled) else training.group,
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
    """The two profiles of every training, in the paper's order."""
    return [
        _chart("robustness", [(i, [model.robustness for model in t.seeds]) for i, t in enumerate(trainings)]),
        _chart("invariance", [(i, [model.invariance for model in t.seeds]) for i, t in enumerate(trainings)]),
    ]


def beside_charts(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """What else was measured: a chart for each title and unit of the values."""
    charts: dict[tuple[str, str], list[tuple[int, list[Rates]]]] = {}
    for number, training in enumerate(trainings):
        for name in dict.fromkeys(name for of_seed in training.beside for name in of_seed):
            profiles = [of_seed[name] for of_seed in training.beside if name in of_seed]
            charts.setdefault((title_of(profiles[0]), label_of(profiles[0])), []).append((number, profiles))
    return [_chart(f"beside-{number}", lines) for number, lines in enumerate(charts.values())]


def title_of(rates: Rates) -> str:
    """What was measured, for a person: the title of a chart."""
    if isinstance(rates, WeakProfile):
        return f"Weak attack ({rates.attack}): to be distrusted"
    if rates.axis == "epsilon":
        bound = ", an upper bound" if isinstance(rates, BlackBoxProfile) else ""
        norm = getattr(rates, "norm", "linf")
        return f"Robustness{f' in {NORM_NAMES[norm]}' if norm != 'linf' else ''}: 1 - fooling rate{bound}"
    if isinstance(rates, WorstCaseProfile):
        return f"Rate of invariance, {rates.adversary}: {rates.transformation}"
    assert isinstance(rates, InvarianceProfile)
    if rates.path == "there-and-back":
        return "Turned there and back: interpolation alone"
    changed = "" if rates.transformation == "rotation" else f": {rates.transformation}"
    return f"Rate of invariance{changed}{BORDERS.get(rates.border, '')}"


def label_of(rates: Rates) -> str:
    """What the values of a chart are, for its axis."""
    if isinstance(rates, InvarianceProfile | WorstCaseProfile):
        return transformation_named(rates.transformation).axis
    return f"epsilon, {NORM_NAMES[getattr(rates, 'norm', 'linf')]} norm of the perturbation"


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


def _chart(name: str, lines: Sequence[tuple[int, list[Rates]]]) -> dict[str, Any]:
    """lines: the index of each training, and its rates, a profile for each seed."""
    first = lines[0][1][0]
    return {
        "id": name,
        "title": title_of(first),
        "axis": first.axis,
        "label": label_of(first),
        "lines": [{"training": number, **_line(profiles)} for number, profiles in lines],
    }


def _line(profiles: Sequence[Rates]) -> dict[str, Any]:
    """One line of a chart, its values as people read them, and its accuracy under the same changes of the images, where
    there were labels."""
    write = format_epsilon if profiles[0].axis == "epsilon" else "{:g}".format
    line: dict[str, Any] = {"images": profiles[0].images, "accuracy": None}
    labelled = all(profile.accuracy is not None for profile in profiles)
    for rate in ("rate", "accuracy") if labelled else ("rate",):
        x, mean, low, high = averaged(profiles, rate)
        line |= {"x": x.tolist(), rate: {"y": _listed(mean), "low": _listed(low), "high": _listed(high)}}
    line["values"] = [write(value) for value in line["x"]]
    floor = None if any(profile.verdict == "masked" for profile in profiles) else floor_means(profiles)
    return line if floor is None else line | {"floor": _listed(floor)}


def _listed(values: Array) -> list[float]:
    rates: list[float] = np.round(values, DIGITS).tolist()
    return rates
