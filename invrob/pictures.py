"""Figures in notebooks and into files: the same figure gives the same bytes, whatever the format."""

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image

from invrob.errors import InputError, did_you_mean, printable
from invrob.files import check_writable, write_atomically

FORMATS = ("png", "svg", "pdf")
METADATA: dict[str, dict[str, None]] = {  # what each format would note beside the picture
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
POINTS = 72  # of text, per inch
NBSP = chr(0xA0)  # a space at which no line is broken
MANY = 48  # letters: a line that is longer takes long to measure
IN_BRACKETS = re.compile(r"\[[^\[\]]{,20}\]")
SHOWN = 72  # pixels of a page per inch; twice as many are drawn, for screens that have them
# The colours of Okabe and Ito, distinct under every common colour blindness; dashes and markers tell the same in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class Picture(Figure):
    """A figure that a notebook shows as the value of a cell, once, whether or not pyplot was ever loaded.

    pyplot teaches notebooks to show figures, and shows those that it made itself at the end of a cell. This one is not
    pyplot's, so that it brings its own PNG."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = (round(SHOWN * inches) for inches in self.get_size_inches())
        return png_of(self), {"width": width, "height": height}


@dataclass(frozen=True)
class Style:
    """What pictures are drawn for: how large they and their text are, and in which formats they are written."""

    name: str
    formats: tuple[str, ...]
    width: float | None = None  # of every picture, in inches; None where each is as wide as suits it
    settings: Mapping[str, Any] = field(default_factory=dict)  # of matplotlib

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block matplotlib draws and writes in this style."""
        settings: Any = dict(self.settings)
        with matplotlib.rc_context(settings):
            yield


SCREEN = Style("screen", ("png", "svg"))
PAPER = Style(
    "paper",
    ("pdf",),
    width=3.25,  # a column of a paper with two
    settings={
        **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize", "figure.titlesize", "legend.fontsize"), 8),
        **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.title_fontsize"), 8),
        "font.family": "STIXGeneral",  # comes with matplotlib, and looks like the Times of most papers
        "mathtext.fontset": "stix",
        "pdf.fonttype": 42,  # TrueType, embedded: publishers refuse Type 3
        "lines.linewidth": 1.0,
        "lines.markersize": 4.0,
        "axes.linewidth": 0.6,
        "grid.linewidth": 0.5,
        **{f"{axis}tick.major.{what}": size for axis in "xy" for what, size in (("width", 0.6), ("size", 2.5))},
        "legend.handlelength": 2.2,
        "legend.columnspacing": 1.0,
        "legend.handletextpad": 0.5,
    },
)
STYLES = {style.name: style for style in (SCREEN, PAPER)}


def style_named(name: str) -> Style:
    """The style of this name. Raises InputError with the names that there are."""
    if name not in STYLES:
        raise InputError(f"style = {name!r} is unknown{did_you_mean(name, STYLES)}: use {' or '.join(STYLES)}")
    return STYLES[name]


def png_of(figure: Figure, dpi: int = 2 * SHOWN) -> bytes:
    """The figure as PNG: the same figure gives the same bytes. dpi: pixels per inch of the figure's size."""
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=dpi, metadata=METADATA[".png"])
    return picture.getvalue()


def given_axes(ax: Axes | Iterable[Axes], count: int, said: str, rows: int = 1) -> list[Axes]:
    """The axes of a user's own figure that are to be drawn into.

    Args:
        ax: one of them, or as many as are needed, such as the array that `plt.subplots` gives.
        count: how many are needed.
        said: what they are for, in words.
        rows: that they are best made in.

    Raises:
        InputError: for anything else than `count` axes.
    """
    given = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(given) != count or not all(isinstance(one, Axes) for one in given):
        ours = "one axes of matplotlib" if count == 1 else f"{count} axes of matplotlib"
        kinds = ", ".join(dict.fromkeys(type(one).__name__ for one in given)) or "nothing"
        way = f"figure, ax = plt.subplots({f'{rows}, {count // rows}' if count > 1 else ''})"
        raise InputError(f"ax = {len(given)} of {kinds} must be {ours}, {said}: get them by `{way}`, or leave ax out")
    return given


def draw_rows(
    names: Sequence[str], series: Mapping[str, Sequence[float]], ax: Axes | None, said: Sequence[str] = ()
) -> Axes:
    """A line for each name, the first one on top, with a mark of each series on it.

    Args:
        names: of the lines.
        series: a value in [0, 1] for each name, by what the legend says; of one series there is no legend.
        ax: axes of a user, or None for those of a new figure.
        said: a few words for each name, on the right of its line.

    Returns:
        The axes, which lack a title and the name of their values.
    """
    if ax is None:
        axes = Picture(figsize=(7.6, 1.5 + 0.27 * len(names)), layout="constrained").subplots()
    else:
        (axes,) = given_axes(ax, 1, "for all rows")
    places = np.arange(len(names))
    values = np.array([*series.values()]).reshape(len(series), len(names))
    axes.hlines(places, values.min(0) if len(series) > 1 else 0, values.max(0), color="0.6", linewidth=1.2, zorder=1)
    for number, (label, row) in enumerate(zip(series, values, strict=True)):
        face = "white" if number < len(series) - 1 else COLOURS[0]  # the last one is what counts
        mark: dict[str, Any] = {"markersize": 7 - number, "markeredgecolor": COLOURS[0], "markerfacecolor": face}
        axes.plot(row, places, "sD^v"[number] if len(series) > 1 else "o", linestyle="none", label=label, **mark)
    for place, words in enumerate(said):
        axes.text(1.02, place, words, transform=axes.get_yaxis_transform(), va="center", fontsize=small())
    axes.set_yticks(places, names, fontsize=small())
    axes.set(xlim=(-0.03, 1.03), xticks=np.linspace(0, 1, 6), ylim=(len(names) - 0.4, -0.6))
    axes.grid(axis="x", alpha=0.25)
    if len(series) > 1 and ax is None:
        figure_around(axes).legend(ncols=len(series), loc="outside lower center", fontsize=small())
    elif len(series) > 1:
        axes.legend(fontsize=small())
    return axes


def figure_around(axes: Axes) -> Figure:
    """The whole figure that axes belong to, also where they are in a part of it."""
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes that were removed have none
    return figure


def small() -> float:
    """The size of the smallest text of a picture, in points: no style goes below eight."""
    return max(8.0, 0.833 * float(matplotlib.rcParams["font.size"]))


def width_of(text: str, size: float | str | None = None, parse_math: bool = True) -> float:
    """How wide a line is, in inches, in the font of the style that is applied.

    size: of the font, as matplotlib takes it; None for that of the style. parse_math: whether $...$ is a formula."""
    font = FontProperties(size=matplotlib.rcParams["font.size"] if size is None else size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks: whoever draws them says so
        points: float = text_to_path.get_text_width_height_descent(text, font, parse_math and text.count("$") >= 2)[0]
    return points / POINTS


def fitted(text: str, inches: float, size: float | str | None = None, parse_math: bool = True) -> str:
    """`text` with line breaks, so that no line is wider than `inches`; size, parse_math: as for `width_of`.

    No line is broken inside [brackets] or a formula; a word that is too long is, where it is neither. What no font has,
    such as the escape character in the name of a file, is written as Python writes it."""
    text = NBSP.join(map(printable, text.split(NBSP)))
    text = IN_BRACKETS.sub(lambda found: found[0].replace(" ", NBSP), text)

    def fits(line: str) -> bool:
        if "$" not in line and len(line) > MANY and width_of(line[:MANY], size, parse_math) > inches:
            return False  # as its beginning says, which is measured sooner than the whole
        return width_of(line, size, parse_math) <= inches

    lines, end = list[str](), MANY // 2
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if fits(longer):
                line = longer
                continue
            lines += [line] if line else []
            while "$" not in word and (end := _beginning(word, fits, end)) < len(word):
                lines.append(word[:end])
                word = word[end:]
            line = word
        lines.append(line)
    return "\n".join(lines).replace(NBSP, " ")


def _beginning(word: str, fits: Callable[[str], bool], guess: int) -> int:
    """How many letters of a word fit on a line, at least one; guess: about how many they are.

    Text takes long to measure, so that the search goes out from the guess, and then by halves."""
    low, high, step = 1, len(word) + 1, 1
    at = min(guess, len(word))
    while low < at < high:
        fit = fits(word[:at])
        low, high = (at, high) if fit else (low, at)
        at += step if fit else -step
        step *= 2
    while high - low > 1:
        at = (low + high) // 2
        low, high = (at, high) if fits(word[:at]) else (low, at)
    return low


def grow(figure: Figure, inches: float) -> None:
    """Make a figure with a constrained layout as high as it takes for its lowest axes to be that high, whatever stands
    above, below and between them. It must be too high before rather than too low, where there is no layout at all."""
    places = [
        (axes, place) for axes in figure.axes if (place := axes.get_subplotspec()) is not None
    ]  # no scale of colours
    rows = len({place.rowspan.start for _, place in places})
    for _ in range(2):  # a title that is closer to an axes by then may leave a little
        figure.draw_without_rendering()
        lowest = min(axes.get_position().height for axes, _ in places) * figure.get_figheight()
        figure.set_figheight(figure.get_figheight() + rows * (inches - lowest))


def write_figure(path: str | os.PathLike[str], figure: Figure) -> Path:
    """Write a figure in the format of the suffix, atomically: the same figure gives the same bytes. Returns `path`."""
    # Fixed ids, and none of the metadata that differ from day to day or from version to version.
    suffix, picture = Path(path).suffix.lower(), BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "invrob", "svg.fonttype": "path"}):
        figure.savefig(picture, format=suffix.lstrip("."), dpi=150, metadata=METADATA.get(suffix))
    content = smaller(picture.getvalue()) if suffix == ".png" else picture.getvalue()
    return write_atomically(path, lambda file: file.write_bytes(content))  # savefig hides why a disk refuses


def smaller(png: bytes) -> bytes:
    """A PNG with a palette of 256 colours, which takes a third of the bytes and differs nowhere that an eye sees; the
    one that was given where it has transparent parts."""
    whole = Image.open(BytesIO(png))
    if "A" in whole.getbands() and whole.getchannel("A").getextrema() != (255, 255):
        return png
    few = whole.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(picture := BytesIO(), "PNG", optimize=True)
    return picture.getvalue()


def checked_figure_path(path: str | os.PathLike[str]) -> Path:
    """`path`, or InputError unless it ends in .png, .svg or .pdf and can be written: ask before any computing."""
    target = Path(path)
    if target.suffix.lower().lstrip(".") not in FORMATS:
        endings = ", ".join(f".{name}" for name in FORMATS)
        raise InputError(f"figure {str(path)!r} has no known format: let it end in one of {endings}")
    if target.is_dir():
        raise InputError(f"figure {str(path)!r} is a folder: name a file in it")
    check_writable([target], "name another file")
    return target
