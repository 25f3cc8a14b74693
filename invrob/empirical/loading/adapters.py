"""Layers between a data set's images and a network that was made for others: channels, size, mean and deviation, batch.

All of them are inside the model, so that an epsilon stays one of the data's own pixels in [0, 1]; gradients pass."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invrob.empirical.inference import Model
from invrob.empirical.models import Normalize
from invrob.errors import InputError

Size = tuple[int, int]  # height, width


class Adapted(nn.Module):
    """`network` behind what it needs: grey images repeated to its channels, resized, normalised; in this order.

    channels: how many the network takes; None where nobody knows, and images go on as they are. size: (height, width)
    that it is given; None for that of the images. Bilinear, with antialiasing where images shrink."""

    def __init__(
        self,
        network: Model,
        *,
        channels: int | None = None,
        size: Size | None = None,
        normalize: Normalize | None = None,
    ) -> None:
        super().__init__()
        self.network, self.channels, self.size = network, channels, size
        self.normalize = normalize if normalize is not None else nn.Identity()

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

    Any number of images is asked in such batches, the last one filled up with its own first image."""

    def __init__(self, network: Model, batch: int) -> None:
        super().__init__()
        self.network, self.batch = network, batch

    def forward(self, images: Tensor) -> Tensor:
        n = len(images)
        missing = -n % self.batch
        full = torch.cat([images, images[-1:].expand(missing, -1, -1, -1)]) if missing else images
        return torch.cat([self.network(part) for part in torch.split(full, self.batch)])[:n]


def shaped(network: Model, shape: list[int | None], name: str) -> tuple[Model, int | None, Size | None]:
    """What the input shape [N, C, H, W] of a file says, None where it is free: the network, asked in batches of N where
    that is fixed; its channels; its (height, width). Raises InputError where it is no shape of images."""
    if len(shape) != 4:
        free = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name} takes an input of shape [{free}], not images [N, C, H, W]: export such a model")
    batch, channels, height, width = shape
    network = network if batch is None else FixedBatch(network, batch)
    return network, channels, None if height is None or width is None else (height, width)
