"""What tensors of files are like: of one kind, equal, in words."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from invrob.empirical.loading.weights import State

SHOWN = 8  # parts that a line lists
PLAIN = (str, bytes, int, float, complex, torch.dtype, torch.device)
FEW = 6  # tensors that it lists one by one


def same(one: State, other: State) -> bool:
    """Whether two states hold equal tensors by the same names."""
    return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)


def equal(one: Any, other: Any) -> bool:
    """Whether two values are equal tensors, or equal numbers and words in the same containers; False where that cannot
    be told."""
    if one is other:
        return True
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return isinstance(one, PLAIN) and isinstance(other, PLAIN) and one == other
    plain = not any(value.is_meta or value.is_quantized or value.layout != torch.strided for value in (one, other))
    return plain and one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)


def shape(value: Any) -> Any:
    """The shape of a tensor, None for other things."""
    return getattr(value, "shape", None)


def same_kind(given: Any, wanted: Tensor) -> bool:
    """Whether the numbers of one can stand in the other without becoming others, but for rounding."""
    if not isinstance(given, Tensor):
        return False
    if _kind(given) == "" and _kind(wanted) == "whole":
        return bool((given == given.round()).all())  # counts that were converted with the weights
    return _kind(given) == _kind(wanted)


def _kind(tensor: Tensor) -> str:
    if tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided:
        return "sparse, quantized or empty"
    return "complex" if tensor.is_complex() else "" if tensor.is_floating_point() else "whole"


def described(tensor: Any) -> str:
    """Its shape, and what it holds where that is no floating-point numbers."""
    if not isinstance(tensor, Tensor):
        return f"a {type(tensor).__name__}"
    return f"{_kind(tensor)} {[*tensor.shape]}".strip()


def listed(names: Iterable[str]) -> str:
    """Names of tensors in a few words; of many, those of one part of a network together: "head.* (20), n_averaged"."""
    names = [*names]
    parts: dict[str, int] = {}
    if len(names) <= FEW:
        return ", ".join(names)
    for name in names:
        path = name.rpartition(".")[0]
        part = ".".join(path.split(".")[:2]) + ".*" if path else name
        parts[part] = parts.get(part, 0) + 1
    shown = [f"{part} ({count})" if part.endswith(".*") else part for part, count in parts.items()]
    return ", ".join(shown[:SHOWN]) + ", ..." * (len(shown) > SHOWN)
