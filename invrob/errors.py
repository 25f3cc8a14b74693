"""The one error of this package for input that it cannot accept, and the words and commands it suggests."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from shlex import quote


class InputError(ValueError):
    """The caller's input is outside what is allowed: the text names the value, the range and the way out.

    The command line prints it without a traceback and exits with 2."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'stdcnn'?` when one of `known` is near `word`, else the empty string."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def printable(text: str) -> str:
    """`text` with every control character but a line break as its escape: no name of a file or a class moves the
    terminal that it is printed on."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def command(*words: str | os.PathLike[str]) -> str:
    """The command line of `invrob` with these words, each quoted where a shell needs it: printed as advice, it works as
    it stands.

    Args:
        words: what follows `invrob`: commands and options as text, files and folders as paths. A path that begins
            with a dash is written so that it is no option.

    Returns:
        The line, without a prompt.

    Example:
        >>> from pathlib import Path
        >>> from invrob.errors import command
        >>> command("report", Path("runs/my run"))
        "invrob report 'runs/my run'"
        >>> command("plane", Path("-a"), "--theta", "90")
        'invrob plane ./-a --theta 90'
    """
    return " ".join(["invrob", *map(_quoted, words)])


def _quoted(word: str | os.PathLike[str]) -> str:
    text = os.fspath(word)
    return printable(quote(f"./{text}" if isinstance(word, Path) and text.startswith("-") else text))
