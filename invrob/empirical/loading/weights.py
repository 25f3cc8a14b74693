"""Weights from a file of tensors: safetensors, or a state dict that is read with `weights_only`.

A file of weights never executes: what `torch.load` would have to unpickle freely is refused. What was read is handed on
with the names that it has there, the keys of the dicts that it lies in among them; `fitting` finds the network."""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from invrob.errors import InputError

State = dict[str, Any]  # tensors, and what modules keep by `get_extra_state`

SAVE_SO = "save it as safetensors.torch.save_file(model.state_dict(), path) or torch.save(model.state_dict(), path)"
EXTRA_STATE = "_extra_state"  # torch's name for what a module keeps besides its tensors
MADE_BY: tuple[Any, ...] = (np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0])  # numbers, arrays of numpy
PLAIN: list[Any] = [  # what training scripts keep beside a state dict, and what holds values and runs no code
    np.dtype,
    np.ndarray,
    *(type(np.dtype(kind)) for kind in ("?", "b", "B", "h", "H", "i", "I", "l", "L", "e", "f", "d", "U", "S")),
    *((made, f"numpy.core.multiarray.{made.__name__}") for made in MADE_BY),  # as numpy 1 calls them
    *((made, f"numpy._core.multiarray.{made.__name__}") for made in MADE_BY),
]


@dataclass(frozen=True)
class Stored:
    """What a file of weights holds.

    tensors: by name; in {"ema": {"conv.weight": ...}} it is "ema.conv.weight".
    folders: the names of the dicts that tensors lie in, such as "ema.", and "" for the outermost.
    versions: of the modules, as state dicts of PyTorch keep them, by name; empty where the file has none."""

    tensors: State
    folders: tuple[str, ...] = ("",)
    versions: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def folder_of(self, name: str) -> str:
        """The innermost of the dicts that `name`, or a prefix, lies in."""
        return max((folder for folder in self.folders if name.startswith(folder)), key=len, default="")


def read_weights(content: bytes, name: str) -> Stored:
    """The tensors by name in a file of safetensors, or of a state dict by `torch.save`; of the latter also those in
    dicts within, as a training script keeps them beside its epoch.

    content: the bytes of the file; name: what the errors call it.

    Raises InputError for anything else, and where other things are there and no tensor; no Python object is ever
    unpickled."""
    _check_kind(content, name)
    if Path(name).suffix.lower() == ".safetensors":
        try:
            return Stored(safetensors.torch.load(content))
        except safetensors.SafetensorError as error:
            raise InputError(f"{name} is damaged or no file of safetensors ({error}): {SAVE_SO}") from error
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(PLAIN):
            warnings.simplefilter("ignore", UserWarning)  # of the protocol of a pickle, which is read or refused
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes and refused objects raise some five kinds
        if b"safetensors" in content[:4096] or content[8:9] == b"{":
            raise InputError(f"{name} looks like safetensors: rename it to end in .safetensors") from error
        raise InputError(
            f"{name} holds more than tensors, or is damaged: Python objects are never unpickled; {SAVE_SO}"
            f"{_refused(error)}"
        ) from error
    tensors: State = {}
    folders: list[str] = []
    versions: dict[str, dict[str, Any]] = {}
    _gather(loaded, "", tensors, folders, versions)
    if loaded != {} and not tensors:
        known = isinstance(loaded, Mapping)
        content_is = f"a dict with {', '.join(map(repr, [*loaded][:5]))}" if known else f"a {type(loaded).__name__}"
        raise InputError(f"{name} holds {content_is}, not a state dict of tensors: {SAVE_SO}")
    return Stored(tensors, tuple(folders), versions)


def _check_kind(content: bytes, name: str) -> None:
    """Raises InputError for what is often taken for a file of weights, by its first bytes or the names in it."""
    if content.startswith(b"version https://git-lfs"):
        raise InputError(f"{name} is a pointer of git lfs and not the file itself: fetch that by `git lfs pull`")
    if content.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        raise InputError(f"{name} is a web page and not the file that was asked for: download that again")
    if not content:
        raise InputError(f"{name} is empty: copy or download it again")
    if content.startswith(b"PK"):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(member.endswith("/constants.pkl") for member in archive.namelist()):
                raise InputError(
                    f"{name} is a network of TorchScript and needs no Python: measure it by its name, without `weights`"
                )


def _refused(error: Exception) -> str:
    """Which class torch has refused to unpickle, where it says so, and what to do with such a file."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    if found is None:
        return ""
    return (
        f". It holds {found[1]}: where you trust the file, open it by torch.load(path, weights_only=False), which may "
        "run code, and save the state dict in it alone"
    )


def _gather(
    found: Any, folder: str, tensors: State, folders: list[str], versions: dict[str, dict[str, Any]], depth: int = 0
) -> None:
    """Note what lies in a dict and in the dicts within; those with other keys than words are an optimizer's."""
    if isinstance(found, list | tuple):  # such as (state dict, epoch)
        found = {str(place): value for place, value in enumerate(found) if isinstance(value, Mapping)}
    if not isinstance(found, Mapping) or depth > 8 or not all(isinstance(key, str) for key in found):
        return
    folders.append(folder)
    for path, about in getattr(found, "_metadata", {}).items():
        versions[f"{folder}{path}" if path else folder.removesuffix(".")] = about
    for key, value in found.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
            value = torch.from_numpy(value)
        if isinstance(value, Tensor) or key.rpartition(".")[2] == EXTRA_STATE:
            tensors[f"{folder}{key}"] = value
        else:
            _gather(value, f"{folder}{key}.", tensors, folders, versions, depth + 1)
