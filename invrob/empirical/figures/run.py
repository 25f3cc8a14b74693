"""The paper's figures from stored profiles: robustness on the left, rate of invariance on the right, one line per
training; and what was measured beside them in a second figure.

Lines are told apart by lightness, dash and marker as well as by hue, so that they read in grey and for the
colour-blind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from invrob.empirical.analysis import averaged, place_of, plane, varied
from invrob.empirical.experiments import Result
from invrob.empirical.figures.classes import class_figure
from invrob.empirical.figures.plane import plane_figure
from invrob.empirical.profiles import shown_epsilon
from invrob.empirical.profiles.plots import Curve, Panel, figure_of, panel
from invrob.empirical.training import Recipe
from invrob.pictures import write_figure

PAPER = {  # on which data set each network is in the paper, and where
    "stdcnn": ("mnist", "Figure 1"),
    "vgg16": ("cifar10", "Figure 2"),
    "gcnn": ("mnist", "Figure 3"),
    "gcnn_vgg16": ("cifar10", "Figure 4"),
    "madry_lenet": ("mnist", "Figure 5"),
    "madry_resnet": ("cifar10", "Figure 6"),
}


BESIDE = {
    "canvas": "Rate of invariance, on a larger black canvas",
    "disc": "Rate of invariance, inside the disc only",
    "there-and-back": "Turned there and back: interpolation alone",
    "l2": "Robustness in L2: 1 - fooling rate",
}


def write_figures(
    folder: Path,
    results: Sequence[Result],
    theta: float | None = None,
    epsilon: float | None = None,
    classes: Sequence[str] = (),
) -> list[Path]:
    """The figures of each network of `results`, and the trade-off plane at theta and epsilon, as PNG and SVG in
    `folder`; returns the paths."""
    theta, epsilon = place_of(results, theta, epsilon)
    seeds = len({result.cell.seed for result in results})
    title = f"Trade-off on {results[0].cell.dataset}, {seeds} seed{'s' * (seeds > 1)}"
    drawn = {"plane": plane_figure(plane(results, theta, epsilon), theta, epsilon, title)}
    networks = list(dict.fromkeys(result.network for result in results))
    for network in networks:
        group = [result for result in results if result.network == network]
        stem = "figure-" + "-".join("".join(c if c.isalnum() or c in "._" else " " for c in network).split())
        drawn[stem] = network_figure(group)
        if any(result.beside for result in group):
            drawn[stem + "-beside"] = beside_figure(group)
        rows = {_names(recipe, group)[1]: seeds for recipe, seeds in _by_recipe(group).items()}
        title_of_classes = f"{_title(group).removesuffix(', bands of 95 %')}, {_legend(group)}"
        by_class = class_figure(title_of_classes, rows, classes, theta, epsilon)
        if by_class is not None:
            drawn[stem + "-classes"] = by_class
    files = [(folder / (name + suffix), figure) for name, figure in drawn.items() for suffix in (".png", ".svg")]
    return [write_figure(file, figure) for file, figure in files]


def network_figure(group: Sequence[Result]) -> Figure:
    """Both profiles of one network, one line for each recipe; its seeds are averaged."""
    robustness, invariance = [], []
    for recipe, seeds in _by_recipe(group).items():
        masked = any(result.verdict == "masked" for result in seeds)
        accuracy = f"({np.mean([result.accuracy.estimate for result in seeds]):.1%})"
        names = [f"{name}  {accuracy}" for name in _names(recipe, group)]
        robustness.append(_curve(names[0], [r.robustness for r in seeds], masked))
        invariance.append(_curve(names[1], [r.invariance for r in seeds], False))
    panels = [
        panel("Robustness: 1 - fooling rate", group[0].robustness, robustness),
        panel("Rate of invariance", group[0].invariance, invariance),
    ]
    return figure_of(_title(group), panels, _legend(group) + "  (accuracy)")


def beside_figure(group: Sequence[Result]) -> Figure:
    """What was measured beside the two profiles: one panel each, the lines as in `network_figure`."""
    panels: dict[str, Panel] = {}
    for recipe, seeds in _by_recipe(group).items():
        for name in dict.fromkeys(name for result in seeds for name in result.beside):
            profiles = [result.beside[name] for result in seeds if name in result.beside]
            masked = any(profile.get("verdict") == "masked" for profile in profiles)
            curve = _curve(_names(recipe, group)["thetas" in profiles[0]], profiles, masked)
            panels.setdefault(name, panel(beside_title(name), profiles[0], [])).curves.append(curve)
    return figure_of(_title(group) + ", beside the profiles", list(panels.values()), _legend(group))


def beside_title(name: str) -> str:
    """What a measurement beside the two profiles is, by its name in `Cell.measurements`."""
    if name.startswith("weak:"):
        return f"Weak attack ({name.removeprefix('weak:')}): to be distrusted"
    transformation, _, adversary = name.partition(":")
    if adversary:
        return f"Rate of invariance, {adversary}: {transformation}"
    return BESIDE.get(name, f"Rate of invariance: {name}")


def _by_recipe(group: Sequence[Result]) -> dict[Recipe, list[Result]]:
    found: dict[Recipe, list[Result]] = {}
    for result in group:
        found.setdefault(result.cell.recipe, []).append(result)
    return found


def _names(recipe: Recipe, group: Sequence[Result]) -> tuple[str, str]:
    """What tells a recipe from the others of its group, for lines over epsilon and over theta."""
    apart = varied(result.cell.recipe for result in group)
    against = f"$\\epsilon$ = {shown_epsilon(recipe.epsilon)}" if "epsilon" in apart or recipe.epsilon else ""
    angle = f"{recipe.rotation:g}/" if "rotation" in apart or not against else ""
    others = [f"{name} {recipe.shown(name)}" for name in apart if name not in ("rotation", "epsilon")]
    unturned, turned = (", ".join(filter(None, (angle + b if angle else "", against, *others))) for b in ("0", "B"))
    return unturned, turned


def _title(group: Sequence[Result]) -> str:
    cell, seeds = group[0].cell, len({result.cell.seed for result in group})
    dataset, number = PAPER.get(cell.model, ("?", ""))
    title = f"{group[0].network} on {cell.dataset}" + (
        f" (the paper's {number})" if cell.dataset.startswith(dataset) else ""
    )
    return f"{title}: {group[0].robustness['images']} test images, {seeds} seed{'s' * (seeds > 1)}, bands of 95 %"


def _legend(group: Sequence[Result]) -> str:
    recipes = [result.cell.recipe for result in group]
    natural = all(recipe.epsilon == 0 for recipe in recipes)
    return "trained A / tested B" if "rotation" in varied(recipes) or natural else "trained against"


def _curve(label: str, profiles: Sequence[dict[str, Any]], masked: bool) -> Curve:
    """The profiles of one recipe as a line: as it is for one seed, the mean and its interval for several."""
    return Curve(label, *averaged(profiles), masked)
