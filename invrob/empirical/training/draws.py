"""The random numbers of a training."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Draws:
    """The random numbers of one training, all from its seed: on the device, and on the CPU for angles."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = torch.Generator(device).manual_seed(seed)
        self.host = self.device if device.type == "cpu" else torch.Generator().manual_seed(seed)

    @property
    def generators(self) -> dict[str, torch.Generator]:
        """Each of them once, by name."""
        return {"device": self.device} | ({} if self.host is self.device else {"host": self.host})

    def order(self, n: int, size: int) -> Sequence[Tensor]:
        """Batches of at most `size` that hold each of n images once."""
        return torch.split(torch.randperm(n, generator=self.device, device=self.device.device), size)
