"""Models that want channels last, [N, H, W, C]: known by what they do with images [N, C, H, W].

Such a model often answers all the same, since C is 1 or its first layer takes any order of pixels: with numbers about
noise. So the first call of a model is watched, and where that leaves a doubt it is asked about the other layout."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from invrob.empirical.inference.outputs import are_logits, logits_in
from invrob.errors import InputError

USUAL = (1, 3, 4)  # channels of an image
AS_THEY_ARE = (0, 1, 2, 3)
TO_FIRST = (0, 3, 1, 2)  # what makes [N, C, H, W] of [N, H, W, C]
TO_LAST = (0, 2, 3, 1)
MIRRORED = (0, 3, 2, 1)  # what makes [N, C, W, H] of it, and [N, W, H, C] of [N, C, H, W]
WRAP_IT = (
    "use model = torch.nn.Sequential(torchvision.ops.Permute([0, 2, 3, 1]), model), which takes channels first, and "
    "export or name that"
)
WRAP_FUNCTION = "use network = model; model = lambda x: network(x.permute(0, 2, 3, 1)), which takes channels first"
_asking: ContextVar[bool] = ContextVar("asking", default=False)  # about [N, H, W, C], which nobody is to watch


class ChannelsLastError(InputError):
    """A model that takes [N, H, W, C] was given [N, C, H, W]."""


class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """How what runs inside the block turns the axes of images [N, C, H, W] of this shape before it computes."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shape = tuple(shape)
        self.is_to_first = self.is_mirrored = self.is_unbound = False
        self.failed = False  # whether an operator has raised something
        self._axes: dict[int, tuple[Tensor, tuple[int, ...]]] = {}  # by id; the tensor as well, so that it lives

    @property
    def is_turned(self) -> bool:
        """Whether images were turned as only images [N, H, W, C] need be, or are taken apart as these are."""
        return self.is_to_first or self.is_mirrored or self.is_unbound

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default and not isinstance(args[0], Tensor):
            return args[0]  # TorchScript hands constants on as numbers in here
        if _asking.get():
            return function(*args, **(kwargs or {}))
        try:
            result = function(*args, **(kwargs or {}))
        except Exception:
            self.failed = True
            raise
        for value in args:
            if (known := self._of(value)) is not None:
                self._note(function, args, value, known, result)
                break
        return result

    def _of(self, value: Any) -> tuple[int, ...] | None:
        """Which axes of the images those of a tensor are; None for what is no image."""
        if not isinstance(value, Tensor) or value.ndim != 4:
            return None
        if id(value) in self._axes:
            return self._axes[id(value)][1]
        return AS_THEY_ARE if tuple(value.shape[1:]) == self.shape else None

    def _note(self, function: Any, args: Any, value: Tensor, known: tuple[int, ...], result: Any) -> None:
        axes = _turned(function, args)
        if axes is not None:
            known = tuple(known[axis] for axis in axes)
            self.is_to_first |= known == TO_FIRST
        elif function is torch.ops.aten.unbind.int and known == AS_THEY_ARE:
            self.is_unbound |= len(args) > 1 and args[1] % 4 == 3
        elif not isinstance(result, Tensor) or result.shape != value.shape:  # something is computed of them
            self.is_mirrored |= known == MIRRORED
            return
        if isinstance(result, Tensor):
            self._axes[id(result)] = (result, known)


def _turned(function: Any, args: tuple[Any, ...]) -> tuple[int, ...] | None:
    """The axes of [N, C, H, W] in the order that a function puts them in; None for functions of other kinds."""
    if function is torch.ops.aten.permute.default:
        return tuple(axis % 4 for axis in args[1])
    if function is torch.ops.aten.transpose.int:
        axes, one, other = list(AS_THEY_ARE), args[1] % 4, args[2] % 4
        axes[one], axes[other] = other, one
        return tuple(axes)
    return None


def check_taken(model: Any, images: Tensor, outputs: Any, watching: Watching, ask: Callable[[Tensor], Any]) -> None:
    """Raises InputError where a model that was watched, and has answered `outputs`, takes channels last: it turns
    images as these need it, and answers otherwise about [N, H, W, C]. Warns where it turns rows and columns as well.

    ask: calls the model."""
    if not watching.is_turned:
        return
    last = _answers(ask, images)
    if last is None or _same(outputs, last, len(images)):
        return
    if watching.is_to_first or watching.is_unbound:
        raise channels_last(model, watching)
    given, other = _shapes(watching.shape)
    warnings.warn(
        f"the network turns images {given} by transpose(1, 3), and answers otherwise about {other}: the numbers are "
        f"about noise if it takes channels last, [N, H, W, C]; {_way_out(model)} in that case",
        UserWarning,
        stacklevel=2,
    )


def is_for_last(model: Any, images: Tensor, watching: Watching, ask: Callable[[Tensor], Any]) -> bool:
    """Whether a model that was watched, and has failed, takes channels last: it turns images as these need it, or
    it answers about [N, H, W, C]. ask: calls the model."""
    modules = model.modules() if isinstance(model, nn.Module) else ()
    if any(isinstance(m, nn.Conv2d) and m.in_channels == images.shape[2] for m in modules):  # it is for more channels
        return watching.is_to_first
    return watching.is_to_first or _answers(ask, images) is not None


def channels_last(model: Any, watching: Watching) -> ChannelsLastError:
    """The error for a model that was seen to take channels last."""
    given, other = _shapes(watching.shape)
    how = (
        f"turns images {given} by permute(0, 3, 1, 2)"
        if watching.is_to_first
        else f"takes images {given} apart along their last axis"
        if watching.is_unbound
        else f"fails for images {given}, and answers about {other}"
    )
    return ChannelsLastError(
        f"the network {how}: it takes channels last, [N, H, W, C], and images are [N, C, H, W]; {_way_out(model)}"
    )


def may_be_turned(images: Tensor) -> bool:
    """Whether images are of a shape by which the two layouts can be told apart."""
    return images.ndim == 4 and len(images) > 0 and images.shape[1] in USUAL and images.shape[1] != images.shape[3]


def _answers(ask: Callable[[Tensor], Any], images: Tensor) -> Any:
    """What a model answers about the same images as [N, H, W, C]; None where it fails."""
    token = _asking.set(True)
    try:
        with suppress(Exception), torch.no_grad():  # a model raises what it likes
            return ask(images.detach().permute(TO_LAST))
    finally:
        _asking.reset(token)
    return None


def _same(outputs: Any, others: Any, n: int) -> bool:
    """Whether two answers are the same but for rounding; also where they are no logits, which is refused by others."""
    try:
        one, other = logits_in(outputs, n), logits_in(others, n)
    except InputError:
        return True
    if not are_logits(one, n):
        return True
    return are_logits(other, n) and one.shape == other.shape and torch.allclose(one, other, 1e-2, 1e-4)


def _shapes(shape: tuple[int, ...]) -> tuple[str, str]:
    channels, height, width = shape
    return f"[N, {channels}, {height}, {width}]", f"[N, {height}, {width}, {channels}]"


def _way_out(model: Any) -> str:
    return WRAP_IT if isinstance(model, nn.Module) else WRAP_FUNCTION
