"""The one error of this package for input that it cannot accept, and the words it suggests."""

from collections.abc import Iterable
from difflib import get_close_matches


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
