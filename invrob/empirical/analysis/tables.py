"""What a run came to, as tidy CSV: a row per cell, axis and value, and a row for each class of them."""

import csv
import json
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Rates
from invrob.files import write_atomically

COLUMNS = (
    *("dataset", "model", "training_theta", "training_epsilon", "seed", "axis", "value", "rate", "low", "high"),
    *("accuracy", "images", "verdict", "accuracy_low", "accuracy_high", "options", "cell", "variant"),
    *("gap", "gap_high", "floor"),
)
CLASS_COLUMNS = (
    *("dataset", "model", "training_theta", "training_epsilon", "seed", "axis", "value", "class", "name"),
    *("rate", "low", "high", "images", "verdict", "options", "cell", "variant"),
)
TABLE_THETAS = (90.0, 180.0)  # where summaries and reports read rates of invariance
PER_VALUE = ("rate", "low", "high", "accuracy", "accuracy_low", "accuracy_high")
AUDIT = ("gap", "gap_high", "floor")  # what bounds an attack; None without an audit, and where there was no attack


def write_csv(path: Path, results: Sequence[Result]) -> Path:
    """One row per cell, axis and value: `profiles.csv`. The same results give the same bytes.

    `gap`, `gap_high` and `floor` are empty where nothing bounds what an attack missed."""
    rows = []
    for result in results:
        for variant, rates in result.variants.items():
            shared = _shared(result, variant, rates) | {"images": rates.images}
            columns = {name: getattr(rates, name).tolist() for name in PER_VALUE}
            columns |= {name: bound.tolist() for name in AUDIT if (bound := getattr(rates, name, None)) is not None}
            for i, value in enumerate(rates.values.tolist()):
                rows.append({**shared, "value": value, **{name: column[i] for name, column in columns.items()}})
    return _written(path, COLUMNS, rows)


def write_classes_csv(path: Path, results: Sequence[Result], names: Sequence[str] = ()) -> Path:
    """One row per cell, axis, value and class: `classes.csv`; names: of the classes, where they are known."""
    rows = []
    for result in results:
        for variant, rates in result.variants.items():
            shared = _shared(result, variant, rates)
            for part in rates.classes:
                name = names[part.label] if part.label < len(names) else ""
                of_class = {"class": part.label, "name": name, "images": part.images}
                for i, value in enumerate(rates.values.tolist()):
                    bounds = {k: float(getattr(part, k)[i]) for k in ("rate", "low", "high")}
                    rows.append({**shared, **of_class, "value": value, **bounds})
    return _written(path, CLASS_COLUMNS, rows)


def _written(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> Path:
    text = StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return write_atomically(path, lambda temporary: temporary.write_text(text.getvalue(), encoding="utf-8"))


def _shared(result: Result, variant: str, rates: Rates) -> dict[str, Any]:
    """What all rows of a measurement have in common."""
    cell = result.cell
    return {
        "dataset": cell.dataset,
        "model": cell.model,
        "training_theta": cell.recipe.rotation,
        "training_epsilon": cell.recipe.epsilon,
        "seed": cell.seed,
        "axis": rates.axis,
        "verdict": rates.verdict,
        "options": json.dumps(cell.options, sort_keys=True),
        "cell": cell.key,
        "variant": variant,
    }
