"""Published data sets in torchvision's folders: known by the sums of their files, and fetched from mirrors.

Nothing is trusted but the sums in this package: a mirror may send too much, too little, another file or an archive with
names that lead elsewhere, and a redirect may point anywhere. An archive is read no further than its published size,
unpacked only where its SHA-256 is the published one, and only known names are taken out of it."""

import gzip
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from invrob.errors import InputError, printable
from invrob.files import write_atomically
from invrob.versions import __version__

PATIENCE = 30.0  # seconds without a byte after which a mirror counts as unreachable
LARGEST = 2**26  # bytes of an unpacked file: MNIST's training images are 47 million
BLOCK = 2**16

Progress = Callable[[str, int, int], object]  # the name of an archive, its bytes so far, and in all


@dataclass(frozen=True)
class Archive:
    """A compressed file as mirrors offer it."""

    size: int  # bytes
    sha256: str
    mirrors: tuple[str, ...]  # the folders of the web where it lies, ending in "/"


@dataclass(frozen=True)
class Files:
    """The files of a data set, as torchvision keeps them under a data folder."""

    name: str  # as in `invrob data fetch NAME`
    title: str  # as its makers call it
    folder: str  # below the data folder
    algorithm: str  # of the sums, as hashlib calls it
    sums: Mapping[str, str]  # by the name of the file, in hex
    archives: Mapping[str, Archive]  # in which they are published: NAME.gz holds NAME, a .tar.gz holds the folder


def read(files: Files, folder: Path) -> dict[str, bytes]:
    """The content of every file in `folder`, by its name: the very bytes whose sums were compared.

    Raises InputError when a file is missing or is another than the published one."""
    contents = existing(files, folder)
    if fault := faults(files, contents):
        raise InputError(
            f"{files.name} is not in {folder} ({fault}): run `invrob data fetch {files.name}`, or set INVROB_DATA to "
            f"the folder that holds {files.folder}"
        )
    return contents


def fetch(files: Files, root: Path, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """Download the data set into its folder below `root` unless it is there, whole; returns that folder.

    Each file appears whole or not at all; archives that an interrupted call has downloaded are used by the next one.
    Raises InputError when `offline` and the files are not there, or when no mirror delivers them."""
    folder = root / files.folder
    fault = faults(files, existing(files, folder))
    if not fault:
        return folder
    by_hand = (
        f"or put the {len(files.sums)} files of {files.title}, unpacked, into {folder} by hand: {', '.join(files.sums)}"
    )
    if offline:
        raise InputError(f"{files.name} cannot be fetched offline ({fault}): leave out `offline`, {by_hand}")
    _check_writable(folder)
    part = root / f".{files.name}-part"
    contents: dict[str, bytes] = {}
    for name, archive in files.archives.items():
        try:
            path = downloaded(archive, part / name, progress or (lambda *_: None))
            contents.update(_unpacked(path, files))
        except MirrorError as error:
            raise InputError(f"{files.name} could not be fetched ({error}). Try again, {by_hand}") from error
    if fault := faults(files, contents):
        raise InputError(f"what the mirrors of {files.name} sent is not {files.title}: {fault}. Try again, {by_hand}")
    for name, content in contents.items():
        write_atomically(folder / name, partial(Path.write_bytes, data=content))
    shutil.rmtree(part, ignore_errors=True)
    return folder


def _check_writable(folder: Path) -> None:
    """Raises InputError where the folder cannot be made or written to: before anything is downloaded."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise InputError(
            f"{folder} cannot be written, because {there} cannot: give `root`, a folder that can be, or set INVROB_DATA"
        )


def existing(files: Files, folder: Path) -> dict[str, bytes]:
    """The contents by name of the files that are there; a file that cannot be read counts as missing."""
    contents = {}
    for name in files.sums:
        with suppress(OSError):
            contents[name] = (folder / name).read_bytes()
    return contents


def faults(files: Files, contents: Mapping[str, bytes]) -> str:
    """What keeps these contents from being the data set, in words; empty when all files are there and whole."""
    missing = [name for name in files.sums if name not in contents]
    if len(missing) == len(files.sums):
        return f"all {len(missing)} files are missing"
    sums = {name: hashlib.new(files.algorithm, content, usedforsecurity=False) for name, content in contents.items()}
    damaged = [name for name, digest in sums.items() if digest.hexdigest() != files.sums[name]]
    parts = ((missing, "missing"), (damaged, "damaged"))
    return "; ".join(f"{', '.join(names)} {what}" for names, what in parts if names)


class MirrorError(Exception):
    """No mirror delivered an archive as it was published; the text says what each of them did."""


def downloaded(archive: Archive, path: Path, progress: Progress) -> Path:
    """The path of the archive, which is downloaded from the first mirror that has it, unless it is there. Raises
    MirrorError."""
    if path.is_file() and path.stat().st_size == archive.size:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == archive.sha256:
                return path
    for stale in path.parent.glob(".*.tmp.gz"):  # of a call that was killed
        stale.unlink(missing_ok=True)
    answers = []
    for mirror in archive.mirrors:
        try:
            content = b"".join(_blocks(archive, mirror + path.name, partial(progress, path.name)))
        except (MirrorError, OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            answers.append(f"{mirror}{path.name}: {printable(' '.join(str(reason).split()))}")
            continue
        return write_atomically(path, partial(Path.write_bytes, data=content))
    raise MirrorError("; ".join(answers))


def _blocks(archive: Archive, url: str, progress: Callable[[int, int], object]) -> Iterator[bytes]:
    """The content of `url`, refused as soon as it is known to be another than the archive."""
    request = Request(url, headers={"User-Agent": f"invrob/{__version__}"})  # noqa: S310 - see _opener
    total, digest = 0, hashlib.sha256()
    with _opener().open(request, timeout=PATIENCE) as response:
        while block := response.read(BLOCK):
            total += len(block)
            if total > archive.size:
                raise MirrorError(f"sends more than the {archive.size:,} bytes of the archive")
            digest.update(block)
            progress(total, archive.size)
            yield block
    if digest.hexdigest() != archive.sha256:
        raise MirrorError(
            f"sent {total:,} bytes that are not the archive of {archive.size:,}: it is cut off or another"
        )


def _opener() -> OpenerDirector:
    """Speaks HTTP and HTTPS and nothing else: no file:, no ftp:, no data:."""
    opener = OpenerDirector()
    for kind in (ProxyHandler, UnknownHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor):
        opener.add_handler(kind())
    opener.add_handler(Redirects())
    return opener


class Redirects(HTTPRedirectHandler):
    """Follows a redirect to HTTPS, or from HTTP to HTTP."""

    max_redirections = 5

    def redirect_request(self, request: Request, response: IO[bytes], *rest: Any) -> Request | None:
        target = str(rest[-1])
        if urlsplit(target).scheme not in {"https", request.type}:
            raise URLError(f"redirects to {target}, which is not followed: only https is")
        return super().redirect_request(request, response, *rest)


def _unpacked(path: Path, files: Files) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file of the data set in an archive of known sum; other members are left where they are,
    and no name in the archive is ever used as a path. Raises MirrorError."""
    if not path.name.endswith(".tar.gz"):
        with gzip.open(path) as unpacked:
            yield path.name.removesuffix(".gz"), _limited(unpacked, path.name)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            if member.isreg() and folder == files.folder and name in files.sums:
                file = archive.extractfile(member)
                assert file is not None  # of a regular file
                yield name, _limited(file, member.name)


def _limited(file: IO[bytes] | gzip.GzipFile, name: str) -> bytes:
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise MirrorError(f"{name} unpacks to more than {LARGEST:,} bytes")
    return content
