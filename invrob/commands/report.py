"""`invrob report`: one page about runs and models of one's own, side by side."""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invrob.commands import workers
from invrob.commands.early import check_folders
from invrob.commands.helping import examples
from invrob.commands.outputs import Outputs
from invrob.commands.shards import lacking
from invrob.commands.stopping import told_where_stopped
from invrob.progress import progress_bar

if TYPE_CHECKING:
    from invrob.empirical.report import Report

EXAMPLES = examples(
    "invrob report runs/mini",
    "invrob report runs/profile-mynet-build-mynet-mnist-mini",
    "invrob report runs/mini runs/profile-mynet-build-mynet-mnist-mini --out both.html",
    "invrob report runs/mini --card card.toml",
    "invrob report runs/mini --json",
)


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Run directories, and folders of invrob profile. Other runs are compared with the first one.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the page into this file. Left out, it is FOLDER/report.html, or comparison.html for several "
            "folders.",
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take what is said of the models from this TOML file: author, date, intended_use and the other fields "
            "of a model card. The table [card] in the configuration of a run does the same.",
        ),
    ] = None,
    imported: workers.Imports = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write one HTML page about runs and about models of your own, side by side.

    The page has verdicts, interactive profiles, the trade-off plane, a table of models, example images, the sanity of
    the attacks, the configuration and the cost. It needs no network and no other file.

    Nothing is trained or measured again. Only for the example images, the stored weights are asked."""
    check_folders(folders)
    stopped = told_where_stopped(lambda: "no page is written")
    with stopped, progress_bar(as_json, "loading PyTorch") as progress, redirect_stdout(sys.stderr):
        from invrob.empirical.experiments import read_model_card
        from invrob.empirical.models import trusting
        from invrob.empirical.report import make_report

        told = None if card is None else read_model_card(card)
        with trusting(imported or []):
            page = make_report(folders, out, progress, told)
    outputs = Outputs()
    written = outputs.written(page.write)
    _show(page, written, as_json)
    outputs.end("the folders are as they were: the same command makes the page again once it can be written")


def _show(page: "Report", written: Path | None, as_json: bool) -> None:
    """What is on the page, and where it is."""
    if as_json:
        summary = {
            "report": None if written is None else str(written),
            "bytes": page.size,
            "runs": [str(run.path) for run in page.runs],
            "profiles": [str(profile.path) for profile in page.profiles],
            "cells": sum(len(run.results) for run in page.runs),
            "missing_cells": sum(len(run.absent) + len(run.partial) for run in page.runs),
            "networks_with_examples": page.examples,
            "without_examples": list(page.skipped),
        }
        typer.echo(json.dumps(summary, allow_nan=False))
        return
    for why in page.skipped:
        typer.echo(f"no example images: {why}", err=True)
    from invrob.empirical.experiments import going_on

    for run in page.runs:
        if missing := len(run.absent) + len(run.partial):
            again = going_on(run.path, run.experiment)
            for line in lacking(run.path, run.results, missing, again):
                typer.echo(f"{run.path}: {line}", err=True)
    if written is not None:
        typer.echo(f"report: {written} ({page.size / 1e6:.1f} MB, self-contained)")
        typer.echo(f"next: open {written.resolve().as_uri()} in a browser")
