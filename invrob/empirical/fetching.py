"""Published data sets in torchvision's folders: known by the sums of their files, and fetched with torchvision.

Neither an interrupted download nor a damaged disk passes for the data: nothing is parsed whose sum is another."""

import hashlib
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from invrob.errors import InputError
from invrob.files import write_atomically

_PATIENCE = 30.0  # seconds without a byte after which a mirror counts as unreachable; torchvision waits for ever


@dataclass(frozen=True)
class Files:
    """The files of a data set, as torchvision keeps them under a data folder."""

    name: str  # as in `invrob data fetch NAME`
    title: str  # as its makers call it
    folder: str  # below the data folder
    algorithm: str  # of the sums, as hashlib calls it
    sums: Mapping[str, str]  # by the name of the file, in hex
    download: Callable[[Path], object]  # torchvision's: puts the folder below a path, keeping archives that are whole


def faults(files: Files, folder: Path) -> str:
    """What keeps `folder` from being the data set, in words; empty when all its files are there and whole."""
    return _faults(files, _contents(files, folder))


def read(files: Files, folder: Path) -> dict[str, bytes]:
    """The content of every file in `folder`, by its name: the very bytes whose sums were compared.

    Raises InputError when a file is missing or is another than the published one."""
    contents = _contents(files, folder)
    if found := _faults(files, contents):
        raise InputError(
            f"{files.name} is not in {folder} ({found}): run `invrob data fetch {files.name}`, or name another --root"
        )
    return contents


def fetch(files: Files, root: Path, *, offline: bool = False) -> Path:
    """Download the data set into its folder below `root` unless it is there, whole; returns that folder.

    Each file appears whole or not at all; what an interrupted call has downloaded is used by the next one. Raises
    InputError when `offline` and the files are not there, or when no mirror delivers them."""
    folder = root / files.folder
    found = faults(files, folder)
    if not found:
        return folder
    by_hand = (
        f"or put the {len(files.sums)} files of {files.title}, unpacked, into {folder} by hand: {', '.join(files.sums)}"
    )
    if offline:
        raise InputError(f"{files.name} cannot be fetched offline ({found}): leave out --offline, {by_hand}")
    part = root / f".{files.name}-part"
    part.mkdir(parents=True, exist_ok=True)
    _download(files, part, by_hand)
    if found := faults(files, part / files.folder):
        raise InputError(f"what the mirrors of {files.name} sent is not {files.title}: {found}. Try again, {by_hand}")
    for name in files.sums:
        write_atomically(folder / name, (part / files.folder / name).replace)
    shutil.rmtree(part, ignore_errors=True)
    return folder


def _contents(files: Files, folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files.sums if (folder / name).is_file()}


def _faults(files: Files, contents: Mapping[str, bytes]) -> str:
    missing = [name for name in files.sums if name not in contents]
    if len(missing) == len(files.sums):
        return f"all {len(missing)} files are missing"
    damaged = [name for name, content in contents.items() if _sum(files, content) != files.sums[name]]
    texts = [f"{', '.join(missing)} missing"] * bool(missing) + [f"{', '.join(damaged)} damaged"] * bool(damaged)
    return "; ".join(texts)


def _sum(files: Files, content: bytes) -> str:
    return hashlib.new(files.algorithm, content, usedforsecurity=False).hexdigest()


def _download(files: Files, part: Path, by_hand: str) -> None:
    for name in files.sums:
        (part / files.folder / name).unlink(missing_ok=True)  # torchvision would take a half-unpacked file for whole
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        files.download(part)
    except (RuntimeError, OSError, HTTPException) as error:
        reason = " ".join(str(error).split())  # torchvision's has one line per mirror
        raise InputError(f"{files.name} could not be fetched ({reason}). Try again, {by_hand}") from error
    finally:
        socket.setdefaulttimeout(patience)
