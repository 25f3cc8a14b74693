"""Figures of the (a, b) plane: accuracy on clean samples against accuracy under the attack. Nothing is shown on screen.

The colours are distinct under every common colour blindness; markers and line styles tell the same story in grey."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invrob.intervals import Estimate
from invrob.pictures import COLOURS, Picture, draw_rows, figure_around, fitted, given_axes
from invrob.theory.curves import frontier_curve, reachable_outline
from invrob.theory.verdicts import worst

__all__ = ["COLOURS", "MARKERS", "check_figure", "frontier_figure", "rates_figure", "rule_figure", "sweep_figure"]

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")
WIDE = 9.0  # inches of the figure of a sweep: its smallest text is as large as that of the page that it stands in
RATES = (  # how each is called beside its line
    ("a: right on clean samples", "accuracy"),
    ("b: right under the attack A", "attacked"),
    ("R: right under the transformation r", "transformed"),
    ("invariance: r changes no prediction", "invariance"),
    ("fooling: A changes the prediction", "fooling"),
)
SMALL = 8  # points, of legends


class Rule(Protocol):
    """A threshold rule. What is drawn is said here by what it has: results draw themselves by this module, so that it
    cannot know their classes."""

    @property
    def p(self) -> float: ...
    @property
    def c(self) -> float: ...
    @property
    def tau(self) -> float: ...
    @property
    def mirror(self) -> bool: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def attacked(self) -> float: ...


class Rates(Protocol):
    """All that is known of a classifier exactly."""

    @property
    def accuracy(self) -> float: ...
    @property
    def attacked(self) -> float: ...
    @property
    def transformed(self) -> float: ...
    @property
    def invariance(self) -> float: ...
    @property
    def fooling(self) -> float: ...


class Found(Protocol):
    """What a check found of a classifier."""

    @property
    def name(self) -> str: ...
    @property
    def a(self) -> Estimate: ...
    @property
    def b(self) -> Estimate: ...
    @property
    def distance(self) -> Estimate: ...


class Report(Protocol):
    """What a check found of all its classifiers."""

    @property
    def p(self) -> float: ...
    @property
    def d(self) -> int: ...
    @property
    def c(self) -> float: ...
    @property
    def n(self) -> int: ...
    @property
    def verdict(self) -> str: ...
    @property
    def classifiers(self) -> Sequence[Found]: ...


def frontier_figure(p: float, c: float = 3.0, ax: Axes | None = None) -> Figure:
    """All that can be reached at p, its frontier, and the frontier's supporting lines."""
    axes = _place(ax, 5.6, 5.4)
    _draw_plane(axes, p, c)
    axes.set_title(f"What a classifier can reach: p = {p:g}, c = {c:g}, every d", fontsize=10)
    axes.legend(fontsize=SMALL, loc="lower left")
    return figure_around(axes)


def rule_figure(rule: Rule, ax: Axes | None = None) -> Figure:
    """Where a threshold rule lies among all that can be reached."""
    axes = _place(ax, 5.6, 5.4)
    _draw_plane(axes, rule.p, rule.c)
    sign = "-" if rule.mirror else "+"
    name = "sign($x_0$)" if math.isinf(rule.tau) else rf"sign($\tau x_0 {sign} s$), $\tau$ = {rule.tau:.3g}"
    marker: dict[str, Any] = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 2, "zorder": 6}
    axes.plot(rule.accuracy, rule.attacked, "o", color=COLOURS[1], label=name, **marker)
    axes.set_title(f"A rule on the plane: p = {rule.p:g}, c = {rule.c:g}, every d", fontsize=10)
    axes.legend(fontsize=SMALL, loc="lower left")
    return figure_around(axes)


def rates_figure(rates: Rates, ax: Axes | None = None) -> Figure:
    """The exact rates of a classifier, a line for each."""
    names = [text for text, _ in RATES]
    values = [float(getattr(rates, field)) for _, field in RATES]
    axes = draw_rows(names, {"rate": values}, ax, [f"{value:.4f}" for value in values])
    axes.set(title="Exact rates of one classifier", xlabel="probability")
    return figure_around(axes)


def check_figure(report: Report, ax: Axes | None = None) -> Figure:
    """The classifiers of a check in the plane, with their joint intervals, against the exact frontier."""
    axes = _place(ax, 8.0, 5.2)
    _draw_plane(axes, report.p, report.c)
    for index, result in enumerate(report.classifiers):
        size = 13 - 7 * index / len(report.classifiers)  # smaller and smaller: rings around each other where they meet
        _draw_point(axes, result, COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], size, result.name)
    axes.set_title(fitted(f"p = {report.p:g}, {_setting(report, report.verdict)}", 5.2, 10), fontsize=10)
    axes.legend(fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
    return figure_around(axes)


def _place(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes of a new figure, or those of a user."""
    if ax is not None:
        return given_axes(ax, 1, "for the plane of a and b")[0]
    return Picture(figsize=(width, height), layout="constrained").subplots()


def sweep_figure(reports: Sequence[Report], ax: Axes | None = None) -> Figure:
    """One panel per p with each learner's points for every q; in the last one, how far from the frontier they are.

    ax: axes of a user, which get the last panel alone: it has all p in it."""
    by_learner = [_by_learner(report) for report in reports]
    ps = [report.p for report in reports]
    if ax is not None:
        (axes,) = given_axes(ax, 1, "for the distances to the frontier")
        _draw_distances(axes, ps, by_learner)
        axes.legend(fontsize=SMALL)
        return figure_around(axes)
    columns = min(len(reports) + 1, 4)
    rows = math.ceil((len(reports) + 1) / columns)
    width = WIDE if columns > 2 else 3 * columns + 0.5
    figure = Picture(figsize=(width, width / columns * rows + 1.9), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    places = [divmod(index, columns) for index in range(len(reports))]
    panels = [figure.add_subplot(grid[row, column]) for row, column in places]
    for (row, column), axes, report, groups in zip(places, panels, reports, by_learner, strict=True):
        _draw_plane(axes, report.p, report.c)
        for index, group in enumerate(groups.values()):
            for result in group:
                _draw_point(axes, result, COLOURS[index], MARKERS[index], 9 - 2 * index)
        axes.set(xlim=(0.4, 1.03), xticks=(0.4, 0.6, 0.8, 1.0))  # the half that training with r moves in
        axes.set_title(f"p = {report.p:g}", fontsize=10)
        axes.set_box_aspect(None)
        if column:
            axes.set_ylabel("")
            axes.tick_params(labelleft=False)
        if (row + 1, column) in places:
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("a: on clean samples")
        if not column:
            axes.set_ylabel("b: under the attack A")
    # The last panel has what is left of its row: all p are in it.
    distances = figure.add_subplot(grid[rows - 1, len(reports) % columns :])
    _draw_distances(distances, ps, by_learner)
    handles, names = zip(*_legend(panels[0]), *_legend(distances), strict=True)
    figure.legend(handles, names, fontsize=9, ncols=3 if columns > 2 else 2, loc="outside lower center")
    setting = _setting(reports[0], worst(report.verdict for report in reports))
    title = f"Learned classifiers, r applied to a share q of the training rows: a mark for each q\n{setting}"
    figure.suptitle(fitted(title, 0.95 * width, 11), fontsize=11)
    return figure


def _draw_distances(axes: Axes, ps: list[float], by_learner: list[dict[str, list[Found]]]) -> None:
    """For each learner and p, the distance to the frontier of the q at which it is largest, with its interval."""
    width = 0.12 * ((ps[-1] - ps[0]) / len(ps) or 1)  # side by side, so that no bar hides another
    for index, learner in enumerate(by_learner[0]):
        largest = [max(groups[learner], key=lambda result: result.distance.estimate).distance for groups in by_learner]
        middle = [distance.estimate for distance in largest]
        errors = [*zip(*(_errors(distance) for distance in largest), strict=True)]
        style: dict[str, Any] = {"color": COLOURS[index], "markerfacecolor": "none", "markersize": 5, "capsize": 2}
        places = [p + (index - 1) * width for p in ps]
        axes.errorbar(places, middle, errors, fmt=MARKERS[index], label=learner, **style)
    axes.axhline(0, color="black", linewidth=1.8)
    axes.set_title("largest distance over q", fontsize=10)
    axes.set(xlabel="p", ylabel="distance to the frontier")
    axes.set(xticks=ps[:: math.ceil(len(ps) / 5)], xlim=(ps[0] - 3 * width, ps[-1] + 3 * width))
    axes.yaxis.set_label_position("right")
    axes.yaxis.tick_right()


def _errors(rate: Estimate) -> tuple[float, float]:
    """How far its interval reaches below and above an estimate."""
    return rate.estimate - rate.low, rate.high - rate.estimate


def _setting(report: Report, verdict: str) -> str:
    return f"c = {report.c:g}, d = {report.d}, n = {report.n:,}; verdict: {verdict}"


def _by_learner(report: Report) -> dict[str, list[Found]]:
    groups: dict[str, list[Found]] = {}
    for result in report.classifiers:
        groups.setdefault(result.name.split(":")[0], []).append(result)
    return groups


def _legend(axes: Axes) -> list[tuple[Any, Any]]:
    return list(zip(*axes.get_legend_handles_labels(), strict=True))


def _draw_plane(axes: Axes, p: float, c: float) -> None:
    """All that can be reached (shaded), its frontier and corner, and the lines of the weighted bounds and of R <= p."""
    axes.plot(*frontier_curve(p, c).T, color="black", linewidth=1.8, label="exact frontier", zorder=3)
    outline = reachable_outline(p, c)
    axes.fill(*outline.T, facecolor="0.93", edgecolor="0.6", linewidth=0.8, label="can be reached", zorder=1)
    ends = np.array([-0.05, 1.05])
    for weight, style, name in (
        (1 - p, "--", "(1-p) a + p b = p (the paper)"),
        (p, "-.", "p a + (1-p) b = p (its mirror)"),
        (0.5, ":", "R = (a + b)/2 = p"),
    ):
        axes.plot(ends, (p - weight * ends) / (1 - weight), style, color="0.45", linewidth=1.0, label=name, zorder=2)
    corner = "corner (p, p): sign($x_0$)"
    axes.plot(p, p, marker="*", markersize=9, color="black", linestyle="", label=corner, zorder=4)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_box_aspect(1)
    axes.set_xlabel("a: accuracy on clean samples")
    axes.set_ylabel("b: accuracy under the attack A")


def _draw_point(axes: Axes, result: Found, colour: str, marker: str, size: float, label: str | None = None) -> None:
    a, b = result.a, result.b
    up, aside = ([[length] for length in _errors(rate)] for rate in (b, a))
    axes.errorbar(a.estimate, b.estimate, up, aside, fmt="none", ecolor=colour, elinewidth=1, zorder=5)
    style: dict[str, Any] = {"markerfacecolor": "none", "markersize": size, "markeredgewidth": 1.4, "zorder": 6}
    axes.plot(a.estimate, b.estimate, marker, color=colour, label=label, **style)
