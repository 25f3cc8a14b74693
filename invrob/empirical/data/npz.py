"""Reading a data set from an .npz file, whose every fault is an error that names the file, the fault, the way out."""

import zipfile
from os import PathLike
from typing import IO

import numpy as np

from invrob.checks import Array
from invrob.errors import InputError, did_you_mean

_NAMES = [f"{split}_{part}" for split in ("train", "validation", "test") for part in ("images", "labels")] + [
    "label_names"
]

LAYOUT = "train_images, train_labels, test_images, test_labels (and label_names)"


def read_npz(file: str | PathLike[str] | IO[bytes], name: str) -> dict[str, Array]:
    """The arrays of a data set: `{train,test}_{images,labels}`, `label_names`, and `validation_*` where it has them.

    Images are uint8 in 0..255 or float in [0, 1], [N, H, W] or [N, H, W, C], of one size; labels are whole numbers
    [N] that index `label_names` [K >= 2], by default 0, 1, ... up to the largest training label. name: what the errors
    call the file. Nothing in it is ever unpickled. Raises InputError when the file is missing, is no .npz, is damaged,
    or holds anything else than the above."""
    members, arrays = _arrays(file, name)
    _check_members(members, name)
    third = ["validation"] if any(key.startswith("validation") for key in arrays) else []
    splits = ["train", *third, "test"]
    missing = [key for key in _NAMES if key not in arrays and key.split("_")[0] in splits]
    if missing:
        raise InputError(f"{name} has no {', '.join(missing)}: np.savez(path, ...) must be given {LAYOUT}")
    arrays.setdefault("label_names", _numbered(arrays["train_labels"]))
    _check_names(arrays["label_names"], name)
    for split in splits:
        _check_images(arrays[f"{split}_images"], f"{name}: {split}_images")
        _check_labels(arrays, split, name)
        size = arrays[f"{split}_images"].shape[1:]
        if size != arrays["train_images"].shape[1:]:
            raise InputError(
                f"{name}: {split}_images are {_by(size)} but train_images are {_by(arrays['train_images'].shape[1:])}: "
                f"every split must have images of one size"
            )
    if len(np.unique(arrays["train_labels"])) < 2:
        raise InputError(
            f"{name}: train_labels are all {arrays['train_labels'][0]}: a classifier needs at least 2 classes"
        )
    return arrays


def _arrays(file: str | PathLike[str] | IO[bytes], name: str) -> tuple[list[str], dict[str, Array]]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.namelist()
        if not isinstance(file, str | PathLike):
            file.seek(0)
        with np.load(file, allow_pickle=False) as stored:
            return members, {key: stored[key] for key in _NAMES if f"{key}.npy" in members}
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"{name} cannot be read ({reason}): give the path of an .npz file that holds {LAYOUT}"
        ) from None
    except Exception as error:  # zipfile, zlib and numpy raise some ten kinds between them for damaged bytes
        if "Object arrays" in str(error):
            raise InputError(
                f"{name} holds an array of Python objects, which is never unpickled: save plain numbers, and "
                f"label_names as strings, e.g. np.array(['cat', 'dog'])"
            ) from None
        raise InputError(
            f"{name} is damaged or no .npz file ({type(error).__name__}: {error}): write it again with np.savez"
        ) from error


def _check_members(members: list[str], name: str) -> None:
    """Where label_names is missing, no member may look like its misspelt or damaged name; other arrays are welcome."""
    if "label_names.npy" in members:
        return
    for stray in sorted(set(members) - {f"{key}.npy" for key in _NAMES}):
        near = did_you_mean(stray.removesuffix(".npy"), ["label_names"])
        if near or not stray.endswith(".npy"):
            raise InputError(f"{name} has no label_names but {stray!r}{near}: rename or remove it")


def _numbered(labels: Array) -> Array:
    """Names for classes that have none; labels that cannot be indices are left to `_check_labels`."""
    whole = labels.dtype.kind in "iu" and labels.size > 0
    return np.array([str(k) for k in range(max(2, min(int(labels.max()), 9_999) + 1) if whole else 2)])


def _check_names(names: Array, name: str) -> None:
    if names.ndim != 1 or names.dtype.kind != "U":
        raise InputError(
            f"{name}: label_names is {names.dtype} {[*names.shape]} but must be strings [K], "
            f"e.g. np.array(['cat', 'dog'])"
        )
    if len(names) < 2:
        raise InputError(f"{name}: label_names holds {len(names)} names: a classifier needs at least 2 classes")
    if len(np.unique(names)) < len(names):
        raise InputError(f"{name}: label_names {names.tolist()} repeat: give each class a name of its own")


def _check_images(images: Array, where: str) -> None:
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InputError(f"{where} are {images.dtype} but must be uint8 in 0..255 or float in [0, 1]")
    if images.ndim not in (3, 4):
        raise InputError(f"{where} have the shape {[*images.shape]} but must be [N, H, W] or [N, H, W, C]")
    if images.ndim == 4 and images.shape[3] > 4 >= images.shape[1]:
        raise InputError(
            f"{where} have the shape {[*images.shape]}, which looks like [N, C, H, W]: "
            f"save images.transpose(0, 2, 3, 1), channels last"
        )
    if images.size == 0:
        raise InputError(f"{where} have the shape {[*images.shape]}: the split is empty, it needs at least one image")
    low, high = images.min(), images.max()
    if images.dtype.kind == "f" and not (low >= 0 and high <= 1):  # false for NaN as well
        raise InputError(
            f"{where} range from {low} to {high} but floats must be in [0, 1]: divide by 255, or save uint8"
        )


def _check_labels(arrays: dict[str, Array], split: str, name: str) -> None:
    labels, classes = arrays[f"{split}_labels"], len(arrays["label_names"])
    where = f"{name}: {split}_labels"
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputError(
            f"{where} are {labels.dtype} {[*labels.shape]} but must be whole numbers [N]: save labels.astype('int64')"
        )
    if len(labels) != len(arrays[f"{split}_images"]):
        raise InputError(
            f"{where} are {len(labels)} but {split}_images are {len(arrays[f'{split}_images'])}: "
            f"give each image one label"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"{where} range from {labels.min()} to {labels.max()} but label_names has {classes} names: "
            f"labels must be in 0..{classes - 1}, or names are missing"
        )


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
