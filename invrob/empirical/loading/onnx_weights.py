"""The files beside an ONNX model in which it keeps weights, whatever their names, and what it does with images first:
found in the model's own bytes.

An ONNX model is a message of protobuf. Only the fields that lead to a tensor with weights elsewhere are followed; the
numbers are those of onnx.proto."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from invrob.errors import InputError

INTO = {  # message -> number of a field -> the message in it
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
TO_FIRST = [0, 3, 1, 2]  # what makes [N, C, H, W] of [N, H, W, C]
DEEPEST = 100  # messages in messages, as protobuf itself allows


def files_beside(content: bytes, path: Path) -> dict[str, str]:
    """The SHA-256 of every file with weights of the ONNX model with these bytes in `path`.

    Raises InputError for a model that is damaged, and for a file that is not there or not below the model's folder."""
    try:
        locations = sorted(set(_locations(memoryview(content), "model", 0)))
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} is damaged or no ONNX file ({error})") from error
    sums = {}
    for location in locations:
        inside = os.path.normpath(location)
        if os.path.isabs(location) or inside.split(os.sep)[0] == os.pardir:
            raise InputError(f"{path} keeps weights in {location!r}, outside its own folder: that file is not read")
        beside = path.parent / inside
        try:
            with beside.open("rb") as file:
                sums[str(beside)] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"{path} keeps weights in {location!r} beside it ({reason}): copy that as well") from None
    return sums


def _locations(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    """Where the tensors in a message of that kind keep their values, as it says."""
    if depth > DEEPEST:
        raise ValueError("messages are nested too deeply")
    for number, value in _fields(message):
        inner = INTO[kind].get(number)
        if inner == "entry" and isinstance(value, memoryview):
            entry = {key: bytes(text) for key, text in _fields(value) if isinstance(text, memoryview)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode()
        elif inner is not None and isinstance(value, memoryview):
            yield from _locations(value, inner, depth + 1)


def turns_to_channels_first(content: bytes, entry: str) -> bool:
    """Whether the ONNX model with these bytes begins by making [N, C, H, W] of what goes in by `entry`, as one that
    takes [N, H, W, C] does."""
    for graph in _parts(memoryview(content), 7):
        for node in _parts(graph, 1):
            operator, inputs = b"".join(_parts(node, 4)), [bytes(name).decode() for name in _parts(node, 1)]
            if operator == b"Transpose" and inputs == [entry] and TO_FIRST in map(_axes, _parts(node, 5)):
                return True
    return False


def _axes(attribute: memoryview) -> list[int]:
    """The whole numbers of an attribute, one by one or together."""
    numbers: list[int] = []
    for number, value in _fields(attribute):
        if number == 8 and isinstance(value, int):
            numbers.append(value)
        elif number == 8:
            numbers += bytes(value)  # each below 128, as axes are
    return numbers


def _parts(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The fields of a message with that number, where they have a length."""
    return (value for number, value in _fields(message) if number == wanted and isinstance(value, memoryview))


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The numbers of the fields of a message; with the bytes of those that have a length, and the value of numbers."""
    place = 0
    while place < len(message):
        tag, place = _number(message, place)
        number, wire = tag >> 3, tag & 7
        length, value = {1: 8, 5: 4}.get(wire, 0), 0
        if wire == 0:
            value, place = _number(message, place)
        elif wire == 2:
            length, place = _number(message, place)
        elif not length:
            raise ValueError(f"field {number} is of no known kind")
        if place + length > len(message):
            raise ValueError("it ends too soon")
        yield number, message[place : place + length] if wire == 2 else value
        place += length


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """The number of variable length that begins there, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number does not end")
