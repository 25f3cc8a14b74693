"""What stands around the axes of a picture: a title, a list of models, a key, a remark.

The axes are of one size whatever these hold; the figure grows."""

from dataclasses import dataclass
from typing import Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.legend import Legend
from matplotlib.text import Text

from invrob.pictures import figure_around, fitted, small

Rows = list[tuple[Any, str]]  # of a legend: what is drawn, and what it means
HANDLE = 0.55  # inches of a row of a legend that are no text, and by which text may be wider than it is without hints
EDGE = 0.1  # inches at the upper and the lower end of the figure, and below the title


@dataclass(frozen=True)
class Frame:
    """Inches of a figure: of its axes, and of what stands around them."""

    width: float
    height: float
    left: float = 0.78
    below: float = 0.6  # ticks, and a line of their label
    gap: float = 0.12
    column: float = 3.1  # of legends, on the right; 0 where they stand below the axes

    @property
    def whole(self) -> float:
        """The width of the figure."""
        return self.left + self.width + self.gap + (self.column + self.gap if self.column else 0.0)


def lay_out(axes: Axes, frame: Frame, texts: tuple[str, str], heading: str, models: Rows, key: Rows) -> None:
    """Give everything its place; the figure becomes as high as that takes.

    Args:
        axes: the only ones of their figure, drawn and labelled.
        frame: how wide everything is.
        texts: above and below all; empty for none.
        heading: of the list of models.
        models, key: the rows of the two legends. The key stands below the axes where it does not fit under the models.
    """
    figure, (title, note) = figure_around(axes), texts
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    across = frame.whole - 2 * frame.gap
    how: dict[str, Any] = {"va": "top", "parse_math": False}  # a file may be called $a$
    size = rcParams["figure.titlesize"]
    above = figure.text(0, 0, fitted(title, across, size, parse_math=False), fontsize=size, **how)
    below = figure.text(0, 0, fitted(note, across, small(), parse_math=False), fontsize=small(), **how)
    more = axes.get_xlabel().count("\n")  # lines of the label beyond the first
    top = EDGE + _height(above, renderer) + EDGE  # from the upper edge down to the axes
    bottom = top + frame.height + frame.below + more * _height(axes.xaxis.label, renderer) / (more + 1)
    right = frame.left + frame.width + frame.gap
    room = (frame.column or across) - HANDLE
    listed, told = _legend(axes, models, room, heading), _legend(axes, key, room)
    taken = _height(listed, renderer)
    if not frame.column:
        places = [(frame.gap, bottom), (frame.gap, bottom + taken)]
        end = bottom + taken + _height(told, renderer)
    elif taken + _height(told, renderer) <= bottom - top:
        places, end = [(right, top), (right, top + taken)], bottom
    else:
        told.remove()
        told = _legend(axes, key, frame.width / 2 - HANDLE, columns=2)
        places = [(right, top), (frame.left, bottom)]
        end = max(bottom + _height(told, renderer), top + taken)
    height = end + (EDGE + _height(below, renderer) if note else 0.0) + EDGE
    figure.set_size_inches(frame.whole, height)
    share = (frame.width / frame.whole, frame.height / height)
    axes.set_position((frame.left / frame.whole, 1 - (top + frame.height) / height, *share))
    for legend, (x, y) in zip((listed, told), places, strict=True):
        legend.set_bbox_to_anchor((x / frame.whole, 1 - y / height), figure.transFigure)
    above.set_position((frame.gap / frame.whole, 1 - EDGE / height))
    below.set_position((frame.gap / frame.whole, 1 - (end + EDGE) / height))


def _legend(axes: Axes, rows: Rows, room: float, title: str | None = None, columns: int = 1) -> Legend:
    """A legend whose texts take `room` inches in each column; it has no place yet."""
    legend = figure_around(axes).legend(
        [handle for handle, _ in rows],
        [fitted(text, room, small(), parse_math=False) for _, text in rows],
        title=title,
        fontsize=small(),
        title_fontsize=small(),
        alignment="left",
        loc="upper left",
        ncols=columns,
        borderaxespad=0.0,
        borderpad=0.3,
        handlelength=1.6,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def _height(part: Text | Legend, renderer: Any) -> float:
    """Inches."""
    if isinstance(part, Text) and not part.get_text():
        return 0.0
    return float(part.get_window_extent(renderer).height / renderer.dpi)
