"""`invrob empirical run` and `invrob empirical figures`."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invrob.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from invrob.empirical.claims import Claim
    from invrob.empirical.experiment import Cell, Experiment
    from invrob.empirical.results import Result

app = typer.Typer(no_args_is_help=True, help="Train networks, measure both profiles, draw the paper's figures.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.command(
    epilog="Examples:  invrob empirical run   |   invrob empirical run --preset smoke --out runs/try   |   "
    "invrob empirical run --config my.toml --jobs 8   |   invrob empirical run --json > run.json"
)
def run(
    preset: Annotated[
        str | None,
        typer.Option(help="smoke (a minute), mini (the default: five minutes on two cores), paper-mnist (full scale)."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with any other grid, instead of a preset.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/PRESET when left out.")] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda or cuda:1.")] = "auto",
    seed: Annotated[int | None, typer.Option(min=0, max=10**9, help="The first seed; several count up.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Cells at a time; one per core, or one on a GPU.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a claim of the paper fails.")] = False,
    as_json: Json = False,
) -> None:
    """Train, profile and draw every cell of an experiment; the same command goes on where it was stopped.

    The results do not depend on --jobs. Ctrl-C, and even kill -9, lose only the cells that were being worked on."""
    experiment, name = _experiment(preset, config)
    from invrob.empirical import execute
    from invrob.empirical.results import read_result, write_experiment
    from invrob.empirical.store import Store

    if seed is not None:
        experiment = experiment.model_copy(update={"seeds": tuple(range(seed, seed + len(experiment.seeds)))})
    chosen = execute.chosen_device(device)
    dataset = execute.dataset_of(experiment.dataset)
    cells = experiment.cells(dataset.fingerprint)
    for cell in {(cell.model, str(cell.options)): cell for cell in cells}.values():
        execute.model_of(cell, dataset)  # images that a network does not take are refused before anything is written
    path = out or Path("runs") / name
    store = Store(path)
    begin = time.monotonic()
    with store.locked(), _farewell():
        write_experiment(store, experiment, dataset.fingerprint)
        todo = [cell for cell in cells if read_result(store, cell) is None]
        effort = {cell.key: execute.work(cell, dataset) for cell in todo}
        todo.sort(key=lambda cell: -effort[cell.key])  # the longest first, so that no core waits long at the end
        workers = jobs or (1 if chosen.type == "cuda" else _cores())
        hidden = quiet or as_json
        with _Live(len(cells), len(cells) - len(todo), effort) if not hidden else nullcontext(_Silent()) as live:
            execute.run(todo, path, device=chosen, jobs=workers, observer=live)
        extra = {"computed": len(todo), "seconds": round(time.monotonic() - begin, 1)}
        claims = _conclude(path, as_json, quiet, extra)
    if strict and any(claim.verdict == "fails" for claim in claims):
        raise typer.Exit(1)


@app.command(epilog="Examples:  invrob empirical figures runs/mini   |   invrob empirical figures runs/mini --json")
def figures(run: Annotated[Path, typer.Argument(help="A run directory.")], as_json: Json = False) -> None:
    """Draw the figures and write profiles.csv of a run again, from what its directory holds."""
    _conclude(run, as_json, quiet=False, extra={})


@contextmanager
def _farewell() -> Iterator[None]:
    """Ctrl-C inside the block says what it left behind; Typer ends the process with 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped: nothing that was finished is lost; the same command goes on", err=True)
        raise


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _experiment(preset: str | None, config: Path | None) -> "tuple[Experiment, str]":
    from invrob.empirical.experiment import PRESETS, read_experiment

    if config is not None:
        if preset is not None:
            raise InputError(f"--preset {preset} and --config {config} exclude each other: leave one out")
        return read_experiment(config), config.stem
    preset = "mini" if preset is None else preset
    if preset not in PRESETS:
        near = did_you_mean(preset, PRESETS)
        raise InputError(f"preset {preset!r} is unknown{near}; choose one of {', '.join(PRESETS)}, or use --config")
    return PRESETS[preset], preset


def _conclude(path: Path, as_json: bool, quiet: bool, extra: dict[str, Any]) -> "tuple[Claim, ...]":
    """CSV, figures, verdicts; then the tables, or one JSON object."""
    from invrob.empirical.claims import check_claims
    from invrob.empirical.figures import write_figures
    from invrob.empirical.results import read_run, write_csv

    _, results, missing = read_run(path)
    if not results:
        raise InputError(f"{path} holds no finished cell: start `invrob empirical run --out {path}` again")
    table = write_csv(path / "profiles.csv", results)
    drawn = write_figures(path, results)
    claims = check_claims(results)
    if as_json:
        summary = {
            "run": str(path),
            "csv": str(table),
            "figures": [str(figure) for figure in drawn],
            "missing_cells": missing,
            **extra,
            "cells": [_row(result) for result in results],
            "claims": [asdict(claim) for claim in claims],
        }
        typer.echo(json.dumps(summary, allow_nan=False))
    elif not quiet:
        _print(results, claims)
        if missing:
            typer.echo(f"{missing} cells are not finished: the same run command goes on with them")
        typer.echo("figures and data:\n" + "\n".join(f"  {shown}" for shown in [*drawn, table]))
    return claims


def _row(result: "Result") -> dict[str, Any]:
    """A row of the summary; an estimate is None where the experiment did not measure it."""
    recipe = result.cell.recipe
    shares = {
        "accuracy": result.accuracy,
        **{f"invariance_{theta}": result.rate_at("theta", theta) for theta in (90, 180)},
        **{f"robustness_{epsilon}": result.rate_at("epsilon", epsilon) for epsilon in (0.1, 0.3)},
    }
    return {
        "network": result.network,
        "training_theta": recipe.rotation,
        "training_epsilon": recipe.epsilon,
        "seed": result.cell.seed,
        **{name: None if share is None else asdict(share) for name, share in shares.items()},
        "verdict": result.verdict,
        "reasons": list(result.robustness["sanity"]["reasons"]),
    }


def _print(results: "list[Result]", claims: "tuple[Claim, ...]") -> None:
    """The two summaries for a person, in 80 columns."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    summary = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    several = len({result.cell.seed for result in results}) > 1
    seed_heading = ["seed"] if several else []
    for heading in ("network", "A", "eps", *seed_heading, "acc.", "inv90", "inv180", "rob.1", "rob.3", "attack"):
        numeric = heading not in ("network", "attack")
        summary.add_column(heading, justify="right" if numeric else "left", no_wrap=heading != "network")
    reasons, widest = [], 0.0
    for row in map(_row, results):
        network, theta, epsilon, seed, *shares, verdict, why = row.values()
        percentages = ["-" if share is None else f"{100 * share['estimate']:.1f}" for share in shares]
        widest = max([widest, *((share["high"] - share["low"]) / 2 for share in shares if share is not None)])
        seed_cell = [str(seed)] if several else []
        summary.add_row(network, f"{theta:g}", f"{epsilon:g}", *seed_cell, *percentages, verdict)
        reasons += [
            f"{network}, A = {theta:g}, epsilon = {epsilon:g}, seed {seed} is masked: {reason}" for reason in why
        ]
    console.print(summary)
    console.print("In %; trained with rotations in [-A, A] and against perturbations of size eps.")
    console.print(f"95 % intervals are at most +-{100 * widest:.1f} points wide; each stands in profiles.csv.")
    console.print("inv90: rate of invariance for rotations in [-90, 90]; rob.1: 1 - fooling rate at 0.1.")
    for reason in reasons:
        console.print(reason)
    console.print("\nThe paper's claims, by the trend of the mean rate, with 95 % intervals:")
    for name, text in dict.fromkeys((claim.name, claim.text) for claim in claims):
        console.print(f"  ({name}) {text}")
        for claim in claims:
            if claim.name == name:
                console.print(f"        {claim.network}: [bold]{claim.verdict}[/bold]{_evidence(claim)}")
    for note in dict.fromkeys(claim.note for claim in claims):
        console.print(f"  {note}")


def _evidence(claim: "Claim") -> str:
    if claim.effect is None or claim.low is None or claim.high is None:
        return ""
    interval = f"[{100 * claim.low:+.1f}, {100 * claim.high:+.1f}]"
    return f"  {100 * claim.effect:+.1f} points {interval}, p = {claim.p_value:.1g}".replace("[", "\\[")


class _Silent:
    """Shows nothing."""

    def started(self, cell: "Cell") -> None: ...
    def advanced(self, cell: "Cell", fraction: float) -> None: ...
    def finished(self, cell: "Cell") -> None: ...


class _Live(_Silent):
    """Progress on stderr: cells done, elapsed time, ETA by the work of each cell, the cells at work."""

    def __init__(self, total: int, done: int, effort: dict[str, float]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.table import Column

        self.total, self.done, self.effort = total, done, effort
        self.current: dict[str, str] = {}
        self.fractions: dict[str, float] = {}
        self.progress = Progress(
            TextColumn("{task.fields[count]}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=12),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("ETA"),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=Console(file=sys.stderr),
            expand=True,
            speed_estimate_period=7 * 24 * 3600,  # a cell may take longer than the default of 30 seconds
        )
        self.task = self.progress.add_task("", total=sum(effort.values()) or 1, count=self._count())

    def __enter__(self) -> "_Live":
        self.progress.start()
        if self.done:
            self.progress.console.print(f"{self.done} of {self.total} cells were finished before")
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def started(self, cell: "Cell") -> None:
        self.current[cell.key] = str(cell)
        self._show()

    def advanced(self, cell: "Cell", fraction: float) -> None:
        self.fractions[cell.key] = fraction
        self._show()

    def finished(self, cell: "Cell") -> None:
        del self.current[cell.key]
        self.done += 1
        self.advanced(cell, 1.0)

    def _show(self) -> None:
        completed = sum(self.effort[key] * fraction for key, fraction in self.fractions.items())
        running = " | ".join(self.current.values())
        self.progress.update(self.task, completed=completed, count=self._count(), description=running)

    def _count(self) -> str:
        return f"{self.done}/{self.total} cells"
