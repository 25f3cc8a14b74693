"""The end of a run: tables and figures into its directory, the verdicts, and all of that shown."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import typer

from invrob.commands.outputs import Outputs
from invrob.commands.plane import point_rows
from invrob.commands.summary import print_results, result_row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from invrob.empirical.analysis import Claim


def conclude(
    path: Path,
    outputs: Outputs,
    as_json: bool,
    quiet: bool,
    extra: dict[str, Any],
    theta: float | None = None,
    epsilon: float | None = None,
    held: Mapping[tuple[str, str], dict[str, Any]] | None = None,
) -> "tuple[Claim, ...]":
    """CSV, figures (the trade-off plane at theta and epsilon), verdicts; then the tables, or one JSON object. What
    cannot be written is among the failures of `outputs`, and then the tables are printed also where it is `quiet`.

    held: measurements that are in memory alone, as of `Store`."""
    from invrob.empirical.analysis import by_training, check_claims, place_of, plane, write_classes_csv, write_csv
    from invrob.empirical.experiments import class_names, read_run
    from invrob.empirical.figures import write_figures
    from invrob.pictures import write_figure

    def write(file: Path, figure: "Figure") -> Path | None:
        return outputs.written(lambda: write_figure(file, figure))

    _, results, missing = read_run(path, held)
    trainings = by_training(results)
    theta, epsilon = place_of(trainings, theta, epsilon)
    classes = class_names(path)
    table = outputs.written(lambda: write_csv(path / "profiles.csv", results))
    by_class = outputs.written(lambda: write_classes_csv(path / "classes.csv", results, classes))
    figures = write_figures(path, results, theta, epsilon, classes, write)
    claims = check_claims(results)
    if as_json:
        summary = {
            "run": str(path),
            "csv": table and str(table),
            "classes_csv": by_class and str(by_class),
            "figures": [str(figure) for figure in figures],
            "missing_cells": missing,
            **extra,
            "cells": [result_row(result) for result in results],
            "claims": [asdict(claim) for claim in claims],
            "plane": {"theta": theta, "epsilon": epsilon, "points": point_rows(plane(trainings, theta, epsilon))},
        }
        typer.echo(json.dumps(summary, allow_nan=False))
    elif not quiet or outputs.failures:  # what is kept nowhere else is printed
        print_results(results, claims)
        if missing:
            typer.echo(f"{missing} cells are not finished: the same run command goes on with them")
        files = [file for file in (*figures, table, by_class) if file is not None]
        if files:
            typer.echo("figures and data:\n" + "\n".join(f"  {file}" for file in files))
    return claims


def drawn_again(path: Path) -> str:
    """What is said where tables or figures could not be written."""
    return f"the results are printed above, and `invrob empirical figures {quote(str(path))}` writes them once it can"
