"""Arguments for what builds a model, as they are written on a command line."""

import re
from typing import Any

from invrob.errors import InputError

WORDS = {"true": True, "false": False, "none": None}
HOW = "write --model-args num_classes=10,width=0.5"


def arguments(texts: list[str] | None) -> dict[str, Any]:
    """`num_classes=10,width=0.5,head=linear` by name: whole numbers, numbers, true, false and none, all else as text.

    Raises InputError for what is no such list, and for an argument that is given two values."""
    given: dict[str, Any] = {}
    for part in (part.strip() for text in texts or () for part in text.split(",")):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name.isidentifier():
            raise InputError(f"--model-args {part!r} is no argument with its value: {HOW}")
        if repr(given.setdefault(name, _value(value))) != repr(_value(value)):  # 1 is not true, and nan is nan
            raise InputError(f"--model-args gives two values for {name}: leave one out")
    return given


def _value(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text.strip("'\"")
