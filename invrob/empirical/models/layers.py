"""What the networks share: a first layer that checks images and normalises them, names of heads, and widths."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TypeGuard

import torch
from torch import Tensor, nn

from invrob.errors import InputError, did_you_mean

HEADS = ("flatten", "invariant")

MEAN_STD = {  # of the training sets, per channel, in pixels of [0, 1], as the papers' code has them
    "mnist": ((0.1307,), (0.3081,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}
NORMALIZATIONS = ("none", "image", *MEAN_STD)


def per_channel(
    mean: float | Sequence[float], std: float | Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation as lists of equal length. Raises InputError where they are no finite numbers, std above 0."""
    means, stds = ([v] if is_number(v) or not isinstance(v, Sequence) else list(v) for v in (mean, std))
    numbers = all(map(is_number, means + stds)) and all(map(math.isfinite, means + stds))
    if not (numbers and len(means) == len(stds) > 0 and min(stds) > 0):
        raise InputError(
            f"mean = {mean!r} and std = {std!r} must be finite numbers, one of both or one of both per channel, with "
            f"std above 0: take those of the training set, in pixels of [0, 1]"
        )
    return tuple(map(float, means)), tuple(map(float, stds))


class Normalize(nn.Module):
    """Subtract a mean and divide by a deviation, as the first layer of a model, so that attacks and profiles stay in
    pixels of [0, 1]. Images float [N, C, H, W] -> the same shape.

    Args:
        mean: one number, or one per channel.
        std: above 0, likewise.

    Raises:
        InputError: for other values, and in `forward` for images with another number of channels.

    Example:
        >>> import torch
        >>> from invrob.empirical.models import Normalize, build
        >>> model = torch.nn.Sequential(Normalize(0.1307, 0.3081), build("stdcnn"))
        >>> model(torch.rand(5, 1, 28, 28)).shape
        torch.Size([5, 10])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        means, stds = per_channel(mean, std)
        self.register_buffer("mean", torch.tensor(means).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(stds).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        channels = len(self.mean)
        if images.ndim != 4 or channels not in (1, images.shape[1]):  # broadcasting would invent channels
            raise InputError(f"images {[*images.shape]} must be [N, C, H, W] with C = {channels}, one per mean")
        return (images - self.mean) / self.std


class Images(nn.Module):
    """Hands images on as they are, or says what the network expects of them; a `size` of None is not checked."""

    def __init__(self, channels: int, size: int | None) -> None:
        super().__init__()
        self.channels, self.size = channels, size

    def forward(self, images: Tensor) -> Tensor:
        size = images.shape[-1] if self.size is None else self.size
        if images.ndim != 4 or images.shape[1:] != (self.channels, size, size):
            raise InputError(
                f"images {[*images.shape]} must be [N, {self.channels}, {size}, {size}]: "
                f"reshape them, or build the model with other in_channels and size"
            )
        if not images.is_floating_point():
            raise InputError(f"images are {images.dtype}: this model takes floats in [0, 1], so pass x / 255")
        return images


class Standardize(nn.Module):
    """Per-image standardisation, as in Madry's cifar10_challenge: (x - mean) / max(std, 1 / sqrt(n)) with x in 0..255
    and mean and std (divided by n) over all n = C H W values of the image. An attack differentiates through it.

    Images [N, C, H, W] float in [0, 1] -> the same shape; a constant image becomes 0, up to rounding."""

    def forward(self, images: Tensor) -> Tensor:
        pixels = 255 * images  # the floor is meant for these, and their variance is in the range of float16
        centred = pixels - pixels.mean((1, 2, 3), keepdim=True)
        variance = centred.square().mean((1, 2, 3), keepdim=True)
        floor = 1 / math.prod(images.shape[1:])
        return centred / variance.clamp(min=floor).sqrt()  # sqrt first would have gradient 0 * inf = NaN at 0


def input_layer(channels: int, size: int, normalization: str) -> nn.Module:
    """The first layer of a network: checks its images, and normalises them as `normalization` (of NORMALIZATIONS) says.

    Raises InputError for another name, and for a mean and std of another number of channels."""
    check_name("normalization", normalization, NORMALIZATIONS)
    images = Images(channels, size)
    if normalization == "none":
        return images
    if normalization == "image":
        return nn.Sequential(images, Standardize())
    mean, std = MEAN_STD[normalization]
    if len(mean) != channels:
        fitting = ["image", "none", *(name for name, (means, _) in MEAN_STD.items() if len(means) == channels)]
        raise InputError(
            f"normalization = {normalization!r} is for images with {len(mean)} channel{'s' * (len(mean) > 1)}, not "
            f"in_channels = {channels}: choose one of {', '.join(fitting)}"
        )
    return nn.Sequential(images, Normalize(mean, std))


def check_name(option: str, name: str, known: tuple[str, ...]) -> None:
    """Raises InputError where the option is none of the known names."""
    if name not in known:
        near = did_you_mean(str(name), known)
        raise InputError(f"{option} = {name!r} is unknown{near}; choose one of {', '.join(known)}")


def scaled(width: float, *channels: int) -> tuple[int, ...]:
    """The channels of a network `width` times as wide, rounded, at least 1 each."""
    return tuple(max(1, round(width * c)) for c in channels)


def is_integer(value: object) -> TypeGuard[int]:
    return not isinstance(value, bool) and isinstance(value, Integral)


def is_number(value: object) -> TypeGuard[float]:
    return not isinstance(value, bool) and isinstance(value, Real)
