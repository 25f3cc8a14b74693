"""Results that could not be written after all: what was computed is printed, one line says why, the exit code is 1."""

from collections.abc import Callable
from typing import TypeVar

import typer

from invrob.errors import printable

Written = TypeVar("Written")


class Outputs:
    """Files that a command writes at its end. A disk that was found writable before may be full by then.

    Example:
        >>> from invrob.commands.outputs import Outputs
        >>> outputs = Outputs()
        >>> outputs.written(lambda: "plane.png")
        'plane.png'
        >>> outputs.end()
    """

    def __init__(self) -> None:
        self.failures: list[OSError] = []

    def written(self, write: Callable[[], Written]) -> Written | None:
        """What `write` returns; None where the disk refuses a file, which `end` tells. Other errors of the system name
        none, and are raised."""
        try:
            return write()
        except OSError as error:
            if error.filename is None:
                raise
            self.failures.append(error)
            return None

    def end(self, kept: str = "what was computed is printed above") -> None:
        """Nothing where all was written. Else a line on stderr for the first failure, and typer.Exit with 1."""
        if not self.failures:
            return
        first = self.failures[0]
        reason, name = first.strerror or str(first), first.filename
        more = f", and {len(self.failures) - 1} more" if len(self.failures) > 1 else ""
        typer.echo(printable(f"error: {name}{more} could not be written ({reason}); {kept}"), err=True)
        raise typer.Exit(1)
