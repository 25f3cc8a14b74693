"""CIFAR-10 in torchvision's folder (ROOT/cifar-10-batches-py): which files it is, and reading them.

The batches are pickles of Python 2. Only bytes with the published sum are unpickled, and then only arrays of numpy."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from invrob.empirical.fetching import Files, read
from invrob.empirical.npz import Array

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}


def _download(root: Path) -> None:
    from torchvision.datasets import CIFAR10  # takes a second to import, and only this needs it
    from torchvision.datasets.utils import download_and_extract_archive

    download_and_extract_archive(CIFAR10.url, root, filename=CIFAR10.filename, md5=CIFAR10.tgz_md5)


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
    download=_download,
)


def read_cifar10(folder: Path) -> dict[str, Array]:
    """The canonical sets, in their order, in the layout of an .npz: 50,000 + 10,000 uint8 [32, 32, 3], labels int64.

    Raises InputError when a file is missing or is not the canonical one."""
    contents = read(FILES, folder)
    arrays: dict[str, Array] = {"label_names": np.array(CLASSES)}
    for split, names in _BATCHES.items():
        batches = [_Unpickler(io.BytesIO(contents[name]), encoding="latin1").load() for name in names]
        pixels = np.concatenate([batch["data"] for batch in batches])
        arrays[f"{split}_images"] = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"{split}_labels"] = np.concatenate([np.array(batch["labels"], np.int64) for batch in batches])
    return arrays


class _Unpickler(pickle.Unpickler):
    """Makes numpy's arrays and nothing else; the names that pickles know them by have moved since Python 2."""

    def find_class(self, module: str, name: str) -> Any:
        if name not in _ARRAY_PARTS:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return _ARRAY_PARTS[name]


_ARRAY_PARTS = {
    "_reconstruct": lambda kind, shape, dtype: kind.__new__(kind, shape, dtype),
    "ndarray": np.ndarray,
    "dtype": np.dtype,
}
