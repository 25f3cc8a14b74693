"""Both rates class by class: a table in colours, since ten lines of each network could not be told apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invrob.checks import Array
from invrob.empirical.experiments import Result, grid_of
from invrob.empirical.profiles import shown_epsilon

LONGEST_NAME = 16  # letters of a class's name that fit under a column
MOST_CLASSES = 30  # more would not be read; classes.csv has them all


def class_figure(
    title: str, rows: Mapping[str, Sequence[Result]], names: Sequence[str], theta: float, epsilon: float
) -> Figure | None:
    """The rates of each class at one epsilon and one theta.

    rows: the seeds of each training, by its label; their means are drawn. names: of the classes, numbers where they are
    unknown. None where there is little or too much to see: one class, or more than 30."""
    found = {row["label"] for seeds in rows.values() for r in seeds for row in r.invariance.get("classes", ())}
    labels = sorted(found)
    if not 1 < len(labels) <= MOST_CLASSES:
        return None
    robustness, invariance = (
        np.array([_means([getattr(result, kind) for result in seeds], labels, value) for seeds in rows.values()])
        for kind, value in (("robustness", epsilon), ("invariance", theta))
    )
    figure = Figure(figsize=(3.2 + 0.95 * len(labels), max(3.4, 1.9 + 0.38 * len(rows))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, robustness, rf"Robustness at $\epsilon$ = {shown_epsilon(epsilon)}, by class")
    _draw(right, invariance, f"Rate of invariance at {theta:g} degrees, by class")
    whole = [names[label] if label < len(names) else str(label) for label in labels]
    shown = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026" for name in whole]
    for axes in (left, right):
        axes.set_xticks(range(len(labels)), shown, rotation=0 if max(map(len, shown)) < 4 else 60, parse_math=False)
    left.set_yticks(range(len(rows)), list(rows))
    figure.suptitle(title, fontsize="medium", parse_math=False)
    return figure


def _means(profiles: Sequence[dict[str, Any]], labels: Sequence[int], value: float) -> list[float]:
    """The mean rate of each class at a value of the axis; NaN for a class without an image."""
    means = []
    for label in labels:
        rates = [
            row["rate"][grid_of(profile).index(value)]
            for profile in profiles
            for row in profile["classes"]
            if row["label"] == label
        ]
        means.append(float(np.mean(rates)) if rates else float("nan"))
    return means


def _draw(axes: Axes, rates: Array, title: str) -> None:
    axes.imshow(rates, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (row, column), rate in np.ndenumerate(rates):
        text = "" if np.isnan(rate) else f"{100 * rate:.0f}"
        axes.text(column, row, text, ha="center", va="center", color="white" if rate < 0.6 else "black", fontsize=8)
    axes.set_title(title, fontsize="medium")
    axes.tick_params(length=0)
