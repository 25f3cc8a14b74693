"""Images and labels out of whatever Python holds them in: arrays, a Dataset, a DataLoader, an iterable of batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    default_collate,
)

from invrob.checks import Array, checked_count
from invrob.empirical.data.pictures import is_grey, pixels
from invrob.empirical.data.splits import chosen_indices
from invrob.empirical.inference import class_numbers, dim, layout_of, outside, random_state
from invrob.errors import InputError
from invrob.progress import Progress, Show, reported

IMAGES = ("image", "images", "img", "pixel_values", "x", "data")
LABELS = ("label", "labels", "target", "targets", "fine_label", "y", "class")
NORMALISED = (
    "if the transform of the source normalises them, take Normalize out of it and put it inside the model: "
    "from invrob.empirical.models import Normalize; model = torch.nn.Sequential(Normalize(mean, std), model)"
)


def images_of(
    source: Any, limit: int | None = None, *, seed: int = 0, progress: Progress = False
) -> tuple[Tensor, Tensor | None]:
    """The images and labels of a Dataset, a DataLoader, arrays or an iterable, as the profile functions take them.

    With a `limit` it is the same seeded choice as that of `invrob.sample` and of `--images` on the command line. Of a
    Dataset, and of a DataLoader on one, no other image is read, whether the loader shuffles or not; of a loader with a
    SubsetRandomSampler the choice is one of that subset. Any other iterable is read to its end.

    Args:
        source: a `torch.utils.data.Dataset` or another sequence of (image, label), a `DataLoader`, an iterable of such
            pairs or of batches, a pair of arrays or tensors (images, labels), or one array of images. Dicts are looked
            through for image(s), img, pixel_values, and label(s), target(s). An image is a tensor or array in [0, 1],
            uint8 in 0..255, or a picture of PIL.
        limit: how many images, at most; None for all.
        seed: of the choice.
        progress: True for a bar with the time left, of tqdm, a widget in a notebook; or a callable that is called in
            its place with what is at work, the images read, and how many there are, as far as that is known.

    Returns:
        Images, float32 [N, C, H, W] in [0, 1], and labels, int64 [N], or None where the source has none.

    Raises:
        InputError: for images of several sizes, of an unclear layout, or outside [0, 1], such as normalised ones, with
            the way out; and for labels that are no classes.

    Example:
        >>> import torch, invrob
        >>> source = [(torch.rand(1, 8, 8), k % 2) for k in range(10)]
        >>> images, labels = invrob.images_of(source, limit=4)
        >>> images.shape, labels.dtype
        (torch.Size([4, 1, 8, 8]), torch.int64)
    """
    if limit is not None:
        checked_count("limit", limit)  # before anything is read
    put_back = random_state(torch.device("cpu"))  # a loader draws a seed for its workers, and transforms draw as well
    try:
        with reported(progress, "reading images") as show:
            found, labels = _gathered(source, limit, seed, show)
    finally:
        put_back()
    if not found:
        raise InputError("source holds no image: give a Dataset, a DataLoader, or arrays with at least one")
    images = _as_images(found)
    if labels is None:
        return images, None
    described = f"labels {labels.dtype} {[*labels.shape]} of the source"
    return images, torch.from_numpy(class_numbers(labels, len(images), described).astype(np.int64))


def _gathered(source: Any, limit: int | None, seed: int, show: Show) -> tuple[list[Any], Array | None]:
    """The chosen images one by one, and their labels where there are any."""
    if isinstance(source, DataLoader) and not isinstance(source.dataset, IterableDataset):
        places = _places(source)
        order = [places[place] for place in _order(len(places), limit, seed)]
        return _together(_unbatched(_in_order(source, order)), show, len(order))
    if _is_pair_of_arrays(source):
        images, labels = source
        order = _order(len(images), limit, seed)
        if len(images) != len(labels):
            raise InputError(f"source is {len(images)} images and {len(labels)} labels: give each image one label")
        return [*_array(images)[order]], _array(labels)[order]
    if isinstance(source, tuple | list) and _is_pair_of_arrays(source[::-1]):
        raise InputError("source is labels and images: give them the other way round, (images, labels)")
    if _is_array(source):
        return [*_array(source)[_order(len(source), limit, seed)]], None
    if hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, Mapping):
        order = _order(len(source), limit, seed)
        if order and (isinstance(source, Dataset) or not _is_batch(*_parts(source[0]))):
            return _together((_parts(source[place]) for place in order), show, len(order))
    if not isinstance(source, Iterable) or isinstance(source, str | Mapping):
        raise InputError(
            f"source is a {type(source).__name__}: give a Dataset, a DataLoader, an iterable of "
            "(image, label), or arrays"
        )
    images, labels = _together(_unbatched(source), show)
    order = _order(len(images), limit, seed)
    return [images[place] for place in order], None if labels is None else labels[order]


def _order(n: int, limit: int | None, seed: int) -> list[int]:
    places: list[int] = chosen_indices(n, limit, seed).tolist()
    return places


def _places(loader: DataLoader[Any]) -> Sequence[int]:
    """Which items of its data set a loader gives, in increasing order. Raises InputError where its sampler chooses anew
    each time, or repeats items."""
    sampler = loader.sampler
    if loader.batch_sampler is not None:
        sampler = getattr(loader.batch_sampler, "sampler", loader.batch_sampler)
    everything = range(len(loader.dataset))  # type: ignore[arg-type]
    if isinstance(sampler, SequentialSampler):
        return everything
    if isinstance(sampler, RandomSampler) and not sampler.replacement and sampler.num_samples == len(everything):
        return everything
    if isinstance(sampler, SubsetRandomSampler):
        return sorted(int(place) for place in sampler.indices)
    raise InputError(
        f"source chooses its images by a {type(sampler).__name__}: give its data set, source.dataset, or the images "
        "that are meant as torch.utils.data.Subset(source.dataset, places)"
    )


def _in_order(loader: DataLoader[Any], order: Sequence[int]) -> DataLoader[Any]:
    """A loader of these items of the same data set, in this order, whatever the order of `loader` is."""
    usual = loader.batch_size is None or loader.collate_fn is default_collate  # which refuses pictures of PIL
    return DataLoader(
        Subset(loader.dataset, order),
        batch_size=loader.batch_size or 64,
        num_workers=loader.num_workers,
        collate_fn=_Items if usual else loader.collate_fn,
    )


class _Items(list[Any]):
    """Items of a data set as they are."""


Parts = tuple[Any, Any]  # images and labels of an item or a batch; None for labels that it does not have


def _parts(item: Any) -> Parts:
    """The image and the label of an item, or the images and labels of a batch."""
    if isinstance(item, Mapping):
        image = next((item[name] for name in IMAGES if name in item), None)
        if image is None:
            names = ", ".join(map(str, item))
            raise InputError(f"source gives dicts of {names}: images are looked for in {', '.join(IMAGES)}")
        return image, next((item[name] for name in LABELS if name in item), None)
    if isinstance(item, tuple | list):
        return (item[0], item[1] if len(item) > 1 else None) if item else (None, None)
    return item, None


def _is_batch(images: Any, labels: Any) -> bool:
    """Whether these are images of a batch, and not one image: there is a label for each, or a dimension too many."""
    if isinstance(images, list | tuple):
        return True
    if not _is_array(images) or images.ndim == 4:
        return _is_array(images)
    several = images.ndim == 3 and np.ndim(_array(labels)) > 0 and len(labels) == len(images)
    if several and len(images) in (3, 4):
        raise InputError(
            f"source gives images {[*images.shape]} with {len(images)} labels, which may be a colour image whose label "
            "is several numbers, or grey images with a label each: use source = (torch.stack([x for x, y in source]), "
            "torch.stack([y for x, y in source])) for the former, [(x[:, None], y) for x, y in source] for the latter"
        )
    return several


def _unbatched(source: Iterable[Any]) -> Iterator[Parts]:
    for item in source:
        if isinstance(item, _Items):
            yield from map(_parts, item)
            continue
        images, labels = _parts(item)
        if _is_batch(images, labels):
            yield from zip(images, [None] * len(images) if labels is None else labels, strict=True)
        else:
            yield images, labels


def _together(parts: Iterable[Parts], show: Show, count: int = 0) -> tuple[list[Any], Array | None]:
    images, labels = [], []
    for image, label in parts:
        images.append(image)
        labels.append(label)
        show("reading images", len(images), max(count, len(images)))
    if any(label is None for label in labels):
        return images, None
    rows = [_array(label) for label in labels]
    if len({row.shape for row in rows}) > 1:
        raise InputError("source gives labels of several shapes: give each image one class")
    return images, np.stack(rows) if rows else None


def _as_images(found: list[Any]) -> Tensor:
    """The images as one tensor [N, C, H, W] in [0, 1]."""
    if any(isinstance(image, Image.Image) for image in found):
        grey = all(isinstance(image, Image.Image) and is_grey(image) for image in found)
        found = [pixels(image, grey=grey) if isinstance(image, Image.Image) else image for image in found]
    if strange := next((image for image in found if not _is_array(image)), None):
        raise InputError(
            f"source gives a {type(strange).__name__} as an image: give tensors, arrays or pictures of PIL"
        )
    arrays = [_array(image) for image in found]
    shapes = [*dict.fromkeys(array.shape for array in arrays)]
    if len(shapes) > 1:
        raise InputError(
            f"source gives images of several sizes, such as {[*shapes[0]]} and {[*shapes[1]]}: put "
            "torchvision.transforms.Resize(32) and CenterCrop(32), or another side, into its transform"
        )
    return _scaled(_channels_first(np.stack(arrays)))


def _channels_first(images: Array) -> Array:
    described = f"images of the source {images.dtype} {[*images.shape]}"
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4 or not images.size:
        raise InputError(f"{described} must be [N, H, W], [N, C, H, W] or [N, H, W, C]")
    layout = layout_of(images.shape)
    if layout is None:
        raise InputError(f"{described} may be [N, C, H, W] or [N, H, W, C]: hand the tensor [N, C, H, W] in yourself")
    return images if layout == "NCHW" else images.transpose(0, 3, 1, 2)


def _scaled(images: Array) -> Tensor:
    described = f"images of the source {images.dtype} {[*images.shape]}"
    if images.dtype.kind in "ui":
        darkest, brightest = int(images.min()), int(images.max())
        if darkest < 0 or not 127 < brightest <= 255:
            raise InputError(
                f"{described} span [{darkest}, {brightest}], and bytes are read as 0..255, of which 255 is white: use "
                f"images.float() / {max(brightest, 1)} in its transform where that is white"
            )
        images = images / np.float32(255)
    elif images.dtype.kind not in "bf":
        raise InputError(f"{described} must be floats in [0, 1] or uint8 in 0..255")
    images = images.astype(np.float32)
    low, high = float(images.min()), float(images.max())
    if cause := outside(low, high, normalised=NORMALISED):
        raise InputError(f"{described} {cause}")
    if images[0].size > 1 and (doubt := dim(low, high)):
        raise InputError(f"{described}: {doubt}")
    return torch.from_numpy(np.ascontiguousarray(images)).clamp(0, 1)


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _is_pair_of_arrays(source: Any) -> bool:
    if not isinstance(source, tuple | list) or len(source) != 2 or not all(map(_is_array, source)):
        return False
    images, labels = source
    flat = images.ndim == 2 >= labels.ndim and len(images) == len(labels) and images.shape != labels.shape
    return bool(flat or images.ndim >= 3 > labels.ndim)


def _array(value: Any) -> Array:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return np.asarray(value.float() if value.dtype in (torch.bfloat16, torch.float16) else value)
    return np.asarray(value)
