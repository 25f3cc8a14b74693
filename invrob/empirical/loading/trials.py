"""One try at loading a state dict: what `load_state_dict` says of it, and a network that stays as it was.

Its own rules decide, and those of the modules: about files of before num_batches_tracked, versions, parametrizations
and lazy layers. Beyond them only what cannot change an output is let pass."""

import copy
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from invrob.empirical.loading.weights import State

DIALECTS = (  # names of other generations of the same modules, where PyTorch has no rule of its own
    (re.compile(r"parametrizations\.(\w+)\.original0$"), r"\1_g"),  # weight_norm, new to old
    (re.compile(r"parametrizations\.(\w+)\.original1$"), r"\1_v"),
    (re.compile(r"(^|\.)(\w+)_orig$"), r"\1parametrizations.\2.original"),  # spectral_norm, old to new
    (re.compile(r"(^|\.)(\w+)_([uv])$"), r"\1parametrizations.\2.0._\3"),
    (re.compile(r"parametrizations\.(\w+)\.original$"), r"\1_orig"),  # and new to old
    (re.compile(r"parametrizations\.(\w+)\.0\._([uv])$"), r"\1_\2"),
)
UNUSED = "num_batches_tracked"  # counts batches of training; nothing in eval mode reads it


@dataclass(frozen=True)
class Verdict:
    """What came of a try: the state dict as it was taken, the names that lack and those that are too many, and what was
    raised, "" for nothing."""

    state: State
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    raised: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every tensor of the network has got a value."""
        return not self.missing and not self.raised


def tried(network: nn.Module, state: State, versions: Mapping[str, Any]) -> Verdict:
    """What loading `state` into `network` gives; the network stays as it is.

    versions: of the modules, by their paths; empty for a file that has none."""
    first = None
    for reading in _readings(network, state, versions):
        with_copy = _on_copy(network, lambda copied, read=reading: _loaded(copied, read))  # type: ignore[misc]
        if with_copy.is_whole and not with_copy.unexpected:
            return with_copy
        first = min(first or with_copy, with_copy, key=_faults)
    assert first is not None
    return first


def _faults(verdict: Verdict) -> tuple[bool, int]:
    return bool(verdict.raised), len(verdict.missing) + len(verdict.unexpected)


def _readings(network: nn.Module, state: State, versions: Mapping[str, Any]) -> Iterator[State]:
    """The state dict as it is, and as another kind of file would have it."""
    yield _versioned(state, versions)
    own = getattr(network.state_dict(), "_metadata", {})
    if not versions:  # safetensors keeps none; a module that asks for its version is told the present one
        yield _versioned(state, own)
    for dialects in (DIALECTS[:2], DIALECTS[2:4], DIALECTS[4:]):
        renamed = {_renamed(name, dialects): value for name, value in state.items()}
        if len(renamed) == len(state) and renamed.keys() != state.keys():
            yield _versioned(renamed, versions)


def _renamed(name: str, dialects: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, replacement in dialects:
        name = pattern.sub(replacement, name)
    return name


def _versioned(state: State, versions: Mapping[str, Any]) -> State:
    ordered: State = OrderedDict(state)
    if versions:
        ordered._metadata = OrderedDict(versions)  # type: ignore[attr-defined]  # where PyTorch looks for them
    return ordered


def _on_copy(network: nn.Module, attempt: Callable[[nn.Module], Verdict]) -> Verdict:
    """attempt(a copy of the network), or of the network itself, put back afterwards, where it cannot be copied."""
    try:
        copied = copy.deepcopy(network)
    except Exception:  # weight_norm of before parametrizations keeps tensors that cannot be copied
        before = _versioned({k: v.clone() if isinstance(v, Tensor) else v for k, v in network.state_dict().items()}, {})
        try:
            return attempt(network)
        finally:
            network.load_state_dict(before, strict=False)
    return attempt(copied)


def load(network: nn.Module, state: State) -> tuple[list[str], list[str]]:
    """Load what `tried` has found to fit: the names that lacked, and those that were too many."""
    try:
        result = network.load_state_dict(state, strict=False)
    except TypeError:  # a load_state_dict of its own, without that argument
        result = network.load_state_dict(state)
    return [*getattr(result, "missing_keys", ())], [*getattr(result, "unexpected_keys", ())]


def _loaded(network: nn.Module, state: State) -> Verdict:
    try:
        missing, unexpected = load(network, state)
    except Exception as error:  # PyTorch raises RuntimeError; a module's own rules may raise anything
        return Verdict(state, raised=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    after = network.state_dict()
    missing = [name for name in missing if name.rpartition(".")[2] != UNUSED]
    given = {_place(after[name]) for name in after if name not in missing} - {None}
    lacking = [name for name in missing if name not in after or _place(after[name]) not in given]
    return Verdict(state, tuple(lacking), tuple(unexpected))


def _place(value: Any) -> tuple[Any, ...] | None:
    """Where a tensor lies in memory, the same for layers that are tied; None for nothing of that kind."""
    if not isinstance(value, Tensor) or is_lazy(value) or value.layout != torch.strided or not value.numel():
        return None
    if value.is_quantized or value.is_meta:
        return None
    return value.device, value.data_ptr(), value.shape, value.stride()
