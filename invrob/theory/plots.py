"""Figures of the (a, b) plane: accuracy on clean samples against accuracy under the attack. Nothing is shown on screen.

The colours are those of Okabe and Ito, distinct under every common colour blindness; markers and line styles tell
the same story in grey."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invrob.intervals import Estimate
from invrob.theory.check import CheckReport, ClassifierResult, worst
from invrob.theory.frontier import frontier_curve
from invrob.theory.reachable import reachable_outline

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")


def frontier_figure(p: float, c: float = 3.0) -> Figure:
    """All that can be reached at p, its frontier, and the frontier's supporting lines."""
    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    axes = figure.subplots()
    _draw_plane(axes, p, c)
    axes.set_title(f"What a classifier can reach: p = {p:g}, c = {c:g}, every d", fontsize=10)
    axes.legend(fontsize=8, loc="lower left")
    return figure


def check_figure(report: CheckReport) -> Figure:
    """The classifiers of a check in the plane, with their joint intervals, against the exact frontier."""
    figure = Figure(figsize=(8.0, 5.2), layout="constrained")
    axes = figure.subplots()
    _draw_plane(axes, report.p, report.c)
    for index, result in enumerate(report.classifiers):
        size = 13 - 7 * index / len(report.classifiers)  # smaller and smaller: rings around each other where they meet
        _draw_point(axes, result, COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], size, result.name)
    axes.set_title(f"p = {report.p:g}, {_setting(report, report.verdict)}", fontsize=10)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
    return figure


def sweep_figure(reports: Sequence[CheckReport]) -> Figure:
    """One panel per p with each learner's points for every q; in the last one, how far from the frontier they are."""
    rows = math.ceil((len(reports) + 1) / 5)
    columns = math.ceil((len(reports) + 1) / rows)
    figure = Figure(figsize=(3 * columns + 0.5, 2.9 * rows + 1.6), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[len(reports) + 1 :]:
        axes.remove()
    by_learner = [_by_learner(report) for report in reports]
    for place, (axes, report, groups) in enumerate(zip(panels, reports, by_learner, strict=False)):
        _draw_plane(axes, report.p, report.c)
        for index, group in enumerate(groups.values()):
            for result in group:
                _draw_point(axes, result, COLOURS[index], MARKERS[index], 10 - 2 * index)
        axes.set(xlim=(0.4, 1.03), title=f"p = {report.p:g}")  # the half that training with r moves in
        axes.set_box_aspect(None)
        if place % columns:
            axes.set_ylabel("")
            axes.tick_params(labelleft=False)
        if place + columns < len(reports):
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
    _draw_distances(panels[len(reports)], [report.p for report in reports], by_learner)
    handles, names = zip(*_legend(panels[0]), *_legend(panels[len(reports)]), strict=True)
    figure.legend(handles, names, fontsize=8, ncols=4 if columns == 4 else 2, loc="outside lower center")
    setting = _setting(reports[0], worst(report.verdict for report in reports))
    figure.suptitle(f"Learned classifiers, r applied to a share q of the training rows\n{setting}")
    return figure


def _draw_distances(axes: Axes, ps: list[float], by_learner: list[dict[str, list[ClassifierResult]]]) -> None:
    """For each learner and p, the distance to the frontier of the q at which it is largest, with its interval."""
    width = 0.1 * ((ps[-1] - ps[0]) / len(ps) or 1)  # side by side, so that no bar hides another
    for index, learner in enumerate(by_learner[0]):
        largest = [max(groups[learner], key=lambda result: result.distance.estimate).distance for groups in by_learner]
        middle = [distance.estimate for distance in largest]
        errors = [*zip(*(_errors(distance) for distance in largest), strict=True)]
        style: dict[str, Any] = {"color": COLOURS[index], "markerfacecolor": "none", "capsize": 2}
        places = [p + (index - 1) * width for p in ps]
        axes.errorbar(places, middle, errors, fmt=MARKERS[index], label=learner, **style)
    axes.axhline(0, color="black", linewidth=1.8)
    axes.set(title="largest distance over q", xlabel="p", ylabel="distance to the frontier")
    axes.set(xticks=ps[:: math.ceil(len(ps) / 5)], xlim=(ps[0] - 3 * width, ps[-1] + 3 * width))
    axes.yaxis.set_label_position("right")
    axes.yaxis.tick_right()


def _errors(rate: Estimate) -> tuple[float, float]:
    """How far its interval reaches below and above an estimate."""
    return rate.estimate - rate.low, rate.high - rate.estimate


def _setting(report: CheckReport, verdict: str) -> str:
    return f"c = {report.c:g}, d = {report.d}, n = {report.n:,}; verdict: {verdict}"


def _by_learner(report: CheckReport) -> dict[str, list[ClassifierResult]]:
    groups: dict[str, list[ClassifierResult]] = {}
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
    axes.plot(p, p, marker="*", markersize=9, color="black", linestyle="", label="corner (p, p): sign(x_0)", zorder=4)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_box_aspect(1)
    axes.set_xlabel("a: accuracy on clean samples")
    axes.set_ylabel("b: accuracy under the attack A")


def _draw_point(
    axes: Axes, result: ClassifierResult, colour: str, marker: str, size: float, label: str | None = None
) -> None:
    a, b = result.a, result.b
    up, aside = ([[length] for length in _errors(rate)] for rate in (b, a))
    axes.errorbar(a.estimate, b.estimate, up, aside, fmt="none", ecolor=colour, elinewidth=1, zorder=5)
    style: dict[str, Any] = {"markerfacecolor": "none", "markersize": size, "markeredgewidth": 1.4, "zorder": 6}
    axes.plot(a.estimate, b.estimate, marker, color=colour, label=label, **style)
