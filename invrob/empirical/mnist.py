"""MNIST in torchvision's folder (ROOT/MNIST/raw): reading the four files, and fetching them with torchvision.

The files are known by their SHA-256 sums: neither an interrupted download nor a damaged disk passes for MNIST."""

import hashlib
import shutil
import socket
from http.client import HTTPException
from pathlib import Path

import numpy as np

from invrob.empirical.npz import Array
from invrob.errors import InputError
from invrob.files import write_atomically

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

_PATIENCE = 30.0  # seconds without a byte after which a mirror counts as unreachable; torchvision waits for ever


def raw_folder(root: Path) -> Path:
    """Where torchvision keeps the four files under `root`."""
    return root / "MNIST" / "raw"


def faults(raw: Path) -> str:
    """What keeps the files in `raw` from being MNIST, in words; empty when all four are there and whole."""
    missing = [name for name in SHA256 if not (raw / name).is_file()]
    if len(missing) == len(SHA256):
        return "all four files are missing"
    damaged = [name for name in SHA256 if name not in missing and _sha256(raw / name) != SHA256[name]]
    texts = [f"{', '.join(missing)} missing"] * bool(missing) + [f"{', '.join(damaged)} damaged"] * bool(damaged)
    return "; ".join(texts)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_mnist(raw: Path) -> dict[str, Array]:
    """The canonical sets, in their order, in the layout of an .npz: 60,000 + 10,000 uint8 [28, 28], labels int64.

    Raises InputError when a file is missing or is not the canonical one."""
    if found := faults(raw):
        raise InputError(f"mnist is not in {raw} ({found}): run `invrob data fetch mnist`, or name another --root")
    arrays: dict[str, Array] = {"label_names": np.array([str(digit) for digit in range(10)])}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = (raw / f"{prefix}-images-idx3-ubyte"), (raw / f"{prefix}-labels-idx1-ubyte")
        arrays[f"{split}_images"] = np.fromfile(images, np.uint8, offset=16).reshape(-1, 28, 28)  # after the IDX header
        arrays[f"{split}_labels"] = np.fromfile(labels, np.uint8, offset=8).astype(np.int64)
    return arrays


def fetch_mnist(root: Path, *, offline: bool = False) -> Path:
    """Download MNIST into ROOT/MNIST/raw unless it is there, whole; returns that folder.

    Each file appears whole or not at all; what an interrupted call has downloaded is used by the next one. Raises
    InputError when `offline` and the files are not there, or when no mirror delivers them."""
    raw = raw_folder(root)
    found = faults(raw)
    if not found:
        return raw
    by_hand = f"or put the four files of MNIST, unpacked, into {raw} by hand: {', '.join(SHA256)}"
    if offline:
        raise InputError(f"mnist cannot be fetched offline ({found}): leave out --offline, {by_hand}")
    part = root / ".mnist-part"
    part.mkdir(parents=True, exist_ok=True)
    _download(part, by_hand)
    if found := faults(raw_folder(part)):
        raise InputError(f"what the mirrors of mnist sent is not MNIST: {found}. Try again, {by_hand}")
    for name in SHA256:
        write_atomically(raw / name, (raw_folder(part) / name).replace)
    shutil.rmtree(part, ignore_errors=True)
    return raw


def _download(part: Path, by_hand: str) -> None:
    """torchvision's download, which checks the MD5 sums of the archives and keeps those that are whole already."""
    from torchvision.datasets import MNIST  # takes a second to import, and only this needs it

    for name in SHA256:
        (raw_folder(part) / name).unlink(missing_ok=True)  # torchvision would take a half-unpacked file for a whole one
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        MNIST(part, download=True)
    except (RuntimeError, OSError, HTTPException) as error:
        reason = " ".join(str(error).split())  # torchvision's has one line per mirror
        raise InputError(f"mnist could not be fetched ({reason}). Try again, {by_hand}") from error
    finally:
        socket.setdefaulttimeout(patience)
