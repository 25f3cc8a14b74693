"""The end of a run: tables and figures into its directory, the verdicts, and all of that shown."""

import json
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from invrob.commands.outputs import Outputs
from invrob.commands.plane_table import point_rows
from invrob.commands.shards import lacking, shard_entry
from invrob.commands.summary import print_answer, print_results, result_row
from invrob.errors import command
from invrob.progress import Show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from invrob.empirical.analysis import Claim
    from invrob.empirical.execution import Deadline
    from invrob.empirical.experiments import Experiment, Result


@dataclass(frozen=True)
class Conclusion:
    """What a run came to, and the files that say so; None for one that the disk has refused."""

    path: Path
    experiment: "Experiment"
    results: "list[Result]"
    missing: int  # cells that are not wholly measured
    claims: "tuple[Claim, ...]"
    place: tuple[float, float]  # theta and epsilon of the trade-off plane
    figures: list[Path]
    table: Path | None
    by_class: Path | None
    drawn: bool = True  # whether there was time for all figures

    def summary(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """All of that for JSON. extra: what the command knows beside it."""
        from invrob.empirical.analysis import answer, by_training, plane

        theta, epsilon = self.place
        points = plane(by_training(self.results), theta, epsilon)
        return {
            "run": str(self.path),
            "csv": self.table and str(self.table),
            "classes_csv": self.by_class and str(self.by_class),
            "figures": [str(figure) for figure in self.figures],
            "missing_cells": self.missing,
            **shard_entry(self.path, self.results),
            **extra,
            "cells": [result_row(result) for result in self.results],
            "claims": [claim.to_dict() for claim in self.claims],
            "answer": [*answer(self.claims)],
            "plane": {"theta": theta, "epsilon": epsilon, "points": point_rows(points)},
        }

    def show(self, as_json: bool, extra: Mapping[str, Any], again: str) -> None:
        """Print it, as tables or as one JSON object. again: the command that goes on with cells that are missing."""
        if as_json:
            typer.echo(json.dumps(self.summary(extra), allow_nan=False))
            return
        print_results(self.results, self.claims)
        for line in lacking(self.path, self.results, self.missing, again) if self.missing else ():
            typer.echo(line)
        files = [file for file in (*self.figures, self.table, self.by_class) if file is not None]
        if files:
            typer.echo("figures and data:\n" + "\n".join(f"  {file}" for file in files))
        print_answer(self.claims)


def conclude(
    path: Path,
    outputs: Outputs,
    theta: float | None = None,
    epsilon: float | None = None,
    *,
    held: Mapping[tuple[str, str], dict[str, Any]] | None = None,
    progress: Show = lambda *_: None,
    style: str = "screen",
    within: "Deadline | None" = None,
) -> Conclusion:
    """Write CSV and figures (the trade-off plane at theta and epsilon), and judge the paper's claims. What cannot be
    written is among the failures of `outputs`.

    held: measurements that are in memory alone, as of `Store`; progress: called with what is drawn; style: the name of
    what the figures are drawn for; within: until when they may be drawn."""
    from invrob.empirical.analysis import by_training, check_claims, place_of, write_classes_csv, write_csv
    from invrob.empirical.experiments import class_names, read_run
    from invrob.empirical.figures import write_figures
    from invrob.empirical.training import Paused
    from invrob.pictures import style_named, write_figure

    chosen = style_named(style)
    progress("reading the results", 0, 1)
    experiment, results, missing = read_run(path, held)
    place, classes = place_of(by_training(results), theta, epsilon), class_names(path)
    progress("testing the claims", 0, 1)
    claims = check_claims(results)
    most = len(chosen.formats) * (
        1 + 3 * len({result.network for result in results})
    )  # files, as far as that is known beforehand
    begun, drawn = list[Path](), list[Path]()

    def write(file: Path, figure: "Figure") -> Path | None:
        begun.append(file)
        progress(f"drawing {file.name}", len(begun), max(most, len(begun) + 1))
        written = outputs.written(lambda: write_figure(file, figure))
        drawn.extend([written] if written else [])
        return written

    table = outputs.written(lambda: write_csv(path / "profiles.csv", results))
    by_class = outputs.written(lambda: write_classes_csv(path / "classes.csv", results, classes))
    whole = False
    if within is None or not within.over:
        with nullcontext() if within is None else within.watched("measuring"), suppress(Paused):
            write_figures(path, results, *place, classes, write, chosen)
            whole = True
    return Conclusion(path, experiment, results, missing, claims, place, drawn, table, by_class, whole)


def drawn_again(path: Path) -> str:
    """What is said where tables or figures could not be written."""
    again = command("empirical", "figures", path)
    return f"the results are printed above, and `{again}` writes them once it can"
