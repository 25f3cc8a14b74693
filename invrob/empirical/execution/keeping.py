"""A training in progress is kept in its run directory: now and then, since a machine may be lost, and at the end."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from invrob.empirical.execution.deadline import Deadline
from invrob.empirical.execution.work import Execution, Group, stacks
from invrob.empirical.experiments import Cell, Store, begun_stacks, read_halfway, remove_halfway, write_halfway
from invrob.empirical.training import State

EVERY = 30.0  # seconds between two times that a training is kept; a shorter one never is, unless it has to stop
SHARE = 0.05  # of the time of a training at most goes into keeping it
DISK = 20e6  # bytes per second that are counted on before anything was written


class KeptTraining:
    """The keeper of a training of one cell, or of several as a stack; a `Keeper` of the room training.

    seconds: what the parts of the training have taken that were done before."""

    def __init__(self, run: Path, cells: Sequence[Cell], deadline: Deadline) -> None:
        self.run, self.keys, self.deadline = run, [cell.key for cell in cells], deadline
        self.seconds, self.begun = 0.0, time.perf_counter()
        self.looked = self.kept = self.begun
        self.place: object = None  # of the training, as it is kept
        self.longest_step, self.writing = 0.0, 0.0  # seconds

    @property
    def spent(self) -> float:
        """Seconds of the training until now, of all its parts."""
        return self.seconds + time.perf_counter() - self.begun

    def read(self) -> State | None:
        """What was kept of this training; None for nothing."""
        state = read_halfway(self.run, self.keys)
        if state is not None:
            self.seconds, self.place = float(state[1]["seconds"]), state[1]["place"]
            self.writing = sum(value.numel() * value.element_size() for value in state[0].values()) / DISK
        self.looked = self.kept = time.perf_counter()
        return state

    def asks(self) -> Literal["", "keep", "stop"]:
        """Whether it is time to keep the training, or to stop it."""
        now = time.perf_counter()
        # The first step on a GPU takes many times as long as all others: it is forgotten by and by.
        self.longest_step, self.looked = max(0.9 * self.longest_step, now - self.looked), now
        if self.deadline.left <= self.longest_step + self.writing:
            return "stop"
        return "keep" if now - self.kept > max(EVERY, self.writing / SHARE) else ""

    def keep(self, state: State) -> None:
        """Keep it in the place of what was kept before; nothing where it is no further."""
        tensors, body = state
        if body["place"] != self.place:
            write_halfway(self.run, self.keys, tensors, {**body, "seconds": self.spent})
            self.place, self.deadline.worked = body["place"], True
            self.writing = time.perf_counter() - self.looked  # also of the copy, which waits for a GPU
        self.looked = self.kept = time.perf_counter()

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """What is done in the block is broken off at the end of the time."""
        with self.deadline.watched("measuring"):
            yield
        self.looked = time.perf_counter()

    @contextmanager
    def removed_on_failure(self) -> Iterator[None]:
        """A training that fails in the block would fail again from where it was kept: it is not kept any longer."""
        try:
            yield
        except OSError:
            raise
        except Exception:
            remove_halfway(self.run, self.keys)
            raise

    def done(self, store: Store, cells: Sequence[Cell], device: torch.device) -> None:
        """The weights are kept: note what they took, for each cell the same share, and keep the training no longer."""
        for cell in cells:
            store.write_cost(cell.key, "training", self.spent / len(cells), str(device))
        self.deadline.worked = True
        remove_halfway(self.run, self.keys)


def groups(cells: Sequence[Cell], run: Path, how: Execution, workers: int, device: str) -> list[Group]:
    """The cells in groups whose networks are trained as one: stacks that were begun as they are, and the others as
    `stacks` has them."""
    waiting, begun = {cell.key: cell for cell in cells}, list[Group]()
    for keys in begun_stacks(run):
        if any(Store(run).read_training(key) is not None for key in keys):  # as another run has done it by then
            remove_halfway(run, keys)
        elif waiting.keys() >= set(keys):
            begun.append([waiting.pop(key) for key in keys])
    return begun + stacks(list(waiting.values()), how, workers, device)
