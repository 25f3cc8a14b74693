"""Rotation of image batches: one differentiable operation, per-image angles, any device, quarter turns exact.

The same angle gives the same bits alone, in a batch, and as a float32 or float64 number. Cosine and sine are taken in
float64 on the CPU, and from there on each sampling position is one rounded addition: the same on every device."""

import math
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
    block = _BLOCK if images.device.type == "cpu" else 2**26  # so that places in it fit into int32
    parts = torch.split(images, max(1, block // images[0].numel()))
    if angles.numel() == 1:
        taps = _taps(angles, images, interpolation)
        turned = (_resampled(part, taps, fill) for part in parts)
    else:
        pairs = zip(parts, torch.split(angles, len(parts[0])), strict=True)
        turned = (_resampled(part, _taps(own, part, interpolation), fill) for part, own in pairs)
    if torch.is_grad_enabled() and (images.requires_grad or angles.requires_grad):
        return torch.cat([*turned])
    result = torch.empty(images.shape, dtype=images.dtype, device=images.device)
    for place, part in zip(torch.split(result, len(parts[0])), turned, strict=True):
        place.copy_(part)  # one by one, so that each takes the memory of the one before
    return result


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


def _taps(angles: Tensor, images: Tensor, interpolation: Interpolation) -> tuple[Tensor, ...]:
    """Where each output pixel comes from in an image with a frame: the place [A, H W] of the pixel above and left of it
    and, for bilinear, how far below and to the right of that it lies, both [A, H W] in [0, 1)."""
    height, width = images.shape[2:]
    rows, columns = _positions(angles, height, width, images)
    if interpolation == "nearest":
        rows, columns = rows + 0.5, columns + 0.5
    index = torch.add(columns.int(), rows.int(), alpha=width + 3)
    if interpolation == "nearest":
        return (index,)
    return index, rows.frac().to(images.dtype), columns.frac().to(images.dtype)


def _resampled(images: Tensor, taps: tuple[Tensor, ...], fill: float) -> Tensor:
    """The images, with a frame of fill around them, read at `taps`: one row of taps for all images or one for each."""
    n, channels, height, width = images.shape
    index, *weights = taps
    frame = (1, 2, 1, 2)
    shape: tuple[int, ...]
    if shared := len(index) == 1:  # a table [P, N C]: what one tap reads in all images lies side by side
        pixels = _transposed(images.reshape(n * channels, -1)).view(height, width, -1)
        table = F.pad(pixels, (0, 0, *frame), value=fill).flatten(0, 1)
        index, shape = index[0], (height * width, n * channels)
        weights = [weight.view(-1, 1) for weight in weights]
    else:  # one long row [N C P]
        table = F.pad(images, frame, value=fill).flatten()
        first = torch.arange(n * channels, dtype=torch.int32, device=images.device) * (table.numel() // (n * channels))
        index, shape = (index[:, None] + first.view(n, channels, 1)).flatten(), (n, channels, height * width)
        weights = [weight[:, None] for weight in weights]

    def read(offset: int) -> Tensor:
        return table[offset:].index_select(0, index).view(shape)

    result = read(0)
    if weights:
        down, right = weights
        # Not a weighted sum: lerp never leaves the interval between its ends, and keeps constants, to the last bit.
        below = read(width + 3).lerp_(read(width + 4), right)
        result = result.lerp_(read(1), right).lerp_(below, down)
    return (_transposed(result) if shared else result).view(images.shape)


def _transposed(matrix: Tensor) -> Tensor:
    """[A, B] -> [B, A], contiguous. Shuffling the A B channels of one pixel in A groups is the same permutation; on a
    CPU torch has no other vectorised form of it: this takes a quarter of the time of `.t().contiguous()`."""
    rows, columns = matrix.shape
    pixel = matrix.reshape(1, 1, 1, -1).permute(0, 3, 1, 2)  # [1, A B, 1, 1]
    return F.channel_shuffle(pixel, rows).reshape(columns, rows)


def _positions(angles: Tensor, height: int, width: int, images: Tensor) -> tuple[Tensor, Tensor]:
    """Where each output pixel comes from: rows and columns [A, H W] in the image with a frame of one pixel.

    Positions further out than the frame are moved into it, where everything is fill. What depends on the row and on the
    column is computed in float64, then rounded and added: the same bits on every device, exact at quarter turns."""
    quarters = (angles.detach() / 90).round()
    rest = torch.deg2rad(angles - 90 * quarters)[:, None]  # in [-45, 45] degrees: cos and sin of k 90 come out exact
    cos90, sin90 = (
        torch.tensor(table, dtype=rest.dtype)[quarters.long() % 4, None] for table in ((1, 0, -1, 0), (0, 1, 0, -1))
    )
    cos, sin = cos90 * rest.cos() - sin90 * rest.sin(), sin90 * rest.cos() + cos90 * rest.sin()
    y = torch.arange(height, dtype=rest.dtype, device="cpu") - (height - 1) / 2
    x = torch.arange(width, dtype=rest.dtype, device="cpu") - (width - 1) / 2
    precise = torch.float64 if images.dtype == torch.float64 else torch.float32

    def summed(of_row: Tensor, of_column: Tensor, largest: int) -> Tensor:
        of_row, of_column = of_row.to(images.device, precise), of_column.to(images.device, precise)
        return (of_row[:, :, None] + of_column[:, None]).clamp_(0, largest).flatten(1)

    return (
        summed(cos * y + (height + 1) / 2, sin * x, height + 1),
        summed((width + 1) / 2 - sin * y, cos * x, width + 1),
    )
