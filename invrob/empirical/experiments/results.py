"""What a run came to: the profiles of its finished cells, read and checked."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from invrob.empirical.experiments.cells import Cell
from invrob.empirical.experiments.experiment import Experiment
from invrob.empirical.experiments.store import Store, read_json, write_json
from invrob.errors import InputError
from invrob.intervals import Estimate, clopper_pearson

PER_VALUE = ("rate", "low", "high", "accuracy", "accuracy_low", "accuracy_high")  # of a profile's axis


@dataclass(frozen=True)
class Result:
    """A finished cell with its profiles, as `to_dict` wrote them."""

    cell: Cell
    invariance: dict[str, Any]
    robustness: dict[str, Any]
    beside: dict[str, dict[str, Any]] = field(default_factory=dict)  # the other measurements, by name
    quarter_turns: dict[str, Any] | None = None  # of p4 networks

    @property
    def network(self) -> str:
        return self.cell.network

    @property
    def verdict(self) -> str:
        """'sound' or 'masked', of the attack."""
        return str(self.robustness["verdict"])

    @property
    def complete(self) -> bool:
        """Whether everything that the cell asks for was measured."""
        return {"profiles", *self.beside} == set(self.cell.measurements)

    def profiles(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(axis, variant, profile) of everything measured: the axis is "theta" or "epsilon"."""
        yield "theta", "zero fill", self.invariance
        yield "epsilon", "search", self.robustness
        for name, profile in self.beside.items():
            yield ("epsilon" if "epsilons" in profile else "theta"), name, profile

    def rate_at(self, axis: str, value: float) -> Estimate | None:
        """The rate at a value of the axis 'theta' or 'epsilon'; None where that was not measured."""
        return rate_at(self.invariance if axis == "theta" else self.robustness, value)

    @property
    def accuracy(self) -> Estimate:
        """On the unchanged test images."""
        images = self.robustness["images"]
        return clopper_pearson(round(self.robustness["clean_accuracy"] * images), images)


def grid_of(profile: dict[str, Any]) -> list[float]:
    """The values of a profile's axis."""
    return list(profile["epsilons" if "epsilons" in profile else "thetas"])


def rate_at(profile: dict[str, Any], value: float) -> Estimate | None:
    """The rate of a profile at a value of its axis; None where that was not measured."""
    grid = grid_of(profile)
    return Estimate(*(profile[k][grid.index(value)] for k in ("rate", "low", "high"))) if value in grid else None


def write_experiment(store: Store, experiment: Experiment, fingerprint: str, classes: Sequence[str] = ()) -> None:
    """Keep in the run directory what its figures are to be drawn from; classes: their names."""
    body = {
        "experiment": experiment.model_dump(mode="json"),
        "fingerprint": fingerprint,
        "classes": list(classes),
    }
    write_json(store.path / "experiment.json", body)


def read_run(path: Path) -> tuple[Experiment, list[Result], int]:
    """The experiment of a run directory, its cells that have both profiles in order, and how many cells are not wholly
    measured. Raises InputError."""
    body = read_json(path / "experiment.json")
    if body is None:
        raise InputError(
            f"{path} holds no run: its experiment.json is missing or damaged; `invrob empirical run` makes one"
        )
    try:
        experiment = Experiment.model_validate(body["experiment"])
        cells = experiment.cells(body["fingerprint"])
    except (ValidationError, KeyError):
        raise InputError(f"{path} was written by another version of invrob: run the experiment again") from None
    results = [result for cell in cells if (result := read_result(Store(path), cell)) is not None]
    return experiment, results, len(cells) - sum(result.complete for result in results)


def read_card(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two profiles of a folder of `invrob profile`, invariance first. Raises InputError."""
    try:
        body = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
        _Card.model_validate(body)
    except (OSError, ValueError, RecursionError):
        raise InputError(
            f"{folder} holds no profile: its profile.json is missing or damaged; `invrob profile SPEC --data NAME "
            f"--out {folder}` makes one"
        ) from None
    return body["invariance"], body["robustness"]


def class_names(path: Path) -> tuple[str, ...]:
    """What the classes of a run's data are called; nothing where it was written before they were kept."""
    body = read_json(path / "experiment.json") or {}
    return tuple(map(str, body.get("classes", [])))


def read_result(store: Store, cell: Cell) -> Result | None:
    """The result of a cell, without what is not measured yet; None where the two profiles are missing or damaged."""
    if store.read_training(cell.key) is None:
        return None
    read = {name: read_measurement(store, cell, name) for name in cell.measurements}
    body = read.pop("profiles")
    if body is None:
        return None
    beside = {name: profile for name, profile in read.items() if profile is not None}
    return Result(cell, body["invariance"], body["robustness"], beside, body.get("quarter_turns"))


def read_measurement(store: Store, cell: Cell, name: str) -> dict[str, Any] | None:
    """What was kept of a measurement of `cell.measurements`; None where it is missing or damaged, or is not what this
    version of invrob writes."""
    body = store.read_profiles(cell.key, cell.measurements[name])
    try:
        (_Both if name == "profiles" else _Profile).model_validate(body)
    except ValidationError:
        return None
    return body


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Class(_Strict):
    label: int
    rate: list[float]


class _Profile(_Strict):
    """What tables, figures and claims look at in a profile; the checksum says that it is whole, not that it fits."""

    rate: list[float]
    low: list[float]
    high: list[float]
    accuracy: list[float]
    accuracy_low: list[float]
    accuracy_high: list[float]
    images: int = Field(ge=1)
    per_image: list[float]
    classes: list[_Class] = []
    thetas: list[float] = []
    epsilons: list[float] = []

    @model_validator(mode="after")
    def _one_rate_per_value(self) -> "_Profile":
        grid = self.epsilons or self.thetas
        each = [getattr(self, name) for name in PER_VALUE] + [row.rate for row in self.classes]
        if not grid or any(len(values) != len(grid) for values in each):
            raise ValueError("needs a rate for each value of its axis")
        if len(self.per_image) != self.images:
            raise ValueError("needs a rate for each image")
        return self


class _Finding(_Strict):
    name: str
    text: str


class _Sanity(_Strict):
    constant: bool
    reasons: list[str]
    findings: list[_Finding]
    probed: int = Field(1, ge=1)
    zero_gradient: float = 0.0
    more_steps: float = 0.0
    apgd_ce: float = 0.0
    apgd_dlr: float | None = None
    other_classes: float = 0.0
    black_box: float = 0.0
    unfooled_at_largest: float = 0.0
    changed_prediction: float = 0.0


class _Turns(_Strict):
    rate: list[float] = Field(min_length=3, max_length=3)
    deviation: list[float] = Field(min_length=3, max_length=3)


class _Robustness(_Profile):
    clean_accuracy: float
    gradient_evaluations: float = 0.0
    verdict: Literal["sound", "masked"]
    sanity: _Sanity


class _Both(_Strict):
    invariance: _Profile
    robustness: _Robustness
    quarter_turns: _Turns | None = None


class _BlackBox(_Robustness):
    verdict: Literal["sound", "masked", "black-box"]  # type: ignore[assignment]


class _Card(_Strict):
    """What a plane looks at in the file of `invrob profile`, which has no checksum."""

    invariance: _Profile
    robustness: _BlackBox
