"""What both profiles have in common: rates with intervals, the accuracy beside them, a row per class, plain JSON."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from invrob.checks import Array
from invrob.intervals import share_bounds

Bounds = Callable[[Array], tuple[Array, Array]]  # one row per image [N, T] in [0, 1] -> low [T], high [T] of the means


@dataclass(frozen=True, eq=False)
class ClassRates:
    """The rates of the images of one class: the true one where labels were given, else the predicted one."""

    label: int
    images: int
    rate: Array  # [T] float64, one per value of the profile's axis
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Rates:
    """One rate in [0, 1] for each of the T values of a profile's axis, with intervals at level `confidence`."""

    rate: Array  # [T] float64
    low: Array
    high: Array
    accuracy: Array | None  # against the true labels under the same change of the images; None without labels
    accuracy_low: Array | None
    accuracy_high: Array | None
    clean_accuracy: float | None  # on the unchanged images
    images: int  # how many the rates rest on
    per_image: Array  # [N]: each image's own rate, averaged over the axis; in [0, 1] but where images share bands
    classes: tuple[ClassRates, ...]
    confidence: float
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """All of it in lists, numbers and strings, ready for `json.dumps(..., allow_nan=False)`."""
        plain: dict[str, Any] = _plain(self)
        return plain


def rates_per_image(
    kept: Array,
    correct: Array | None,
    predictions: Array,
    labels: Array | None,
    identity: Array,
    bounds: Bounds,
    **settings: float,
) -> dict[str, Any]:
    """The fields of `Rates`, from one row per image.

    kept, correct: [N, T] in [0, 1], how often the prediction stayed, and was the true class. predictions, labels: int
    [N], of the clean images. identity: bool [T], where the images are not changed at all: there every class is kept for
    certain. settings: the fields `confidence` and `seed`."""

    def bounded(values: Array, certain: Array | bool) -> tuple[Array, Array, Array]:
        low, high = bounds(values)
        return values.mean(0, dtype=float), np.where(certain, 1.0, low), high

    rate, low, high = bounded(kept, identity)
    accuracy = (None, None, None) if correct is None else bounded(correct, False)
    classes = predictions if labels is None else labels
    rows = [
        ClassRates(int(label), int((classes == label).sum()), *bounded(kept[classes == label], identity))
        for label in np.unique(classes)
    ]
    return {
        "rate": rate,
        "low": low,
        "high": high,
        "accuracy": accuracy[0],
        "accuracy_low": accuracy[1],
        "accuracy_high": accuracy[2],
        "clean_accuracy": None if labels is None else float((predictions == labels).mean()),
        "images": len(kept),
        "per_image": kept.mean(1, dtype=float),
        "classes": tuple(rows),
        **settings,
    }


def binomial_bounds(values: Array, confidence: float) -> tuple[Array, Array]:
    """Clopper-Pearson bounds (low, high), each [T], of the column means of `values` [N, T]; see `share_bounds`."""
    return share_bounds(values.mean(0), len(values), confidence)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value
