"""Reading a data set from an .npz file, whose every fault is an error that names the file, the fault, the way out."""

import zipfile
from itertools import product
from os import PathLike
from typing import IO

import numpy as np

from invrob.checks import Array
from invrob.empirical.data.arrays import read_images
from invrob.empirical.data.splits import SPLITS
from invrob.empirical.data.unread import ARRAYS, unread
from invrob.empirical.inference import class_numbers, out_of_range
from invrob.errors import InputError, did_you_mean

PAIRS = (  # what people call images and labels, in a file that has them and no test set
    ("train_images", "train_labels"),
    ("x_train", "y_train"),
    *product(
        ("X_test", "X", "x", "data", "images", "arr_0"),
        ("y_test", "Y_test", "Y", "y", "targets", "target", "labels", "arr_1"),
    ),
)
STATED = ("label_names", "white", "layout")

_NAMES = [f"{split}_{part}" for split in SPLITS for part in ("images", "labels")]
_OTHERS = {  # as Keras, MedMNIST and people who have but one set call them
    "images": "test_images",
    "labels": "test_labels",
    "val_images": "validation_images",
    "val_labels": "validation_labels",
    **{
        f"{letter}_{old}": f"{split}_{part}"
        for letter, part in (("x", "images"), ("y", "labels"))
        for old, split in (("train", "train"), ("val", "validation"), ("test", "test"))
    },
}


def read_npz(file: str | PathLike[str] | IO[bytes], name: str) -> dict[str, Array]:
    """The arrays of a data set by {train,validation,test}_{images,labels} and label_names; a file need only have the
    test set, and calls it `images` and `labels` or `test_images` and `test_labels`.

    In the file, images are uint8 in 0..255, bool, or float in [0, 1], [N, H, W], [N, C, H, W] or [N, H, W, C], of one
    size; where their shape leaves a doubt, `layout` says "NCHW" or "NHWC". `white` is the number that is white, where
    it is another than 255 or 1. Labels are whole numbers [N] or [N, 1], or one-hot rows, that index `label_names`
    [K >= 2], by default 0, 1, ... up to the largest label. `val_` and Keras' `x_train`, `y_train`, ... are understood.
    Images come back as uint8 or floats in [0, 1], [N, H, W] or [N, H, W, C], and labels as [N]. name: what the errors
    call the file. Nothing in it is ever unpickled. Raises InputError when the file is missing, is no .npz, is
    damaged, or holds anything else than the above."""
    members, stored = _arrays(file, name)
    _check_members(members, name)
    splits = _splits(stored, members, name)
    _check_first_axis(stored, splits, name)
    images = {f"{name}: {key}": stored[key] for key, _ in splits.values()}
    pixels = read_images(images, stored.get("white"), stored.get("layout"))
    arrays: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    for (split, (images_key, key)), read in zip(splits.items(), pixels, strict=True):
        if read.ndim == 3 and stored[key].size == 1 < len(read):
            shape = [*stored[images_key].shape]
            raise InputError(f"{name}: {images_key} have the shape {shape}, and there is one label: save images[None]")
        labels[key] = class_numbers(stored[key], len(read), f"{name}: {key} {stored[key].dtype} {[*stored[key].shape]}")
        arrays |= {f"{split}_images": read, f"{split}_labels": labels[key]}
    if "label_names" in stored:
        arrays["label_names"] = stored["label_names"]
        _check_names(arrays["label_names"], name)
    else:
        _check_from_0(labels, name)
    for key, plain in labels.items():
        _check_range(plain, np.concatenate([*labels.values()]), len(class_names(arrays)), f"{name}: {key}")
    if "train" in splits and len(np.unique(arrays["train_labels"])) < 2:
        key, label = splits["train"][1], arrays["train_labels"][0]
        raise InputError(f"{name}: {key} are all {label}: a classifier needs at least 2 classes")
    return arrays


def _check_first_axis(stored: dict[str, Array], splits: dict[str, tuple[str, str]], name: str) -> None:
    """Raises InputError for images [H, W, C, N] or [H, W, N], as Matlab has them."""
    for images_key, key in splits.values():
        shape, labels = stored[images_key].shape, stored[key]
        count = labels.shape[0] if labels.ndim else 1
        if len(shape) in (3, 4) and shape[-1] == count and shape[0] != count:
            axes = ", ".join(map(str, (len(shape) - 1, *range(len(shape) - 1))))
            raise InputError(
                f"{name}: {images_key} have the shape {[*shape]}, and there are {count} labels: the images stand last; "
                f"save np.transpose(images, ({axes}))"
            )


def class_names(arrays: dict[str, Array]) -> Array:
    """What the classes of the arrays of `read_npz` are called: their label_names, else 0, 1, ... up to the largest
    label of the training set, or of what there is."""
    if "label_names" in arrays:
        return arrays["label_names"]
    labels = [arrays[key] for key in ("train_labels", "validation_labels", "test_labels") if key in arrays]
    largest = int(labels[0].max()) if "train_labels" in arrays else max(int(plain.max()) for plain in labels)
    return np.array([str(k) for k in range(max(2, min(largest, 9_999) + 1))])


def _arrays(file: str | PathLike[str] | IO[bytes], name: str) -> tuple[list[str], dict[str, Array]]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.namelist()
        if not isinstance(file, str | PathLike):
            file.seek(0)
        with np.load(file, allow_pickle=False) as stored:
            known = [*_NAMES, *_OTHERS, *STATED]
            return members, {key: stored[key] for key in known if f"{key}.npy" in members}
    except OSError as error:
        raise unread("npz", name, error) from None
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
    for stray in sorted(set(members) - {f"{key}.npy" for key in (*_NAMES, *_OTHERS, *STATED)}):
        near = did_you_mean(stray.removesuffix(".npy"), ["label_names"])
        if near or not stray.endswith(".npy"):
            raise InputError(f"{name} has no label_names but {stray!r}{near}: rename or remove it")


def _splits(stored: dict[str, Array], members: list[str], name: str) -> dict[str, tuple[str, str]]:
    """What the images and the labels of each split are called in the file. Raises InputError where a half is missing,
    or where there is no test set and nothing that could be one."""
    keys = {_OTHERS[key]: key for key in reversed(_OTHERS) if key in stored} | {
        key: key for key in _NAMES if key in stored
    }
    found: dict[str, tuple[str, str]] = {}
    for split in SPLITS:
        halves = [keys.get(f"{split}_{part}") for part in ("images", "labels")]
        if halves[0] and halves[1]:
            found[split] = (halves[0], halves[1])
        elif halves[0] or halves[1]:
            raise InputError(f"{name} has no {_other_half(halves)}: np.savez(path, ...) must be given {ARRAYS}")
    if "test" not in found:
        names = sorted(member.removesuffix(".npy") for member in members)
        held = ", ".join(names[:8]) or "nothing"
        pair = next((pair for pair in PAIRS if {*pair} <= {*names}), None)
        line = ""
        if pair is not None:
            images, labels = (f"d[{key!r}]" for key in pair)
            line = f"; such as d = np.load({name!r}); np.savez('named.npz', images={images}, labels={labels})"
        raise InputError(
            f"{name} has no test_images, test_labels, but {held}: np.savez(path, ...) must be given {ARRAYS}{line}"
        )
    return found


def _other_half(halves: list[str | None]) -> str:
    """What the missing half of a split would be called, by the name of the other one."""
    at_hand = next(half for half in halves if half)
    for images, labels in (("images", "labels"), ("x_", "y_")):
        if at_hand.startswith(("x_", "y_")) == (images == "x_"):
            return at_hand.replace(images, labels) if halves[0] else at_hand.replace(labels, images)
    raise AssertionError(at_hand)


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


def _check_from_0(labels: dict[str, Array], name: str) -> None:
    """Labels that are exactly 1, 2, ..., K, and whose classes nobody names, are counted from 1."""
    present = np.unique(np.concatenate([*labels.values()]))
    if len(present) > 1 and (present == np.arange(1, len(present) + 1)).all():
        raise InputError(
            f"{name}: {', '.join(labels)} are 1, ..., {len(present)}, but classes are counted from 0: save labels - 1, "
            f"or label_names with {len(present) + 1} names where class 0 has no image"
        )


def _check_range(labels: Array, together: Array, classes: int, where: str) -> None:
    """together: the labels of all splits, because only all of them tell from where they are counted."""
    if labels.min() < 0 or labels.max() >= classes:
        way_out = out_of_range(together, classes)
        raise InputError(
            f"{where} range from {labels.min()} to {labels.max()} but label_names has {classes} names: labels must be "
            f"in 0..{classes - 1}, or names are missing{f'; {way_out}' if way_out else ''}"
        )
