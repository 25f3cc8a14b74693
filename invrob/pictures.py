"""Figures into files: the same figure gives the same bytes, whatever the format."""

import os
from io import BytesIO
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from invrob.errors import InputError
from invrob.files import check_writable, write_atomically

FORMATS = ("png", "svg", "pdf")
METADATA: dict[str, dict[str, None]] = {  # what each format would note beside the picture
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


def write_figure(path: str | os.PathLike[str], figure: Figure) -> Path:
    """Write a figure in the format of the suffix, atomically: the same figure gives the same bytes. Returns `path`."""
    # Fixed ids, and none of the metadata that differ from day to day or from version to version.
    suffix, picture = Path(path).suffix.lower(), BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "invrob", "svg.fonttype": "path"}):
        figure.savefig(picture, format=suffix.lstrip("."), dpi=150, metadata=METADATA.get(suffix))
    return write_atomically(path, lambda file: file.write_bytes(picture.getvalue()))  # savefig hides why a disk refuses


def checked_figure_path(path: str | os.PathLike[str]) -> Path:
    """`path`, or InputError unless it ends in .png, .svg or .pdf and can be written: ask before any computing."""
    target = Path(path)
    if target.suffix.lower().lstrip(".") not in FORMATS:
        endings = ", ".join(f".{name}" for name in FORMATS)
        raise InputError(f"figure {str(path)!r} has no known format: let it end in one of {endings}")
    if target.is_dir():
        raise InputError(f"figure {str(path)!r} is a folder: name a file in it")
    check_writable([target], "name another file")
    return target
