"""Affine maps of image batches: a differentiable resampling, with a map per image or for all, on any device.

Everything about a map is computed in float64 on the CPU; from there on each sampling position is one rounded addition,
the same on every device. So the same map gives the same bits alone and in a batch, and a map that takes pixels to
pixels moves them to the bit."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from invrob.errors import InputError, did_you_mean

Interpolation = Literal["bilinear", "nearest"]

LARGEST = 1e9  # of a number in a map: positions are sums of these times pixels, and must not overflow
_BLOCK = 200_000  # values per pass on a CPU: a pass then stays in its cache, and memory stays small for any batch


def affine(
    images: Tensor,
    maps: Tensor | Sequence[Any],
    *,
    interpolation: Interpolation = "bilinear",
    fill: float = 0.0,
) -> Tensor:
    """Read images through an affine map about their centre; nothing is smoothed before it is made smaller.

    images, interpolation, fill and what comes back: as for `rotate`. maps: [2, 3] for all images or [N, 2, 3], finite
    numbers up to 1e9. In pixels from the centre, y downwards and x to the right, the output at (y, x) is the image at
    row maps[0] @ (y, x, 1) and column maps[1] @ (y, x, 1), as in scipy.ndimage.affine_transform. Differentiable in the
    images and in a tensor of maps. Raises InputError outside these ranges."""
    check_resampling(images, interpolation, fill)
    try:
        maps = torch.as_tensor(maps, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"maps = {maps!r} must be numbers [2, 3], or [N, 2, 3] for one map each ({error})") from None
    if maps.shape not in ((2, 3), (1, 2, 3), (len(images), 2, 3)):
        raise InputError(
            f"maps have the shape {[*maps.shape]} for {len(images)} images: give one map [2, 3], or one per image "
            "[N, 2, 3]"
        )
    fine = maps.abs() <= LARGEST  # false for NaN as well
    if not fine.all():
        raise InputError(f"maps hold {maps[~fine][0].item()}: every number must be finite, and at most 1e9 in size")
    return resampled(images, maps.reshape(-1, 2, 3), interpolation, fill)


def shifted(down: Tensor | float, right: Tensor | float) -> Tensor:
    """The map [..., 2, 3] that moves the picture by so many pixels; numbers or tensors [...]."""
    return _map(1, 0, -down, 0, 1, -right)


def scaled(factor: Tensor | float) -> Tensor:
    """The map [..., 2, 3] that makes the picture `factor` > 0 times as large about the centre."""
    shrink = 1 / torch.as_tensor(factor, dtype=torch.float64)
    return _map(shrink, 0, 0, 0, shrink, 0)


def sheared(degrees: Tensor | float) -> Tensor:
    """The map [..., 2, 3] that leans an upright line by so many degrees to the right, in (-90, 90): rows slide by
    tan(degrees) for each row above the centre."""
    return _map(1, 0, 0, torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float64)).tan(), 1, 0)


def turned(degrees: Tensor | float) -> Tensor:
    """The map [..., 2, 3] that turns counter-clockwise as displayed; exact at multiples of 90 degrees."""
    degrees = torch.as_tensor(degrees, dtype=torch.float64)
    quarters = (degrees.detach() / 90).round()
    rest = torch.deg2rad(degrees - 90 * quarters)  # in [-45, 45] degrees: cos and sin of k 90 come out exact
    cos90, sin90 = (
        torch.tensor(table, dtype=rest.dtype)[quarters.long() % 4] for table in ((1, 0, -1, 0), (0, 1, 0, -1))
    )
    cos, sin = cos90 * rest.cos() - sin90 * rest.sin(), sin90 * rest.cos() + cos90 * rest.sin()
    return _map(cos, sin, 0, -sin, cos, 0)


def followed_by(first: Tensor, second: Tensor) -> Tensor:
    """The map [..., 2, 3] that changes the picture by the first map, and then by the second."""
    # Maps go from the output to the image, so the point that the second map reads is where the first map reads.
    both = first[..., :2] @ second
    both[..., 2] += first[..., 2]
    return both


def _map(*numbers: Tensor | float) -> Tensor:
    """The map [..., 2, 3] with these six numbers, row by row."""
    tensors = [torch.as_tensor(number, dtype=torch.float64) for number in numbers]
    shape = max((tensor.shape for tensor in tensors), key=len)
    return torch.stack([tensor.expand(shape) for tensor in tensors], -1).view(*shape, 2, 3)


def check_resampling(images: Tensor, interpolation: str, fill: float) -> None:
    """Raises InputError for images, an interpolation or a fill that `affine` does not take."""
    if not (isinstance(images, Tensor) and images.is_floating_point() and images.ndim == 4):
        got = f"{images.dtype} {[*images.shape]}" if isinstance(images, Tensor) else type(images).__name__
        raise InputError(
            f"images are {got} but must be a float tensor [N, C, H, W]: x / 255 for bytes, x[None] for one image"
        )
    if interpolation not in ("bilinear", "nearest"):
        near = did_you_mean(str(interpolation), ("bilinear", "nearest"))
        raise InputError(f"interpolation = {interpolation!r} is unknown: use 'bilinear' or 'nearest'{near}")
    check_fill(fill)


def check_fill(fill: float) -> None:
    """Raises InputError for a fill that is not finite."""
    if not abs(fill) < float("inf"):
        raise InputError(f"fill = {fill} must be a finite number: it is the value of the pixels outside the image")


def resampled(images: Tensor, maps: Tensor, interpolation: Interpolation, fill: float) -> Tensor:
    """`affine` for checked arguments: maps float64 [1, 2, 3] or [N, 2, 3] on the CPU."""
    if images.numel() == 0:
        return images.clone()
    block = _BLOCK if images.device.type == "cpu" else 2**26  # so that an index in it fits into int32
    parts = torch.split(images, max(1, block // images[0].numel()))
    if len(maps) == 1:
        taps = _taps(maps, images, interpolation)
        moved = (_read(part, taps, fill) for part in parts)
    else:
        pairs = zip(parts, torch.split(maps, len(parts[0])), strict=True)
        moved = (_read(part, _taps(maps_of_part, part, interpolation), fill) for part, maps_of_part in pairs)
    if torch.is_grad_enabled() and (images.requires_grad or maps.requires_grad):
        return torch.cat([*moved])
    result = torch.empty(images.shape, dtype=images.dtype, device=images.device)
    for place, part in zip(torch.split(result, len(parts[0])), moved, strict=True):
        place.copy_(part)  # in turn, so that a part takes the memory of the part before it
    return result


def _taps(maps: Tensor, images: Tensor, interpolation: Interpolation) -> tuple[Tensor, ...]:
    """Where each output pixel comes from in an image with a frame: the index [A, H W] of the pixel above and left of it
    and, for bilinear, how far below and to the right of that it lies, both [A, H W] in [0, 1)."""
    rows, columns = _positions(maps, images)
    if interpolation == "nearest":
        rows, columns = rows + 0.5, columns + 0.5
    index = torch.add(columns.int(), rows.int(), alpha=images.shape[3] + 3)
    if interpolation == "nearest":
        return (index,)
    return index, rows.frac().to(images.dtype), columns.frac().to(images.dtype)


def _positions(maps: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Where each output pixel comes from: rows and columns [A, H W] in the image with a frame of one pixel.

    Positions further out than the frame are moved into it, where everything is fill. What depends on the row and on the
    column is computed in float64, then rounded and added: the same bits on every device, exact at quarter turns."""
    height, width = images.shape[2:]
    y = torch.arange(height, dtype=maps.dtype, device="cpu") - (height - 1) / 2
    x = torch.arange(width, dtype=maps.dtype, device="cpu") - (width - 1) / 2
    precise = torch.float64 if images.dtype == torch.float64 else torch.float32

    def summed(of: Tensor, size: int) -> Tensor:
        of_row, of_column = of[:, :1] * y + (of[:, 2:] + (size + 1) / 2), of[:, 1:2] * x
        of_row, of_column = of_row.to(images.device, precise), of_column.to(images.device, precise)
        return (of_row[:, :, None] + of_column[:, None]).clamp_(0, size + 1).flatten(1)

    return summed(maps[:, 0], height), summed(maps[:, 1], width)


def _read(images: Tensor, taps: tuple[Tensor, ...], fill: float) -> Tensor:
    """The images, with a frame of fill around them, read at `taps`: a row for all images, or a row per image."""
    n, channels, height, width = images.shape
    index, *weights = taps
    frame = (1, 2, 1, 2)
    shape: tuple[int, ...]
    if shared := len(index) == 1:  # a table [P, N C]: what a tap reads in all images lies side by side
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
