"""What a data set is in memory, and the seeded choice of its images that every measurement is about."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from invrob.checks import check_settings, checked_count
from invrob.errors import InputError

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
ORDER_SEED = 20200219


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images and their true classes: float32 [N, C, H, W] in [0, 1], and int64 [N]; N = 0 where there is no such
    split."""

    images: Tensor
    labels: Tensor

    def __repr__(self) -> str:
        return f"Split(images {[*self.images.shape]}, labels {[*self.labels.shape]})"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set: its three splits, what label k is called, `classes[k]`, and what its content is known by.

    fingerprint: the SHA-256 of classes, images and labels, in hex. named: whether its files say what classes there are;
    otherwise they are numbered up to the largest label, and there may be more."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    fingerprint: str
    named: bool = True

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.train.images.shape[1:]))
        parts = ", ".join(f"{name} {len(getattr(self, name).images):,}" for name in SPLITS)
        return f"Dataset({self.name!r}: {len(self.classes)} classes, images of {shape}; {parts})"

    def split(self, name: str) -> Split:
        """The split of that name. Raises InputError for one that the data set does not have."""
        if name not in SPLITS:
            raise InputError(f"split = {name!r} is unknown: use {', '.join(SPLITS)}")
        found: Split = getattr(self, name)
        if not len(found.images):
            there = [split for split in SPLITS if len(getattr(self, split).images)]
            raise InputError(f"{self.name} has no split {name!r}, only {', '.join(there)}: use split = {there[-1]!r}")
        return found


def dataset_of_splits(name: str, there: Mapping[str, Split], classes: tuple[str, ...], *, named: bool) -> Dataset:
    """A data set of these splits, at least one; those that are not there hold no image."""
    some = next(iter(there.values()))
    train, validation, test = (there.get(part, Split(some.images[:0], some.labels[:0])) for part in SPLITS)
    digest = hashlib.sha256(json.dumps(classes).encode())
    for split in (train, validation, test):
        digest.update(repr([*split.images.shape]).encode())
        digest.update(split.images.numpy().data)
        digest.update(split.labels.numpy().data)
    return Dataset(name, train, validation, test, classes, digest.hexdigest(), named)


def fixed_order(n: int) -> NDArray[np.int64]:
    """A pseudo-random permutation of range(n), the same on every machine and with every version of numpy.

    It sorts the raw stream of PCG64, which numpy keeps stable; Generator.permutation carries no such promise."""
    keys = np.random.PCG64([ORDER_SEED, n]).random_raw(n)
    return np.argsort(keys, kind="stable").astype(np.int64)


def held_out(n: int) -> int:
    """How many of n training images become validation images, where there are none: a tenth, of CIFAR-10 a fifth."""
    return 10_000 if n == 50_000 else max(1, n // 10)


def chosen_indices(n: int, images: int | None, seed: int = 0) -> Tensor:
    """Which `images` of n images are measured, int64 in increasing order: the same choice every time, because the first
    of them could all be of one class. All of them where there are no more, or where `images` is None.

    It is `torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:images].sort().values`."""
    check_settings(confidence=0.5, seed=seed)
    count = n if images is None else checked_count("images", images)
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:count].sort().values


def chosen(split: Split, images: int | None, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The images of a split that are measured, and their labels, as `chosen_indices` has it."""
    order = chosen_indices(len(split.images), images, seed)
    return split.images[order], split.labels[order]
