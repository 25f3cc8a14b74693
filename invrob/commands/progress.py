"""Progress on stderr: the progress bar of all commands, and what it says of the cells of a run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from invrob.empirical.execution import Failure
    from invrob.empirical.experiments import Cell

Show = Callable[[str, float, float], object]  # (what is at work, work done, all the work)


@contextmanager
def progress_bar(hidden: bool) -> Iterator[Show]:
    """A bar with the elapsed and the remaining time; nothing where it is `hidden` or stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Column

    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        yield lambda what, done, total: None
        return
    with Progress(
        BarColumn(bar_width=20),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TextColumn("ETA"),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        console=console,
        expand=True,
        transient=True,
        speed_estimate_period=7 * 24 * 3600,  # a step may take longer than the default of 30 seconds
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


class CellProgress:
    """The observer of a run: shows how many cells are finished, which are at work, and what failed."""

    def __init__(self, show: Show, hidden: bool, cells: int, finished: int, effort: dict[str, float]) -> None:
        """effort: the work of each cell that is not finished, by its key."""
        self.show, self.hidden, self.cells, self.count, self.effort = show, hidden, cells, finished, effort
        self.at_work: dict[str, str] = {}
        self.fractions: dict[str, float] = {}
        if finished:
            self._print(f"{finished} of {cells} cells were finished before")

    def started(self, cell: "Cell") -> None:
        self.at_work[cell.key] = str(cell)
        self._update()

    def advanced(self, cell: "Cell", fraction: float) -> None:
        self.fractions[cell.key] = fraction
        self._update()

    def finished(self, cell: "Cell") -> None:
        self.at_work.pop(cell.key, None)
        self.count += 1
        self.advanced(cell, 1.0)

    def failed(self, cell: "Cell", reason: str) -> None:
        self.at_work.pop(cell.key, None)
        self._print(f"{cell} failed: {reason}")
        self._update()

    def _update(self) -> None:
        done = sum(self.effort[key] * fraction for key, fraction in self.fractions.items())
        cells = f"{self.count}/{self.cells} cells"
        self.show(" | ".join([cells, *self.at_work.values()]), done, sum(self.effort.values()))

    def _print(self, text: str) -> None:
        if not self.hidden:
            typer.echo(text, err=True)


def print_failures(failures: "Sequence[Failure]") -> None:
    """On stderr: which cells failed and why, each reason once, after its traceback where the reason is a bug."""
    for reason in dict.fromkeys(failure.reason for failure in failures):
        alike = [failure for failure in failures if failure.reason == reason]
        names = "; ".join(str(failure.cell) for failure in alike)
        typer.echo(f"{alike[0].trace}failed: {names}: {reason}", err=True)
