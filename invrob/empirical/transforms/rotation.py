"""Rotation of image batches: one differentiable operation, per-image angles, any device, quarter turns exact.

The same angle gives the same bits alone, in a batch, and as a float32 or float64 number; see affine.py for how."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from invrob.empirical.transforms.affine import Interpolation as Interpolation  # part of what `rotate` takes
from invrob.empirical.transforms.affine import check_resampling, resampled, turned
from invrob.errors import InputError


def rotate(
    images: Tensor,
    degrees: float | Tensor | Sequence[float],
    *,
    interpolation: Interpolation = "bilinear",
    fill: float = 0.0,
) -> Tensor:
    """Rotate each image about its centre, counter-clockwise as displayed (row 0 on top), on the same canvas.

    images: [N, C, H, W] of a floating dtype, any range, any device; N = 0 is fine. degrees: one angle for all, or [N].
    interpolation: "bilinear", or "nearest" (a tie takes the pixel to the right or below, as PIL does). fill: the value
    of everything outside the canvas; at the border bilinear interpolates between the image and the fill, as
    scipy.ndimage does with order=1, mode="grid-constant", and torchvision with fill=None.

    Returns a new tensor [N, C, H, W] of the same dtype and device. Multiples of 90 degrees equal torch.rot90 to the
    bit (of 180 when H != W: a quarter turn then cuts off what leaves the canvas, as torchvision's expand=False). No
    result lies outside the range of the image and the fill, to the last bit. Differentiable in the images, and in a
    tensor of angles. Raises InputError for images that are not a float [N, C, H, W], for an angle that is not finite,
    for a number of angles other than 1 or N, and for an unknown interpolation."""
    angles = _checked(images, degrees, interpolation, fill)
    exact = 90 if images.shape[2] == images.shape[3] else 180
    if angles.numel() == 1 and angles.item() % exact == 0 and not angles.requires_grad:
        return torch.rot90(images, int(angles.item() / 90), (2, 3)).contiguous()
    return resampled(images, turned(angles), interpolation, fill)


def on_canvas(images: Tensor, fill: float = 0.0) -> Tensor:
    """The images, small, in the middle of a canvas of `fill` that no part of them leaves in any turn: [N, C, S, S] ->
    the same shape. Scaled by the antialiased bilinear of torch.

    Turning by quarters commutes with it up to rounding. Raises InputError for images that are not square or have a side
    of less than 8 pixels."""
    height, side = images.shape[2:]
    if height != side or side < 8:
        raise InputError(
            f"images are {height} x {side}, but a canvas needs a square of at least 8 x 8: pad them, or use border = "
            "'disc'"
        )
    # On a canvas of side K the pixels of the scaled image reach to S (S - 1) / 2 K from the middle, one pixel on by the
    # filter, and one more by the bilinear taps of the turn. Along a diagonal that is sqrt(2) times as far, and must end
    # before the first pixel outside, at (S + 1) / 2.
    canvas = side * (side - 1) / ((side + 1) / math.sqrt(2) - 4)
    margin = math.ceil((canvas - side) / 2)
    large = F.pad(images, (margin,) * 4, value=fill)
    small = F.interpolate(large, (side, side), mode="bilinear", antialias=True)
    return small.clamp(large.amin(), large.amax())  # its weights sum to 1 only up to rounding


def in_disc(images: Tensor, fill: float = 0.0) -> Tensor:
    """The images [N, C, H, W], with `fill` where the centre of a pixel is outside the inscribed disc; a new tensor."""
    height, width = images.shape[2:]
    y = 2 * torch.arange(height, device=images.device)[:, None] - (height - 1)  # in half pixels: whole numbers
    x = 2 * torch.arange(width, device=images.device) - (width - 1)
    return images.masked_fill(x * x + y * y > min(height, width) ** 2, fill)


def _checked(images: Tensor, degrees: Any, interpolation: str, fill: float) -> Tensor:
    """The angles as float64 on the CPU, [1] or [N], reduced to (-360, 360)."""
    check_resampling(images, interpolation, fill)
    try:
        angles = torch.as_tensor(degrees, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"degrees = {degrees!r} must be a number or one number per image ({error})") from None
    if angles.ndim and angles.shape != images.shape[:1]:
        raise InputError(
            f"degrees has the shape {[*angles.shape]} for {len(images)} images: give one number, or one angle per image"
        )
    if not angles.isfinite().all():
        raise InputError(f"degrees holds {angles[~angles.isfinite()][0].item()}: every angle must be finite")
    return angles.fmod(360).reshape(-1)  # fmod is exact: a multiple of 90 stays one
