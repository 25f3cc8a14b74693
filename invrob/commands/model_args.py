"""Arguments for what builds a model, as they are written on a command line."""

import ast
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from invrob.errors import InputError

WORDS = {"true": True, "false": False, "none": None}
HOW = "write --model-args num_classes=10,width=0.5"


def arguments(texts: list[str] | None) -> dict[str, Any]:
    """`num_classes=10,width=0.5,head=linear` by name: whole numbers, numbers, true, false and none, lists, tuples and
    dicts in their brackets, all else as text.

    Raises InputError for what is no such list, and for an argument that is given two values."""
    given: dict[str, Any] = {}
    for part in (part.strip() for text in texts or () for part in _parts(text)):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name.isidentifier():
            raise InputError(f"--model-args {part!r} is no argument with its value: {HOW}")
        if repr(given.setdefault(name, _value(value))) != repr(_value(value)):  # 1 is not true, and nan is nan
            raise InputError(f"--model-args gives two values for {name}: leave one out")
    return given


def _parts(text: str) -> Iterator[str]:
    """The text between the commas that are in no brackets."""
    part = ""
    for piece in text.split(","):
        part = f"{part},{piece}" if part else piece
        if sum(map(part.count, "[({")) <= sum(map(part.count, "])}")):
            yield part
            part = ""
    if part:
        yield part


def _bracketed(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):  # [true, null], and [True, None] or (1, 2)
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return read(text)
    raise InputError(f'--model-args {text!r} is no list: write layers=[2,2] for numbers, names=["a","b"] for text')


def _value(text: str) -> Any:
    if text[:1] and text[0] in "[({":
        return _bracketed(text)
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text.strip("'\"")
