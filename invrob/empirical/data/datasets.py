"""Data sets by name: `load("mnist-mini")`, "mnist", "cifar10", "npz:PATH" or "folder:PATH"."""

import os
from dataclasses import dataclass

import numpy as np
import torch

from invrob.checks import Array
from invrob.empirical.data.folder import Folder
from invrob.empirical.data.npz import class_names, read_npz
from invrob.empirical.data.sources import SOURCES, check_spec
from invrob.empirical.data.splits import SPLITS, Dataset, Split, dataset_of_splits, fixed_order, held_out
from invrob.files import expanded


@dataclass(frozen=True)
class SplitSummary:
    images: int
    shape: tuple[int, int, int]  # C, H, W
    class_counts: tuple[int, ...]  # images of class k
    mean: tuple[float, ...]  # of all pixels of channel c, in [0, 1]
    std: tuple[float, ...]  # the same pixels, divided by their number


@dataclass(frozen=True)
class Summary:
    name: str
    licence: str
    classes: tuple[str, ...]
    fingerprint: str
    splits: dict[str, SplitSummary]  # those of train, validation, test that it has


def load(spec: str, root: str | os.PathLike[str] | None = None, *, size: int | None = None) -> Dataset:
    """Load a data set from this disk: the same bits from the same files, on every machine.

    Where the files bring no validation set, a fixed pseudo-random part of their training set becomes one: 5,000 of
    60,000 images of 28 x 28, 10,000 of 50,000, otherwise a tenth (at least one image). The rest stays in that
    pseudo-random order, so neither is sorted by class.

    Args:
        spec: "mnist-mini" (in the package: 10,000 / 1,000 / 2,000 digits [1, 28, 28]), "mnist" (55,000 / 5,000 / 10,000
            of them), "cifar10" (40,000 / 10,000 / 10,000 images [3, 32, 32]), "npz:PATH" (as `read_npz` has it), or
            "folder:PATH": a folder per class with pictures in it, or such folders in PATH/train, PATH/val, PATH/test.
        root: the folder of fetched data; None for the usual one, as `data_root` has it.
        size: of a folder of pictures: the square in the middle of each is resized to this side. No other data set is
            changed by it.

    Returns:
        Dataset: images in [0, 1] and labels, for training, validation and testing. A split that the files do not have
            holds no image.

    Raises:
        InputError: for an unknown name, for data that are not on this disk, and for files that are damaged or hold
            something else.

    Example:
        >>> from invrob.empirical.data import load
        >>> load("mnist-mini").test.images.shape
        torch.Size([2000, 1, 28, 28])
    """
    kind, _, path = spec.partition(":")
    if kind == "npz" and path:
        file = expanded(path)
        return dataset_of_arrays(spec, read_npz(file, str(file)))
    if kind == "folder" and path:
        return Folder(expanded(path)).dataset(spec, size)
    check_spec(spec)
    source = SOURCES[spec]
    return dataset_of_arrays(spec, source.read(source.location(root)))


def stand_in(spec: str, root: str | os.PathLike[str] | None = None) -> Dataset | None:
    """Black images in the numbers and the shape of a data set that is known by name but not on this disk, for plans;
    they take no memory. None where the real one is there to be loaded."""
    source = SOURCES.get(spec)
    if source is None or source.is_present(root):
        return None
    train, validation, test = (
        Split(torch.zeros(1, *source.shape).expand(n, *source.shape), torch.zeros(1, dtype=torch.int64).expand(n))
        for n in source.sizes
    )
    return Dataset(spec, train, validation, test, tuple(map(str, range(10))), fingerprint="")


def summarise(dataset: Dataset) -> Summary:
    """What `invrob data info` prints: sizes, classes, mean and deviation per channel, fingerprint, licence."""
    known = SOURCES.get(dataset.name)
    parts = {name: getattr(dataset, name) for name in SPLITS}
    licence = known.licence if known else "that of the file: ask whoever made it"
    splits: dict[str, SplitSummary] = {
        name: _split_summary(split, len(dataset.classes)) for name, split in parts.items() if len(split.images)
    }
    return Summary(dataset.name, licence, dataset.classes, dataset.fingerprint, splits)


def dataset_of_arrays(name: str, arrays: dict[str, Array]) -> Dataset:
    """The arrays of `read_npz` as a Dataset, with a validation set split off a training set that has none."""
    if "validation_images" not in arrays and "train_images" in arrays:
        arrays = with_validation(arrays)
    classes = tuple(map(str, class_names(arrays)))
    parts = [part for part in SPLITS if f"{part}_images" in arrays]
    there: dict[str, Split] = {part: _split(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in parts}
    return dataset_of_splits(name, there, classes, named="label_names" in arrays)


def with_validation(arrays: dict[str, Array]) -> dict[str, Array]:
    """The arrays with a part of the training images as validation images, of the size that `load` says."""
    n, sides = len(arrays["train_images"]), arrays["train_images"].shape[1:3]
    size = 5_000 if (n, sides) == (60_000, (28, 28)) else held_out(n)
    order = fixed_order(n)
    parts = {"validation": order[:size], "train": order[size:]}
    kinds = ("images", "labels")
    return arrays | {f"{part}_{kind}": arrays[f"train_{kind}"][at] for part, at in parts.items() for kind in kinds}


def _split(images: Array, labels: Array) -> Split:
    channels_last = images if images.ndim == 4 else images[..., None]
    pixels = torch.from_numpy(np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2), dtype=np.float32))
    if images.dtype == np.uint8:
        pixels /= 255
    return Split(pixels, torch.from_numpy(labels.astype(np.int64)))


def _split_summary(split: Split, classes: int) -> SplitSummary:
    n, channels, height, width = split.images.shape
    variance, mean = torch.var_mean(split.images, dim=(0, 2, 3), correction=0)
    counts, values = torch.bincount(split.labels, minlength=classes), (mean.tolist(), variance.sqrt().tolist())
    return SplitSummary(n, (channels, height, width), tuple(counts.tolist()), *map(tuple, values))
