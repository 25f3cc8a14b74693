"""What all profiles have in common: rates with intervals, the accuracy, a row per class; to JSON and back."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from invrob.checks import Array
from invrob.empirical.profiles.grids import format_epsilon
from invrob.empirical.transforms import TRANSFORMATIONS
from invrob.errors import InputError
from invrob.intervals import Estimate, percent, share_bounds
from invrob.records import PER_IMAGE, Numbers, Record
from invrob.shown import Shown, Summary, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bounds = Callable[..., tuple[Array, Array]]

MOST_CLASSES = 20  # in a table of classes
NORM_NAMES = {"linf": "L-inf", "l2": "L2"}
CLOSE = 1e-6  # of a value: what a float32 is off by, and more
PER_VALUE = ("rate", "low", "high", "accuracy", "accuracy_low", "accuracy_high", "gap", "gap_high", "floor")


@dataclass(frozen=True, eq=False)
class ClassRates(Record):
    """The rates of the images of one class: the true one where labels were given, else the predicted one."""

    label: int
    images: int
    rate: Numbers  # [T] float64, one per value of the profile's axis
    low: Numbers
    high: Numbers


@dataclass(frozen=True, eq=False, repr=False)
class Rates(Shown):
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

    @property
    def unit(self) -> str:
        """What the values of the axis are counted in; empty for a number such as a factor."""
        raise NotImplementedError

    @property
    def about(self) -> str:
        """What was measured, in a few words."""
        raise NotImplementedError

    def named(self, value: float) -> str:
        """A value of the axis, as people write it."""
        return f"{value:g}" if self.axis == "theta" else format_epsilon(value)

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """The rates with their intervals, as a figure of matplotlib, which a notebook shows as the value of a cell.

        Args:
            ax: axes of a figure of your own to draw into; its figure is returned.

        Raises:
            InputError: for an `ax` that is no axes of matplotlib.
        """
        from invrob.empirical.profiles.plots import rates_figure

        return rates_figure(self, ax)

    def rate_at(self, value: float) -> Estimate:
        """The rate with its interval at a value of the axis that was measured; nothing is interpolated.

        The value may be off by rounding, as a float32 is: by a millionth of itself. Raises InputError for any other,
        with the values that there are."""
        found = self.measured_at(value)
        if found is None:
            there = [*map(self.named, self.values.tolist())]
            listed = ", ".join(there if len(there) <= 20 else [*there[:10], "...", *there[-9:]])
            raise InputError(
                f"no rate was measured at {self.axis} {value!s:.40}: the profile has {listed}; measure again with that "
                f"value in `{self.axis}s`"
            )
        return found

    def measured_at(self, value: float) -> Estimate | None:
        """The rate with its interval, as `rate_at` has it; None where nothing was measured at that value."""
        try:
            wanted = float(value)
        except (TypeError, ValueError):
            return None
        away = np.abs(self.values - wanted)
        index = int(away.argmin())
        if not (isfinite(wanted) and away[index] <= CLOSE * abs(wanted)):
            return None
        return Estimate(*(float(numbers[index]) for numbers in (self.rate, self.low, self.high)))

    def summary(self) -> Summary:
        title = f"{self.about}; {self.images:,} images"
        if self.axis == "epsilon":
            title += f"; verdict: {self.verdict}"
        return Summary(title, (self.table(), *self._class_tables()), (*self.remarks(), self.legend))

    def remarks(self) -> tuple[str, ...]:
        """What must be said beside the rates, in sentences."""
        return ()

    @property
    def legend(self) -> str:
        """What the columns of `table` are."""
        right = "" if self.accuracy is None else "; right: the true class"
        return f"stays: the prediction is that on the unchanged image{right}."

    def table(self, name: str = "") -> Table:
        """A row for each value of the axis, in percent."""
        interval = f"{100 * self.confidence:g} % interval"
        degrees = self.axis == "theta" and self.unit
        columns = [(f"theta ({self.unit})" if degrees else self.axis, [*map(self.named, self.values.tolist())])]
        columns += [("stays %", percents(self.rate)), (interval, spans(self.low, self.high))]
        if self.accuracy is not None and self.accuracy_low is not None and self.accuracy_high is not None:
            columns += [("right %", percents(self.accuracy))]
            columns += [(interval, spans(self.accuracy_low, self.accuracy_high))]
        floor = getattr(self, "floor", None)
        if self.verdict != "masked" and floor is not None:
            columns += [("floor %", percents(floor))]
        headings, cells = zip(*columns, strict=True)
        return Table(headings, [*zip(*cells, strict=True)], name)

    def _class_tables(self) -> tuple[Table, ...]:
        if not 1 < len(self.classes) <= MOST_CLASSES:
            return ()
        rows = [(str(row.label), str(row.images), *percents(row.rate)) for row in self.classes]
        headings = ("class", "images", *map(self.named, self.values.tolist()))
        return (Table(headings, rows, f"Predictions that stay, in %, by class and {self.axis}", folded=True),)

    def records(self) -> list[dict[str, Any]]:
        """A row for each value of the axis. `value` is in `unit`; all rates are shares in [0, 1]."""
        shared = {"profile": type(self).__name__, "axis": self.axis, "unit": self.unit}
        columns = {"value": self.values.tolist()}
        columns |= {name: _listed(getattr(self, name, None), len(self.rate)) for name in PER_VALUE}
        ends = {"images": self.images, "confidence": self.confidence, "verdict": self.verdict}
        rows = zip(*columns.values(), strict=True)
        return [shared | dict(zip(columns, row, strict=True)) | ends for row in rows]


@dataclass(frozen=True, eq=False, repr=False)
class RatesOverTheta(Rates):
    """Rates under changes of the images that are drawn or searched for, by how far these changes go."""

    thetas: Numbers  # [T] increasing; degrees, or what else the transformation takes

    @property
    def unit(self) -> str:
        family = TRANSFORMATIONS.get(vars(self)["transformation"])  # which is among the last fields, by its class
        return "" if family is None else family.unit

    @property
    def axis(self) -> Literal["theta", "epsilon"]:
        return "theta"

    @property
    def values(self) -> Array:
        return self.thetas


@dataclass(frozen=True, eq=False, repr=False)
class RatesOverEpsilon(Rates):
    """Rates under an attack, by the size of its perturbation."""

    epsilons: Numbers  # [T] in pixel units, increasing

    @property
    def unit(self) -> str:
        return "pixels in [0, 1]"

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


def percents(shares: Array) -> list[str]:
    """Shares of 1 in percent."""
    return [*map(percent, shares.tolist())]


def spans(low: Array, high: Array) -> list[str]:
    """Intervals in percent."""
    return [f"{below} to {above}" for below, above in zip(percents(low), percents(high), strict=True)]


def _listed(numbers: Array | None, count: int) -> list[Any]:
    return [None] * count if numbers is None else numbers.tolist()
