"""CIFAR-10 in torchvision's folder (ROOT/cifar-10-batches-py): which files it is, and reading them.

The batches are pickles of Python 2. They are never unpickled: `pickletools` lists what is in them, as text lists words,
and the pixels and the labels are two entries of that list."""

import pickletools  # it lists a pickle and never loads one  # nosec B403
from pathlib import Path

import numpy as np

from invrob.checks import Array
from invrob.empirical.data.download import Archive, Files, read
from invrob.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}


FILES = Files(
    name="cifar10",
    title="CIFAR-10",
    folder="cifar-10-batches-py",
    algorithm="md5",  # its makers publish no other
    sums={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",  # for torchvision, which does not open the folder without
    },
    archives={
        "cifar-10-python.tar.gz": Archive(
            170_498_071,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            ("https://www.cs.toronto.edu/~kriz/",),
        ),
    },
)


def read_cifar10(folder: Path) -> dict[str, Array]:
    """The canonical sets, in their order, in the layout of an .npz: 50,000 + 10,000 uint8 [32, 32, 3], labels int64.

    Raises InputError when a file is missing or is not the canonical one."""
    contents = read(FILES, folder)
    arrays: dict[str, Array] = {"label_names": np.array(CLASSES)}
    for split, names in _BATCHES.items():
        pixels, labels = zip(*(_batch(contents[name], f"{folder / name}") for name in names), strict=True)
        arrays[f"{split}_images"] = np.concatenate(pixels).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"{split}_labels"] = np.concatenate(labels)
    return arrays


def _batch(content: bytes, name: str) -> tuple[Array, Array]:
    """The pixels uint8 [N, 3072] and the labels int64 [N] of a batch: its longest string, and the whole numbers between
    the string "labels" and the string after it. Raises InputError for anything else."""
    pixels, labels, at_labels = "", list[int](), False
    try:
        for code, argument, _ in pickletools.genops(content):
            if isinstance(argument, str) and "STRING" in code.name:
                at_labels = argument == "labels"
                pixels = max(pixels, argument, key=len)
            elif at_labels and isinstance(argument, int) and "INT" in code.name:
                labels.append(argument)
    except ValueError as error:
        raise InputError(f"{name} is damaged: {error}") from None
    if not labels or len(pixels) != 3072 * len(labels) or not set(labels) <= set(range(len(CLASSES))):
        raise InputError(
            f"{name} holds {len(labels)} labels and {len(pixels)} bytes of pixels: it is no CIFAR-10 batch"
        )
    return np.frombuffer(pixels.encode("latin1"), np.uint8).reshape(-1, 3072), np.array(labels, np.int64)
