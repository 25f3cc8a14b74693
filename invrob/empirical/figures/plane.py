"""The trade-off plane as a figure: a colour, a marker and a number per model, bars for the intervals, and the legend
beside the axes, which are of one size however many models there are."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from invrob.empirical.analysis import (
    DOMINATED,
    EXCLUDED,
    FRONT,
    UNDECIDED,
    Point,
    front_line,
    note_on_images,
    pareto_front,
    scope_of,
)
from invrob.empirical.figures.around import Frame, Rows, lay_out
from invrob.empirical.figures.numbers import numbers_beside
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.profiles.plots import NORM_NAMES
from invrob.empirical.transforms import transformation_named
from invrob.intervals import percent
from invrob.pictures import COLOURS, POINTS, SCREEN, Picture, Style, fitted

SHAPES = "os^DvPX*p<>hd"  # of markers: as many as have nothing in common with the number of colours
LARGER = {"P": 1.15, "X": 1.15, "*": 1.45, "d": 1.15}  # shapes that look smaller than others
FAINT = 0.35  # of what is dominated, and of the bars down to the floor
GAP = 2 * "\N{NO-BREAK SPACE}"  # between a number and a name: no line is broken there
RANGE = (-0.03, 1.03)
RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 12.0,
    "markerfacecolor": "none",
    "markeredgecolor": "black",
    "linestyle": "none",
}
LINE: dict[str, Any] = {"color": "0.4", "linestyle": (0, (4, 2)), "linewidth": 1.2}


def plane_figure(
    points: Sequence[Point],
    theta: float,
    epsilon: float,
    title: str,
    norm: str = "linf",
    transformation: str = "rotation",
    style: Style = SCREEN,
) -> Picture:
    """The trade-off plane: every model has a colour, a marker and its number, under which the legend names it.

    A dashed line goes through the points on the estimated front; those that are on the front for certain have a black
    ring. Bars are the intervals, and a paler one goes down to the floor of the robustness, below which no attack as
    strong as the audit brings it.

    Args:
        points: of `plane`, with their intervals; the line through the best estimates and the status of each follow.
        theta, epsilon: where the plane is cut.
        title: above it. What the points are not of the same images of, is said below.
        norm, transformation: what the rates were measured with, as `settings_of` says.
        style: what it is drawn for. Where that has a width, as a column of a paper, the legend stands below the axes;
            else it stands on the right, and the axes are of one size whatever it holds.

    Returns:
        The figure.
    """
    frame = Frame(5.6, 4.9)
    if style.width is not None:
        width = style.width - 0.6
        frame = Frame(width, 0.9 * width, left=0.55, below=0.45, gap=0.05, column=0.0)
    with style.applied():
        figure = Picture(figsize=(frame.whole, frame.height))
        axes = figure.add_axes((0, 0, 1, 1))
        statuses = pareto_front(points)
        line = front_line(points)
        axes.plot([p.invariance.estimate for p in line], [p.robustness.estimate for p in line], **LINE, zorder=1)
        for number, (point, status) in enumerate(zip(points, statuses, strict=True)):
            _draw_point(axes, point, _look(number, point, status))
            if status == FRONT:
                axes.plot([point.invariance.estimate], [point.robustness.estimate], **RING, zorder=3)
        _number(axes, points, frame)
        axes.set(
            xlim=RANGE,
            ylim=RANGE,
            xlabel=rf"rate of invariance at $\theta$ = {theta:g}: {_reach(transformation, theta)}",
            ylabel=rf"robustness at $\epsilon$ = {format_epsilon(epsilon)} ({NORM_NAMES.get(norm, norm)})",
        )
        if "\n" in fitted(axes.get_xlabel(), frame.width, "medium"):
            axes.set_xlabel(axes.get_xlabel().replace(": ", ":\n", 1))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(alpha=0.25)
        models = [
            (
                _handle(_look(number, point, status), status),
                f"{number + 1}{GAP}{_label(point)}",
            )
            for number, (point, status) in enumerate(zip(points, statuses, strict=True))
        ]
        heading = "model (accuracy)" if any(point.accuracy for point in points) else "model"
        lay_out(axes, frame, (title, _sentence(note_on_images(points))), heading, models, _key(points, statuses))
    return figure


def _reach(transformation: str, theta: float) -> str:
    if transformation == "rotation":
        return f"rotated by angles in [-{theta:g}, {theta:g}] degrees"
    return f"{transformation} up to {theta:g} {transformation_named(transformation).unit}".strip()


def _look(number: int, point: Point, status: str) -> dict[str, Any]:
    """How a point is drawn, for matplotlib: its colour and shape by its number, the rest by its status."""
    colour, shape = COLOURS[number % len(COLOURS)], SHAPES[number % len(SHAPES)]
    return {
        "color": colour,
        "marker": shape,
        "markersize": (5.5 if status == DOMINATED else 7.5) * LARGER.get(shape, 1.0),
        "markeredgecolor": "white" if point.believed else colour,  # white, so that shapes on each other are told apart
        "markeredgewidth": 0.6 if point.believed else 1.2,
        "markerfacecolor": colour if point.believed else "white",
        "alpha": FAINT if status == DOMINATED else 1.0,
        "linestyle": "none",
    }


def _draw_point(axes: Axes, point: Point, look: dict[str, Any]) -> None:
    x, y = point.invariance, point.robustness
    if point.floor is not None and point.floor < y.low:
        axes.vlines(x.estimate, point.floor, y.low, color=look["color"], alpha=FAINT, linewidth=3.0, zorder=0.9)
    axes.errorbar(
        [x.estimate],
        [y.estimate],
        xerr=[[x.estimate - x.low], [x.high - x.estimate]],
        yerr=[[y.estimate - y.low], [y.high - y.estimate]],
        elinewidth=1.0,
        **look,
    )


def _number(axes: Axes, points: Sequence[Point], frame: Frame) -> None:
    """The number of each point beside it."""

    def spot(x: float, y: float) -> tuple[float, float]:
        low, high = RANGE
        scale = POINTS / (high - low)
        return (x - low) * scale * frame.width, (y - low) * scale * frame.height

    spots = [spot(p.invariance.estimate, p.robustness.estimate) for p in points]
    bars = []
    for point in points:
        x, y = point.invariance, point.robustness
        lowest = y.low if point.floor is None else min(point.floor, y.low)
        bars.append((*spot(x.low, y.estimate), *spot(x.high, y.estimate)))
        bars.append((*spot(x.estimate, lowest), *spot(x.estimate, y.high)))
    bars = [(left - 1, low - 1, right + 1, high + 1) for left, low, right, high in bars]
    places = numbers_beside(spots, bars, spot(RANGE[1], RANGE[1]))
    for number, (point, here, (there, led)) in enumerate(zip(points, spots, places, strict=True), start=1):
        away = (there[0] - here[0], there[1] - here[1])
        axes.annotate(
            str(number),
            (point.invariance.estimate, point.robustness.estimate),
            away,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7.5,
            color="0.1",
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "color": "0.4", "shrinkB": 4.0} if led else None,
            zorder=4,
        )


def _handle(look: dict[str, Any], status: str) -> Any:
    """A point for the legend."""
    drawn = Line2D([], [], **look)
    return (drawn, Line2D([], [], **{**RING, "markersize": 11.0})) if status == FRONT else drawn


def _label(point: Point) -> str:
    accuracy = f" ({percent(point.accuracy.estimate)}\N{NO-BREAK SPACE}%)" if point.accuracy else ""
    doubt = "" if point.verdict == "sound" else f": {point.verdict if point.believed else point.verdict.upper()}"
    return f"{point.name}{accuracy}{doubt}"


def _key(points: Sequence[Point], statuses: Sequence[str]) -> Rows:
    """What the picture has, and what it means."""
    grey = {"color": "0.4", "marker": "o", "linestyle": "none", "markersize": 7.0}
    words: dict[str, tuple[dict[str, Any], str]] = {
        FRONT: ({}, "certainly on the front, wherever in the intervals the rates are"),
        UNDECIDED: ({}, "undecided: it depends on where in the intervals the rates are"),
        DOMINATED: ({"alpha": FAINT, "markersize": 5.5}, "certainly dominated by another model"),
        EXCLUDED: ({"markerfacecolor": "white"}, "not to be believed: takes no part"),
    }
    rows: Rows = []
    if any(point.believed for point in points):
        rows.append((Line2D([], [], **LINE), "estimated front: no other is better by the estimates"))
    rows += [(_handle({**grey, **look}, name), text) for name, (look, text) in words.items() if name in statuses]
    if points:
        bars = Line2D([], [], color="0.4", marker="+", markersize=11, linestyle="none")
        rows.append((bars, f"interval of {100 * points[0].confidence:g} %: {scope_of(points)}"))
    if any(point.floor is not None and point.floor < point.robustness.low for point in points):
        rows.append((Line2D([], [], color="0.4", alpha=FAINT, linewidth=3.0), "what the attack may have missed"))
    return rows


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
