"""`invrob report`: one page about a run, or about several side by side."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories; the first is what the others are compared with.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The file. RUN/report.html when left out, or ./comparison.html for several runs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write one HTML file about a run, or about several side by side: verdicts, interactive profiles and trade-off
    plane, example images, attack sanity, configuration and cost.

    The file needs no network and no other file. Nothing is trained or measured again, but for the example images, which
    the stored weights are asked for."""
    from invrob.empirical.report import write_report

    with _progress(not as_json) as told:
        written = write_report(runs, out, told)
    if as_json:
        summary = {
            "report": str(written.path),
            "bytes": written.size,
            "runs": [str(run.path) for run in written.runs],
            "cells": sum(len(run.results) for run in written.runs),
            "missing_cells": sum(len(run.absent) + len(run.partial) for run in written.runs),
            "networks_with_examples": written.examples,
            "without_examples": list(written.skipped),
        }
        typer.echo(json.dumps(summary, allow_nan=False))
        return
    for why in written.skipped:
        typer.echo(f"no example images: {why}", err=True)
    missing = [run for run in written.runs if run.absent or run.partial]
    for run in missing:
        typer.echo(f"{run.path}: {len(run.absent) + len(run.partial)} cells are not finished", err=True)
    typer.echo(f"report: {written.path} ({written.size / 1e6:.1f} MB, self-contained: open it in a browser)")


@contextmanager
def _progress(wanted: bool) -> Iterator[Callable[[str, int, int], object]]:
    """A bar with the time left on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield lambda what, done, total: None
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
