"""The trade-off plane as a figure: a marker per network, a shade per training of it, bars for the intervals."""

from collections.abc import Sequence
from textwrap import wrap

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invrob.empirical.analysis import (
    DOMINATED,
    FRONT,
    Point,
    front_line,
    front_notes,
    note_on_images,
    pareto_front,
    scope_of,
)
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.profiles.plots import MARKERS, NORM_NAMES
from invrob.empirical.transforms import transformation_named


def plane_figure(
    points: Sequence[Point],
    theta: float,
    epsilon: float,
    title: str,
    norm: str = "linf",
    transformation: str = "rotation",
) -> Figure:
    """The trade-off plane: a marker per network, a shade per training of it, as in `network_figure`.

    Bars are the intervals, and a lighter line goes down to the floor of the robustness, below which no attack as strong
    as the audit brings it.

    Args:
        points: of `plane`, with their intervals; the line through the best estimates and the status of each follow.
        theta, epsilon: where the plane is cut.
        title: above it; a second line says at which level the intervals are, and what they are about, and further ones
            where the points are not of the same images.
        norm, transformation: what the rates were measured with, as `settings_of` says.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(9.5, 5.4), layout="constrained")
    axes = figure.subplots()
    line = front_line(points)
    axes.plot(
        [p.invariance.estimate for p in line],
        [p.robustness.estimate for p in line],
        color="0.45",
        linestyle=(0, (4, 2)),
        linewidth=1.2,
        zorder=1,
        label="front of the estimates",
    )
    statuses = list(zip(points, pareto_front(points), front_notes(points), strict=True))
    for number, network in enumerate(dict.fromkeys(point.network for point in points)):
        group = [row for row in statuses if row[0].network == network]
        shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.82, max(len(group), 2)))
        for (point, status, note), shade in zip(group, shades, strict=False):
            label = "\n".join(wrap(_label(point, status, note), 80))  # a network of one's own may have a long name
            _draw_point(axes, point, status, label, shade, MARKERS[number % len(MARKERS)])
    axes.set(
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        xlabel=f"rate of invariance, {_reach(transformation, theta)}",
        ylabel=rf"robustness at $\epsilon$ = {format_epsilon(epsilon)} ({NORM_NAMES.get(norm, norm)})",
    )
    bars = [f"bars of {100 * points[0].confidence:g} %: {scope_of(points)}"] if points else []
    axes.set_title("\n".join([title, *bars, *wrap(note_on_images(points), 100)]), parse_math=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(alpha=0.25)
    for text in figure.legend(loc="outside right upper", fontsize="small").get_texts():
        text.set_parse_math(False)
    return figure


def _reach(transformation: str, theta: float) -> str:
    if transformation == "rotation":
        return f"rotated by angles in [-{theta:g}, {theta:g}] degrees"
    return f"{transformation} up to {theta:g} {transformation_named(transformation).unit}".strip()


def _label(point: Point, status: str, note: str) -> str:
    accuracy = f"  ({point.accuracy.estimate:.1%})" if point.accuracy else ""
    if not point.believed:
        return f"{point.name}{accuracy}: {point.verdict.upper()}"
    remarks = [*([point.verdict] if point.verdict != "sound" else []), *([note] if note else [])]
    return f"{point.name}{accuracy}: {status}" + (f" ({'; '.join(remarks)})" if remarks else "")


def _draw_point(axes: Axes, point: Point, status: str, label: str, shade: np.ndarray, marker: str) -> None:
    x, y = point.invariance, point.robustness
    if point.floor is not None and point.floor < y.low:
        axes.vlines(x.estimate, point.floor, y.low, color=shade, alpha=0.35, linewidth=3.0, zorder=0.9)
    axes.errorbar(
        [x.estimate],
        [y.estimate],
        xerr=[[x.estimate - x.low], [x.high - x.estimate]],
        yerr=[[y.estimate - y.low], [y.high - y.estimate]],
        color=shade,
        marker=marker,
        markersize=9 if status == FRONT else 7,
        markeredgecolor="black" if status == FRONT else shade,
        markeredgewidth=1.6 if status == FRONT else 1.0,
        markerfacecolor=shade if point.believed else "white",
        alpha=0.45 if status == DOMINATED else 1.0,
        elinewidth=1.2,
        linestyle="none",
        label=label,
    )
