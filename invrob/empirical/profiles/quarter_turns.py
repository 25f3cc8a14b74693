"""Exact turns by 90, 180 and 270 degrees: what a p4 network promises to take without loss."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from invrob.checks import check_confidence
from invrob.empirical.inference import Model, batches, checked_images, evaluating, logits
from invrob.empirical.profiles.rates import percents, spans
from invrob.empirical.transforms import rotate
from invrob.errors import InputError
from invrob.intervals import share_bounds
from invrob.records import Numbers
from invrob.shown import Shown, Summary, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class QuarterTurns(Shown):
    """How a model takes exact quarter turns, where no pixel is interpolated and none is lost."""

    degrees: Numbers  # [3]: 90, 180, 270
    rate: Numbers  # [3] the share of predictions that stay
    low: Numbers
    high: Numbers
    deviation: Numbers  # [3] the largest difference of a logit from the unturned one, over the spread of all logits
    images: int
    confidence: float

    def __post_init__(self) -> None:
        if any(len(numbers) != 3 for numbers in (self.degrees, self.rate, self.low, self.high, self.deviation)):
            raise ValueError("needs a number for each of the three turns")

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """The three rates with their intervals, as a figure of matplotlib.

        Args:
            ax: axes of a figure of your own to draw into; its figure is returned.

        Raises:
            InputError: for an `ax` that is no axes of matplotlib.
        """
        from invrob.empirical.profiles.plots import turns_figure

        return turns_figure(self, ax)

    def summary(self) -> Summary:
        turns, deviations = ([f"{number:.3g}" for number in numbers] for numbers in (self.degrees, self.deviation))
        rows = [*zip(turns, percents(self.rate), spans(self.low, self.high), deviations, strict=True)]
        title = f"exact turns; {self.images:,} images, intervals of {100 * self.confidence:g} %"
        headings = ("turned by (degrees)", "stays %", "interval", "deviation of the logits")
        return Summary(title, (Table(headings, rows),), ("deviation: the largest, over the spread of all logits.",))

    def records(self) -> list[dict[str, Any]]:
        """A row for each turn; rates are shares in [0, 1], the deviation is one of the spread of all logits."""
        names = ("degrees", "rate", "low", "high", "deviation")
        rows = zip(*(getattr(self, name).tolist() for name in names), strict=True)
        ends = {"images": self.images, "confidence": self.confidence}
        return [dict(zip(names, row, strict=True)) | ends for row in rows]


def quarter_turn_consistency(model: Model, images: Tensor, *, confidence: float = 0.95) -> QuarterTurns:
    """Ask whether predictions stay when images are turned by 90, 180 and 270 degrees, and how far the logits move.

    Args:
        model, images: as for `robustness_profile`; images must be square.
        confidence: level of the intervals, in (0, 1). They are Clopper-Pearson over the images.

    Returns:
        `QuarterTurns`. Its deviation is max |f(turned x) - f(x)| over images and classes, divided by the standard
        deviation of all logits, of unturned and turned images; 0 up to rounding for a model that is invariant.

    Raises:
        InputError: outside these ranges.

    Example:
        >>> import torch
        >>> from invrob.empirical.profiles import quarter_turn_consistency
        >>> model = lambda images: torch.stack([images[:, 0, 0, 0], images[:, 0, 0, 1]], 1)  # the two upper corners
        >>> quarter_turn_consistency(model, torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])).rate
        array([0., 1., 0.])
    """
    images = checked_images(images)
    check_confidence(confidence)
    if images.shape[2] != images.shape[3]:
        raise InputError(
            f"images are {images.shape[2]} x {images.shape[3]}, but a quarter turn keeps all pixels of a square image "
            "only: crop or pad them to a square"
        )
    with evaluating(model), torch.no_grad():
        outputs = torch.stack([_turned_logits(model, images, 90 * k) for k in range(4)])  # [4, N, K]
    classes = outputs.argmax(2)
    kept = (classes[1:] == classes[0]).double().mean(1).cpu().numpy()
    finite = outputs.double().clamp(-1e38, 1e38)  # log-probabilities may be -inf
    moved = (finite[1:] - finite[0]).abs().amax((1, 2))
    spread = finite.std(correction=0).clamp(min=1e-300)  # where all logits are equal none has moved
    low, high = share_bounds(kept, len(images), confidence)
    deviation = (moved / spread).cpu().numpy()
    return QuarterTurns(np.array([90.0, 180.0, 270.0]), kept, low, high, deviation, len(images), confidence)


def _turned_logits(model: Model, images: Tensor, degrees: float) -> Tensor:
    parts = batches(len(images), images.device)
    return torch.cat([logits(model, rotate(images[part], degrees)) for part in parts])
