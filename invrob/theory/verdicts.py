"""What a check can come to, from the gravest."""

from collections.abc import Iterable

VERDICTS = ("violated", "self-check failed", "holds")


def worst(verdicts: Iterable[str]) -> str:
    """The gravest of some verdicts: "violated", else "self-check failed", else "holds"."""
    return min(verdicts, key=VERDICTS.index)
