"""One try at loading a state dict: what `load_state_dict` says of it, and a network that stays as it was.

Its own rules decide, and those of the modules: about files of before num_batches_tracked, versions, parametrizations
and lazy layers. Beyond them only what cannot change an output is let pass."""

import copy
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from invrob.empirical.loading.tensors import equal
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
        verdict = _on_copy(network, reading)
        if verdict.is_whole and not verdict.unexpected:
            return verdict
        first = min(first or verdict, verdict, key=_faults)
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


def _on_copy(network: nn.Module, state: State) -> Verdict:
    """What loading gives with a copy of the network; with itself, put back afterwards, where there can be no copy."""
    try:
        copied = _copied(network)
    except Exception:  # a network may hold a lock, a file or another thing of which there is one
        held = {name: value for name, value in network.state_dict().items() if not is_lazy(value)}
        before = {name: value.clone() if isinstance(value, Tensor) else value for name, value in held.items()}
        try:
            return _loaded(network, state)
        finally:
            network.load_state_dict(before, strict=False)
    return _loaded(copied, state)


def _copied(network: nn.Module) -> nn.Module:
    """A network like this one, tensors that PyTorch does not copy included: those that weight_norm of before
    parametrizations has computed, and those that wait for their shape."""
    memo: dict[int, Any] = {}
    for module in network.modules():
        held = [*vars(module).values(), *module._parameters.values(), *module._buffers.values()]
        for value in (value for value in held if isinstance(value, Tensor)):
            if is_lazy(value):
                memo[id(value)] = type(value)(device=value.device, dtype=value.dtype)  # type: ignore[call-arg]
            elif not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(network, memo)


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
    given: dict[Any, str] = {}
    for name in (name for name in after if name not in missing and _place(after[name]) is not None):
        other = given.setdefault(_place(after[name]), name)
        if name in state and other in state and not equal(state[name], state[other]):
            return Verdict(state, raised=f"{other} and {name} are one tensor in the network, and two in the file")
    lacking = [name for name in missing if name not in after or _place(after[name]) not in given]
    return Verdict(state, tuple(lacking), tuple(unexpected))


def _place(value: Any) -> tuple[Any, ...] | None:
    """Where a tensor lies in memory, the same for layers that are tied; None for nothing of that kind."""
    if not isinstance(value, Tensor) or is_lazy(value) or value.layout != torch.strided or not value.numel():
        return None
    if value.is_quantized or value.is_meta:
        return None
    return value.device, value.data_ptr(), value.shape, value.stride()
