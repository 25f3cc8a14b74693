"""The paper's figures from stored profiles: robustness on the left, rate of invariance on the right, one line per
training; and what was measured beside them in a second figure.

Lines are told apart by lightness, dash and marker as well as by hue, so that they read in grey and for the
colour-blind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invrob.empirical.analysis.plane import averaged, place_of, plane
from invrob.empirical.experiments.results import Result, shown_epsilon, varied
from invrob.empirical.figures.classes import class_figure
from invrob.empirical.figures.plane import MARKERS, NORM_NAMES, plane_figure
from invrob.empirical.training.recipes import Recipe
from invrob.empirical.transforms.families import TRANSFORMATIONS
from invrob.files import write_atomically

DASHES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))
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


@dataclass(frozen=True, eq=False)
class Curve:
    """One line with its band; all arrays [T]."""

    label: str
    x: np.ndarray
    rate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    masked: bool


@dataclass(frozen=True, eq=False)
class Panel:
    """One set of axes."""

    title: str
    axis: str  # "theta" or "epsilon"
    label: str  # of the axis
    degrees: bool  # whether the axis has them
    curves: list[Curve]


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


def write_figure(path: Path, figure: Figure) -> Path:
    """Write a figure in the format of the suffix, atomically: the same figure gives the same bytes. Returns `path`."""
    return write_atomically(path, partial(_save, figure))


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


def panel(title: str, profile: Mapping[str, Any], curves: list[Curve]) -> Panel:
    """The axes that suit the fields of a profile, with these curves."""
    if "epsilons" in profile:
        name = NORM_NAMES[profile.get("norm", "linf")]
        label = rf"$\epsilon$, {name} norm of the perturbation (pixels in [0, 1])"
        return Panel(title, "epsilon", label, False, curves)
    change = TRANSFORMATIONS[profile.get("transformation", "rotation")]
    return Panel(title, "theta", change.axis, change.unit == "degrees", curves)


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


def figure_of(title: str, panels: Sequence[Panel], legend: str) -> Figure:
    """The panels, three in a row, with one scale of shares."""
    columns, rows = min(len(panels), 3), -(-len(panels) // 3)
    figure = Figure(figsize=(5.5 * columns, 4.6 * rows), layout="constrained")
    places = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for unused in places[len(panels) :]:
        unused.remove()
    for axes, part in zip(places, panels, strict=False):
        _draw(axes, part.curves, legend)
        axes.set_title(part.title)
        axes.set_xlabel(part.label)
        if part.degrees:
            widest = part.curves[0].x.max()
            axes.set_xticks(np.arange(0, widest + 1, 30 if widest > 60 else 10))
    for first in places[::columns]:
        first.set(ylabel="share of predictions that stay", ylim=(-0.03, 1.03))
        first.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.suptitle(title, fontsize="medium", parse_math=False)  # a file may be called $a$
    return figure


def _draw(axes: Axes, curves: Sequence[Curve], legend: str) -> None:
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.82, max(len(curves), 2)))
    for i, curve in enumerate(curves):
        axes.fill_between(curve.x, curve.low, curve.high, color=shades[i], alpha=0.18, linewidth=0)
        axes.plot(
            curve.x,
            curve.rate,
            color=shades[i],
            linestyle=DASHES[i % len(DASHES)],
            marker=MARKERS[i % len(MARKERS)],
            markersize=5,
            markerfacecolor="white" if curve.masked else shades[i],
            label=curve.label + ("  MASKED: not to be believed" if curve.masked else ""),
        )
    axes.grid(alpha=0.25)
    axes.legend(title=legend or None, fontsize="small", title_fontsize="small")


def _save(figure: Figure, path: Path) -> None:
    # Fixed metadata and ids: the same results give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "invrob", "svg.fonttype": "path"}):
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=150, metadata=metadata)
