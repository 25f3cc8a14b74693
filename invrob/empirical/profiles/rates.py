"""What all profiles have in common: rates with intervals, the accuracy, a row per class; to JSON and back."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, ConfigDict, NonNegativeInt, TypeAdapter, ValidationError

from invrob.checks import Array
from invrob.errors import InputError
from invrob.intervals import Estimate, share_bounds

Bounds = Callable[..., tuple[Array, Array]]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Numbers = Array
    Levels = Array
else:  # fields of results, and how a file's lists become them
    Numbers = Annotated[list[float], AfterValidator(np.array)]
    Levels = Annotated[list[NonNegativeInt], AfterValidator(partial(np.array, dtype=np.int64))]

PER_IMAGE = ("per_image", "levels")  # fields with a number for each image; the others have one for each value


class Result:
    """A frozen dataclass that goes to JSON and comes back equal: `T.from_dict(result.to_dict()) == result`."""

    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False)  # no text stands for a number, nor true for 1

    def __post_init__(self) -> None:
        fields = vars(self).items()
        lengths = {len(v) for name, v in fields if isinstance(v, np.ndarray) and name not in PER_IMAGE}
        if len(lengths) > 1 or 0 in lengths:
            raise InputError("its lists need a number for each value, and at least one")

    def to_dict(self) -> dict[str, Any]:
        """All of it in lists, numbers and strings, ready for `json.dumps(..., allow_nan=False)`."""
        return {name: _plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The result that `to_dict` wrote, also after a way through JSON. Keys that are no fields are passed over.

        Raises InputError where a field is missing or is not what it should be, a NaN or an infinity included."""
        try:
            result: Self = _reader(cls)(json.dumps(plain))  # type: ignore[arg-type]  # a class is hashable
            return result
        except ValidationError as error:
            fault = error.errors()[0]
            text = ": ".join([".".join(map(str, fault["loc"])), fault["msg"]]).removeprefix(": ")
        except (TypeError, ValueError, OverflowError) as error:
            text = str(error)
        raise InputError(f"this is no {cls.__name__}: {text[:200]}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(map(_equal, vars(self).values(), vars(other).values()))

    def __hash__(self) -> int:
        return hash(tuple(value for value in vars(self).values() if not isinstance(value, np.ndarray)))


@lru_cache
def _reader(cls: type[Any]) -> Callable[[str], Any]:
    return TypeAdapter(cls).validate_json


@dataclass(frozen=True, eq=False)
class ClassRates(Result):
    """The rates of the images of one class: the true one where labels were given, else the predicted one."""

    label: int
    images: int
    rate: Numbers  # [T] float64, one per value of the profile's axis
    low: Numbers
    high: Numbers


@dataclass(frozen=True, eq=False)
class Rates(Result):
    """One rate in [0, 1] for each of the T values of a profile's axis, with intervals at level `confidence`."""

    rate: Numbers  # [T] float64
    low: Numbers
    high: Numbers
    accuracy: Numbers | None  # against the true labels under the same change of the images; None without labels
    accuracy_low: Numbers | None
    accuracy_high: Numbers | None
    clean_accuracy: float | None  # on the unchanged images
    images: int  # how many the rates rest on
    per_image: Numbers  # [N]: each image's own rate, averaged over the axis; in [0, 1] but where images share bands
    classes: tuple[ClassRates, ...]
    confidence: float
    seed: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(len(row.rate) != len(self.rate) for row in self.classes):
            raise InputError("its classes need a rate for each value")
        if any(len(vars(self)[name]) != self.images for name in PER_IMAGE if vars(self).get(name) is not None):
            raise InputError("its lists need a number for each image")

    @property
    def axis(self) -> Literal["theta", "epsilon"]:
        """What the rates run along."""
        raise NotImplementedError

    @property
    def values(self) -> Array:
        """The values [T] of the axis, increasing."""
        raise NotImplementedError

    @property
    def verdict(self) -> str:
        """'sound', 'masked' or 'black-box': whether the attack can be believed; 'sound' where there is none."""
        return "sound"

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """The rates with their intervals, as a figure of matplotlib, which a notebook shows as the value of a cell.

        Args:
            ax: axes of a figure of your own to draw into; its figure is returned.

        Raises:
            InputError: for an `ax` that is no axes of matplotlib.
        """
        from invrob.empirical.profiles.plots import rates_figure

        return rates_figure(self, ax)

    def rate_at(self, value: float) -> Estimate | None:
        """The rate with its interval at a value of the axis; None where that was not measured."""
        indices = np.flatnonzero(self.values == value)
        if not len(indices):
            return None
        return Estimate(*(float(numbers[indices[0]]) for numbers in (self.rate, self.low, self.high)))


@dataclass(frozen=True, eq=False)
class RatesOverTheta(Rates):
    """Rates under changes of the images that are drawn or searched for, by how far these changes go."""

    thetas: Numbers  # [T] increasing; degrees, or what else the transformation takes

    @property
    def axis(self) -> Literal["theta", "epsilon"]:
        return "theta"

    @property
    def values(self) -> Array:
        return self.thetas


@dataclass(frozen=True, eq=False)
class RatesOverEpsilon(Rates):
    """Rates under an attack, by the size of its perturbation."""

    epsilons: Numbers  # [T] in pixel units, increasing

    @property
    def axis(self) -> Literal["theta", "epsilon"]:
        return "epsilon"

    @property
    def values(self) -> Array:
        return self.epsilons


def binomial_bounds(values: Array, confidence: float) -> tuple[Array, Array]:
    """Clopper-Pearson bounds (low, high), each [T], of the column means of `values` [N, T]; see `share_bounds`."""
    return share_bounds(values.mean(0), len(values), confidence)


def rates_per_image(
    kept: Array,
    predictions: Array,
    labels: Array | None,
    identity: Array,
    *,
    confidence: float,
    seed: int,
    correct: Array | None = None,
    bounds: Bounds = binomial_bounds,
    rows: tuple[ClassRates, ...] | None = None,
) -> dict[str, Any]:
    """The fields of `Rates`, from a row for each image.

    kept, correct: [N, T] in [0, 1], how often the prediction stayed, and was the true class; by default it is that
    where it stays and was. predictions, labels: int [N], of the clean images. identity: bool [T], where the images are
    not changed at all: there every class is kept for certain, and the accuracy is a count, with Clopper-Pearson bounds.
    bounds: rows [N, T] and `confidence` -> low [T] and high [T] of their means. rows: of the classes; by default the
    means over their images."""
    if correct is None and labels is not None:
        correct = kept & (predictions == labels)[:, None]

    def bounded(values: Array) -> tuple[Array, Array, Array]:
        low, high = bounds(values, confidence=confidence)
        return values.mean(0, dtype=float), np.where(identity, 1.0, low), high

    rate, low, high = bounded(kept)
    accuracy = accuracy_low = accuracy_high = None
    if correct is not None:
        accuracy = correct.mean(0, dtype=float)
        exact, usual = binomial_bounds(correct, confidence), bounds(correct, confidence=confidence)
        accuracy_low, accuracy_high = (np.where(identity, *pair) for pair in zip(exact, usual, strict=True))
    if rows is None:
        classes = predictions if labels is None else labels
        of_class = {int(label): kept[classes == label] for label in np.unique(classes)}
        rows = tuple(ClassRates(label, len(values), *bounded(values)) for label, values in of_class.items())
    return {
        "rate": rate,
        "low": low,
        "high": high,
        "accuracy": accuracy,
        "accuracy_low": accuracy_low,
        "accuracy_high": accuracy_high,
        "clean_accuracy": None if labels is None else float((predictions == labels).mean()),
        "images": len(kept),
        "per_image": kept.mean(1, dtype=float),
        "classes": rows,
        "confidence": confidence,
        "seed": seed,
    }


def _equal(a: Any, b: Any) -> bool:
    return np.array_equal(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else bool(a == b)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Result):
        return value.to_dict()
    if is_dataclass(value):
        return {name: _plain(field) for name, field in vars(value).items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
