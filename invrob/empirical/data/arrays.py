"""What the images of a file are: where the channels stand and which number is white, by the shapes and the values of
all splits together, or as the file states it."""

import math
from collections.abc import Mapping

import numpy as np

from invrob.checks import Array
from invrob.empirical.inference import dim, layout_of, outside
from invrob.errors import InputError

DARK = 0.5  # of white: where no pixel of any image reaches it, white is nearly certainly another number


def read_images(images: Mapping[str, Array], white: Array | None, layout: Array | None) -> list[Array]:
    """The images of each split, [N, H, W] or [N, H, W, C], as uint8 in 0..255 or floats in [0, 1], from arrays of any
    layout and scale that leaves no doubt.

    images: by what errors call them. white: the number that is white, layout: "NCHW" or "NHWC", where the file states
    it. Raises InputError with the line that mends it."""
    for where, array in images.items():
        _check_kind(array, where, stated=white is not None)
    where, first = next(iter(images.items()))
    for other, array in images.items():
        if array.shape[1:] != first.shape[1:]:
            raise InputError(
                f"{other} are {_by(array.shape[1:])} but {where.rpartition(': ')[2]} are {_by(first.shape[1:])}: "
                f"every split must have images of one size"
            )
    channels_last = [_channels_last(array, where, layout) for where, array in images.items()]
    return _scaled(dict(zip(images, channels_last, strict=True)), white)


def _check_kind(images: Array, where: str, *, stated: bool) -> None:
    if images.dtype.kind not in "buif":
        raise InputError(f"{where} are {images.dtype} but must be uint8 in 0..255 or float in [0, 1]")
    if images.ndim not in (3, 4):
        raise InputError(
            f"{where} have the shape {[*images.shape]} but must be [N, H, W], [N, C, H, W] or [N, H, W, C]: "
            f"{_line_for_shape(images.shape)}"
        )
    if images.size == 0:
        raise InputError(f"{where} have the shape {[*images.shape]}: the split is empty, it needs at least one image")
    if images.dtype.kind in "ui" and images.dtype != np.uint8 and not stated:
        low, high = images.min(), images.max()
        bytes_ = low >= 0 and 255 * DARK <= high <= 255
        line = "save images.astype('uint8')" if bytes_ else f"they span [{low}, {high}], {_state(high)}"
        raise InputError(f"{where} are {images.dtype} but must be uint8 in 0..255 or float in [0, 1]: {line}")


def _line_for_shape(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        for channels in (1, 3):
            side = math.isqrt(shape[1] // channels)
            if side > 1 and channels * side**2 == shape[1]:
                return f"save images.reshape(-1, {channels}, {side}, {side})"
    return "save images.reshape(-1, C, H, W) with the C, H and W that they have"


def _channels_last(images: Array, where: str, stated: Array | None) -> Array:
    if images.ndim == 3:
        return images
    layout = layout_of(images.shape) if stated is None else str(stated)
    if layout not in ("NCHW", "NHWC"):
        why = (
            "may be [N, C, H, W] or [N, H, W, C]: write layout='NCHW' or layout='NHWC' beside them into "
            "np.savez(path, ...)"
            if layout is None
            else f"go with layout = {layout!r}, but it must be 'NCHW' or 'NHWC'"
        )
        raise InputError(f"{where} have the shape {[*images.shape]}, which {why}")
    return images if layout == "NHWC" else images.transpose(0, 2, 3, 1)


def _scaled(images: dict[str, Array], stated: Array | None) -> list[Array]:
    white = _white(stated, next(iter(images)))
    scaled = {}
    for where, array in images.items():
        if array.dtype.kind == "b":
            array = array.astype(np.float32)
        if white is not None and not (array.dtype == np.uint8 and white == 255):
            array = (array / white).astype(np.float32)
        low, high = float(array.min()), float(array.max())
        if array.dtype.kind == "f" and (cause := outside(low, high, tensor=False)):
            told = "" if white is None else f" divided by white = {white:g}"
            raise InputError(f"{where}{told} {cause}")
        scaled[where] = array.clip(0, 1) if array.dtype.kind == "f" and not 0 <= low <= high <= 1 else array
    tops = {array.dtype: 255 if array.dtype == np.uint8 else 1 for array in scaled.values()}
    high = max(float(array.max()) / tops[array.dtype] for array in scaled.values())
    for where, array in scaled.items():
        lowest, highest = float(array.min()), float(array.max())
        if lowest == highest and array[0].size > 1:
            raise InputError(f"{where}: {dim(lowest, highest)}; look at how they were made")
    if high < DARK and white is None:
        where = next(iter(images))
        largest = max(array.max() for array in images.values())
        raise InputError(
            f"{where}: no pixel of any split is above {largest:.4g}, where white is {tops[scaled[where].dtype]}: "
            f"{_state(largest)}"
        )
    return [*scaled.values()]


def _white(stated: Array | None, where: str) -> float | None:
    """The number that is white, where the file states it."""
    if stated is None:
        return None
    if stated.size != 1 or stated.dtype.kind not in "buif" or not 0 < float(stated.reshape(-1)[0]) < float("inf"):
        raise InputError(f"{where} go with white = {stated}, but it must be one number above 0, such as 255")
    return float(stated.reshape(-1)[0])


def _state(largest: float) -> str:
    """How to state what is white, where the largest of all values leaves a doubt."""
    usual = 1 if largest <= 1 and not float(largest).is_integer() else 255
    return (
        f"write white={largest:g} beside them into np.savez(path, ...) where that is white, white={usual} where all of "
        "them are that dark"
    )


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
