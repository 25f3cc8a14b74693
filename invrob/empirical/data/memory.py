"""Data sets that lie in memory: known by their content, as those on a disk are."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invrob.checks import Array
from invrob.empirical.data.datasets import dataset_of_arrays
from invrob.empirical.data.loaders import images_of
from invrob.empirical.data.sources import IN_MEMORY
from invrob.empirical.data.splits import SPLITS, Dataset, Split, chosen_indices, dataset_of_splits
from invrob.empirical.inference import out_of_range
from invrob.errors import InputError

AGAIN = 8  # images that are read twice: a source that draws them anew each time would be other data each time
WAYS = (
    'give a name such as "mnist-mini" or "npz:PATH", what `load` returns, or a pair (train, test) of Datasets of '
    "torch, of DataLoaders, or of (images, labels)"
)


def dataset_in_memory(source: Any) -> Dataset:
    """A data set to train and to test on, out of a `Dataset` of this package or a pair (train, test) of what
    `images_of` reads. It is known by its content as it is now: the same content has the same fingerprint.

    Of a pair, a part of the training images becomes the validation set, as of files that bring none.

    Raises InputError for everything else, for labels that are missing, and for a source that gives other images each
    time that it is read."""
    if isinstance(source, Dataset):
        return _of_splits(source)
    if not isinstance(source, tuple | list) or len(source) != 2 or all(map(_is_array, source)):
        alone = " alone" if _is_readable(source) else ""
        raise InputError(f"data is a {type(source).__name__}{alone}, without images to test on: {WAYS}")
    arrays: dict[str, Array] = {}
    for part, given in zip(("train", "test"), source, strict=True):
        if not _is_readable(given):
            raise InputError(f"data has a {type(given).__name__} as its {part} part: {WAYS}")
        try:
            images, labels = _read(given)
        except InputError as error:
            raise InputError(f"data, {part} part: {error}") from None
        if labels is None:
            raise InputError(f"data has no labels in its {part} part: give (image, label) for each image")
        arrays[f"{part}_images"] = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))
        arrays[f"{part}_labels"] = labels.numpy()
    _check_fit(arrays)
    names = getattr(source[0], "classes", None)  # of torchvision
    if isinstance(names, list | tuple) and len(names) > 1 and all(isinstance(name, str) for name in names):
        arrays["label_names"] = np.array(names)
    dataset = dataset_of_arrays(IN_MEMORY, arrays)
    _check_labels({part: dataset.split(part) for part in SPLITS}, dataset.classes, named=dataset.named)
    return dataset


def _of_splits(dataset: Dataset) -> Dataset:
    """The same data set under the fingerprint of what it holds: its fields may have been replaced by hand."""
    there: dict[str, Split] = {part: getattr(dataset, part) for part in SPLITS if len(getattr(dataset, part).images)}
    for part, split in there.items():
        images, labels = split.images, split.labels
        plain = images.dtype == torch.float32 and images.ndim == 4 and labels.dtype == torch.int64
        if not (plain and labels.shape == images.shape[:1] and 0 <= images.amin() <= images.amax() <= 1):
            raise InputError(
                f"data holds {part} images {images.dtype} {[*images.shape]}, from {images.amin():.4g} to "
                f"{images.amax():.4g}, with labels {labels.dtype} {[*labels.shape]}: they must be float32 [N, C, H, W] "
                "in [0, 1] and int64 [N]; a pair ((images, labels), (test_images, test_labels)) is read into that form"
            )
    on_cpu = {part: Split(split.images.cpu().contiguous(), split.labels.cpu()) for part, split in there.items()}
    _check_labels(on_cpu, dataset.classes, named=dataset.named)
    return dataset_of_splits(dataset.name, on_cpu, dataset.classes, named=dataset.named)


def _check_labels(there: Mapping[str, Split], classes: tuple[str, ...], *, named: bool) -> None:
    """Labels that are exactly 1, 2, ..., K, and whose classes nobody names, are counted from 1."""
    together = torch.cat([split.labels for split in there.values()]).numpy()
    present = np.unique(together).tolist()
    if not named and len(present) > 1 and present == [*range(1, len(present) + 1)]:
        raise InputError(f"data has labels 1, ..., {len(present)}, but classes are counted from 0: use labels - 1")
    low, high = int(together.min()), int(together.max())
    if not 0 <= low <= high < len(classes):
        way_out = out_of_range(together, len(classes))
        raise InputError(
            f"data has labels in [{low}, {high}], but {len(classes)} classes to train on: they must be in "
            f"[0, {len(classes) - 1}], counted from 0{f'; {way_out}' if way_out else ''}"
        )
    if "train" in there and len(np.unique(there["train"].labels.numpy())) < 2:
        raise InputError(
            f"data has the class {there['train'].labels[0]} alone to train on: a classifier needs at least 2 classes"
        )


def _check_fit(arrays: Mapping[str, Array]) -> None:
    train, test = (arrays[f"{part}_images"].shape[1:] for part in ("train", "test"))
    if train != test:
        (h, w, c), (height, width, channels) = train, test
        raise InputError(
            f"data has images [{c}, {h}, {w}] to train on and [{channels}, {height}, {width}] to test on: "
            "resize them to one shape, for instance in the transform of the Datasets"
        )


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _is_readable(source: Any) -> bool:
    """Whether it may be something that `images_of` reads."""
    return not isinstance(source, str | bytes | Mapping) and (
        hasattr(source, "__getitem__") or isinstance(source, Iterable)
    )


def _read(source: Any) -> tuple[Tensor, Tensor | None]:
    """All images and labels of a source, which gives the same ones when it is asked again."""
    images, labels = images_of(source)
    if isinstance(source, Iterator):  # that can be read once only
        return images, labels
    try:
        again = images_of(source, AGAIN)[0]
    except InputError:  # so few may be all dark, which casts no doubt on all of them
        return images, labels
    if not torch.equal(images[chosen_indices(len(images), AGAIN)], again):
        raise InputError(
            "it gives other images each time that it is read: take the random transforms out, since the training "
            "turns, crops and flips by itself"
        )
    return images, labels
