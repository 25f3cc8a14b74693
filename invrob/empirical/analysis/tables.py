"""What a run came to, as tidy CSV: a row per cell, axis and value, and a row for each class of them."""

import csv
import json
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from invrob.empirical.experiments import PER_VALUE, Result, grid_of
from invrob.files import write_atomically

COLUMNS = (
    *("dataset", "model", "training_theta", "training_epsilon", "seed", "axis", "value", "rate", "low", "high"),
    *("accuracy", "images", "verdict", "accuracy_low", "accuracy_high", "options", "cell", "variant"),
)
CLASS_COLUMNS = (
    *("dataset", "model", "training_theta", "training_epsilon", "seed", "axis", "value", "class", "name"),
    *("rate", "low", "high", "images", "verdict", "options", "cell", "variant"),
)


def write_csv(path: Path, results: Sequence[Result]) -> Path:
    """One row per cell, axis and value: `profiles.csv`. The same results give the same bytes."""
    rows = [row for result in results for each in result.profiles() for row in _rows(result, *each)]
    return _written(path, COLUMNS, rows)


def write_classes_csv(path: Path, results: Sequence[Result], names: Sequence[str] = ()) -> Path:
    """One row per cell, axis, value and class: `classes.csv`; names: of the classes, where they are known."""
    rows = [
        row for result in results for measured in result.profiles() for row in _class_rows(result, names, *measured)
    ]
    return _written(path, CLASS_COLUMNS, rows)


def _written(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> Path:
    text = StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return write_atomically(path, lambda temporary: temporary.write_text(text.getvalue(), encoding="utf-8"))


def _rows(result: Result, axis: str, variant: str, profile: dict[str, Any]) -> list[dict[str, Any]]:
    shared = _shared(result, axis, variant, profile) | {"images": profile["images"]}
    return [
        {**shared, "value": value, **{c: profile[c][i] for c in PER_VALUE}} for i, value in enumerate(grid_of(profile))
    ]


def _class_rows(
    result: Result, names: Sequence[str], axis: str, variant: str, profile: dict[str, Any]
) -> list[dict[str, Any]]:
    shared, rows = _shared(result, axis, variant, profile), []
    for one in profile.get("classes", ()):
        label = one["label"]
        own = {"class": label, "name": names[label] if label < len(names) else "", "images": one["images"]}
        for i, value in enumerate(grid_of(profile)):
            rows.append({**shared, **own, "value": value, **{c: one[c][i] for c in ("rate", "low", "high")}})
    return rows


def _shared(result: Result, axis: str, variant: str, profile: dict[str, Any]) -> dict[str, Any]:
    """What all rows of a profile have in common."""
    cell, usual = result.cell, "weak" if axis == "epsilon" else "sound"  # no attack by gradients: nothing to mask
    return {
        "dataset": cell.dataset,
        "model": cell.model,
        "training_theta": cell.recipe.rotation,
        "training_epsilon": cell.recipe.epsilon,
        "seed": cell.seed,
        "axis": axis,
        "verdict": profile.get("verdict", usual),
        "options": json.dumps(cell.options, sort_keys=True),
        "cell": cell.key,
        "variant": variant,
    }
