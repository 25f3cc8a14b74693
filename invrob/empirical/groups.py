"""Convolutions and pooling over p4 (90-degree turns) and p4m (turns and mirror images).

Source: Cohen & Welling 2016 (arXiv 1602.07576). Feature maps are [N, C, S, H, W] with S the group axis: S = 4 for p4,
8 for p4m. Weights are [out, in, s_in, k, k] with s_in = 1 from an image, else S, and one bias per group channel: the
layout of the original library. Element 4 m + r of the group first turns by 90 r degrees counter-clockwise, and then, if
m = 1, flips upside down. Turning the input turns every plane of the output and permutes its group axis:
p4:  y(rot90(x)) = rot90(roll(y, +1, group axis)), and p4m likewise with the permutation [3, 0, 1, 2, 5, 6, 7, 4];
p4m: y(flip(x)) = flip(y[:, :, [4, 5, 6, 7, 0, 1, 2, 3]]) for a flip of the rows."""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._C._functorch import peek_interpreter_stack

from invrob.errors import InputError


def filter_positions(order: int, s_in: int, kernel_size: int) -> Tensor:
    """Where each transformed filter reads the filter it comes from: [order, s_in, k, k] int64, flat in [s_in, k, k].

    The filter of output g is the stored one turned by g, and, on a group input, with its plane s read at g^-1 s."""
    stored = torch.arange(s_in * kernel_size**2).view(s_in, kernel_size, kernel_size)
    filters = []
    for g in range(order):
        planes = stored if s_in == 1 else stored[[_quotient(g, s) for s in range(order)]]
        turned = planes.rot90(g % 4, (1, 2))
        filters.append(turned.flip(1) if g >= 4 else turned)
    return torch.stack(filters)


def _quotient(g: int, s: int) -> int:
    """g^-1 s: with M the flip and R the turn, R M = M R^-1."""
    m = g // 4 ^ s // 4
    return 4 * m + (s + g if m else s - g) % 4


def expand_filters(weight: Tensor, index: Tensor, order: int) -> Tensor:
    """The bank of all transformed filters: weight [out, in, s_in, k, k] -> [out * order, in * s_in, k, k].

    index [order * in * s_in * k * k]: the position of each entry in the filter of one output channel."""
    out, in_channels, s_in, k, _ = weight.shape
    return weight.flatten(1).index_select(1, index).view(out * order, in_channels * s_in, k, k)


class _GroupConv2d(nn.Module):
    """What the four convolutions share; they say which group acts and what their input is.

    Where the weight needs a gradient, every call expands the filters and differentiates through that. Where it needs
    none (frozen parameters, as in an attack, or no_grad) the bank is kept until the weight is another."""

    order: ClassVar[int]
    s_in: ClassVar[int]
    _index: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _check_integers(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride)
        _check_integers(low=0, padding=padding)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, self.s_in, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        positions = filter_positions(self.order, self.s_in, kernel_size)  # [order, s_in, k, k]
        channels = torch.arange(in_channels)[:, None, None, None] * positions[0].numel()
        self.register_buffer("_index", (positions[:, None] + channels).flatten(), persistent=False)
        self._bank: Tensor | None = None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """PyTorch's rule for convolutions, on the true fan-in, in * s_in * k * k: uniform +-1 / sqrt(fan-in)."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = self.weight[0].numel() ** -0.5
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, in, H, W] from an image, [N, in, S, H, W] from the group -> [N, out, S, H', W']."""
        planes = (self.in_channels,) if self.s_in == 1 else (self.in_channels, self.s_in)
        if x.ndim != 3 + len(planes) or x.shape[1:-2] != planes:
            expected = ", ".join(["N", *map(str, planes), "H", "W"])
            raise InputError(f"the input {[*x.shape]} of {self} must be [{expected}]")
        _check_grid(self, x, self.padding)
        if self.s_in > 1:
            x = x.flatten(1, 2)
        bias = None if self.bias is None else self.bias[:, None].expand(-1, self.order).flatten()
        y = F.conv2d(x, self._filters(), bias, self.stride, self.padding)
        return y.view(y.shape[0], self.out_channels, self.order, *y.shape[2:])

    def _filters(self) -> Tensor:
        """The bank, kept where that is sound. Its untransformed filters (element 0) are the weights it was made from:
        comparing them also catches writes through `.data`, which leave no other trace."""
        weight, bank = self.weight, self._bank
        if not self._may_keep(weight):
            return expand_filters(weight, self._index, self.order)
        if bank is not None and bank.dtype == weight.dtype and bank.device == weight.device:
            untransformed = bank.view(self.out_channels, self.order, -1)[:, 0]
            if torch.equal(untransformed, weight.detach().flatten(1)):
                return bank
        with torch.inference_mode(False), torch.no_grad():  # an inference tensor could not be used in an attack later
            bank = expand_filters(weight, self._index, self.order)
        self._bank = bank if type(bank) is Tensor else None
        return bank

    def _may_keep(self, weight: Tensor) -> bool:
        if torch.compiler.is_compiling():  # comparing would break the graph
            return False
        capturing = weight.is_cuda and torch.cuda.is_current_stream_capturing()
        ordinary = type(weight) is nn.Parameter and not weight.is_meta and peek_interpreter_stack() is None
        return ordinary and not capturing and not (weight.requires_grad and torch.is_grad_enabled())

    def __getstate__(self) -> dict[str, Any]:  # copies and pickles carry the weights, not what follows from them
        return {**self.__dict__, "_bank": None}

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, bias={self.bias is not None}"
        )


class P4ConvZ2(_GroupConv2d):
    """Correlate an image with a filter in its four turns: [N, in, H, W] -> [N, out, 4, H', W'].

    Turning the image turns each plane of the output, and moves the planes on by one place.

    Args:
        in_channels, out_channels, kernel_size, stride: at least 1; filters and steps are square.
        padding: zeros at each border, at least 0.
        bias: whether each group channel has a bias, which its planes share.

    Raises:
        InputError: outside these ranges, and in `forward` for another shape, or where the stride breaks the symmetry:
            it must divide H + 2 padding - kernel_size, and W likewise.

    Example:
        >>> import torch
        >>> from invrob.empirical.groups import P4ConvP4, P4ConvZ2
        >>> layers = torch.nn.Sequential(P4ConvZ2(1, 8, 3), P4ConvP4(8, 16, 3))
        >>> images = torch.rand(2, 1, 12, 12)
        >>> layers(images).shape
        torch.Size([2, 16, 4, 8, 8])
        >>> turned = layers(images.rot90(1, (2, 3)))
        >>> torch.allclose(turned, layers(images).roll(1, 2).rot90(1, (3, 4)), atol=1e-5)
        True
    """

    order, s_in = 4, 1


class P4ConvP4(_GroupConv2d):
    """Group convolution over p4: [N, in, 4, H, W] -> [N, out, 4, H', W']; arguments and errors of `P4ConvZ2`."""

    order, s_in = 4, 4


class P4MConvZ2(_GroupConv2d):
    """Correlate an image with a filter, turned and mirrored in eight ways: [N, in, H, W] -> [N, out, 8, H', W'].

    Arguments and errors are those of `P4ConvZ2`."""

    order, s_in = 8, 1


class P4MConvP4M(_GroupConv2d):
    """Group convolution over p4m: [N, in, 8, H, W] -> [N, out, 8, H', W']; arguments and errors of `P4ConvZ2`."""

    order, s_in = 8, 8


class PlaneMaxPool2d(nn.Module):
    """Spatial max-pool of every plane: [N, C, S, H, W] -> [N, C, S, H', W']; stride = kernel_size by default.

    Raises InputError where the stride does not divide H - kernel_size and W - kernel_size: the pool would cut off the
    last rows but not the first ones, and equivariance would be lost."""

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        _check_integers(kernel_size=kernel_size, stride=self.stride)

    def forward(self, x: Tensor) -> Tensor:
        _check_group_map(self, x)
        _check_grid(self, x, padding=0)
        y = F.max_pool2d(x.flatten(1, 2), self.kernel_size, self.stride)
        return y.view(*x.shape[:3], *y.shape[2:])

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class GroupPool(nn.Module):
    """Max or mean over the group axis: [N, C, S, H, W] -> [N, C, H, W], which turns with the image.

    Followed by a global spatial pool the result is invariant; followed by a flattened map it is not."""

    def __init__(self, reduce: str = "max") -> None:
        super().__init__()
        if reduce not in ("max", "mean"):
            raise InputError(f"reduce = {reduce!r} must be 'max' or 'mean'")
        self.reduce = reduce

    def forward(self, x: Tensor) -> Tensor:
        _check_group_map(self, x)
        return x.amax(2) if self.reduce == "max" else x.mean(2)

    def extra_repr(self) -> str:
        return self.reduce


def _check_integers(low: int = 1, **values: object) -> None:
    for name, value in values.items():
        if not (isinstance(value, int) and not isinstance(value, bool) and value >= low):
            raise InputError(f"{name} = {value!r} must be one integer of at least {low}: filters and steps are square")


def _check_group_map(layer: nn.Module, x: Tensor) -> None:
    if x.ndim != 5:
        raise InputError(f"the input {[*x.shape]} of {layer} must be a group feature map [N, C, S, H, W]")


def _check_grid(layer: "_GroupConv2d | PlaneMaxPool2d", x: Tensor, padding: int) -> None:
    """Both borders must be reached by the sampling grid: else turning the image shifts the grid, and the law fails."""
    k, stride = layer.kernel_size, layer.stride
    for axis, side in (("height", x.shape[-2]), ("width", x.shape[-1])):
        span = side + 2 * padding - k
        if span < 0:
            raise InputError(f"{axis} {side} + 2 * padding {padding} is less than kernel_size {k} of {layer}")
        if span % stride:
            rest = span % stride
            fitting = " or ".join(str(s) for s in (side - rest, side - rest + stride) if s > 0)
            raise InputError(
                f"stride {stride} of {layer} breaks equivariance at {axis} {side}: ({side} + 2 * {padding} - {k}) mod "
                f"{stride} = {rest}, so the far border is left out but not the near one. Use {axis} {fitting}, "
                f"kernel_size {k + rest}, or stride 1 followed by a pool that fits"
            )
