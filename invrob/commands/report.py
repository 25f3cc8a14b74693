"""`invrob report`: one page about a run, or about several side by side."""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from invrob.commands import workers
from invrob.commands.outputs import Outputs
from invrob.progress import progress_bar


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories; the first is what the others are compared with.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The file. RUN/report.html when left out, or ./comparison.html for several runs."),
    ] = None,
    imported: workers.Imports = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write one HTML file about a run, or about several side by side: verdicts, interactive profiles and trade-off
    plane, example images, attack sanity, configuration and cost.

    The file needs no network and no other file. Nothing is trained or measured again, but for the example images, which
    the stored weights are asked for."""
    from invrob.empirical.models import trusting
    from invrob.empirical.report import write_report

    with trusting(imported or []), redirect_stdout(sys.stderr), progress_bar(hidden=as_json) as progress:
        outputs = Outputs()
        written = outputs.written(lambda: write_report(runs, out, progress))
    if written is None:
        outputs.end("the runs are as they were: the same command makes the page again")
        return
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
    for run in written.runs:
        missing = len(run.absent) + len(run.partial)
        if missing:
            typer.echo(f"{run.path}: {missing} cells are not finished", err=True)
    typer.echo(f"report: {written.path} ({written.size / 1e6:.1f} MB, self-contained: open it in a browser)")
