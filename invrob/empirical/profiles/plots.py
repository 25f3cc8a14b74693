"""Pictures of the profiles of a single model: the card, and what was measured beside it.

Curves are told apart by dash and marker as well as by colour, so that they read in grey and for the colour-blind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from invrob.checks import Array
from invrob.empirical.profiles.drawn import Drawn, Turned
from invrob.empirical.profiles.grids import format_epsilon
from invrob.empirical.transforms import transformation_named
from invrob.pictures import (
    COLOURS,
    POINTS,
    SCREEN,
    Picture,
    Style,
    figure_around,
    fitted,
    given_axes,
    grow,
    small,
    width_of,
)

MARKERS = "osD^vPX*<>"
NORM_NAMES = {"linf": "L-inf", "l2": "L2"}
FLOOR = "floor, after the audit"
DASHES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (2, 1)), (0, (7, 1, 1, 1, 1, 1)))  # dots are for floors
STAY = "predictions that stay"  # what the rates of several models are shares of
LEVELS = 255  # of the pixels of 8 bits
FEW_TICKS = 5  # epsilons as fractions are long: no more than about as many are written
NARROW = 2.0  # inches of a panel that has room for few ticks and short labels
FRAME = 0.6  # inches beside a panel, for what is written on its axis
ROOM = 3.0  # inches that the first layout has for what is above and below a panel; `grow` takes what is left


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
    shares: str = STAY  # what the rates are shares of
    legend: str = ""  # the title of its legend
    narrow: str = ""  # the label of the axis where there is little room


def panel(title: str, rates: Drawn, curves: list[Curve], shares: str = STAY, legend: str = "") -> Panel:
    """The axes that suit these rates, with these curves."""
    how: dict[str, Any] = {"curves": curves, "shares": shares, "legend": legend}
    if rates.axis == "theta":
        family = transformation_named(vars(rates)["transformation"])
        short = f"B ({family.unit})" if family.unit else family.axis
        return Panel(title, "theta", family.axis, family.unit == "degrees", narrow=short, **how)
    name = NORM_NAMES[getattr(rates, "norm", "linf")]  # weak attacks are in L-inf alone
    label = rf"$\epsilon$, {name} norm of the perturbation (pixels in [0, 1])"
    return Panel(title, "epsilon", label, False, narrow=rf"$\epsilon$ ({name}, pixels in [0, 1])", **how)


def figure_of(title: str, panels: Sequence[Panel], style: Style = SCREEN, columns: int = 3) -> Figure:
    """The panels with one scale of shares, that many in a row. A picture as narrow as a column has at most two in a
    row. Panels whose legends have one title share one, below them."""
    columns = min(len(panels), columns if style.width is None else 2)
    rows = -(-len(panels) // columns)
    inner, height = (4.0, 3.1) if columns < 3 else (3.1, 2.8)
    width = (inner + FRAME) * columns
    if style.width is not None:
        width, inner, height = style.width, style.width / columns - FRAME / 2, 1.15
    figure = Picture(figsize=(width, (height + ROOM) * rows), layout="constrained")
    places = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for unused in places[len(panels) :]:
        unused.remove()
    alike = len({part.legend for part in panels}) == 1
    for place, (axes, part) in enumerate(zip(places, panels, strict=False)):
        draw_panel(axes, part, inner, own_legend=not alike)
        if place % columns:
            axes.set_ylabel("")
    if alike:
        _legend_below(figure, width, panels[0].legend)
    figure.suptitle(fitted(title, 0.95 * width, parse_math=False), fontsize="medium", parse_math=False)  # or $a$.npz
    grow(figure, height)
    return figure


def draw_panel(axes: Axes, part: Panel, inches: float, own_legend: bool = True) -> None:
    """A panel with all that it needs, in axes of ours or of a user.

    inches: about how wide the axes are."""
    many = len(part.curves) > len(COLOURS)
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.82, len(part.curves))) if many else COLOURS
    for i, curve in enumerate(part.curves):
        _draw(axes, curve, shades[i], i, alone=len(part.curves) <= 2)
    title = fitted(part.title, inches, matplotlib.rcParams["axes.titlesize"], parse_math=False)
    label = fitted(part.narrow if inches < NARROW else part.label, inches)
    axes.set(xlabel=label, ylabel=part.shares, ylim=(-0.03, 1.03))
    axes.set_title(title, parse_math=False)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(alpha=0.25)
    _mark(axes, part, inches)
    if own_legend:
        heading = fitted(part.legend, 0.8 * inches, small())
        axes.legend(handles=_handles(axes), title=heading or None, fontsize=small(), title_fontsize=small())


def _draw(axes: Axes, curve: Curve, shade: Any, index: int, alone: bool) -> None:
    """alone: whether there is room for what lies between the band and the floor."""
    axes.fill_between(curve.x, curve.low, curve.high, color=shade, alpha=0.22, linewidth=0)
    if curve.floor is not None:
        if alone:
            axes.fill_between(curve.x, curve.floor, curve.low, color=shade, alpha=0.08, linewidth=0)
        points = np.column_stack([curve.x, curve.floor])
        axes.add_collection(LineCollection([points], colors=[shade], linestyles=":", linewidths=1))
    faint = (*matplotlib.colors.to_rgb(shade), 0.35)
    axes.plot(
        curve.x,
        curve.rate,
        color=shade,
        linestyle=DASHES[index % len(DASHES)],
        marker=MARKERS[index % len(MARKERS)],
        markersize=0.83 * matplotlib.rcParams["lines.markersize"],
        markerfacecolor={"masked": "white", "weak": faint}.get(curve.doubt, shade),
        label=curve.label + DOUBTS.get(curve.doubt, ""),
    )


def _mark(axes: Axes, part: Panel, inches: float) -> None:
    """Ticks as people write them: angles by 30 degrees, epsilons that are levels of 8 bits as k/255."""
    values = np.unique(np.concatenate([curve.x for curve in part.curves]))
    widest, narrow = values[-1], inches < NARROW
    if part.degrees:
        apart = (60 if narrow else 30) if widest > 60 else 10
        axes.set_xticks(np.arange(0, widest + 1, apart))
    elif part.axis == "theta" and {*values} <= {0.0, 1.0}:
        axes.set_xticks(values)
    elif part.axis == "epsilon" and any("/255" in format_epsilon(value) for value in values):
        levels, most = round(LEVELS * widest, 6), 3 if narrow else FEW_TICKS
        step = next(float(step) for step in (0.5, 1, 2, 4, 8, 16, 32, 64, 128) if levels / step <= most)
        ticks = np.arange(0, levels + step / 2, step)
        axes.set_xticks(ticks / LEVELS, ["0", *(f"{tick:g}/255" for tick in ticks[1:])])
    elif narrow:
        axes.locator_params(axis="x", nbins=4)


def _handles(axes: Axes) -> list[Any]:
    """Those of the curves of a panel; the last is for the floors, where it has some."""
    handles = list(axes.get_legend_handles_labels()[0])
    if any(isinstance(part, LineCollection) for part in axes.collections):
        handles.append(Line2D([], [], color="0.4", linestyle=":", linewidth=1, label=FLOOR))
    return handles


def _legend_below(figure: Figure, width: float, title: str) -> None:
    """One legend for all panels, below them."""
    known: dict[str, Any] = {}
    for axes in figure.axes:
        for handle in _handles(axes):
            label = str(handle.get_label())
            plain = next((label.removesuffix(doubt) for doubt in DOUBTS.values() if label.endswith(doubt)), label)
            if plain not in known or label != plain:  # a doubt is said once, of the panel that has it
                known[plain] = handle
    floor = known.pop(FLOOR, None)
    handles = [*known.values(), *([floor] if floor else [])]
    rc = matplotlib.rcParams
    gaps = rc["legend.handlelength"] + rc["legend.handletextpad"] + rc["legend.columnspacing"]
    beside = gaps * small() / POINTS  # what a label has beside it, in inches
    labels = [fitted(str(handle.get_label()), 0.9 * width - beside, small()) for handle in handles]
    widest = beside + max(width_of(line, small()) for label in labels for line in label.split("\n"))
    rows = -(-len(handles) // max(1, int(0.95 * width / widest)))
    columns = -(-len(handles) // rows)  # that all rows are about as full
    heading = fitted(title, 0.9 * width, small())
    how: dict[str, Any] = {"fontsize": small(), "title_fontsize": small(), "loc": "outside lower center"}
    figure.legend(handles, labels, title=heading or None, ncols=columns, **how)


def rates_figure(rates: Drawn, ax: Axes | None = None) -> Figure:
    """One profile in a figure of its own, or in the axes `ax` of a user, whose figure is returned."""
    return _in_place([panel_of(rates)], _measured(rates), ax, "for the profile")


def card_figure(robustness: Drawn, invariance: Drawn, ax: Iterable[Axes] | None = None) -> Figure:
    """Robustness on the left and invariance on the right, in a figure of their own or in a user's pair of axes."""
    title = f"Robustness and invariance: {_measured(robustness)}"
    return _in_place([panel_of(robustness), panel_of(invariance)], title, ax, "for the robustness and the invariance")


def _in_place(panels: Sequence[Panel], title: str, ax: Axes | Iterable[Axes] | None, said: str) -> Figure:
    if ax is None:
        return figure_of(title, panels)
    places = given_axes(ax, len(panels), said)
    for axes, part in zip(places, panels, strict=True):
        draw_panel(axes, part, axes.get_window_extent().width / figure_around(axes).dpi)
    return figure_around(places[0])


def turns_figure(turns: Turned, ax: Axes | None = None) -> Figure:
    """The shares of predictions that stay under quarter turns, with their intervals."""
    if ax is None:
        axes = Picture(figsize=(4.6, 4.0), layout="constrained").subplots()
    else:
        (axes,) = given_axes(ax, 1, "for the turns")
    reach = [turns.rate - turns.low, turns.high - turns.rate]
    axes.errorbar(turns.degrees, turns.rate, reach, fmt="o", capsize=4, color=COLOURS[0])
    title = f"Exact quarter turns: {turns.images} images,\nbars of {100 * turns.confidence:g} %"
    axes.set(title=title, xlabel="turned by (degrees)", ylabel=STAY, ylim=(-0.03, 1.03))
    axes.set_xticks(turns.degrees)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(alpha=0.25)
    return figure_around(axes)


def _measured(rates: Drawn) -> str:
    return f"{rates.images} images, bands of {100 * rates.confidence:g} %"


def profile_figures(profiles: Mapping[str, Drawn], title: str, style: Style = SCREEN) -> dict[str, Figure]:
    """The figures of a model: "card", of its robustness and its invariance, and all other profiles by their names.

    title: what was measured on what."""
    robustness, invariance = profiles["robustness"], profiles["invariance"]
    title = f"{title}: {_measured(robustness)}"
    figures = {"card": figure_of(title, [panel_of(robustness), panel_of(invariance)], style)}
    for name, rates in profiles.items():
        if name not in ("robustness", "invariance"):
            figures["-".join(name.split())] = figure_of(title, [panel_of(rates)], style)
    return figures


def panel_of(rates: Drawn) -> Panel:
    """How often the prediction stays, and with labels how often it is right."""
    doubt, floor = rates.verdict, None if rates.verdict == "masked" else getattr(rates, "floor", None)
    curves = [Curve("prediction stays", rates.values, rates.rate, rates.low, rates.high, doubt, floor)]
    if rates.accuracy is not None and rates.accuracy_low is not None and rates.accuracy_high is not None:
        accuracy = (rates.accuracy, rates.accuracy_low, rates.accuracy_high)
        curves.append(Curve("prediction is right", rates.values, *accuracy, doubt))
    if rates.axis == "epsilon":
        title = "Robustness: 1 - fooling rate" + (", an upper bound" if hasattr(rates, "queries") else "")
    else:
        adversary = getattr(rates, "adversary", "")
        title = "Rate of invariance" + (f", {adversary}" if adversary else "")
    return panel(title, rates, curves, "share of images")
