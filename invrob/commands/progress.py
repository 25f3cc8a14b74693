"""Progress of a run on stderr."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from invrob.empirical.execution import Failure
    from invrob.empirical.experiments import Cell


class Silent:
    """Shows nothing."""

    def started(self, cell: "Cell") -> None: ...
    def advanced(self, cell: "Cell", fraction: float) -> None: ...
    def finished(self, cell: "Cell") -> None: ...
    def failed(self, cell: "Cell", reason: str) -> None: ...


class Live(Silent):
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

    def __enter__(self) -> "Live":
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
        self.current.pop(cell.key, None)
        self.done += 1
        self.advanced(cell, 1.0)

    def failed(self, cell: "Cell", reason: str) -> None:
        self.current.pop(cell.key, None)
        self.progress.console.print(f"{cell} failed: {reason}", markup=False, highlight=False)
        self._show()

    def _show(self) -> None:
        completed = sum(self.effort[key] * fraction for key, fraction in self.fractions.items())
        running = " | ".join(self.current.values())
        self.progress.update(self.task, completed=completed, count=self._count(), description=running)

    def _count(self) -> str:
        return f"{self.done}/{self.total} cells"


def print_failures(failures: "Sequence[Failure]") -> None:
    """On stderr: which cells failed and why, each reason once, and where in the code it was no word to the user."""
    for reason in dict.fromkeys(failure.reason for failure in failures):
        alike = [failure for failure in failures if failure.reason == reason]
        names = "; ".join(str(failure.cell) for failure in alike)
        typer.echo(f"{alike[0].trace}failed: {names}: {reason}", err=True)
