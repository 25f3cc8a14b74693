"""Trainings in progress in a run directory: RUN/halfway/NAME.safetensors, until the weights are there.

One file each: tensors, and in its header the rest as JSON with the SHA-256 of both. It appears whole or not at all; a
damaged file reads as absent, and the training begins anew."""

import hashlib
import json
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from invrob.empirical.experiments.store import key_of
from invrob.files import write_atomically

FOLDER = "halfway"  # in a run directory


def halfway_name(keys: Sequence[str]) -> str:
    """What the training of the cells with these keys is kept as: a single cell by its key, several by that of them."""
    return keys[0] if len(keys) == 1 else key_of({"stack": list(keys)})


def write_halfway(run: Path, keys: Sequence[str], tensors: dict[str, Tensor], body: dict[str, Any]) -> None:
    """Keep a training of the cells with these keys in the place of what was kept of it before.

    tensors: on the CPU, contiguous, none sharing memory; body: plain JSON values."""
    text = json.dumps({**body, "keys": list(keys)}, allow_nan=False)
    content = safetensors.torch.save(tensors, {"body": text, "sha256": _digest(tensors, text)})
    write_atomically(_file(run, keys), lambda path: path.write_bytes(content))


def read_halfway(run: Path, keys: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What was given to `write_halfway`; None where it is missing, damaged or of other cells."""
    read = _read(_file(run, keys))
    return read if read is not None and read[1].get("keys") == list(keys) else None


def remove_halfway(run: Path, keys: Sequence[str]) -> None:
    """The training is done, or has failed."""
    _file(run, keys).unlink(missing_ok=True)
    with suppress(OSError):  # of others there is still something, or it was never there
        (run / FOLDER).rmdir()


def begun_stacks(run: Path) -> list[tuple[str, ...]]:
    """The keys of the cells of each stack that is in progress, in the order of the stack."""
    read = (_read(path) for path in sorted((run / FOLDER).glob("*.safetensors")))
    keys = [tuple(map(str, body.get("keys", ()))) for _, body in filter(None, read)]
    return [stack for stack in keys if len(stack) > 1]


def _file(run: Path, keys: Sequence[str]) -> Path:
    return run / FOLDER / f"{halfway_name(keys)}.safetensors"


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    try:
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])["__metadata__"]
        tensors, text = safetensors.torch.load(content), header["body"]
        body = json.loads(text) if _digest(tensors, text) == header["sha256"] else None
    except (OSError, struct.error, ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError):
        return None
    return (tensors, body) if isinstance(body, dict) else None


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    """Of all that a file holds."""
    return hashlib.sha256(safetensors.torch.save(tensors) + text.encode()).hexdigest()
