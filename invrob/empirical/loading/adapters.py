"""Layers between a data set's images and a network that was made for others: channels, size, mean and deviation, batch.

All of them are inside the model, so that an epsilon stays one of the data's own pixels in [0, 1]; gradients pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invrob.empirical.inference import Model
from invrob.empirical.models import Normalize, per_channel
from invrob.errors import InputError

Size = tuple[int, int]  # height, width


@dataclass(frozen=True, init=False)
class Preprocessing:
    """What is done to images inside a model before its network sees them, so that epsilons stay in pixels of the data.

    Args:
        mean: subtracted from pixels in [0, 1], a number or one per channel. None, like `std`: nothing is normalised, or
            as the library of the network has it.
        std: above 0, what is divided by after that; given where `mean` is.
        size: pixels that images are resized to first, bilinearly: the side of a square or (height, width), >= 1. None:
            as they come, or as a file or published weights demand.

    Raises:
        InputError: outside these ranges, and for a mean without a std.

    Example:
        >>> import invrob
        >>> invrob.Preprocessing(mean=0.1307, std=0.3081, size=32)
        Preprocessing(mean=(0.1307,), std=(0.3081,), size=(32, 32))
    """

    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    size: Size | None

    def __init__(
        self,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        size: int | Size | None = None,
    ) -> None:
        if (mean is None) != (std is None):
            raise InputError("`mean` and `std` belong together: give both, or neither")
        sides = None if size is None else tuple(size) if isinstance(size, Sequence) else (size, size)
        whole = all(isinstance(side, (int, np.integer)) and side >= 1 for side in sides or ())
        if sides is not None and not (whole and len(sides) == 2):
            raise InputError(f"size = {size!r} must be one or two whole numbers of pixels, each at least 1")
        means, stds = (None, None) if mean is None or std is None else per_channel(mean, std)
        for name, value in (("mean", means), ("std", stds), ("size", sides and tuple(map(int, sides)))):
            object.__setattr__(self, name, value)  # the only way into a frozen value

    def completed(self, demanded: "Preprocessing") -> "Preprocessing":
        """These settings; what they leave open is as the file or the library of the network demands it."""
        normalised = demanded if self.mean is None else self
        return Preprocessing(normalised.mean, normalised.std, self.size or demanded.size)


AS_THEY_COME = Preprocessing()


class Adapted(nn.Module):
    """`network` behind what it needs: grey images repeated to its channels, resized, normalised; in this order.

    channels: how many the network takes; None where nobody knows, and images go on as they are. Resizing is bilinear,
    with antialiasing where images shrink."""

    def __init__(self, network: Model, channels: int | None, how: Preprocessing) -> None:
        super().__init__()
        self.network, self.channels, self.size = network, channels, how.size
        self.normalize = nn.Identity() if how.mean is None or how.std is None else Normalize(how.mean, how.std)

    def forward(self, images: Tensor) -> Tensor:
        if self.channels is not None and images.shape[1] == 1 < self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        if self.size is not None and tuple(images.shape[2:]) != self.size:
            shrinking = self.size[0] < images.shape[2] or self.size[1] < images.shape[3]
            images = F.interpolate(images, self.size, mode="bilinear", align_corners=False, antialias=shrinking)
        logits: Tensor = self.network(self.normalize(images))
        return logits


class FixedBatch(nn.Module):
    """`network` that takes `batch` images at a time and no other number, as a model exported with an example does.

    Any number of images is asked in such batches, the last batch filled up: with copies of the last image, or for no
    images at all with black ones."""

    def __init__(self, network: Model, batch: int) -> None:
        super().__init__()
        self.network, self.batch = network, batch

    def forward(self, images: Tensor) -> Tensor:
        n = len(images)
        filling = images[-1:] if n else images.new_zeros(1, *images.shape[1:])
        full = torch.cat([images, filling.expand(-n % self.batch if n else self.batch, -1, -1, -1)])
        return torch.cat([self.network(part) for part in torch.split(full, self.batch)])[:n]


def adapted_to_shape(network: Model, shape: list[int | None], name: str) -> tuple[Model, int | None, Preprocessing]:
    """What the input shape [N, C, H, W] of a file says, None where it is free: the network, asked in batches of N where
    that is fixed; its channels; its height and width. Raises InputError where it is no shape of images."""
    if len(shape) != 4:
        free = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name} takes an input of shape [{free}], not images [N, C, H, W]: export such a model")
    batch, channels, height, width = shape
    network = network if batch is None else FixedBatch(network, batch)
    return network, channels, Preprocessing(size=None if height is None or width is None else (height, width))
