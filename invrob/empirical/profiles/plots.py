"""Pictures of the profiles of a single model: the card, and what was measured beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invrob.checks import Array
from invrob.empirical.transforms import TRANSFORMATIONS

if TYPE_CHECKING:
    from invrob.empirical.profiles.black_box import BlackBoxProfile
    from invrob.empirical.profiles.invariance import InvarianceProfile
    from invrob.empirical.profiles.robustness import RobustnessProfile
    from invrob.empirical.profiles.worst_case import WorstCaseProfile

    Profile = InvarianceProfile | WorstCaseProfile | RobustnessProfile | BlackBoxProfile


MARKERS = "osD^vPX*<>"

NORM_NAMES = {"linf": "L-inf", "l2": "L2"}

DASHES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))


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


def panel(title: str, profile: Mapping[str, Any], curves: list[Curve]) -> Panel:
    """The axes that suit the fields of a profile, with these curves."""
    if "epsilons" in profile:
        name = NORM_NAMES[profile.get("norm", "linf")]
        label = rf"$\epsilon$, {name} norm of the perturbation (pixels in [0, 1])"
        return Panel(title, "epsilon", label, False, curves)
    change = TRANSFORMATIONS[profile.get("transformation", "rotation")]
    return Panel(title, "theta", change.axis, change.unit == "degrees", curves)


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


def card_figure(robustness: "RobustnessProfile | BlackBoxProfile", invariance: "InvarianceProfile") -> Figure:
    """The two profiles of a single model, and its accuracy under the same changes of the images."""
    panels = [panel_of(robustness), panel_of(invariance)]
    return figure_of(f"Robustness and invariance: {robustness.images} images, bands of 95 %", panels, legend="")


def profile_figures(profiles: "Mapping[str, Profile]", title: str) -> dict[str, Figure]:
    """ "card", of the profiles called robustness and invariance, and a figure for each of the others by its name.

    title: what was measured on what."""
    title = f"{title}: {profiles['robustness'].images} images, bands of 95 %"
    card = [panel_of(profiles["robustness"]), panel_of(profiles["invariance"])]
    figures = {"card": figure_of(title, card, legend="")}
    for name, profile in profiles.items():
        if name not in ("robustness", "invariance"):
            figures["-".join(name.split())] = figure_of(title, [panel_of(profile)], legend="")
    return figures


def panel_of(profile: "Profile") -> Panel:
    """One profile: how often the prediction stays, and with labels how often it is right."""
    about = vars(profile)
    x: Array = about["epsilons" if "epsilons" in about else "thetas"]
    masked = about.get("sanity") is not None and getattr(profile, "verdict", "") == "masked"
    curves = [Curve("prediction stays", x, profile.rate, profile.low, profile.high, masked)]
    if profile.accuracy is not None and profile.accuracy_low is not None and profile.accuracy_high is not None:
        curves.append(
            Curve("prediction is right", x, profile.accuracy, profile.accuracy_low, profile.accuracy_high, masked)
        )
    if "epsilons" in about:
        title = "Robustness: 1 - fooling rate" + (", an upper bound" if "queries" in about else "")
    else:
        title = "Rate of invariance" + (f", {about['adversary']}" if "adversary" in about else "")
    return panel(title, about, curves)
