"""The paper's figures from stored profiles: robustness on the left, rate of invariance on the right, one line per
training; and what was measured beside them in a second figure.

Lines are told apart by lightness, dash and marker as well as by hue, so that they read in grey and for the
colour-blind."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invrob.empirical.claims import over_seeds
from invrob.empirical.recipes import Recipe
from invrob.empirical.results import Result, grid_of, shown_epsilon, varied
from invrob.files import write_atomically

if TYPE_CHECKING:
    from invrob.empirical.invariance import InvarianceProfile
    from invrob.empirical.profiles import RobustnessProfile

MARKERS = "osD^vPX*<>"
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
    "weak:paper": "Weak attack (paper): to be distrusted",
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
    curves: list[Curve]


def write_figures(folder: Path, results: Sequence[Result]) -> list[Path]:
    """The figures of each network of `results`, as PNG and SVG in `folder`; returns the paths."""
    paths = []
    networks = list(dict.fromkeys(result.network for result in results))
    for network in networks:
        group = [result for result in results if result.network == network]
        stem = "figure-" + "-".join("".join(c if c.isalnum() or c in "._" else " " for c in network).split())
        figures = {stem: network_figure(group)}
        if any(result.beside for result in group):
            figures[stem + "-beside"] = beside_figure(group)
        for name, figure in figures.items():
            files = (folder / (name + suffix) for suffix in (".png", ".svg"))
            paths += [write_atomically(file, partial(_save, figure)) for file in files]
    return paths


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
        Panel("Robustness: 1 - fooling rate", "epsilon", robustness),
        Panel("Rate of invariance", "theta", invariance),
    ]
    return _figure(_title(group), panels, _legend(group) + "  (accuracy)")


def beside_figure(group: Sequence[Result]) -> Figure:
    """What was measured beside the two profiles: one panel each, the lines as in `network_figure`."""
    panels: dict[str, Panel] = {}
    for recipe, seeds in _by_recipe(group).items():
        for name in dict.fromkeys(name for result in seeds for name in result.beside):
            profiles = [result.beside[name] for result in seeds if name in result.beside]
            weak = "epsilons" in profiles[0]
            panel = panels.setdefault(name, Panel(BESIDE.get(name, name), "epsilon" if weak else "theta", []))
            panel.curves.append(_curve(_names(recipe, group)[0 if weak else 1], profiles, False))
    return _figure(_title(group) + ", beside the profiles", list(panels.values()), _legend(group))


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


def card_figure(robustness: "RobustnessProfile", invariance: "InvarianceProfile") -> Figure:
    """The two profiles of a single model, and its accuracy under the same changes of the images."""
    panels = []
    for title, axis, profile, x, masked in (
        ("Robustness: 1 - fooling rate", "epsilon", robustness, robustness.epsilons, robustness.verdict == "masked"),
        ("Rate of invariance", "theta", invariance, invariance.thetas, False),
    ):
        curves = [Curve("prediction stays", x, profile.rate, profile.low, profile.high, masked)]
        if profile.accuracy is not None and profile.accuracy_low is not None and profile.accuracy_high is not None:
            bounds = (profile.accuracy_low, profile.accuracy_high)
            curves.append(Curve("prediction is right", x, profile.accuracy, *bounds, masked))
        panels.append(Panel(title, axis, curves))
    return _figure(f"Robustness and invariance: {robustness.images} images, bands of 95 %", panels, legend="")


def _curve(label: str, profiles: Sequence[dict[str, Any]], masked: bool) -> Curve:
    """The profiles of one recipe as a line: as it is for one seed, the mean and its interval for several."""
    x, rate = np.array(grid_of(profiles[0])), np.array([p["rate"] for p in profiles])
    low, high = (np.array([p[bound] for p in profiles]) for bound in ("low", "high"))
    if len(profiles) == 1:
        return Curve(label, x, rate[0], low[0], high[0], masked)
    variances = ((high - low) / (2 * 1.96)) ** 2
    images = profiles[0]["images"]
    means = [over_seeds(rate[:, i], variances[:, i], images) for i in range(len(x))]
    mean, least, most = (np.clip([m[j] for m in means], 0, 1) for j in range(3))
    return Curve(label, x, mean, least, most, masked)


def _figure(title: str, panels: Sequence[Panel], legend: str) -> Figure:
    figure = Figure(figsize=(5.5 * len(panels), 4.6), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(row, panels, strict=True):
        _draw(axes, panel.curves, legend)
        axes.set_title(panel.title)
        if panel.axis == "epsilon":
            axes.set_xlabel(r"$\epsilon$, L-inf norm of the perturbation (pixels in [0, 1])")
        else:
            axes.set_xlabel(r"B: rotated by angles in [-B, B] (degrees)")
            widest = panel.curves[0].x.max()
            axes.set_xticks(np.arange(0, widest + 1, 30 if widest > 60 else 10))
    row[0].set(ylabel="share of predictions that stay", ylim=(-0.03, 1.03))
    row[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.suptitle(title, fontsize="medium")
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
