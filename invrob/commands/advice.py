"""Commands that a command prints as advice: the reader copies the line, and it works as it stands."""

import os
from pathlib import Path
from shlex import quote

from invrob.errors import printable

Word = str | os.PathLike[str]


def command(*words: Word) -> str:
    """The command line of `invrob` with these words, each quoted where a shell needs it.

    Args:
        words: what follows `invrob`: commands and options as text, files and folders as paths. A path that begins
            with a dash is written so that it is no option.

    Returns:
        The line, without a prompt.

    Example:
        >>> from pathlib import Path
        >>> from invrob.commands.advice import command
        >>> command("report", Path("runs/my run"))
        "invrob report 'runs/my run'"
        >>> command("plane", Path("-a"), "--theta", "90")
        'invrob plane ./-a --theta 90'
    """
    return " ".join(["invrob", *(_quoted(word) for word in words)])


def next_line(*words: Word) -> str:
    """What a command says last, to people only (never with --json or --quiet): the command that goes on from here.

    Print it with `typer.echo`, which breaks no line: a wrapped command cannot be copied.

    Args:
        words: as of `command`.

    Returns:
        The line, with "next: " in front.

    Example:
        >>> from pathlib import Path
        >>> from invrob.commands.advice import next_line
        >>> next_line("report", Path("runs/mini"))
        'next: invrob report runs/mini'
    """
    return f"next: {command(*words)}"


def _quoted(word: Word) -> str:
    text = os.fspath(word)
    if isinstance(word, Path) and text.startswith("-"):
        text = f"./{text}"
    return printable(quote(text))
