"""What the ways of running cells share: the settings, stacks of cells, and the events on the way to the observer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal, Protocol

import torch

from invrob.empirical.execution.deadline import Deadline
from invrob.empirical.experiments import Cell, dataset_of, model_of
from invrob.empirical.models import is_own
from invrob.empirical.training import alike, stackable

STACK = 32  # the most networks that are trained as one on a GPU, where the user does not say how many


class Observer(Protocol):
    """Is notified of how the cells come along, in the process that called `run`."""

    def started(self, cell: Cell) -> None:
        """A worker begins with the cell; once more where that worker was lost and another one takes over."""

    def advanced(self, cell: Cell, fraction: float) -> None:
        """About `fraction` of the cell, in [0, 1], is done."""

    def finished(self, cell: Cell) -> None: ...

    def failed(self, cell: Cell, reason: str) -> None: ...


@dataclass(frozen=True)
class Failure:
    """A cell that could not be finished; the other cells were not stopped by it."""

    cell: Cell
    reason: str  # one sentence
    trace: str = ""  # the traceback, where the reason is a bug and not the user's input


@dataclass(frozen=True)
class Ended:
    """What became of a group of cells.

    left: the keys of those that there was no time for; told: whether a signal to the worker was the reason."""

    failures: tuple[Failure, ...] = ()
    left: tuple[str, ...] = ()
    told: bool = False


class NotKeptError(OSError):
    """The disk refuses a measurement that was made: (key, profile_key) as of `Store`, and the body that it has."""

    held: tuple[tuple[str, str], dict[str, Any]]

    @classmethod
    def of(cls, error: OSError, where: tuple[str, str], body: dict[str, Any]) -> "NotKeptError":
        refused = cls(error.errno, error.strerror, error.filename)
        refused.held = where, body
        return refused


@dataclass(frozen=True)
class Execution:
    """How the cells of a run are spread over processes and machines."""

    executor: Literal["inline", "local", "ray"] = "inline"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))  # Ray goes by gpus_per_cell instead
    jobs: int | None = 1  # groups of cells at a time; None: as many as the Ray cluster has room for
    stack: int | None = 1  # the most networks trained as one; None: 1 on a CPU, on a GPU what keeps every worker busy
    retries: int = 2  # how often a cell whose worker was lost is started again
    address: str | None = None  # of the Ray cluster; None: one is started on this machine
    gpus_per_cell: float | None = None  # that Ray reserves, or a part of one; None: 1 where the cluster has any
    cpus_per_cell: float = 1.0  # that Ray reserves
    deadline: Deadline = field(default_factory=Deadline, compare=False)


Group = list[Cell]  # a single cell, or several whose networks are trained as one stack


def stacks(cells: Sequence[Cell], how: Execution, workers: int, device: str) -> list[Group]:
    """The cells in their order, in groups whose networks can be trained as one.

    By default these are single cells on a CPU, where stacks do not pay, and on a GPU stacks as large as leave no worker
    idle."""
    size = how.stack or (min(STACK, ceil(len(cells) / max(workers, 1))) if device == "cuda" else 1)
    groups: dict[object, Group] = {}
    for cell in cells:
        stacked = size > 1 and _stackable(cell)
        groups.setdefault((cell.model, str(cell.options), alike(cell.recipe)) if stacked else cell.key, []).append(cell)
    return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


def _stackable(cell: Cell) -> bool:
    """Whether the network of a cell can be trained in a stack; buffers of a user's network belong to it alone, since
    nobody knows what it does with them."""
    network = model_of(cell, dataset_of(cell.dataset))
    return stackable(network, cell.recipe) and not (is_own(cell.model) and any(True for _ in network.buffers()))


class EventSender:
    """The observer in a worker process: sends each event as the arguments of `EventRelay.notify`."""

    def __init__(self, send: Callable[[tuple[Any, ...]], object]) -> None:
        self.send = send

    def started(self, cell: Cell) -> None:
        self.send(("started", cell.key))

    def advanced(self, cell: Cell, fraction: float) -> None:
        self.send(("advanced", cell.key, fraction))

    def finished(self, cell: Cell) -> None:
        self.send(("finished", cell.key))

    def failed(self, cell: Cell, reason: str) -> None:
        self.send(("failed", cell.key, reason[:1000]))  # a longer message could be cut in two by a kill


class EventRelay:
    """Passes the events of workers on to `observer`, and the end of each cell once."""

    def __init__(self, cells: Sequence[Cell], observer: Observer) -> None:
        self.observer = observer
        self.unfinished = {cell.key: cell for cell in cells}

    def notify(self, event: str, key: str, *values: Any) -> None:
        """event: the name of a method of the observer; key: of the cell; values: the other arguments."""
        if key in self.unfinished:
            cell = self.unfinished.pop(key) if event in ("finished", "failed") else self.unfinished[key]
            getattr(self.observer, event)(cell, *values)

    def settle(self, cells: Sequence[Cell], failures: Sequence[Failure]) -> None:
        """Notify of the end of those of `cells` whose worker is done and has not sent it."""
        for failure in failures:
            self.notify("failed", failure.cell.key, failure.reason)
        for cell in cells:
            self.notify("finished", cell.key)
