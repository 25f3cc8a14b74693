"""Files that appear whole or not at all."""

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

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
    # Made by this process alone (O_EXCL), with the rights that the umask leaves: to ask for the umask is to set it.
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
