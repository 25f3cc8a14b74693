"""The last line of a command: what may be done next, as a command that works as it stands."""

import os
import sys

from invrob.errors import command


def next_line(*words: str | os.PathLike[str]) -> str:
    """What a command says last, to people only (never with --json or --quiet): the command that goes on from here.

    Print it with `typer.echo`, which breaks no line: a wrapped command cannot be copied.

    Args:
        words: as of `invrob.errors.command`.

    Returns:
        The line, with "next: " in front.

    Example:
        >>> from pathlib import Path
        >>> from invrob.commands.advice import next_line
        >>> next_line("report", Path("runs/mini"))
        'next: invrob report runs/mini'
    """
    return f"next: {command(*words)}"


def same_command(*without: str) -> str:
    """The command line of this process, as a line to copy.

    Args:
        without: words that are left out, such as "--dry-run".

    Returns:
        The line, without a prompt.
    """
    return command(*(word for word in sys.argv[1:] if word not in without))
