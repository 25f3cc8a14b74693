"""Weights for a network from a file of tensors: safetensors, or a state dict that is read with `weights_only`.

A file of weights never executes: what `torch.load` would have to unpickle freely is refused."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from invrob.errors import InputError

State = dict[str, Tensor]

NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")  # where training scripts keep it
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")  # of DataParallel, torch.compile, Lightning and the like
SAVE_SO = "save it as safetensors.torch.save_file(model.state_dict(), path) or torch.save(model.state_dict(), path)"


def read_weights(content: bytes, name: str) -> State:
    """The tensors by name in a file of safetensors, or of a state dict by `torch.save`; the latter also one level down,
    as a training script keeps it beside its epoch. content: the bytes of the file; name: what the errors call it.

    Raises InputError for anything else, and where there is no tensor; no Python object is ever unpickled."""
    if Path(name).suffix == ".safetensors":
        try:
            return _state(safetensors.torch.load(content), name)
        except safetensors.SafetensorError as error:
            raise InputError(f"{name} is damaged or no file of safetensors ({error}): {SAVE_SO}") from error
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes and refused objects raise some five kinds
        if b"safetensors" in content[:4096] or content[8:9] == b"{":
            raise InputError(f"{name} looks like safetensors: rename it to end in .safetensors") from error
        raise InputError(
            f"{name} holds more than tensors, or is damaged: Python objects are never unpickled; {SAVE_SO}"
        ) from error
    return _state(loaded, name)


def _state(loaded: Any, name: str) -> State:
    for candidate in (loaded, *(loaded.get(key) for key in NESTED if isinstance(loaded, Mapping))):
        pairs = candidate.items() if isinstance(candidate, Mapping) else ()
        if pairs and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in pairs):
            return dict(pairs)
    content = f"a {type(loaded).__name__}"
    if isinstance(loaded, Mapping):
        content = f"a dict with {', '.join(map(repr, list(loaded)[:5]))}" if loaded else "no tensors"
    raise InputError(f"{name} holds {content}, not a state dict of tensors: {SAVE_SO}")


def put_weights(network: nn.Module, state: State, name: str) -> None:
    """Load `state` into `network`, every tensor of it and no other; prefixes of wrappers are taken off first.

    Raises InputError that names some of the missing and unexpected keys, and of the tensors of another shape or kind;
    the network is then as it was."""
    expected = network.state_dict()
    state = _unwrapped(state, set(expected))
    known = [key for key in expected if key in state and not is_lazy(expected[key])]
    pairs = ((key, _described(state[key]), _described(expected[key])) for key in known)
    misfits = {
        "missing": [key for key in expected if key not in state],
        "unexpected": [key for key in state if key not in expected],
        "of another shape": [f"{key} {given} instead of {wanted}" for key, given, wanted in pairs if given != wanted],
    }
    if any(misfits.values()):
        listed = "; ".join(f"{len(keys)} {what}: {_examples(keys)}" for what, keys in misfits.items() if keys)
        raise InputError(f"{name} does not fit the network ({listed}): name the one that these weights are of")
    network.load_state_dict(state)


def _described(tensor: Tensor) -> str:
    """Its shape, and what it holds where that is no floating-point numbers."""
    plain = not tensor.is_meta and not tensor.is_quantized and tensor.layout == torch.strided
    numbers = "complex" if tensor.is_complex() else "" if tensor.is_floating_point() else "whole"
    return f"{numbers if plain else 'sparse, quantized or empty'} {[*tensor.shape]}".strip()


def _unwrapped(state: State, expected: set[str]) -> State:
    """`state` without prefixes that all its keys have, as long as the network has no such key."""
    while state and not expected & set(state):
        prefix = next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _examples(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + ", ..." * (len(keys) > 3)
