"""What images are, for tensors at the API and for arrays in files: their layout and their scale.

A shape or a range of values that nearly certainly says something else than what is documented is refused with the line
that mends it: a network would answer all the same, and the rates would be about noise."""

import math
import warnings
from typing import Literal

import torch
from torch import Tensor

from invrob.errors import InputError

ROUNDING = 1e-6  # images that resizing or a division left this far outside [0, 1] are clamped, not refused
OVERSHOOT = 0.5  # what sharpening and bicubic resizing may add to [0, 1]; normalised images span more
USUAL_CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency
SQUARISH = 2.0  # the longer side of a picture over the shorter one, where the shape alone has to decide
NEARLY_BLACK = 1.5 / 255  # bytes divided by 255 twice, or bits divided by 255, are below it

Layout = Literal["NCHW", "NHWC"]

NORMALISED = (
    "if they are normalised, undo it and put it inside the model: from invrob.empirical.models import Normalize; "
    "model = torch.nn.Sequential(Normalize(mean, std), model)"
)


def layout_of(shape: tuple[int, ...]) -> Layout | None:
    """Where the channels of four-dimensional images stand, by their shape alone; None where it leaves a doubt.

    One of the two places holds 1, 3 or 4: there. Both or neither do: the reading whose pictures are squarer, unless
    they are long and thin in both readings."""
    _, a, b, c = shape
    first, last = _longer_by_shorter(b, c), _longer_by_shorter(a, b)  # of the pictures in either reading
    if a in USUAL_CHANNELS and c not in USUAL_CHANNELS:
        return None if first > SQUARISH and last == 1 else "NCHW"
    if c in USUAL_CHANNELS and a not in USUAL_CHANNELS:
        return None if last > SQUARISH and first == 1 else "NHWC"
    if first == last or min(first, last) > SQUARISH:
        return None
    return "NCHW" if first < last else "NHWC"


def is_channels_last(shape: tuple[int, ...]) -> bool:
    """Whether images that must be [N, C, H, W] are nearly certainly [N, H, W, C].

    The last size is 1, 3 or 4 and the second is not, or the pictures are square in that reading alone. Small squares of
    many channels, such as [N, 8, 3, 3], are left alone."""
    _, a, b, c = shape
    if c in USUAL_CHANNELS and a not in USUAL_CHANNELS:
        return b != c
    return a == b > max(c, *USUAL_CHANNELS)


def checked_images(images: Tensor) -> Tensor:
    """`images` as a detached tensor [N, C, H, W] in [0, 1], float32 or float64, N >= 1; the caller's own is never
    written to.

    Values up to 1e-6 outside [0, 1] are rounding and are clamped. Warns where all pixels are equal or nearly black:
    rates about such images say nothing. Raises InputError for everything else, with the line that mends it."""
    if not isinstance(images, Tensor):
        raise InputError(f"images is a {type(images).__name__}, not a torch.Tensor: {_line_for_other_kinds(images)}")
    described = f"images {images.dtype} {[*images.shape]}"
    _check_shape(images.shape, described)
    if not images.is_floating_point():
        raise InputError(f"{described} must be floats in [0, 1]: use {_line_for_integers(images)}")
    if images.dtype not in (torch.float32, torch.float64):
        raise InputError(f"{described} are too coarse for an attack: use images.float(), and let the model cast them")
    images = images.detach()
    low, high = images.amin().item(), images.amax().item()
    if cause := outside(low, high):
        raise InputError(f"{described} {cause}")
    if images[0].numel() > 1 and (doubt := dim(low, high)):
        warnings.warn(f"{described}: {doubt}", UserWarning, stacklevel=3)
    with torch.inference_mode(False):  # a tensor made in that mode could not be differentiated
        return images.clamp(0, 1)


def outside(low: float, high: float, *, tensor: bool = True, normalised: str = NORMALISED) -> str | None:
    """Why floats from `low` to `high` are no images in [0, 1], with the line that mends each cause; None where they
    are. tensor: whether the lines to paste are for a tensor, and not for an array of numpy.
    normalised: what to do where they may be normalised."""
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return None
    span = f"span [{low:.4g}, {high:.4g}], outside [0, 1]: "
    if math.isnan(low) or math.isnan(high) or math.isinf(low) or math.isinf(high):
        finite = "images.isfinite().flatten(1)" if tensor else "np.isfinite(images).reshape(len(images), -1)"
        return (
            f"{span}they hold NaN or infinite values; use keep = {finite}.all(1); images, labels = images[keep], "
            "labels[keep] to leave such images out, and look for a division by zero"
        )
    if low >= 0:
        overshoot = "images.clip(0, 1) where a resize overshot, " if high <= 1 + OVERSHOOT else ""
        sixteen = " and images / 65535 for 16 bits" if high > 255 else ""
        few = f"images / {high:g} where {high:g} is white, " if 1 + OVERSHOOT < high < 128 else ""
        return f"{span}use {few}{overshoot}images / 255 for pixels 0..255{sixteen}; {normalised}"
    if low >= -1 - ROUNDING and high <= 1 + ROUNDING:
        return f"{span}use (images + 1) / 2 for images in [-1, 1]; {normalised}"
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return f"{span}use images.clip(0, 1) where a resize overshot; {normalised}"
    return f"{span}{normalised}"


def dim(low: float, high: float) -> str | None:
    """Why images in [0, 1] that go from `low` to `high` are nearly certainly of another scale; None where they may
    be right."""
    if low == high:
        return f"all pixels of all images are {low:.4g}, and no rate about such images says anything"
    if high < NEARLY_BLACK:
        return (
            f"the brightest of all pixels is {high:.4g}, nearly black: use images * 255 if they were divided by 255 "
            "twice, or were bits before"
        )
    return None


def _check_shape(shape: tuple[int, ...], described: str) -> None:
    if len(shape) == 4 and 0 not in shape:
        if is_channels_last(shape):
            raise InputError(
                f"{described} look like [N, H, W, C], but must be [N, C, H, W]: use images.permute(0, 3, 1, 2)"
            )
        return
    raise InputError(f"{described} must be [N, C, H, W] with N >= 1: {_line_for_shape(shape)}")


def _line_for_shape(shape: tuple[int, ...]) -> str:
    """How tensors of another number of dimensions become [N, C, H, W]."""
    if not math.prod(shape):
        return "there is no image in it"
    if len(shape) == 3:
        a, b, c = shape
        if c in USUAL_CHANNELS and a not in USUAL_CHANNELS and a == b:
            return "use images.permute(2, 0, 1)[None] for one image [H, W, C]"
        one = "images[None] for one image [C, H, W], or " if a in USUAL_CHANNELS else ""
        return f"use {one}images[:, None] for [N, H, W]"
    if len(shape) == 2:
        rows, length = shape
        for channels in (1, 3):
            side = math.isqrt(length // channels)
            if side > 1 and channels * side**2 == length:
                one = "images[None, None] for one image [H, W], or " if rows == length else ""
                return f"use {one}images.reshape(-1, {channels}, {side}, {side}) for flat ones"
        return "use images[None, None] for one image [H, W], or images.reshape(-1, C, H, W) for flat ones"
    return "use images.reshape(-1, C, H, W)"


def _line_for_integers(images: Tensor) -> str:
    """How whole numbers become floats in [0, 1]; what is white follows from the largest of them."""
    if images.dtype == torch.bool:
        return "images.float() (pixels 0 and 1)"
    if images.is_complex():
        return "images.abs() or images.real, scaled to [0, 1]"
    low, high = int(images.amin()), int(images.amax())
    if low < 0:
        return f"floats made by (images.float() - black) / (white - black): they span [{low}, {high}]"
    if high == 1:
        return "images.float() (pixels 0 and 1)"
    if 1 < high <= 127:
        return (
            f"images.float() / {high} where {high} is white, or images.float() / 255 (pixels 0..255, all of them dark)"
        )
    return "images.float() / 255 (pixels 0..255)" if high <= 255 else f"images.float() / white, such as {_white(high)}"


def _line_for_other_kinds(images: object) -> str:
    if hasattr(images, "__array__"):
        return "use torch.as_tensor(images)"
    return "use images, labels = invrob.images_of(source) for a Dataset, a DataLoader or pictures"


def _white(high: int) -> int:
    """The largest number of the fewest usual bits that hold `high`."""
    return next((2**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits), high)


def _longer_by_shorter(height: int, width: int) -> float:
    return max(height, width) / max(min(height, width), 1)
