"""Networks that take a fixed number of images at a time, asked about any number."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from invrob.empirical.inference.outputs import logits_in


class FixedBatch(nn.Module):
    """`network` that takes `batch` images at a time and no other number, as a model exported with an example does.

    Any number of images is asked in such batches, the last batch filled up: with copies of the last image, or for no
    images at all with black ones.

    Args:
        network: images [batch, C, H, W] in [0, 1] -> logits [batch, K].
        batch: how many it takes, at least 1.

    Example:
        >>> import torch
        >>> from invrob.empirical.inference import FixedBatch
        >>> FixedBatch(lambda x: x.view(8, 4), 8)(torch.rand(3, 1, 2, 2)).shape
        torch.Size([3, 4])
    """

    def __init__(self, network: Callable[[Tensor], Tensor], batch: int) -> None:
        super().__init__()
        self.network, self.batch = network, batch

    def forward(self, images: Tensor) -> Tensor:
        return in_batches(self.network, images, self.batch)


def in_batches(network: Callable[[Tensor], Any], images: Tensor, batch: int) -> Tensor:
    """The logits of `images` by a network that takes `batch` of them at a time; each time it gets a copy of its own."""
    n = len(images)
    filling = images[-1:] if n else images.new_zeros(1, *images.shape[1:])
    full = torch.cat([images, filling.expand(-n % batch if n else batch, -1, -1, -1)])
    return torch.cat([logits_in(network(part.clone()), batch) for part in torch.split(full, batch)])[:n]
