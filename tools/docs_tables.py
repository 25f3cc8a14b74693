"""Numbers that are taken from the tables of the benchmarks, for tools/docs_sources.py."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Named = Iterator[tuple[str, str]]


def of_benchmarks(path: Path) -> Named:
    """The tables of `python -m benchmarks --json`, each with its note, and what the page says about the curves."""
    tables = json.loads(path.read_text("utf-8"))["tables"]
    for table in tables:
        rows = [list(table["rows"][0]), ["---"] * len(table["rows"][0])]
        rows += [[_shown(value) for value in row.values()] for row in table["rows"]]
        lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        yield table["title"], f"{table['note']}\n\n{lines}"
    curves = {
        table["title"].removeprefix("Whole curves: "): {row["attack"]: row for row in table["rows"]}
        for table in tables
        if table["title"].startswith("Whole curves")
    }
    yield from of_curves(curves)


def of_curves(curves: dict[str, dict[str, dict[str, Any]]]) -> Named:
    """What the page says about the curves; of each, the rows by attack."""
    ours, audited, auto = "invrob, the search alone", "invrob, audited", "AutoAttack loop, standard"
    digits = [rows for rows in curves.values() if auto in rows]

    def of(attack: str, column: str, among: list[dict[str, dict[str, Any]]]) -> list[float]:
        return [float(rows[attack][column]) for rows in among]

    yield "search gradients", _range(of(ours, "gradients", list(curves.values())))
    yield "audited gradients", _range(of(audited, "gradients", list(curves.values())))
    yield "most gradients", f"{max(of(audited, 'gradients', digits)):.0f}"
    yield "AutoAttack gradients", _range(of(auto, "gradients", digits), -2)
    yield "AutoAttack forwards", _range(of(auto, "forwards", digits), -3)
    many = [of(auto, "gradients", [rows])[0] / of(ours, "gradients", [rows])[0] for rows in digits]
    yield "AutoAttack over search", _range(many, -1)
    few = [of(auto, "gradients", [rows])[0] / of(audited, "gradients", [rows])[0] for rows in digits]
    yield "AutoAttack over audited", _range(few)
    for norm in ("L-inf", "L2"):
        some = [rows for name, rows in curves.items() if auto in rows and name.endswith(norm)]
        less = [100 * (of(audited, "area", [rows])[0] - of(auto, "area", [rows])[0]) for rows in some]
        yield f"AutoAttack less {norm}", " and ".join(f"{points:.1f}" for points in sorted(less))
    lenet = [rows for name, rows in curves.items() if name.startswith("LeNet")]
    yield "LeNet missed", _range(of(audited, "missed, most", lenet)).split(" to ")[0]


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _range(numbers: list[float], digits: int = 0) -> str:
    """The smallest and the largest, rounded to so many digits behind the point."""
    low, high = (f"{round(number, digits):,.0f}" for number in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"
