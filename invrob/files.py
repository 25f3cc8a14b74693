"""Paths as people write them, and files that appear whole or not at all."""

import errno
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from invrob.errors import InputError

TEMPORARY = ".*.tmp*"  # what the temporary names of `write_atomically` look like


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Call `write` with a temporary path beside `path`, flush it to the disk, and rename it into place.

    The temporary name keeps the suffix of `path` (savefig picks its format by it). A crash at any instant leaves either
    the old file or the new one, never a part of it. Missing folders are made. Returns `path`. An OSError, such as that
    of a full disk, names `path`."""
    target = Path(path)
    try:
        _write(target, write)
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(target)) from error
    return target


def _write(target: Path, write: Callable[[Path], object]) -> None:
    if target.exists() and not target.is_file():  # root could replace /dev/null
        raise OSError(errno.EINVAL, "is a folder or a device, which no file may replace")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(target) as temporary:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """An empty file beside `target`, which is gone after the block unless it was renamed."""
    # Made by this process alone (O_EXCL), with the rights that the umask leaves: to ask for the umask is to set it.
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def expanded(path: str | os.PathLike[str]) -> Path:
    """`path` with ~ replaced by the home directory. Raises InputError where there is none, as in some containers."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path} begins with ~, and there is no such home directory: write the whole path") from None


def check_writable(
    paths: Iterable[str | os.PathLike[str]], way_out: str = "choose another `out`", named: Path | None = None
) -> None:
    """Find out, before anything is computed, whether `write_atomically` could write these files, by trying.

    Missing folders are made and a file is put into each folder; then all of that is removed again.

    Args:
        paths: the files. What they hold, if they are there, stays as it is.
        way_out: what to do where one cannot be written, as the error says it.
        named: what the error names; the file when left out.

    Raises:
        InputError: where one cannot be written; it names the path, what stands in the way, and the way out.

    Example:
        >>> from invrob.files import check_writable
        >>> check_writable(["/dev/null/x"], "name another")
        Traceback (most recent call last):
        invrob.errors.InputError: /dev/null/x cannot be written (/dev/null is a device, no folder): name another
    """
    for path in map(Path, paths):
        if obstacle := _tried(path):
            raise InputError(f"{named or path} cannot be written ({obstacle}): {way_out}")


def _tried(target: Path) -> str:
    """As `_obstacle`, with the errors of the system in words; once more where another process has just removed the
    folders that it had made for its own trial."""
    for last in (False, True):
        try:
            return _obstacle(target)
        except OSError as error:
            if last or not isinstance(error, FileNotFoundError):
                return _explained(error)
    raise AssertionError("the second trial returns")


def _obstacle(target: Path) -> str:
    """What stands in the way of a file, found out by writing another one beside it; "" for nothing."""
    if target.is_dir():
        return "it is a folder, no file"
    if target.exists() and not target.is_file():
        return "it is a device, which no file may replace"
    made: list[Path] = []
    try:
        for folder in reversed(target.parents):
            if folder.is_dir():
                continue
            if folder.exists():
                return f"{folder} is {'a file' if folder.is_file() else 'a device'}, no folder"
            if os.path.lexists(folder):
                return f"{folder} is a link that leads nowhere"
            try:
                folder.mkdir()
                made.append(folder)
            except FileExistsError:  # another process was faster
                pass
        with _temporary(target):
            return ""
    finally:
        with suppress(OSError):  # another process has put something there
            for folder in reversed(made):
                folder.rmdir()


def _explained(error: OSError) -> str:
    """The reason of an error of the system, and the folder that it is about."""
    reason = error.strerror or str(error)
    return f"{reason} in the folder {Path(str(error.filename)).parent}" if error.filename else reason
