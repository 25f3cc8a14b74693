"""Rotation of image batches: one differentiable operation, per-image angles, any device, quarter turns exact.

The sampling positions are computed in float64 whatever the dtype of the images, so that the same angle gives the same
result alone, in a batch, and as a float32 or float64 number."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from invrob.errors import InputError, did_you_mean

Interpolation = Literal["bilinear", "nearest"]

_BLOCK = 200_000  # values per pass on a CPU: a pass then stays in its cache, and memory stays small for any batch


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
    if images.numel() == 0:
        return images.clone()
    exact = 90 if images.shape[2] == images.shape[3] else 180
    if angles.numel() == 1 and angles.item() % exact == 0 and not angles.requires_grad:
        return torch.rot90(images, int(angles.item() / 90), (2, 3)).contiguous()
    block = max(1, _BLOCK // images[0].numel()) if images.device.type == "cpu" else len(images)
    parts = torch.split(images, block)
    part_angles = [angles] * len(parts) if angles.numel() == 1 else torch.split(angles, block)
    return torch.cat([_resampled(*pair, interpolation, fill) for pair in zip(parts, part_angles, strict=True)])


def _checked(images: Tensor, degrees: Any, interpolation: str, fill: float) -> Tensor:
    """The angles as float64 on the CPU, [1] or [N], reduced to (-360, 360)."""
    if not (isinstance(images, Tensor) and images.is_floating_point() and images.ndim == 4):
        got = f"{images.dtype} {[*images.shape]}" if isinstance(images, Tensor) else type(images).__name__
        raise InputError(
            f"images are {got} but must be a float tensor [N, C, H, W]: x / 255 for bytes, x[None] for one image"
        )
    if interpolation not in ("bilinear", "nearest"):
        near = did_you_mean(str(interpolation), ("bilinear", "nearest"))
        raise InputError(f"interpolation = {interpolation!r} is unknown: use 'bilinear' or 'nearest'{near}")
    if not abs(fill) < float("inf"):
        raise InputError(f"fill = {fill} must be a finite number: it is the value of the pixels outside the image")
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


def _resampled(images: Tensor, angles: Tensor, interpolation: Interpolation, fill: float) -> Tensor:
    """The images with a frame of fill around them, read at the rotated positions; angles [1] (all images) or [N]."""
    n, channels, height, width = images.shape
    rows, columns = _positions(angles, height, width, images.device)
    if interpolation == "nearest":
        rows, columns = (rows + 0.5).floor(), (columns + 0.5).floor()
    top, left = rows.detach().floor(), columns.detach().floor()
    framed_width = width + 3
    index = (top * framed_width + left).long()  # [A, H W], A = 1 or N
    framed = F.pad(images, (1, 2, 1, 2), value=fill).flatten(2)

    def pixels(offset: int) -> Tensor:
        if len(index) == 1:  # flat, because torch's index_select is up to 17 times slower in three dimensions
            return framed.flatten(0, 1).index_select(1, index[0] + offset).view(n, channels, -1)
        return framed.gather(2, (index + offset)[:, None].expand(n, channels, -1))

    if interpolation == "nearest":
        return pixels(0).view(images.shape)
    down, right = (rows - top).to(images.dtype)[:, None], (columns - left).to(images.dtype)[:, None]
    # Not a weighted sum: torch.lerp never leaves the interval between its ends, and keeps constants, to the last bit.
    above = torch.lerp(pixels(0), pixels(1), right)
    below = torch.lerp(pixels(framed_width), pixels(framed_width + 1), right)
    return torch.lerp(above, below, down).view(images.shape)


def _positions(angles: Tensor, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where each output pixel comes from: rows and columns [A, H W] in the image with a frame of one pixel.

    Positions further out than the frame are moved into it, where everything is fill."""
    quarters = (angles.detach() / 90).round()
    rest = torch.deg2rad(angles - 90 * quarters)  # in [-45, 45] degrees: cos and sin of k 90 degrees come out exact
    cos90, sin90 = (
        torch.tensor(table, dtype=rest.dtype)[quarters.long() % 4] for table in ((1, 0, -1, 0), (0, 1, 0, -1))
    )
    precise = torch.float32 if device.type == "mps" else torch.float64  # mps has no float64
    cos = (cos90 * rest.cos() - sin90 * rest.sin()).to(device, precise)[:, None, None]
    sin = (sin90 * rest.cos() + cos90 * rest.sin()).to(device, precise)[:, None, None]
    y = torch.arange(height, device=device, dtype=precise)[:, None] - (height - 1) / 2
    x = torch.arange(width, device=device, dtype=precise) - (width - 1) / 2
    rows = sin * x + cos * y + (height + 1) / 2
    columns = cos * x - sin * y + (width + 1) / 2
    return rows.clamp(0, height + 1).flatten(1), columns.clamp(0, width + 1).flatten(1)
