"""What a run would take, for `empirical run --dry-run`: for a person, or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import typer

from invrob.commands.summary import duration
from invrob.commands.tables import Table, print_table, print_text

if TYPE_CHECKING:
    from rich.console import Console

    from invrob.empirical.execution import NetworkPlan, Share
    from invrob.empirical.experiments import Shard


@dataclass(frozen=True)
class PlannedShard:
    """The part of an experiment that a plan is of.

    name: such as "shard 2 of 8"; cells: of the whole experiment; longest: the arithmetic of the shard that has most of
    it, as a multiple of this one's; 0 where this one has none."""

    name: str
    number: int
    count: int
    own: int
    cells: int
    longest: float

    @classmethod
    def of(cls, shard: "Shard", share: "Share", cells: int) -> "PlannedShard":
        """As a plan shows it."""
        longest = share.most / share.operations if share.operations else 0.0
        return cls(str(shard), shard.number, shard.count, len(share.cells), cells, longest)

    @property
    def text(self) -> str:
        """A sentence or two."""
        if not self.own:
            return f"{self.name} has none of the {self.cells} cells: there is nothing to compute."
        most = (
            "no shard has more" if self.longest < 1.005 else f"the longest shard has {self.longest:.2f} times as much"
        )
        return f"This is {self.name}: {self.own} of {self.cells} cells. By the arithmetic, {most}."


@dataclass(frozen=True)
class PlannedSlices:
    """A run that a time limit cuts into several.

    limit: as it was given; seconds: that each of them has for cells."""

    limit: str
    seconds: float

    def count(self, work: float) -> int | None:
        """How many it takes for so many seconds of work; None where no time is left for cells."""
        return ceil(work / self.seconds) if self.seconds > 0 else None

    def text(self, work: float) -> str:
        """A sentence."""
        count = self.count(work)
        if count is None:
            return f"A time limit of {self.limit} leaves no time for cells, beside loading and tables."
        times = "once" if count == 1 else "twice" if count == 2 else f"{count} times"
        return (
            f"With a time limit of {self.limit} the command is run about {times}, each time with "
            f"{duration(self.seconds)} for cells; the rest goes into loading and tables."
        )


def print_plan(
    rows: "Sequence[NetworkPlan]",
    done: int,
    device: str,
    jobs: int,
    as_json: bool,
    part: PlannedShard | None = None,
    slices: PlannedSlices | None = None,
) -> None:
    """What a run would take: rows of `execution.plan`; done: cells that are finished already; jobs: cells at a time;
    part: where it is of a shard; slices: where its time is limited."""
    from rich.console import Console

    from invrob.empirical.execution import makespan

    seconds = makespan([cell.seconds for row in rows for cell in row.cells], jobs)
    if as_json:
        about = {"device": device, "jobs": jobs, "seconds": float(f"{seconds:.3g}")}
        plan = {"networks": [_plain(row) for row in rows], "finished_cells": done, **about, **_scale(rows)}
        if part is not None:
            numbers = {"number": part.number, "of": part.count, "cells": part.own, "of_cells": part.cells}
            plan["shard"] = {**numbers, "longest": float(f"{part.longest:.4g}")}
        if slices is not None:
            plan |= {"time_limit": slices.limit, "slices": slices.count(seconds)}
        typer.echo(json.dumps(plan, allow_nan=False))
        return
    table = Table(("network", "cells", "forward", "attack", "training", "PFLOP", "time"))
    for row in rows:
        counts = (f"{count / 1e6:,.1f}" for count in (row.work.forward, row.work.attack, row.work.training))
        table.add(row.network, str(len(row.cells)), *counts, f"{row.flops / 1e15:,.2f}", duration(row.seconds))
    console = Console(highlight=False)
    if part is not None:
        print_text(console, part.text)
    if rows:
        print_table(console, table)
        print_text(
            console, "Model evaluations in millions: logits only, with the gradient of the image, of the weights."
        )
    if done:
        cells = "cell is" if done == 1 else "cells are"
        print_text(
            console, f"{done} {cells} finished already{' and not in the table' if rows else ', and nothing is left'}."
        )
    if rows:
        took = f"about {duration(seconds)} with {jobs} at a time"
        print_text(console, f"Time of one process on {device}, from a short trial; {took}.")
        if slices is not None:
            print_text(console, slices.text(seconds))
        _print_scale(console, rows, device)


def _plain(row: "NetworkPlan") -> dict[str, Any]:
    counts = {"cells": len(row.cells), "evaluations": row.work.evaluations, "seconds": row.seconds}
    return {**asdict(row), **counts, "each": [asdict(cell) for cell in row.cells]}


def _scale(rows: "Sequence[NetworkPlan]") -> dict[str, Any]:
    """The run on more and more workers, each of them like the one that was tried."""
    from invrob.empirical.execution import schedules, useful_workers

    cells = [cell for row in rows for cell in row.cells]
    durations = [cell.seconds for cell in cells]
    longest = max(cells, key=lambda cell: cell.seconds, default=None)
    return {
        "worker_hours": sum(durations) / 3600,
        "schedules": [asdict(schedule) for schedule in schedules(durations)],
        "critical_path": longest and {**asdict(longest), "seconds": longest.seconds},
        "useful_workers": useful_workers(durations),
    }


def _print_scale(console: "Console", rows: "Sequence[NetworkPlan]", device: str) -> None:
    scale, gpu = _scale(rows), device.startswith("cuda")
    table = Table(("workers", "time", "busy"))
    for schedule in scale["schedules"]:
        table.add(str(schedule["workers"]), duration(schedule["seconds"]), f"{schedule['busy']:.0%}")
    print_text(console, f"\nOn several workers, each {'a GPU' if gpu else 'a core'} like this one:")
    print_table(console, table)
    path, hours = scale["critical_path"], f"{scale['worker_hours']:,.2f} {'GPU' if gpu else 'core'}-hours"
    parts = f"{duration(path['training'])} of training, then {duration(path['measuring'])} of measuring"
    print_text(
        console,
        f"{hours} in all. The longest cell, {path['cell']}, takes {duration(path['seconds'])} ({parts}): no run is "
        f"shorter, and more than {scale['useful_workers']} workers do not help.",
    )
    if gpu:
        print_text(console, "Small networks are trained as stacks on a GPU, which takes less than the plan says.")
