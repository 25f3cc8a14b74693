"""What a run came to: the profiles of its finished cells, one tidy CSV, and the rows of the summary table."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from invrob.empirical.experiment import Cell, Experiment
from invrob.empirical.store import Store, read_json, write_json
from invrob.empirical.training import Recipe
from invrob.errors import InputError
from invrob.files import write_atomically
from invrob.intervals import Estimate, clopper_pearson

COLUMNS = (
    *("dataset", "model", "training_theta", "training_epsilon", "seed", "axis", "value", "rate", "low", "high"),
    *("accuracy", "images", "verdict", "accuracy_low", "accuracy_high", "options", "cell"),
)


@dataclass(frozen=True)
class Result:
    """A finished cell with its two profiles, as `to_dict` wrote them."""

    cell: Cell
    invariance: dict[str, Any]
    robustness: dict[str, Any]

    @property
    def network(self) -> str:
        """The model and what is not the paper's about it, such as 'gcnn (width 0.6)'."""
        options = ", ".join(f"{name} {value}" for name, value in self.cell.options.items())
        return f"{self.cell.model} ({options})" if options else self.cell.model

    @property
    def verdict(self) -> str:
        """'sound' or 'masked', of the attack."""
        return str(self.robustness["verdict"])

    def rate_at(self, axis: str, value: float) -> Estimate | None:
        """The rate at a value of the axis 'theta' or 'epsilon'; None where that was not measured."""
        profile, grid = _AXES[axis](self)
        return Estimate(*(profile[k][grid.index(value)] for k in ("rate", "low", "high"))) if value in grid else None

    @property
    def accuracy(self) -> Estimate:
        """On the unchanged test images."""
        images = self.robustness["images"]
        return clopper_pearson(round(self.robustness["clean_accuracy"] * images), images)


_AXES = {
    "theta": lambda result: (result.invariance, result.invariance["thetas"]),
    "epsilon": lambda result: (result.robustness, result.robustness["epsilons"]),
}


def write_experiment(store: Store, experiment: Experiment, fingerprint: str) -> None:
    """Keep in the run directory what its figures are to be drawn from."""
    body = {"experiment": experiment.model_dump(mode="json"), "fingerprint": fingerprint}
    write_json(store.path / "experiment.json", body)


def read_run(path: Path) -> tuple[Experiment, list[Result], int]:
    """The experiment of a run directory, its finished cells in order, and how many are missing. Raises InputError."""
    body = read_json(path / "experiment.json")
    if body is None:
        raise InputError(
            f"{path} holds no run: its experiment.json is missing or damaged; `invrob empirical run` makes one"
        )
    try:
        experiment = Experiment.model_validate(body["experiment"])
    except ValidationError:
        raise InputError(f"{path} was written by another version of invrob: run the experiment again") from None
    cells = experiment.cells(body["fingerprint"])
    results = [result for cell in cells if (result := read_result(Store(path), cell)) is not None]
    return experiment, results, len(cells) - len(results)


def read_result(store: Store, cell: Cell) -> Result | None:
    """The result of a cell; None while it is not finished, or where a part of it is damaged."""
    if store.read_training(cell.key) is None:
        return None
    body = store.read_profiles(cell.key, cell.profile_key)
    return None if body is None else Result(cell, body["invariance"], body["robustness"])


def varied(recipes: Iterable[Recipe]) -> tuple[str, ...]:
    """The fields in which `recipes` differ from one another."""
    listed = list(recipes)
    return tuple(name for name in Recipe.model_fields if len({getattr(recipe, name) for recipe in listed}) > 1)


def write_csv(path: Path, results: Sequence[Result]) -> Path:
    """One row per cell, axis and value: `profiles.csv`. The same results give the same bytes."""
    text = StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    for result in results:
        for axis in _AXES:
            table.writerows(_rows(result, axis))
    return write_atomically(path, lambda temporary: temporary.write_text(text.getvalue(), encoding="utf-8"))


def _rows(result: Result, axis: str) -> list[dict[str, Any]]:
    profile, grid = _AXES[axis](result)
    cell = result.cell
    shared = {
        "dataset": cell.dataset,
        "model": cell.model,
        "training_theta": cell.recipe.rotation,
        "training_epsilon": cell.recipe.epsilon,
        "seed": cell.seed,
        "axis": axis,
        "images": profile["images"],
        "verdict": result.verdict if axis == "epsilon" else "sound",  # no attack, nothing to mask
        "options": json.dumps(cell.options, sort_keys=True),
        "cell": cell.key,
    }
    columns = ("rate", "low", "high", "accuracy", "accuracy_low", "accuracy_high")
    return [{**shared, "value": value, **{c: profile[c][i] for c in columns}} for i, value in enumerate(grid)]
