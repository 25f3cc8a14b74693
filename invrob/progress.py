"""The progress bar on stderr, of commands and of what takes long from Python."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

Show = Callable[[str, float, float], object]  # (what is at work, work done, all the work)


class Bar:
    """What `progress_bar` yields: called with what is at work, the work done and all the work, it shows them.

    bar: of rich; None where nothing is to be shown."""

    def __init__(self, bar: Any = None) -> None:
        self.bar = bar
        self.task = None if bar is None else bar.add_task("", total=None)

    @property
    def visible(self) -> bool:
        """Whether anybody sees it."""
        return self.bar is not None

    def __call__(self, what: str, done: float, total: float) -> None:
        """Show what is at work, and how much is done of all the work."""
        if self.bar is not None:
            self.bar.update(self.task, description=what, completed=done, total=total)

    def expect(self, seconds: float, share: float) -> None:
        """Show a time left that is expected and not measured, and say so.

        Args:
            seconds: what the work is expected to take from now on.
            share: of the work, in [0, 1]; when that much is done, the time left is what was measured.
        """
        if self.bar is not None:
            self.bar.update(self.task, expected=(time.monotonic() + seconds, share))


@contextmanager
def progress_bar(hidden: bool, begins: str = "") -> Iterator[Bar]:
    """A bar with the elapsed and the remaining time; nothing where it is `hidden` or stderr is no terminal.

    begins: what is at work until the first call says more, such as "loading PyTorch"; the bar is there at once."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        yield Bar()
        return
    with Progress(
        BarColumn(bar_width=20),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        _time_left(Column(no_wrap=True, min_width=11)),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        console=console,
        expand=True,
        transient=True,
        speed_estimate_period=7 * 24 * 3600,  # a step may take longer than the default of 30 seconds
    ) as bar:
        shown = Bar(bar)
        bar.update(shown.task, description=begins)
        yield shown


def _time_left(column: Any) -> Any:
    """The column with the time left: what is expected until enough of the work is done, then what was measured."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        max_refresh = 0.5  # seconds

        def render(self, task: Any) -> Text:
            ends, share = task.fields.get("expected", (0.0, 0.0))
            expected, measured = ends - time.monotonic(), None if task.total is None else task.time_remaining
            early = task.total is None or task.completed < share * task.total or measured is None
            if early and expected > 0:
                return Text(f"ETA {_clock(expected)} (estimate)", style="progress.remaining")
            return Text(f"ETA {'-:--:--' if measured is None else _clock(measured)}", style="progress.remaining")

    return TimeLeft(table_column=column)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
