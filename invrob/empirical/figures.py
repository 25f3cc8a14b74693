"""The paper's figures from stored profiles: robustness on the left, rate of invariance on the right, one line per
training.

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
from invrob.empirical.results import Result, varied
from invrob.empirical.training import Recipe
from invrob.files import write_atomically

if TYPE_CHECKING:
    from invrob.empirical.invariance import InvarianceProfile
    from invrob.empirical.profiles import RobustnessProfile

MARKERS = "osD^vPX*<>"
DASHES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))
PAPER = {"stdcnn": "Figure 1", "gcnn": "Figure 3", "madry_lenet": "Figure 5"}  # on MNIST


@dataclass(frozen=True, eq=False)
class Curve:
    """One line with its band; all arrays [T]."""

    label: str
    x: np.ndarray
    rate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    masked: bool


def write_figures(folder: Path, results: Sequence[Result]) -> list[Path]:
    """One figure per network of `results`, as PNG and SVG in `folder`; returns the paths."""
    paths = []
    networks = list(dict.fromkeys(result.network for result in results))
    for network in networks:
        group = [result for result in results if result.network == network]
        figure = network_figure(group)
        stem = "figure-" + "-".join("".join(c if c.isalnum() or c in "._" else " " for c in network).split())
        for suffix in (".png", ".svg"):
            path = folder / (stem + suffix)
            paths.append(write_atomically(path, partial(_save, figure)))
    return paths


def network_figure(group: Sequence[Result]) -> Figure:
    """Both profiles of one network, one line for each recipe; its seeds are averaged."""
    by_recipe: dict[Recipe, list[Result]] = {}
    for result in group:
        by_recipe.setdefault(result.cell.recipe, []).append(result)
    apart = varied(by_recipe)
    robustness, invariance = [], []
    for recipe, seeds in by_recipe.items():
        masked = any(result.verdict == "masked" for result in seeds)
        accuracy = np.mean([result.accuracy.estimate for result in seeds])
        against = f"$\\epsilon$ = {recipe.epsilon:g}" if "epsilon" in apart or recipe.epsilon else ""
        angle = f"{recipe.rotation:g}/" if "rotation" in apart or not against else ""
        others = [f"{name} {getattr(recipe, name):g}" for name in apart if name not in ("rotation", "epsilon")]
        names = [", ".join(filter(None, (angle + tested if angle else "", against, *others))) for tested in ("0", "B")]
        robustness.append(_curve(f"{names[0]}  ({accuracy:.1%})", "epsilons", [r.robustness for r in seeds], masked))
        invariance.append(_curve(f"{names[1]}  ({accuracy:.1%})", "thetas", [r.invariance for r in seeds], False))
    cell, seeds_used = group[0].cell, len({result.cell.seed for result in group})
    number = PAPER.get(cell.model, "") if cell.dataset.startswith("mnist") else ""
    title = f"{group[0].network} on {cell.dataset}" + (f" (the paper's {number})" if number else "")
    images = group[0].robustness["images"]
    what = f"{images} test images, {seeds_used} seed{'s' * (seeds_used > 1)}"
    natural = all(recipe.epsilon == 0 for recipe in by_recipe)
    legend = "trained A / tested B" if "rotation" in apart or natural else "trained against"
    return _figure(title, what, robustness, invariance, legend)


def card_figure(robustness: "RobustnessProfile", invariance: "InvarianceProfile") -> Figure:
    """The two profiles of a single model, and its accuracy under the same changes of the images."""
    panels = []
    for profile, x, masked in (
        (robustness, robustness.epsilons, robustness.verdict == "masked"),
        (invariance, invariance.thetas, False),
    ):
        panels.append([Curve("prediction stays", x, profile.rate, profile.low, profile.high, masked)])
        if profile.accuracy is not None and profile.accuracy_low is not None and profile.accuracy_high is not None:
            bounds = (profile.accuracy_low, profile.accuracy_high)
            panels[-1].append(Curve("prediction is right", x, profile.accuracy, *bounds, masked))
    return _figure("Robustness and invariance", f"{robustness.images} images", panels[0], panels[1], legend="")


def _curve(label: str, axis: str, profiles: Sequence[dict[str, Any]], masked: bool) -> Curve:
    """The profiles of one recipe as a line: as it is for one seed, the mean and its interval for several."""
    x, rate = np.array(profiles[0][axis]), np.array([p["rate"] for p in profiles])
    low, high = (np.array([p[bound] for p in profiles]) for bound in ("low", "high"))
    if len(profiles) == 1:
        return Curve(label, x, rate[0], low[0], high[0], masked)
    variances = ((high - low) / (2 * 1.96)) ** 2
    images = profiles[0]["images"]
    means = [over_seeds(rate[:, i], variances[:, i], images) for i in range(len(x))]
    mean, least, most = (np.clip([m[j] for m in means], 0, 1) for j in range(3))
    return Curve(label, x, mean, least, most, masked)


def _figure(
    title: str,
    what: str,
    robustness: Sequence[Curve],
    invariance: Sequence[Curve],
    legend: str,
) -> Figure:
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, robustness, legend)
    _draw(right, invariance, legend)
    left.set(
        xlabel=r"$\epsilon$, L-inf norm of the perturbation (pixels in [0, 1])",
        ylabel="share of predictions that stay",
        title="Robustness: 1 - fooling rate",
        ylim=(-0.03, 1.03),
    )
    right.set(xlabel=r"B: rotated by angles in [-B, B] (degrees)", title="Rate of invariance")
    right.set_xticks(np.arange(0, invariance[0].x.max() + 1, 30 if invariance[0].x.max() > 60 else 10))
    left.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.suptitle(f"{title}: {what}, bands of 95 %", fontsize="medium")
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
    axes.legend(title=f"{legend}  (accuracy)" if legend else None, fontsize="small", title_fontsize="small")


def _save(figure: Figure, path: Path) -> None:
    # Fixed metadata and ids: the same results give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "invrob", "svg.fonttype": "path"}):
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=150, metadata=metadata)
