"""Progress of `invrob profile` on stderr: the profile at work, elapsed time, ETA."""

import sys
import time
from typing import Any

PATIENCE = 2.0  # seconds without a word


class Progressing:
    """Counts the work of the stages, and shows it once it takes longer than `PATIENCE`.

    works: name of the stage -> its work, as far as it can be foreseen. What a search takes, nobody knows before: a
    stage that takes more moves the end, and one that took less brings it nearer."""

    def __init__(self, works: dict[str, float], hidden: bool) -> None:
        self.ahead, self.hidden = dict(works), hidden
        self.finished, self.foreseen, self.done = 0.0, 0.0, 0.0
        self.began, self.stage = time.monotonic(), ""
        self.shown: Any = None

    def __enter__(self) -> "Progressing":
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown is not None:
            self.shown.stop()

    def begins(self, stage: str) -> None:
        """The stage before is done."""
        self.finished += self.done
        self.stage, self.foreseen, self.done = stage, self.ahead.pop(stage), 0.0

    def advanced(self, work: float) -> None:
        """The stage at work has done that much more."""
        self.done += work
        if self.hidden or time.monotonic() - self.began < PATIENCE:
            return
        if self.shown is None:
            self.shown = _bar()
            self.shown.start()
        total = self.finished + max(self.foreseen, self.done) + sum(self.ahead.values())
        (task,) = self.shown.task_ids
        self.shown.update(task, total=total, completed=self.finished + self.done, description=self.stage)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        speed_estimate_period=3600,
    )
    bar.add_task("", total=1.0)
    return bar
