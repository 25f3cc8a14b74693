"""One picture: opened without trust, and its pixels as floats."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from invrob.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # those of torchvision
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")  # and none that would run an interpreter
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")
ORIENTATION = 0x0112  # in EXIF
SIXTEEN = ("I", "I;16", "I;16B", "I;16L")


@contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
    """The picture in a file, whose pixels are read on demand. Whatever goes wrong in the block is an InputError that
    names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as picture:
                yield picture
    except InputError:
        raise
    except Exception as error:  # PIL raises some ten kinds for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file} cannot be read as a picture ({reason[:200]}): remove it, or save it again") from None


def is_grey(picture: Image.Image) -> bool:
    """Whether the picture has no colours, by its mode."""
    return picture.mode in GREY


def is_stored_turned(picture: Image.Image) -> bool:
    """Whether the picture, a photograph mostly, has a mark that it is to be shown turned or mirrored."""
    if picture.format not in ("JPEG", "WEBP"):  # where it is in the header
        return False
    with suppress(Exception):  # metadata are often damaged, and the pixels are not
        return picture.getexif().get(ORIENTATION, 1) not in (0, 1)
    return False


def pixels(picture: Image.Image, *, grey: bool, size: int | None = None) -> NDArray[np.float32]:
    """The pixels in [0, 1], float32 [H, W, 1] or [H, W, 3]; transparency is dropped, as torchvision drops it.

    size: the square in the middle is resized to this side, bilinearly and with antialiasing."""
    if picture.mode in SIXTEEN:
        wide = np.asarray(picture).astype(np.float32) / 65535
        if wide.min() < 0 or wide.max() > 1:
            raise ValueError("its pixels are outside 0..65535")
        picture = Image.fromarray(wide)  # of mode F
        if not grey:
            picture = Image.fromarray((255 * wide).round().astype(np.uint8))
    if picture.mode == "P":
        picture = picture.convert("RGBA")  # a palette may be transparent
    if picture.mode != "F":
        picture = picture.convert("L" if grey else "RGB")
    if size is not None and picture.size != (size, size):
        side, (width, height) = min(picture.size), picture.size
        left, top = (width - side) // 2, (height - side) // 2
        square = picture.crop((left, top, left + side, top + side))
        picture = square.resize((size, size), Image.Resampling.BILINEAR)
    read = np.asarray(picture, dtype=np.float32)
    if picture.mode != "F":
        read = read / np.float32(255)
    return read.clip(0, 1).reshape(*read.shape[:2], -1)
