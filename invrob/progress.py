"""Progress bars on stderr: of rich for commands, of tqdm for what takes long from Python; both are told the same."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from invrob.errors import InputError

Show = Callable[[str, float, float], object]  # (what is at work, work done, all the work)
SOME = 0.02  # of the work: with less of it done no time left is shown by a bar of tqdm
Progress = bool | Show | None  # an argument of functions: a bar, what is called in its place, or nothing


class Bar:
    """What `progress_bar` yields: called with what is at work, the work done and all the work, it shows them.

    bar: of rich; None where nothing is to be shown."""

    def __init__(self, bar: Any = None) -> None:
        self.bar = bar
        self.task: Any = None if bar is None else bar.add_task("", total=None)

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


@contextmanager
def reported(progress: Progress, begins: str) -> Iterator[Show]:
    """What a function with the argument `progress` calls as it goes on, inside the block.

    Args:
        progress: True for a bar of tqdm, a widget in a notebook; a callable that is called in its place with what is at
            work, the work done and all the work; False or None for nothing.
        begins: what is at work until the first call says more.

    Raises:
        InputError: for anything else.
    """
    if progress is None or progress is False:
        yield lambda what, done, total: None
    elif progress is True:
        with _notebook_bar(begins) as show:
            yield show
    elif callable(progress):
        yield progress
    else:
        raise InputError(f"progress = {progress!r:.60} must be True for a bar, or False")


@contextmanager
def _notebook_bar(begins: str) -> Iterator[Show]:
    """A bar of tqdm, which is closed after the block, whatever happens in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a notebook without ipywidgets gets a bar of text
        from tqdm.auto import tqdm
    early = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<?"
    layout = early.replace("?", "{remaining}")
    with tqdm(total=1.0, desc=begins, bar_format=early, miniters=0, smoothing=0, dynamic_ncols=True) as bar:

        def show(what: str, done: float, total: float) -> None:
            bar.total = max(total, done)
            # What begins may load a library first: of so little nobody can say what is left.
            bar.bar_format = layout if done > SOME * bar.total else early
            bar.set_description_str(what, refresh=False)
            bar.update(max(0.0, done - bar.n))

        yield show
        bar.update(max(0.0, bar.total - bar.n))


class WorkProgress:
    """Passes the work that is done on to a progress bar.

    Nobody knows beforehand what a search takes. A measurement that takes more than was foreseen moves the end of the
    bar away, and one that took less brings it nearer.

    works: name of the measurement -> its work, as far as it can be foreseen."""

    def __init__(self, show: Show, works: dict[str, float]) -> None:
        self.show, self.ahead = show, dict(works)
        self.finished, self.foreseen, self.done = 0.0, 0.0, 0.0
        self.name = ""

    def begins(self, name: str) -> None:
        """The measurement `name` begins, and the one before it is done."""
        self.finished += self.done
        self.name, self.foreseen, self.done = name, self.ahead.pop(name), 0.0

    def advanced(self, work: float) -> None:
        """The measurement at work has done that much more."""
        self.done += work
        total = self.finished + max(self.foreseen, self.done) + sum(self.ahead.values())
        self.show(self.name, self.finished + self.done, total)

    def ends(self) -> None:
        """All is done: the end of the bar is where the work has come to."""
        self.finished, self.foreseen, self.done = self.finished + self.done, 0.0, 0.0
        self.show(self.name, self.finished, self.finished)
