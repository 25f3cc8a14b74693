"""Random changes of training images that keep their label: shift, mirror, rotation. Each image gets its own draw."""

import torch
from torch import Tensor

from invrob.empirical.transforms import rotate


def crop_and_flip(images: Tensor, crop: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image by up to `crop` pixels either way, zeros moving in, and mirror half of them left to right.

    images: float [N, C, H, W]; the same shape comes back. It is the usual padding and random crop. generator: on the
    device of the images."""
    if not crop and not flip:
        return images
    n, _, height, width = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, (crop,) * 4)
    top, left = torch.randint(2 * crop + 1, (2, n, 1), generator=generator, device=device)
    rows = top + torch.arange(height, device=device)
    columns = left + torch.arange(width, device=device)
    if flip:
        mirrored = torch.rand((n, 1), generator=generator, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    index = torch.arange(n, device=device)[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def turned(images: Tensor, limit: float, generator: torch.Generator) -> Tensor:
    """Rotate each image by a fresh angle, uniform in [-limit, limit] degrees; generator: on the CPU, where `rotate`
    wants its angles, so that a GPU is not waited for."""
    if limit == 0:
        return images
    uniform = torch.rand(len(images), generator=generator, dtype=torch.float64)
    return rotate(images, (2 * uniform - 1) * limit)
