"""`invrob empirical run` and `invrob empirical figures`."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invrob.commands import workers
from invrob.commands.conclusion import conclude, drawn_again
from invrob.commands.helping import Group, examples
from invrob.commands.outputs import Outputs
from invrob.commands.planning import print_plan
from invrob.commands.summary import print_costs
from invrob.errors import InputError, did_you_mean
from invrob.progress import progress_bar

if TYPE_CHECKING:
    from invrob.empirical.analysis import Claim
    from invrob.empirical.execution import Execution, Failure
    from invrob.empirical.experiments import Experiment

app = typer.Typer(
    no_args_is_help=True,
    help="Train networks, measure both profiles, draw the paper's figures.",
    **examples(
        "invrob empirical run --preset smoke",
        "invrob empirical run --preset paper-mnist --dry-run",
        "invrob empirical figures runs/smoke",
        cls=Group,
    ),
)

KEPT = "what was finished is kept or printed above, and the same command goes on once it can be written"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.command(
    **examples(
        "invrob empirical run",
        "invrob empirical run --preset smoke --out runs/try",
        "invrob empirical run --config my.toml --jobs 8",
        "invrob empirical run --config mine.toml --import mynet",
        "invrob empirical run --json > run.json",
        "invrob empirical run --preset paper-cifar --dry-run",
        "invrob empirical run --preset paper-mnist --executor ray --address auto --gpus-per-cell 0.5",
    )
)
def run(
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The experiment: smoke (a minute), mini (five minutes; the default), paper-mnist or paper-cifar.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file that describes another experiment.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The run directory. Left out, it is runs/PRESET.")
    ] = None,
    device: workers.Device = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, max=10**9, metavar="N", help="The first seed. Further ones count up from it.")
    ] = None,
    executor: workers.Executor = None,
    jobs: workers.Jobs = None,
    stack: workers.Stack = None,
    retries: workers.Retries = 2,
    address: workers.Address = None,
    gpus_per_cell: workers.Gpus = None,
    cpus_per_cell: workers.Cpus = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Measure a weak attack as well, to see by how much it flatters: paper, softmax, fixed-step, "
            "few-steps, one-step, noise or half.",
        ),
    ] = None,
    imported: workers.Imports = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what the run would take, after a trial of some seconds. No cell is computed."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print neither progress nor tables.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 1 where a claim of the paper fails.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train and measure every network of an experiment, and draw the figures. A cell is one of these networks.

    The same command goes on where it was stopped: Ctrl-C, and even kill -9, lose only the cells at work. The results do
    not depend on --executor and --jobs.

    Exit code 0: all cells are finished; 1: a cell failed, which does not stop the others, or with --strict a claim of
    the paper; 2: bad usage."""
    experiment, name = _experiment(preset, config, seed, attack or [])
    experiment = _with_code(experiment, imported or [])
    how = workers.execution_from_options(executor, device, jobs, stack, retries, address, gpus_per_cell, cpus_per_cell)
    path = out or Path("runs") / name
    if dry_run:
        _plan(experiment, path, how, as_json)
        return
    outputs = Outputs()
    claims, failures, kept = _compute(experiment, path, how, outputs, quiet, as_json)
    _print_failures(failures)
    outputs.end(kept)
    if failures or (strict and any(claim.verdict == "fails" for claim in claims)):
        raise typer.Exit(1)


def _with_code(experiment: "Experiment", imported: list[str]) -> "Experiment":
    """The experiment with the code of the user's networks, which runs only where the command line names it."""
    from invrob.empirical.models import allow, covers

    for name in imported:
        if not any(covers(name, spec) for spec in experiment.builders):
            known = ", ".join(experiment.builders) or "only networks of the paper"
            raise InputError(f"--import {name} is the code of no model of this experiment, which has {known}")
    with redirect_stdout(sys.stderr):  # what the user's code prints is no answer
        return experiment.built_by(allow(experiment.builders, imported))


def _plan(experiment: "Experiment", path: Path, how: "Execution", as_json: bool) -> None:
    """Print what is still to be done of an experiment; the data need not be there."""
    from invrob.empirical import data
    from invrob.empirical.execution import plan
    from invrob.empirical.experiments import Store, dataset_of, unfinished

    missing = data.stand_in(experiment.dataset)
    if missing is not None:
        fetch = f"invrob data fetch {experiment.dataset}"
        typer.echo(f"{experiment.dataset} is not on this disk ({fetch}): nothing can be finished yet", err=True)
    dataset = missing or dataset_of(experiment.dataset)
    cells = experiment.cells(dataset.fingerprint)
    todo = unfinished(cells, Store(path))
    with redirect_stdout(sys.stderr):
        rows = plan(todo, dataset, how.device)
    print_plan(rows, len(cells) - len(todo), str(how.device), min(how.jobs or 1, max(len(todo), 1)), as_json)


def _compute(
    experiment: "Experiment", path: Path, how: "Execution", outputs: Outputs, quiet: bool, as_json: bool
) -> "tuple[tuple[Claim, ...], tuple[Failure, ...], str]":
    """Run what is still to be done of an experiment, and show the results. Where the disk refuses one of them, which is
    then among the failures of `outputs`, what was computed until then is shown.

    Returns the claims, the cells that failed, and what is kept where something could not be written."""
    from invrob.empirical import execution
    from invrob.empirical.experiments import Store, dataset_of, model_of, read_result, unfinished, write_experiment

    dataset, store = dataset_of(experiment.dataset), Store(path)
    cells = experiment.cells(dataset.fingerprint)
    with redirect_stdout(sys.stderr):
        for cell in {cell.network: cell for cell in cells}.values():
            model_of(cell, dataset)  # images that a network does not take are refused before anything is written
    begin, hidden = time.monotonic(), quiet or as_json
    with store.locked(), _interrupts_explained():
        write_experiment(store, experiment, dataset.fingerprint, dataset.classes)
        todo = unfinished(cells, store)
        with redirect_stdout(sys.stderr), progress_bar(hidden) as show:
            effort = execution.effort(todo, dataset)
            todo.sort(key=lambda cell: -effort[cell.key])  # the longest first, so that no core waits long at the end
            progress = execution.CellProgress(show, hidden, len(cells), len(cells) - len(todo), effort)
            failures = outputs.written(lambda: execution.run(todo, path, how, progress)) or ()
        kept = KEPT if outputs.failures else drawn_again(path)
        held = dict(refused.held for refused in outputs.failures if isinstance(refused, execution.NotKeptError))
        left = unfinished(todo, Store(path, held)) if outputs.failures else [failure.cell for failure in failures]
        failed = [{"cell": str(failure.cell), "reason": failure.reason} for failure in failures]
        extra = {"computed": len(todo) - len(left), "seconds": round(time.monotonic() - begin, 1), "failed": failed}
        if all(read_result(Store(path, held), cell) is None for cell in cells):  # nothing to draw or to judge
            if as_json:
                typer.echo(json.dumps({"run": str(path), **extra, "missing_cells": len(cells)}))
            return (), failures, kept
        claims = conclude(path, outputs, as_json, quiet, extra, held=held)
        if not hidden and not outputs.failures:
            print_costs(
                execution.spent(todo, dataset, store, how.device), execution.peak_flops(how.device), str(how.device)
            )
    return claims, failures, kept


@app.command(
    **examples(
        "invrob empirical figures runs/mini",
        "invrob empirical figures runs/mini --theta 90 --epsilon 0.2",
        "invrob empirical figures runs/mini --json",
    )
)
def figures(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    theta: Annotated[
        float | None,
        typer.Option(
            metavar="DEGREES",
            help="At how many degrees plane.png reads invariance. Left out, it is the largest that was measured.",
        ),
    ] = None,
    epsilon: Annotated[
        str | None,
        typer.Option(
            metavar="EPSILON",
            help="At which epsilon it reads robustness, such as 8/255. Left out, it is the first in the tables.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw the figures of a run again, and write its profiles.csv, from what its directory holds."""
    from invrob.empirical.profiles import read_epsilon

    place = (theta, None if epsilon is None else read_epsilon(epsilon))
    outputs = Outputs()
    conclude(run, outputs, as_json, False, {}, *place)
    outputs.end(drawn_again(run))


def _print_failures(failures: "Sequence[Failure]") -> None:
    """On stderr: which cells failed and why, each reason once, after its traceback where the reason is a bug."""
    for reason in dict.fromkeys(failure.reason for failure in failures):
        alike = [failure for failure in failures if failure.reason == reason]
        names = "; ".join(str(failure.cell) for failure in alike)
        typer.echo(f"{alike[0].trace}failed: {names}: {reason}", err=True)


@contextmanager
def _interrupts_explained() -> Iterator[None]:
    """Ctrl-C or SIGTERM inside the block says that nothing is lost; Typer ends the process with 130, main with 143."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        typer.echo("stopped: nothing that was finished is lost; the same command goes on", err=True)
        raise


def _experiment(
    preset: str | None, config: Path | None, seed: int | None, attacks: list[str]
) -> "tuple[Experiment, str]":
    """The experiment that the options ask for, and a name for it."""
    from invrob.empirical.experiments import PRESETS, read_experiment
    from invrob.empirical.profiles import WEAK

    if config is not None and preset is not None:
        raise InputError(f"--preset {preset} and --config {config} exclude each other: leave one out")
    name = config.stem if config is not None else preset or "mini"
    if config is None and name not in PRESETS:
        near = did_you_mean(name, PRESETS)
        raise InputError(f"preset {name!r} is unknown{near}; choose one of {', '.join(PRESETS)}, or use --config")
    experiment = PRESETS[name] if config is None else read_experiment(config)
    changes: dict[str, Any] = {}
    if seed is not None:
        changes["seeds"] = tuple(range(seed, seed + len(experiment.seeds)))
    for attack in attacks:
        if attack not in WEAK:
            raise InputError(f"attack {attack!r} is unknown{did_you_mean(attack, WEAK)}; choose from {', '.join(WEAK)}")
    if attacks:
        weak = tuple(dict.fromkeys([*experiment.profiling.weak_attacks, *attacks]))
        changes["profiling"] = experiment.profiling.model_copy(update={"weak_attacks": weak})
    return experiment.model_copy(update=changes), name
