"""The data sets that are known by name, and getting them onto this disk; nothing here loads PyTorch.

Only `fetch` ever downloads."""

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from invrob.checks import Array
from invrob.empirical.data import cifar10, download, mnist
from invrob.empirical.data.download import Files
from invrob.empirical.data.paths import data_root
from invrob.empirical.data.unread import check_there
from invrob.errors import InputError, did_you_mean

IN_MEMORY = "data in memory"  # the name of a data set that has none
MINI = Path(__file__).parent / "assets" / "mnist-mini.npz"
MINI_SHA256 = "5948adcaa15975b36d13e129f8edcc037dd0d9a5ffd4c0581506ce41e7ca5333"  # tools/make_mnist_mini.py


@dataclass(frozen=True)
class Source:
    """A data set known by name, and how to get at it under a data folder."""

    sizes: tuple[int, int, int]  # images for training, validation and testing
    shape: tuple[int, int, int]  # C, H, W; ten classes
    licence: str
    read: Callable[[Path], dict[str, Array]]  # of where its files lie
    files: Files | None  # None: it is in the package

    def location(self, root: str | os.PathLike[str] | None) -> Path:
        """Where its files lie under a data folder. Raises InputError where one is needed and nobody says which."""
        return MINI if self.files is None else data_root(root) / self.files.folder

    def is_present(self, root: str | os.PathLike[str] | None) -> bool:
        """Whether its files are under this data folder, and whole."""
        return self.files is None or not download.faults(self.files, download.existing(self.files, self.location(root)))


def fetch(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    offline: bool = False,
    progress: download.Progress | None = None,
) -> Path:
    """Put the data set `name` on this disk, unless it is there and whole. This is all that ever downloads data.

    Args:
        name: "mnist-mini", "mnist" or "cifar10".
        root: the folder of fetched data; None for the usual one, as `data_root` has it.
        offline: only check what is there.
        progress: called with the name of an archive, its bytes so far, and all its bytes.

    Returns:
        Path: where the data lie.

    Raises:
        InputError: for an unknown name, when `offline` and the data are not there, and when no mirror delivers them.

    Example:
        >>> from invrob.empirical.data import fetch
        >>> fetch("mnist-mini", offline=True).name
        'mnist-mini.npz'
    """
    if name not in SOURCES:
        raise InputError(
            f"dataset {name!r} is not one to fetch: use {', '.join(SOURCES)}; npz:PATH is a file of your own"
            f"{did_you_mean(name, SOURCES)}"
        )
    files = SOURCES[name].files
    return MINI if files is None else download.fetch(files, data_root(root), offline=offline, progress=progress)


def check_spec(spec: str) -> None:
    """Raises InputError where `load` knows no data set of this name, or the file or the folder is not there."""
    kind, _, path = spec.partition(":")
    if kind in ("npz", "folder") and path:
        check_there(kind, path)
    elif spec not in SOURCES:
        raise InputError(
            f"dataset {spec!r} is unknown: use {', '.join(SOURCES)}, or npz:PATH or folder:PATH for your own"
            f"{_hint(spec)}"
        )


def _hint(spec: str) -> str:
    kind = "npz" if spec.endswith(".npz") else "folder" if Path(spec).is_dir() else ""
    return f"; did you mean '{kind}:{spec}'?" if kind else did_you_mean(spec, SOURCES)


def _read_mini(file: Path) -> dict[str, Array]:
    content = file.read_bytes() if file.exists() else b""
    if hashlib.sha256(content).hexdigest() != MINI_SHA256:
        raise InputError(f"{file} is damaged or missing: install invrob again, by pip install --force-reinstall invrob")
    from invrob.empirical.data.npz import read_npz  # it loads PyTorch

    return read_npz(io.BytesIO(content), "mnist-mini")


_MNIST_LICENCE = "CC BY-SA 3.0 as commonly given (LeCun, Cortes, Burges)"
_NO_LICENCE = "none given by its makers, terms unspecified (Krizhevsky 2009)"

SOURCES = {
    "mnist-mini": Source((10_000, 1_000, 2_000), (1, 28, 28), _MNIST_LICENCE, _read_mini, None),
    "mnist": Source((55_000, 5_000, 10_000), (1, 28, 28), _MNIST_LICENCE, mnist.read_mnist, mnist.FILES),
    "cifar10": Source((40_000, 10_000, 10_000), (3, 32, 32), _NO_LICENCE, cifar10.read_cifar10, cifar10.FILES),
}
