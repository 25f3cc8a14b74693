"""Both rates class by class: a table in colours, since ten lines of each network could not be told apart."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invrob.checks import Array
from invrob.empirical.analysis import class_means
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import format_epsilon

LONGEST_NAME = 16  # letters of a class's name that fit under a column
MOST_CLASSES = 30  # more would not be read; classes.csv has them all


def class_figure(
    title: str, rows: Mapping[str, Sequence[Result]], names: Sequence[str], theta: float, epsilon: float
) -> Figure | None:
    """The rates of each class at one epsilon and one theta.

    Args:
        title: above both tables.
        rows: the seeds of each training, by its label; their means are drawn.
        names: of the classes, by label; numbers stand where they are unknown.
        theta, epsilon: values that all of them were measured at.

    Returns:
        The figure; None where there is little or too much to see: one class, or more than 30.
    """
    robustness = [class_means([result.robustness for result in seeds], [epsilon]) for seeds in rows.values()]
    invariance = [class_means([result.invariance for result in seeds], [theta]) for seeds in rows.values()]
    labels = sorted({label for means in invariance for label in means})
    if not 1 < len(labels) <= MOST_CLASSES:
        return None
    figure = Figure(figsize=(3.2 + 0.95 * len(labels), max(3.4, 1.9 + 0.38 * len(rows))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, robustness, labels, rf"Robustness at $\epsilon$ = {format_epsilon(epsilon)}, by class")
    _draw(right, invariance, labels, f"Rate of invariance at {theta:g} degrees, by class")
    columns = [names[label] if label < len(names) else str(label) for label in labels]
    columns = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026" for name in columns]
    for axes in (left, right):
        axes.set_xticks(range(len(labels)), columns, rotation=0 if max(map(len, columns)) < 4 else 60, parse_math=False)
    left.set_yticks(range(len(rows)), list(rows))
    figure.suptitle(title, fontsize="medium", parse_math=False)
    return figure


def _draw(axes: Axes, means: Sequence[dict[int, Array]], labels: Sequence[int], title: str) -> None:
    """A row for each of `means`; a class that it lacks leaves a gap."""
    rates = np.array([[row[label][0] if label in row else np.nan for label in labels] for row in means])
    axes.imshow(rates, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (row, column), rate in np.ndenumerate(rates):
        text = "" if np.isnan(rate) else f"{100 * rate:.0f}"
        axes.text(column, row, text, ha="center", va="center", color="white" if rate < 0.6 else "black", fontsize=8)
    axes.set_title(title, fontsize="medium")
    axes.tick_params(length=0)
