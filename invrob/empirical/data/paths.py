"""Where data lie; a process without a home directory, as in containers, is told what to say instead."""

import os
from pathlib import Path

from invrob.errors import InputError
from invrob.files import expanded


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of fetched data: `root`, else $INVROB_DATA, else invrob in $XDG_CACHE_HOME, else ~/.cache/invrob.

    Raises InputError where it would be below a home directory and there is none."""
    if root or (root := os.environ.get("INVROB_DATA")):
        return expanded(root)
    cache = os.environ.get("XDG_CACHE_HOME")
    if cache:
        return Path(cache) / "invrob"
    try:
        return Path.home() / ".cache" / "invrob"
    except RuntimeError:
        raise InputError(
            "there is no home directory for fetched data: set INVROB_DATA to a folder for them, or give `root`; "
            "mnist-mini, npz:PATH and folder:PATH need none"
        ) from None
