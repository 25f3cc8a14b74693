"""Figures that are written as sketches, for tests that are not about pictures."""

import contextlib
import time
from pathlib import Path
from unittest import mock

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from invrob import pictures


def sketch(figure, path, **_):
    """Instead of a picture, which takes seconds: its texts and all its lines, in two writes some time apart."""
    with contextlib.nullcontext(path) if hasattr(path, "write") else Path(path).open("wb") as file:
        file.write("\n".join(text.get_text() for text in figure.findobj(Text)).encode())
        file.flush()
        time.sleep(0.01)
        file.writelines(np.asarray(line.get_xydata()).tobytes() for line in figure.findobj(Line2D))


@contextlib.contextmanager
def sketched():
    """Every figure is sketched within: what is drawn, under which name, stays as it is."""
    saved = mock.patch.object(Figure, "savefig", sketch)
    laid_out = mock.patch.object(Figure, "draw_without_rendering", return_value=None)  # nor has a sketch a layout
    as_drawn = mock.patch.object(pictures, "smaller", bytes)  # a sketch is no PNG
    with saved, laid_out, as_drawn:
        yield
