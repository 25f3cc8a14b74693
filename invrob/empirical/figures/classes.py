"""Both rates class by class: a table in colours, since ten lines of each network could not be told apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from invrob.checks import Array
from invrob.empirical.analysis import class_means
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.profiles.plots import STAY
from invrob.empirical.transforms import transformation_named
from invrob.intervals import percent
from invrob.pictures import SCREEN, Picture, Style, fitted, grow

LONGEST_NAME = 16  # letters of a class's name that fit under a column
MOST_CLASSES = 30  # more would not be read; classes.csv has them all
SIDE_BY_SIDE = 10  # classes: the tables of more stand one below the other
CELL, NARROWEST = 0.42, 0.26  # inches: how wide and high a cell is, and how wide one that has room for its number
LEAST, FEWEST = 3.2, 5  # inches of a table, and rows that a table is as high as, however small it is
FRAME = 1.6  # inches beside a table: the names of its rows and the scale of colours
ROOM = 3.0  # inches that the first layout has for what is above and below a table; `grow` takes what is left
LIGHT = 0.6  # a rate whose colour is lighter has its number in black


def class_figure(
    title: str,
    rows: Mapping[str, Sequence[Result]],
    names: Sequence[str],
    theta: float,
    epsilon: float,
    trained: str = "training",
    style: Style = SCREEN,
) -> Figure | None:
    """The rates of each class at one epsilon and one theta.

    Args:
        title: above both tables.
        rows: the seeds of each training, by its label; their means are drawn.
        names: of the classes, by label; numbers stand where they are unknown.
        theta, epsilon: values that all of them were measured at.
        trained: what the labels of the rows say.
        style: what the figure is drawn for.

    Returns:
        The figure; None where there is little or too much to see: one class, or more than 30.
    """
    robustness = [class_means([result.robustness for result in seeds], [epsilon]) for seeds in rows.values()]
    invariance = [class_means([result.invariance for result in seeds], [theta]) for seeds in rows.values()]
    labels = sorted({label for means in invariance for label in means})
    if not 1 < len(labels) <= MOST_CLASSES:
        return None
    columns = 2 if style.width is None and len(labels) <= SIDE_BY_SIDE else 1
    table = max(LEAST, CELL * len(labels)) if style.width is None else style.width - FRAME / 2
    width = FRAME + columns * table if style.width is None else style.width
    lines = fitted(title, 0.95 * width, parse_math=False)
    height = (CELL if style.width is None else 0.2) * max(FEWEST, len(rows))
    figure = Picture(figsize=(width, (height + ROOM) * 2 / columns), layout="constrained")
    places = figure.subplots(2 // columns, columns, sharey=True, squeeze=False).flatten()
    family = transformation_named(next(iter(rows.values()))[0].invariance.transformation)
    titles = (
        rf"Robustness at $\epsilon$ = {format_epsilon(epsilon)}, by class",
        f"Rate of invariance at {theta:g} {family.unit}".rstrip() + ", by class",
    )
    shown: Any = None
    for axes, means, text in zip(places, (robustness, invariance), titles, strict=True):
        shown = _draw(axes, means, labels, table / len(labels))
        axes.set_title(fitted(text, table, matplotlib.rcParams["font.size"]), fontsize="medium")
        axes.set_xlabel("class")
        _name(axes, labels, names)
    for axes in places if columns == 1 else places[:1]:
        axes.set_yticks(range(len(rows)), list(rows))
    figure.supylabel(fitted(trained, height * 2 / columns + 0.7), fontsize="medium")
    where, aspect = ("right" if style.width is None else "bottom"), (20 if columns == 2 else 30)
    shares = FuncFormatter(lambda value, _: f"{value:.0%}")
    figure.colorbar(shown, ax=places.tolist(), location=where, label=STAY, aspect=aspect, format=shares)
    figure.suptitle(lines, fontsize="medium", parse_math=False)
    grow(figure, height)
    return figure


def _name(axes: Axes, labels: Sequence[int], names: Sequence[str]) -> None:
    """The classes under their columns, at a slant where their names are long."""
    columns = [names[label] if label < len(names) else str(label) for label in labels]
    columns = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026" for name in columns]
    slant = 0 if max(map(len, columns)) < 4 else 60
    axes.set_xticks(range(len(labels)), columns, rotation=slant, parse_math=False)


def _draw(axes: Axes, means: Sequence[dict[int, Array]], labels: Sequence[int], inches: float) -> Any:
    """A row for each of `means`; a class that it lacks leaves a gap. inches: how wide a cell is."""
    rates = np.array([[row[label][0] if label in row else np.nan for label in labels] for row in means])
    image = axes.imshow(rates, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (row, column), rate in np.ndenumerate(rates) if inches >= NARROWEST else ():
        text = "" if np.isnan(rate) else percent(rate)
        axes.text(column, row, text, ha="center", va="center", color="white" if rate < LIGHT else "black", fontsize=8)
    axes.tick_params(length=0)
    return image
