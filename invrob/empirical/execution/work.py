"""What the three ways of running cells have in common: the settings, stacks of cells, and who is told what."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal, Protocol

import torch

from invrob.empirical.experiments import Cell, dataset_of, model_of
from invrob.empirical.training import alike, stackable


class Observer(Protocol):
    """Who is told how the cells come along; called in the process that called `executors.run`."""

    def started(self, cell: Cell) -> None:
        """The work on the cell begins; told again where its worker was lost and another one takes over."""

    def advanced(self, cell: Cell, fraction: float) -> None:
        """About `fraction` of the cell, in [0, 1], is done."""

    def finished(self, cell: Cell) -> None: ...

    def failed(self, cell: Cell, reason: str) -> None: ...


@dataclass(frozen=True)
class Failure:
    """A cell that could not be finished by its own fault; the other cells were not stopped by it."""

    cell: Cell
    reason: str  # one sentence
    trace: str = ""  # the traceback, where the reason is not one that the user's input gave


STACK = 32  # networks trained as one on a GPU

Group = list[Cell]  # whose networks are trained as one; often a single one


@dataclass(frozen=True)
class Execution:
    """How the cells of a run are spread over processes and machines."""

    executor: Literal["inline", "local", "ray"] = "inline"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))  # not of ray: see gpus_per_cell
    jobs: int | None = 1  # groups of cells at a time; None: as many as the Ray cluster has room for
    stack: int | None = 1  # the most networks trained as one; None: 1 on a CPU, on a GPU what keeps every worker busy
    retries: int = 2  # of a cell whose worker is lost
    address: str | None = None  # of the Ray cluster; None: one is started on this machine
    gpus_per_cell: float | None = None  # asked of Ray, or a part of one; None: 1 where the cluster has any
    cpus_per_cell: float = 1.0  # asked of Ray


def stack_size(asked: int | None, cells: int, workers: int, device: str) -> int:
    """The most networks to train as one: what was asked for, or by default 1 on a CPU, where stacks do not pay, and on
    a GPU as many as leave no worker without a stack."""
    return asked or (min(STACK, ceil(cells / max(workers, 1))) if device == "cuda" else 1)


def stacks(cells: Sequence[Cell], size: int) -> list[Group]:
    """The cells in groups of at most `size` whose networks can be trained as one, in their order."""
    groups: dict[object, Group] = {}
    for cell in cells:
        stacked = size > 1 and stackable(model_of(cell, dataset_of(cell.dataset)), cell.recipe)
        groups.setdefault((cell.model, str(cell.options), alike(cell.recipe)) if stacked else cell.key, []).append(cell)
    return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


class Relay:
    """Passes on to `observer` what workers tell about `cells`, and the end of each cell once."""

    def __init__(self, cells: Sequence[Cell], observer: Observer) -> None:
        self.observer = observer
        self.open = {cell.key: cell for cell in cells}  # neither finished nor failed yet

    def tell(self, event: str, key: str, *values: Any) -> None:
        """event: the name of a method of the observer; key: of the cell; values: the other arguments."""
        if key in self.open:
            cell = self.open.pop(key) if event in ("finished", "failed") else self.open[key]
            getattr(self.observer, event)(cell, *values)

    def settle(self, cells: Sequence[Cell], failures: Sequence[Failure]) -> None:
        """Tells the end of those of `cells` of which no worker has told it."""
        for failure in failures:
            self.tell("failed", failure.cell.key, failure.reason)
        for cell in cells:
            self.tell("finished", cell.key)


class Teller:
    """The observer of a worker: sends on what it is told, as arguments for `Relay.tell`."""

    def __init__(self, send: Any) -> None:
        self.send = send

    def started(self, cell: Cell) -> None:
        self.send(("started", cell.key))

    def advanced(self, cell: Cell, fraction: float) -> None:
        self.send(("advanced", cell.key, fraction))

    def finished(self, cell: Cell) -> None:
        self.send(("finished", cell.key))

    def failed(self, cell: Cell, reason: str) -> None:
        self.send(("failed", cell.key, reason[:1000]))  # a longer message could be cut in two by a kill


def often(times: int) -> str:
    return "once" if times == 1 else f"{times} times"
