"""What is taken out of a batch of a loader: its images, and the class of each where it holds them."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from invrob.errors import InputError

Pair = tuple[Tensor, Tensor | None]
BatchToImages = str | Callable[[Any], Any] | None

IMAGES = ("image", "images", "img", "pixel_values", "x", "data")  # names that the keys of a dict usually have
LABELS = ("label", "labels", "target", "targets", "fine_label", "y", "class")
WAY_OUT = "batch_to_images=lambda batch: (batch[0], batch[1]), or another function from a batch to images and labels"


def images_and_labels(batch: Any, how: BatchToImages) -> Pair:
    """The images of a batch and their labels, or None.

    how: None for (images, labels), images alone, or a dict with one of the usual names; the name of the images in a
    dict; or a function from the batch to images or to (images, labels). Raises InputError where none is found."""
    if callable(how):
        return _pair(how(batch), "batch_to_images returned")
    if isinstance(batch, Mapping):
        names = IMAGES if how is None else (how,)
        name = next((name for name in names if name in batch), None)
        if name is None:
            raise InputError(
                f"the loader gives dicts of {', '.join(map(str, batch))}, and images are looked for in "
                f"{', '.join(names)}: name the right one, such as batch_to_images={next(iter(batch), 'image')!r}"
            )
        return batch[name], next((batch[label] for label in LABELS if label in batch), None)
    if how is not None:
        raise InputError(f"batch_to_images = {how!r} names an entry of a dict, and a batch is a {type(batch).__name__}")
    return _pair(batch, "the loader gives")


def _pair(found: Any, told: str) -> Pair:
    if isinstance(found, Tensor):
        return found, None
    if isinstance(found, tuple | list) and found and isinstance(found[0], Tensor):
        return found[0], found[1] if len(found) > 1 else None
    raise InputError(f"{told} a {type(found).__name__}, in which no images are found: use {WAY_OUT}")
