"""What `invrob empirical run` does: the plan of a run, or its cells, tables and figures."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from invrob.commands.advice import next_line, same_command
from invrob.commands.conclusion import Conclusion, conclude, drawn_again
from invrob.commands.outputs import Outputs
from invrob.commands.planning import PlannedShard, PlannedSlices, print_plan
from invrob.commands.run_configuration import Asked, held_against, keep_the_earlier
from invrob.commands.shards import dealt, merge_line, part_of
from invrob.commands.summary import print_costs
from invrob.commands.time_limit import Slice, Stopped, stopped
from invrob.errors import command
from invrob.progress import Bar

if TYPE_CHECKING:
    from invrob.empirical.data import Dataset
    from invrob.empirical.execution import Execution, Failure, NetworkPlan
    from invrob.empirical.experiments import Cell, Shard


@dataclass
class Options:
    """How a run is to be done and shown, whatever its experiment is.

    words: those of the command line that go with any continuation, such as --jobs 2 and --import mynet."""

    quiet: bool
    as_json: bool
    force: bool
    words: tuple[str, ...]
    code: tuple[str, ...] = ()  # of these, the ones about code of one's own
    again: str = ""  # the command that goes on with the run, once its configuration is kept

    @property
    def hidden(self) -> bool:
        """Whether neither progress nor tables are printed."""
        return self.quiet or self.as_json


@dataclass(frozen=True)
class Planned:
    """What a run would take."""

    path: Path
    rows: "list[NetworkPlan]"
    finished: int
    device: str
    jobs: int
    missing: str  # the data set that is not on this disk; "" where it is
    part: PlannedShard | None = None
    slices: PlannedSlices | None = None

    def show(self, as_json: bool) -> None:
        """Print it, and what may be done next."""
        print_plan(self.rows, self.finished, self.device, self.jobs, as_json, self.part, self.slices)
        if as_json:
            return
        if self.missing:
            typer.echo(next_line("data", "fetch", self.missing))
        elif self.rows or (self.part and not self.finished):
            typer.echo(f"next: {same_command('--dry-run')}")
        else:
            typer.echo(merge_line(self.path, self.part.count) if self.part else next_line("report", self.path))


def planned(asked: Asked, how: "Execution", force: bool, progress: Bar, time_limit: Slice) -> Planned:
    """What is still to be done of an experiment, tried for some seconds; the data need not be there."""
    from invrob.empirical import data
    from invrob.empirical.execution import plan
    from invrob.empirical.experiments import Store, dataset_of, unfinished

    name = asked.experiment.dataset
    progress(f"loading {name}", 0, 1)
    missing = data.stand_in(name)
    if missing is not None:
        fetch = command("data", "fetch", name)
        typer.echo(f"{name} is not on this disk ({fetch}): nothing can be finished yet", err=True)
    dataset = missing or dataset_of(name)
    unknown = missing is not None and asked.kept is not None and asked.kept.experiment.dataset == name
    fingerprint = asked.kept.fingerprint if unknown and asked.kept else dataset.fingerprint
    experiment, _ = held_against(asked, fingerprint, force)
    cells, shard, share = dealt(asked.shard, whole := experiment.cells(dataset.fingerprint), dataset)
    todo = unfinished(cells, Store(asked.path))
    slices = time_limit.planned()
    with redirect_stdout(sys.stderr):
        rows = plan(todo, dataset, how.device, progress)
    jobs = min(how.jobs or 1, max(len(todo), 1))
    part = None if shard is None or share is None else PlannedShard.of(shard, share, len(whole))
    absent = name if missing is not None else ""
    return Planned(asked.path, rows, len(cells) - len(todo), str(how.device), jobs, absent, part, slices)


def data_of(asked: Asked, progress: Bar) -> "Dataset":
    """The data set of an experiment."""
    from invrob.empirical.experiments import dataset_of

    progress(f"loading {asked.experiment.dataset}", 0, 1)
    return dataset_of(asked.experiment.dataset)


@dataclass
class Computed:
    """What a run came to; conclusion: None where no cell has both profiles."""

    cells: "tuple[Cell, ...]"  # of the experiment
    todo: "list[Cell]"
    failures: "tuple[Failure, ...]" = ()
    left: "list[Cell]" = field(default_factory=list)  # of todo
    seconds: float = 0.0
    conclusion: Conclusion | None = None
    kept: str = ""  # what is said where something could not be written
    shard: "Shard | None" = None  # which of the cells are to be computed; None: all
    stopped: Stopped | None = None  # by the end of the time

    @property
    def extra(self) -> dict[str, Any]:
        """What the JSON has beside the conclusion."""
        failed = [{"cell": str(failure.cell), "reason": failure.reason} for failure in self.failures]
        did = {"computed": len(self.todo) - len(self.left), "seconds": round(self.seconds, 1), "failed": failed}
        return {**did, "stopped": "time limit", "left": self.stopped.left} if self.stopped else did

    def show(self, path: Path, options: Options, how: "Execution", dataset: "Dataset", written: bool) -> None:
        """Print it, as the options say. written: whether the disk took everything; else it is printed in any case."""
        if self.conclusion is None:
            if options.as_json:
                typer.echo(json.dumps({"run": str(path), **self.extra, "missing_cells": len(self.cells)}))
            return
        if options.as_json or not options.quiet or not written:
            self.conclusion.show(options.as_json, self.extra, options.again)
        if not options.hidden and written and not self.stopped:
            self._show_costs(path, how, dataset)

    def next_line(self, asked: Asked, options: Options) -> str:
        """The last line, a command: of a shard it puts the shards together, once the others are done."""
        whole = self.conclusion is not None and not self.conclusion.missing
        if self.shard is not None and not whole and (self.conclusion or not self.todo):
            if not self.shard.cells:
                typer.echo(f"{part_of(self.shard, len(self.cells))}: there is nothing to compute")
            return merge_line(asked.path, self.shard.count)
        return next_line("report", asked.path, *options.code) if self.conclusion else f"next: {options.again}"

    def _show_costs(self, path: Path, how: "Execution", dataset: "Dataset") -> None:
        from invrob.empirical.execution import peak_flops, spent
        from invrob.empirical.experiments import Store

        rows = spent(self.todo, dataset, Store(path), how.device)
        print_costs(rows, peak_flops(how.device) if rows else 1.0, str(how.device))


def computed(
    asked: Asked,
    dataset: "Dataset",
    how: "Execution",
    outputs: Outputs,
    options: Options,
    progress: Bar,
    time_limit: Slice,
) -> Computed:
    """Run what is still to be done of an experiment, and draw the results. Where the disk refuses one of them, which is
    then among the failures of `outputs`, what was computed until then is in what is returned."""
    from invrob.empirical import execution
    from invrob.empirical.experiments import Store, read_result, unfinished, write_experiment

    experiment, note = held_against(asked, dataset.fingerprint, options.force)
    path, store = asked.path, Store(asked.path)
    done = Computed(cells := experiment.cells(dataset.fingerprint), [])
    _check_networks(cells, dataset, progress)
    begin = time.monotonic()
    with store.locked():
        keep_the_earlier(asked, experiment, dataset.fingerprint, options.code)
        mine, done.shard, _ = dealt(asked.shard, cells, dataset)
        write_experiment(store, experiment, dataset.fingerprint, dataset.classes, done.shard)
        options.again = command("empirical", "run", "--out", path, *options.words)
        if (note or asked.own) and not options.hidden:
            typer.echo(note or f"going on with {path}, as it was begun", err=True)
        done.todo = unfinished(mine, store)
        with redirect_stdout(sys.stderr):
            observer = _observed(done.todo, mine, dataset, how, options.hidden, progress)
            time_limit.begin(path, how.deadline)
            done.failures = outputs.written(lambda: execution.run(done.todo, path, how, observer)) or ()
            time_limit.end()
        done.kept = _kept(options.again) if outputs.failures else drawn_again(path)
        held = dict(refused.held for refused in outputs.failures if isinstance(refused, execution.NotKeptError))
        failed = [failure.cell for failure in done.failures]
        limited = time_limit.text is not None
        done.left = unfinished(done.todo, Store(path, held)) if outputs.failures or limited else failed
        waiting = [cell for cell in done.left if cell not in failed] if limited and not outputs.failures else []
        if any(read_result(Store(path, held), cell) is not None for cell in cells):
            within = time_limit.drawing(bool(waiting)) if limited else None
            done.conclusion = conclude(path, outputs, held=held, progress=progress, within=within)
        if waiting or (done.conclusion and not done.conclusion.drawn):
            done.stopped = stopped(time_limit, waiting, len(mine) - len(done.left), len(mine), (dataset, how))
    done.seconds = time.monotonic() - begin
    return done


def _kept(again: str) -> str:
    return f"what was finished is kept or printed above, and the same command goes on once it can be written: {again}"


def _check_networks(cells: "Sequence[Cell]", dataset: "Dataset", progress: Bar) -> None:
    """Raise InputError for images that a network does not take, before anything is written."""
    from invrob.empirical.experiments import model_of

    first = {cell.network: cell for cell in cells}
    with redirect_stdout(sys.stderr):
        for number, (name, cell) in enumerate(first.items()):
            progress(f"building {name}", number, len(first))
            model_of(cell, dataset)


def _observed(
    todo: "list[Cell]", cells: "Sequence[Cell]", dataset: "Dataset", how: "Execution", hidden: bool, progress: Bar
) -> Any:
    """The observer of the cells in `todo`, which are sorted: the longest first, so that no core waits long at the end.
    Where somebody sees the bar, it has an estimate of the time."""
    from invrob.empirical import execution

    effort = execution.effort(todo, dataset)
    todo.sort(key=lambda cell: -effort[cell.key])
    # Processes of their own may need the GPU to themselves, and those of a cluster are elsewhere.
    here = how.executor == "inline" or (how.executor == "local" and how.device.type == "cpu")
    seconds = execution.expected_seconds(todo, dataset, how, progress) if progress.visible and here else None
    observer = execution.CellProgress(progress, hidden, len(cells), len(cells) - len(todo), effort)
    if todo and seconds is not None:
        progress.expect(seconds, min(effort.values()) / max(sum(effort.values()), 1.0))
    return observer


@contextmanager
def interrupts_explained(options: Options) -> Iterator[None]:
    """Ctrl-C or SIGTERM inside the block says what is kept and the command that goes on; Typer ends the process with
    130, SIGTERM with 75."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        said, then = "nothing was computed, and nothing is written", same_command()
        if options.again:
            said, then = "nothing that was finished is lost; the same command goes on, and so does this", options.again
        typer.echo(f"stopped: {said}\nnext: {then}", err=True)
        raise
