"""`invrob runs merge`: the runs of several machines as one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invrob.commands.advice import next_line, same_command
from invrob.commands.conclusion import conclude, drawn_again
from invrob.commands.early import check_folders
from invrob.commands.helping import Group, examples
from invrob.commands.outputs import Outputs
from invrob.commands.stopping import told_where_stopped
from invrob.commands.tables import print_text
from invrob.errors import InputError
from invrob.progress import progress_bar

if TYPE_CHECKING:
    from invrob.empirical.experiments import Cell, Merged

NAMED = 5  # cells in a line

app = typer.Typer(
    no_args_is_help=True,
    help="Put runs together that were computed apart.",
    **examples("invrob runs merge runs/mini-shard-1-of-2 runs/mini-shard-2-of-2 --out runs/mini", cls=Group),
)


@app.command(
    **examples(
        "invrob runs merge runs/mini-shard-1-of-2 runs/mini-shard-2-of-2 --out runs/mini",
        "invrob runs merge runs/paper-mnist-shard-*-of-8 --out runs/paper-mnist",
        "invrob runs merge runs/seed-0 runs/seed-1 --out runs/seeds --json",
    )
)
def merge(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run directories: shards, or runs of other seeds or other networks."),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="The run directory of the whole. One that is there already grows."),
    ],
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Where two runs have the same network with other numbers, take it from the first; FOLDER comes before "
            "all others.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Put run directories together into one, and draw its figures. Nothing is trained or measured.

    The whole is what a single run would have left, and goes on as one: what is missing is said, with the command that
    computes it. The runs stay as they are, and what FOLDER holds is never replaced. The same command goes on where it
    was stopped, and adds what has been computed since.

    They must be of one experiment, or of parts that make one: other seeds of the same networks, or other networks on
    the same data.

    Exit code 0: merged, also where cells are missing; 1: a damaged file leaves a cell unfinished, or a file could not
    be written; 2: bad usage, such as runs that do not belong together."""
    check_patterns(runs)
    check_folders(runs)
    outputs = Outputs()
    stopped = told_where_stopped(lambda: "what was copied is kept, and the runs are as they were")
    with stopped, progress_bar(as_json, "loading PyTorch") as progress:
        from invrob.empirical.experiments import going_on, merge_runs

        merged = outputs.written(lambda: merge_runs(runs, out, force, progress))
        if merged is None:
            outputs.end(f"what was copied is kept, and the same command goes on with it: {same_command()}")
            return
        done = conclude(out, outputs, progress=progress)
    again = going_on(out, merged.experiment)
    if not as_json:
        typer.echo(_counted(merged, out))
    done.show(as_json, _plain(merged), again)
    _tell_left_out(merged, as_json)
    outputs.end(drawn_again(out))
    if not as_json:
        typer.echo(f"next: {again}" if merged.missing else next_line("report", out))
    if {cell.key for _, cell in merged.damaged} & {cell.key for cell in merged.missing}:
        raise typer.Exit(1)


def check_patterns(runs: list[Path]) -> None:
    """Raises InputError for a pattern that no folder fits, which a shell leaves as it is."""
    for path in runs:
        if "*" in str(path) and not path.exists():
            raise InputError(f"no folder fits {path}: name the run directories, which each shard prints at its end")


def _counted(merged: "Merged", out: Path) -> str:
    """Such as "20 cells copied from 8 runs to runs/mini, where 4 were already"."""
    runs, cells = (f"{n} {what}{'s' * (n != 1)}" for n, what in ((len(merged.runs), "run"), (merged.copied, "cell")))
    there = f", where {merged.there} {'was' if merged.there == 1 else 'were'} already" if merged.there else ""
    return f"{cells} copied from {runs} to {out}{there}"


def _plain(merged: "Merged") -> dict[str, Any]:
    """What the JSON has beside the summary of the run."""
    return {
        "runs": [str(path) for path in merged.runs],
        "copied_cells": merged.copied,
        "cells_there": merged.there,
        "damaged": [{"file": str(file), "cell": str(cell)} for file, cell in merged.damaged],
        "taken_from_the_first": [str(cell) for cell in merged.first],
        "missing": [str(cell) for cell in merged.missing],
    }


def _tell_left_out(merged: "Merged", as_json: bool) -> None:
    """On stderr: damaged files, and cells that other runs have with other numbers; with the tables, what is missing."""
    for file, cell in merged.damaged:
        typer.echo(f"left out: {file} is damaged ({cell})", err=True)
    if merged.first:
        typer.echo(f"taken from the first run, since others differ: {_named(merged.first)}", err=True)
    if merged.missing and not as_json:
        from rich.console import Console

        again = "The same merge adds what the runs compute from now on."
        print_text(Console(highlight=False), f"not finished: {_named(merged.missing)}. {again}")


def _named(cells: "tuple[Cell, ...]") -> str:
    more = f"; and {len(cells) - NAMED} more" if len(cells) > NAMED else ""
    return "; ".join(map(str, cells[:NAMED])) + more
