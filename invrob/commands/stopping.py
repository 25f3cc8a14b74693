"""What a command says where it is stopped: what it had come to, what it leaves, and how it is started again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from invrob.commands.advice import same_command
from invrob.commands.tables import print_text
from invrob.progress import Show

TERMINATED = 143  # exit code of SIGTERM: see cli.main


class Watched:
    """Passes progress on to a bar, and remembers how far it was.

    Example:
        >>> from invrob.commands.stopping import Watched
        >>> watched = Watched(lambda what, done, total: None, "loading")
        >>> watched("sampling", 2000, 50000)
        >>> watched.place
        'after 2,000 of 50,000 samples'
    """

    def __init__(self, show: Show, begins: str) -> None:
        self.show, self.what, self.done, self.total = show, begins, 0.0, 0.0

    def __call__(self, what: str, done: float, total: float) -> None:
        """Show what is at work, and how much is done of all the work."""
        self.what, self.done, self.total = what, done, total
        self.show(what, done, total)

    @property
    def place(self) -> str:
        """Where it is, in words."""
        if self.what == "sampling":
            return f"after {self.done:,.0f} of {self.total:,.0f} samples"
        return f"at {self.what}" + (f", {self.done / self.total:.0%} of all" if self.total else "")


@contextmanager
def told_where_stopped(left: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C or SIGTERM inside the block says what is left, and the command that starts again. Typer ends the process
    with 130, main with 143.

    left: what is said, such as "nothing is written"; asked when it is stopped."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, KeyboardInterrupt) or stop.code == TERMINATED:
            from rich.console import Console

            print_text(Console(stderr=True, highlight=False), f"stopped: {left()}")
            typer.echo(f"next: {same_command()}", err=True)
        raise
