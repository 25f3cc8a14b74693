"""`invrob report`: one page about a run, or about several side by side."""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invrob.commands import workers
from invrob.commands.helping import examples
from invrob.commands.outputs import Outputs
from invrob.progress import progress_bar

if TYPE_CHECKING:
    from invrob.empirical.report import Report

EXAMPLES = examples(
    "invrob report runs/mini",
    "invrob report runs/mini runs/other --out both.html",
    "invrob report runs/mini --json",
)


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run directories. The others are compared with the first of them."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the page into this file. Left out, it is RUN/report.html, or comparison.html for several runs.",
        ),
    ] = None,
    imported: workers.Imports = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write one HTML page about a run, or about several side by side.

    The page has verdicts, interactive profiles, the trade-off plane, example images, the sanity of the attacks, the
    configuration and the cost. It needs no network and no other file.

    Nothing is trained or measured again. Only for the example images, the stored weights are asked."""
    from invrob.empirical.models import trusting
    from invrob.empirical.report import make_report

    with trusting(imported or []), redirect_stdout(sys.stderr), progress_bar(hidden=as_json) as progress:
        page = make_report(runs, out, progress)
    outputs = Outputs()
    written = outputs.written(page.write)
    _show(page, written, as_json)
    outputs.end("the runs are as they were: the same command makes the page again once it can be written")


def _show(page: "Report", written: Path | None, as_json: bool) -> None:
    """What is on the page, and where it is."""
    if as_json:
        summary = {
            "report": None if written is None else str(written),
            "bytes": page.size,
            "runs": [str(run.path) for run in page.runs],
            "cells": sum(len(run.results) for run in page.runs),
            "missing_cells": sum(len(run.absent) + len(run.partial) for run in page.runs),
            "networks_with_examples": page.examples,
            "without_examples": list(page.skipped),
        }
        typer.echo(json.dumps(summary, allow_nan=False))
        return
    for why in page.skipped:
        typer.echo(f"no example images: {why}", err=True)
    for run in page.runs:
        missing = len(run.absent) + len(run.partial)
        if missing:
            typer.echo(f"{run.path}: {missing} cells are not finished", err=True)
    if written is not None:
        typer.echo(f"report: {written} ({page.size / 1e6:.1f} MB, self-contained: open it in a browser)")
