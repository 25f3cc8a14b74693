"""`invrob empirical run` and `invrob empirical figures`."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invrob.commands import shards, time_limit, workers
from invrob.commands.advice import next_line, same_command
from invrob.commands.conclusion import conclude, drawn_again
from invrob.commands.early import check_folders, check_run
from invrob.commands.helping import Group, examples
from invrob.commands.outputs import Outputs
from invrob.commands.run_configuration import asked_for
from invrob.commands.running import Options, computed, data_of, interrupts_explained, planned
from invrob.commands.stopping import told_where_stopped
from invrob.progress import progress_bar

if TYPE_CHECKING:
    from invrob.empirical.execution import Failure

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

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.command(
    **examples(
        "invrob empirical run",
        "invrob empirical run --preset smoke --out runs/try",
        "invrob empirical run --config my.toml --jobs 8",
        "invrob empirical run --config mine.toml --import mynet",
        "invrob empirical run --json > run.json",
        "invrob empirical run --preset paper-cifar --dry-run",
        "invrob empirical run --preset paper-mnist --time-limit 9m",
        "invrob empirical run --preset paper-mnist --shard 2/8",
        "invrob empirical run --preset paper-mnist --executor ray --address auto --gpus-per-cell 0.5",
    )
)
def run(
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The experiment: smoke (a minute), mini (five minutes; the default), both (ten minutes: can one have "
            "invariance and robustness?), paper-mnist or paper-cifar.",
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
    shard: shards.Option = None,
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
    limit: time_limit.Option = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what the run would take, after a trial of some seconds. No cell is computed."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print neither progress nor tables.")] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="End with exit code 1 where one of the paper's four claims fails."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Let another experiment take the place of the one in the run directory.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train and measure every network of an experiment, and draw the figures. A cell is one of these networks.

    The same command goes on where it was stopped, also in the middle of a training. Ctrl-C, SIGTERM and --time-limit
    lose only the measurement at work; kill -9 loses that too, and half a minute of a training. The results do
    not depend on --executor, --jobs and --shard.

    Exit code 0: all cells are finished; 1: a cell failed, which does not stop the others, or with --strict a claim of
    the paper, or --time-limit is too short for anything to be finished; 2: bad usage; 75: SIGTERM or --time-limit has
    stopped the run, and the same command goes on."""
    time = time_limit.Slice(limit)
    part = shards.read_shard(shard)
    check_run(preset, config, attack or [])
    workers.check_options(executor, device, jobs, address, gpus_per_cell, cpus_per_cell)
    from_ray = {"--address": address, "--gpus-per-cell": gpus_per_cell, "--cpus-per-cell": cpus_per_cell}
    usual = {"--device": None if device == "auto" else device, "--retries": None if retries == 2 else retries}
    usual |= {"--shard": shard, "--time-limit": limit}
    code = tuple(word for name in imported or [] for word in ("--import", name))
    spread = workers.words({**usual, "--executor": executor, "--jobs": jobs, "--stack": stack, **from_ray})
    options, outputs = Options(quiet, as_json, force, (*code, *spread), code), Outputs()
    softly = nullcontext() if dry_run else time.kept(lambda: options.again or same_command())
    with interrupts_explained(options), softly, progress_bar(options.hidden, "loading PyTorch") as progress:
        asked = asked_for(preset, config, out, seed, attack or [], imported or [], part)
        how = workers.execution_from_options(
            executor, device, jobs, stack, retries, address, gpus_per_cell, cpus_per_cell
        )
        if dry_run:
            plan = planned(asked, how, force, progress, time)
        else:
            dataset = data_of(asked, progress)
            done = computed(asked, dataset, how, outputs, options, progress, time)
    if dry_run:
        plan.show(as_json)
        return
    done.show(asked.path, options, how, dataset, written=not outputs.failures)
    _print_failures(done.failures)
    outputs.end(done.kept)
    if done.stopped:
        done.stopped.end(options.again)
    if not options.hidden:
        typer.echo(done.next_line(asked, options))
    claims = done.conclusion.claims if done.conclusion else ()
    if done.failures or (strict and any(claim.of_paper and claim.verdict == "fails" for claim in claims)):
        raise typer.Exit(1)


@app.command(
    **examples(
        "invrob empirical figures runs/mini",
        "invrob empirical figures runs/mini --theta 90 --epsilon 0.2",
        "invrob empirical figures runs/mini --style paper",
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
    style: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the figures are drawn for. screen writes PNG and SVG files. paper writes PDF files as wide as a "
            "column of a paper, 3.25 inches, with text of 8 points and embedded fonts.",
        ),
    ] = "screen",
    as_json: Json = False,
) -> None:
    """Draw the figures of a run again, and write its profiles.csv, from what its directory holds."""
    check_folders([run])
    outputs = Outputs()
    stopped = told_where_stopped(lambda: "what was drawn is kept, and the results are as they were")
    with stopped, progress_bar(as_json, "loading PyTorch") as progress:
        from invrob.empirical.experiments import going_on
        from invrob.empirical.profiles import read_epsilon

        place = (theta, None if epsilon is None else read_epsilon(epsilon))
        done = conclude(run, outputs, *place, progress=progress, style=style)
    done.show(as_json, {}, going_on(run, done.experiment))
    outputs.end(drawn_again(run))
    if not as_json:
        typer.echo(next_line("report", run))


def _print_failures(failures: "Sequence[Failure]") -> None:
    """On stderr: which cells failed and why, each reason once, after its traceback where the reason is a bug."""
    for reason in dict.fromkeys(failure.reason for failure in failures):
        alike = [failure for failure in failures if failure.reason == reason]
        names = "; ".join(str(failure.cell) for failure in alike)
        typer.echo(f"{alike[0].trace}failed: {names}: {reason}", err=True)
