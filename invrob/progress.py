"""The progress bar on stderr, of commands and of what takes long from Python."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
