"""Rotation of image batches: differentiable, with an angle per image, on any device, quarter turns exact.

The same angle gives the same bits alone, in a batch, and as a float32 or float64 number; see affine.py for how."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from invrob.empirical.transforms.affine import Interpolation, check_resampling, resampled, turned
from invrob.errors import InputError


def rotate(
    images: Tensor,
    degrees: float | Tensor | Sequence[float],
    *,
    interpolation: Interpolation = "bilinear",
    fill: float = 0.0,
) -> Tensor:
    """Rotate images about their centre, counter-clockwise as displayed (row 0 on top), on the same canvas.

    Multiples of 90 degrees equal torch.rot90 to the bit (of 180 when H != W: a quarter turn then cuts off what leaves
    the canvas, as torchvision's expand=False). Differentiable in the images and in a tensor of angles.

    Args:
        images: [N, C, H, W] of a floating dtype, any range, any device; N = 0 is fine.
        degrees: one angle for all images, or [N].
        interpolation: "bilinear", or "nearest", where a tie takes the pixel to the right or below, as in PIL.
        fill: the finite value of everything outside the canvas. At the border bilinear interpolates between the image
            and the fill, as scipy.ndimage with order=1, mode="grid-constant", and torchvision with fill=None.

    Returns:
        A new tensor [N, C, H, W] of the same dtype and device, in the range of the image and the fill to the last bit.

    Raises:
        InputError: for images that are no float [N, C, H, W], an angle or a fill that is not finite, a number of angles
            other than 1 or N, and an unknown interpolation.

    Example:
        >>> import torch
        >>> rotate(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 90)
        tensor([[[[2., 4.],
                  [1., 3.]]]])
    """
    angles = _checked(images, degrees, interpolation, fill)
    exact = 90 if images.shape[2] == images.shape[3] else 180
    if angles.numel() == 1 and angles.item() % exact == 0 and not angles.requires_grad:
        return torch.rot90(images, int(angles.item() / 90), (2, 3)).contiguous()
    return resampled(images, turned(angles), interpolation, fill)


def on_canvas(images: Tensor, fill: float = 0.0) -> Tensor:
    """Set images small in the middle of a canvas of `fill` that no part of them leaves in any turn.

    Scaled by the antialiased bilinear of torch; turning by quarters commutes with it up to rounding.

    Args:
        images: [N, C, S, S] of a floating dtype, S >= 8; N = 0 is fine.
        fill: the finite value of the canvas.

    Returns:
        A new tensor of the same shape.

    Raises:
        InputError: for images of another shape, and a fill that is not finite.

    Example:
        >>> import torch
        >>> on_canvas(torch.ones(1, 1, 28, 28))[0, 0, 0].max()
        tensor(0.)
    """
    check_resampling(images, "bilinear", fill)
    height, side = images.shape[2:]
    if height != side or side < 8:
        raise InputError(
            f"images are {height} x {side}, but a canvas needs a square of at least 8 x 8: pad them, or use border = "
            "'disc'"
        )
    if not images.numel():
        return images.clone()
    # On a canvas of side K the pixels of the scaled image reach to S (S - 1) / 2 K from the middle, a pixel on by the
    # filter, and another by the bilinear taps of the turn. Along a diagonal that is sqrt(2) times as far, and must end
    # before the first pixel outside, at (S + 1) / 2.
    canvas = side * (side - 1) / ((side + 1) / math.sqrt(2) - 4)
    margin = math.ceil((canvas - side) / 2)
    large = F.pad(images, (margin,) * 4, value=fill)
    small = F.interpolate(large, (side, side), mode="bilinear", antialias=True)
    return small.clamp(large.amin(), large.amax())  # its weights sum to 1 only up to rounding


def in_disc(images: Tensor, fill: float = 0.0) -> Tensor:
    """Hide what lies outside the disc that is inscribed in the images.

    Args:
        images: [N, C, H, W] of a floating dtype; N = 0 is fine.
        fill: the finite value of the pixels whose centre is outside the disc.

    Returns:
        A new tensor of the same shape.

    Raises:
        InputError: for images of another shape, and a fill that is not finite.

    Example:
        >>> import torch
        >>> in_disc(torch.ones(1, 1, 5, 5))[0, 0, 0]
        tensor([0., 1., 1., 1., 0.])
    """
    check_resampling(images, "bilinear", fill)
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
    return angles.fmod(360).reshape(-1)  # fmod is exact: a multiple of 90 stays a multiple of 90
