"""Pictures of the profiles of a single model: the card, and what was measured beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from invrob.checks import Array
from invrob.empirical.profiles.black_box import BlackBoxProfile
from invrob.empirical.profiles.invariance import InvarianceProfile
from invrob.empirical.profiles.rates import Rates
from invrob.empirical.profiles.worst_case import WorstCaseProfile
from invrob.empirical.transforms import transformation_named

MARKERS = "osD^vPX*<>"
NORM_NAMES = {"linf": "L-inf", "l2": "L2"}
FLOOR = "floor, after the audit"
DASHES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))


@dataclass(frozen=True, eq=False)
class Curve:
    """One line with its band; all arrays [T]."""

    label: str
    x: Array
    rate: Array
    low: Array
    high: Array
    doubt: str = ""  # "masked", "weak" or "unaudited", in the legend
    floor: Array | None = None  # what may be left of the rate; None where nothing bounds what an attack missed


DOUBTS = {
    "masked": "  MASKED: not to be believed",
    "weak": "  WEAK: down to the dotted line",
    "unaudited": "  not audited",
}


@dataclass(frozen=True, eq=False)
class Panel:
    """One set of axes."""

    title: str
    axis: str  # "theta" or "epsilon"
    label: str  # of the axis
    degrees: bool  # whether the axis has them
    curves: list[Curve]


def panel(title: str, rates: Rates, curves: list[Curve]) -> Panel:
    """The axes that suit these rates, with these curves."""
    if isinstance(rates, (InvarianceProfile, WorstCaseProfile)):
        family = transformation_named(rates.transformation)
        return Panel(title, "theta", family.axis, family.unit == "degrees", curves)
    name = NORM_NAMES[getattr(rates, "norm", "linf")]  # weak attacks are in L-inf alone
    return Panel(title, "epsilon", rf"$\epsilon$, {name} norm of the perturbation (pixels in [0, 1])", False, curves)


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
        if curve.floor is not None:
            axes.fill_between(curve.x, curve.floor, curve.low, color=shades[i], alpha=0.07, linewidth=0)
            line = LineCollection(
                [np.column_stack([curve.x, curve.floor])], colors=[shades[i]], linestyles=":", linewidths=1
            )
            axes.add_collection(line)
        axes.plot(
            curve.x,
            curve.rate,
            color=shades[i],
            linestyle=DASHES[i % len(DASHES)],
            marker=MARKERS[i % len(MARKERS)],
            markersize=5,
            markerfacecolor={"masked": "white", "weak": (*shades[i][:3], 0.35)}.get(curve.doubt, shades[i]),
            label=curve.label + DOUBTS.get(curve.doubt, ""),
        )
    axes.grid(alpha=0.25)
    handles = axes.get_legend_handles_labels()[0]
    if any(curve.floor is not None for curve in curves):
        handles.append(Line2D([], [], color="0.4", linestyle=":", linewidth=1, label=FLOOR))
    axes.legend(handles=handles, title=legend or None, fontsize="small", title_fontsize="small")


def profile_figures(profiles: Mapping[str, Rates], title: str) -> dict[str, Figure]:
    """The figures of a model: "card", of its robustness and its invariance, and all other profiles by their names.

    title: what was measured on what."""
    robustness, invariance = profiles["robustness"], profiles["invariance"]
    title = f"{title}: {robustness.images} images, bands of {100 * robustness.confidence:g} %"
    figures = {"card": figure_of(title, [panel_of(robustness), panel_of(invariance)], legend="")}
    for name, rates in profiles.items():
        if name not in ("robustness", "invariance"):
            figures["-".join(name.split())] = figure_of(title, [panel_of(rates)], legend="")
    return figures


def panel_of(rates: Rates) -> Panel:
    """How often the prediction stays, and with labels how often it is right."""
    doubt, floor = rates.verdict, None if rates.verdict == "masked" else getattr(rates, "floor", None)
    curves = [Curve("prediction stays", rates.values, rates.rate, rates.low, rates.high, doubt, floor)]
    if rates.accuracy is not None and rates.accuracy_low is not None and rates.accuracy_high is not None:
        accuracy = (rates.accuracy, rates.accuracy_low, rates.accuracy_high)
        curves.append(Curve("prediction is right", rates.values, *accuracy, doubt))
    if rates.axis == "epsilon":
        title = "Robustness: 1 - fooling rate" + (", an upper bound" if isinstance(rates, BlackBoxProfile) else "")
    else:
        title = "Rate of invariance" + (f", {rates.adversary}" if isinstance(rates, WorstCaseProfile) else "")
    return panel(title, rates, curves)
