"""`--time-limit 9m`: a run that ends before it is ended, and goes on with the same command."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from invrob.commands.durations import seconds_of, written
from invrob.commands.planning import PlannedSlices

if TYPE_CHECKING:
    from invrob.empirical.data import Dataset
    from invrob.empirical.execution import Deadline, Execution
    from invrob.empirical.experiments import Cell

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
LEAST = 5.0  # seconds; PyTorch alone takes about that long to load
STARTED = time.time()  # of this module, which is imported first of all
LAST_SHARE, LAST = 0.05, 10.0  # what a process takes to end, as a share of the limit, and seconds at most
SHORTEST, LARGEST_SHARE = 1.0, 1 / 3  # what is kept for the end: seconds at least, and the share of the limit at most

Option = Annotated[
    str | None,
    typer.Option(
        "--time-limit",
        metavar="TIME",
        help="Stop before this time is over, such as 9m, 1h30m or 01:30:00, counted from the start of the process, and "
        "end with exit code 75 where something is left. The same command goes on, also in the middle of a training.",
    ),
]


class Slice:
    """The time that a run has in this process, which may have no end.

    Kept for the end are the tables: as many seconds as it took from the start of the process to the first cell, since
    they read the same files again, but at least one and at most a third of the limit. What a checkpoint takes, and the
    step of a training, is measured where cells are computed: see the room execution.

    text: as it was given; None without a limit; started: `time.time()` of the start of the process."""

    def __init__(self, text: str | None, started: float | None = None) -> None:
        self.text = text
        self.limit = inf if text is None else seconds_of("--time-limit", text, LEAST)
        self.started = process_started() if started is None else started
        self.loaded, self.path, self.before = 0.0, Path(), dict[str, int]()
        self.deadline: Deadline | None = None

    @property
    def ends(self) -> float:
        """`time.time()` by which the process has to be gone."""
        return self.started + self.limit

    def planned(self) -> PlannedSlices | None:
        """What each process with this limit has for cells, if it has to load what was loaded until now."""
        self.loaded = time.time() - self.started
        return None if self.text is None else PlannedSlices(self.text, self.computing)

    def begin(self, path: Path, deadline: "Deadline") -> None:
        """The first cell of the run directory begins: `deadline` gets its time."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.loaded, self.deadline, self.path = time.time() - self.started, deadline, path
        self.before = _standing(path)
        if self.limit < inf:
            deadline.at = self.ends - self.reserve
            deadline.latest = self.ends - self.reserve / 2

    def end(self) -> None:
        """The cells are at rest. Raises SystemExit where SIGTERM has asked for it."""
        deadline, self.deadline = self.deadline, None
        self._arm()
        if deadline is not None and deadline.told == "SIGTERM":
            raise SystemExit(TRY_AGAIN)

    @property
    def reserve(self) -> float:
        """Seconds that are kept for the end."""
        return min(max(self.loaded, SHORTEST), LARGEST_SHARE * self.limit)

    @property
    def computing(self) -> float:
        """Seconds that there are for cells."""
        return self.limit - self.reserve - self.loaded

    def drawing(self, stopped: bool) -> "Deadline":
        """Until when figures may be drawn; not at all where cells are left, whose figures they do not show yet."""
        from invrob.empirical.execution import Deadline

        return Deadline(0.0 if stopped else self.ends - SHORTEST)

    @property
    def advanced(self) -> bool:
        """Whether anything of a cell was kept in the run directory since `begin`."""
        return bool(self.loaded) and _standing(self.path) != self.before

    def enough(self, expected: float) -> str:
        """A limit for what is expected to take so many seconds, and has not ended in the time that there was."""
        need = 1.5 * max(expected, self.computing, 0.0) + 3 * self.loaded
        step = 10 if need < 120 else 60 if need < 3600 else 600
        return written(-(-need // step) * step)

    @contextmanager
    def kept(self, again: Callable[[], str]) -> Iterator[None]:
        """Inside the block SIGTERM ends the run as the end of its time does, with the same exit code. Where the time
        ends while data are loaded or tables are made, so does the block, by typer.Exit.

        again: gives the command that goes on."""

        def handler(number: int, frame: FrameType | None) -> None:
            if self.deadline is None:
                raise SystemExit(TRY_AGAIN)
            self.deadline.tell(number)

        before = signal.signal(signal.SIGTERM, handler), signal.getsignal(signal.SIGALRM)
        try:
            self._arm()
            yield
        except _OutOfTimeError:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._too_late().end(again())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, earlier in zip((signal.SIGTERM, signal.SIGALRM), before, strict=True):
                signal.signal(number, earlier)

    def _arm(self) -> None:
        """From now on the end of the time raises an exception; once more where a destructor has swallowed it."""

        def handler(number: int, frame: FrameType | None) -> None:
            raise _OutOfTimeError

        if self.limit < inf:
            signal.signal(signal.SIGALRM, handler)
            last = self.ends - max(SHORTEST, min(LAST_SHARE * self.limit, LAST))
            signal.setitimer(signal.ITIMER_REAL, max(last - time.time(), 1e-3), SHORTEST)

    def _too_late(self) -> "Stopped":
        """What is said where the time ends outside of cells."""
        assert self.text is not None
        if self.advanced:
            return Stopped(self.text, "what was finished is kept, and there was no time for tables")
        why = "loading and the tables take longer" if self.loaded else "loading PyTorch and the data takes longer"
        self.loaded = self.loaded or self.limit
        return Stopped(self.text, why=why, enough=self.enough(0.0))


class _OutOfTimeError(BaseException):
    """Of the alarm: no `except Exception` of what is loaded may swallow it."""


@dataclass(frozen=True)
class Stopped:
    """A run that the end of its time has stopped.

    said: how far it was; left: cells that are not finished; why, enough: where nothing at all was kept, and a limit
    that would do."""

    limit: str
    said: str = ""
    left: int = 0
    why: str = ""
    enough: str = ""

    def end(self, again: str) -> None:
        """Say so on stderr, and end with 75; with 1 where the same command would not get any further.

        again: the command that goes on."""
        if self.enough:
            longer = re.sub(r"(--time-limit[= ])('[^']*'|\S+)", rf"\g<1>{self.enough}", again)
            typer.echo(f"error: --time-limit {self.limit} is too short: {self.why}\nnext: {longer}", err=True)
            raise typer.Exit(1)
        said = f"stopped before the time limit of {self.limit}: {self.said}; the same command goes on"
        typer.echo(f"{said}\nnext: {again}", err=True)
        raise typer.Exit(TRY_AGAIN)


def stopped(
    time: Slice, waiting: "Sequence[Cell]", done: int, cells: int, about: "tuple[Dataset, Execution]"
) -> Stopped:
    """What is said of a run that was stopped.

    waiting: cells that are left, the first one first; done: how many of the `cells` are finished."""
    assert time.text is not None
    left = len(waiting)
    if time.advanced:
        more = f"{left} {'is' if left == 1 else 'are'} left" if left else "not all figures are drawn"
        return Stopped(time.text, f"{done} of {cells} cells {'is' if done == 1 else 'are'} finished, and {more}", left)
    took = f"{time.loaded:.0f} s of it went into loading, and {time.reserve:.0f} s are kept for the tables"
    if not waiting:
        why = f"all cells are finished, but it does not suffice for the figures ({took})"
        return Stopped(time.text, "", 0, why, time.enough(0.0))
    if time.computing <= 0:
        return Stopped(time.text, "", left, f"no cell was begun ({took})", time.enough(0.0))
    cell = waiting[0]
    name, expected = _next_stage(cell, time.path, *about)
    what = f"a measurement of {cell}" if name else f"a step of the training of {cell}"
    long = f", which is expected to take {expected:.0f} s," if expected > time.computing else ""
    why = f"{what}{long} did not end in the {time.computing:.0f} s that there are for cells ({took})"
    return Stopped(time.text, "", left, why, time.enough(expected))


def _next_stage(cell: "Cell", path: Path, dataset: "Dataset", how: "Execution") -> tuple[str, float]:
    """The name of the measurement that a cell waits for, and what it is expected to take; "" for its training."""
    from invrob.empirical.execution import expected_stage
    from invrob.empirical.experiments import Store, read_measurement

    store = Store(path)
    if store.read_training(cell.key) is None:
        return "", 0.0
    names = [name for name in cell.addresses if read_measurement(store, cell, name) is None]
    return names[0], expected_stage(cell, names[0], dataset, store, how.device)


def process_started() -> float:
    """`time.time()` at the start of this process; where the system does not say, that of the first import.

    A shell that was replaced by this process (exec) counts from its own start, but for no more than ten minutes."""
    try:
        age = _age()
    except (OSError, ValueError, IndexError, AttributeError):
        return STARTED
    return time.time() - age if 0 <= age < 600 else STARTED


def _age() -> float:
    """Seconds since the start of the process, by Linux."""
    ticks = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")


def _standing(path: Path) -> dict[str, int]:
    """What is kept of cells and trainings, by the time when it was written."""
    patterns = "cells/*/cell.json", "cells/*/profiles-*.json", "halfway/*.safetensors"
    files = [file for pattern in patterns for file in path.glob(pattern)]
    return {str(file): file.lstat().st_mtime_ns for file in files}  # a link may lead nowhere
