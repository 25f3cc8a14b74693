"""What labels are, for tensors at the API and for arrays in files: one true class per image, counted from 0."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from invrob.checks import Array
from invrob.empirical.inference.call import Model
from invrob.empirical.inference.model import all_logits
from invrob.errors import InputError


def checked_labels(labels: Tensor | None, images: Tensor, model: Model) -> Tensor | None:
    """`labels` as int64 [N] on the device of `images`, or None: whole numbers [N] or [N, 1] of any kind, or one-hot
    rows [N, K].

    Raises InputError for everything else, and for a class that `model` does not have; it is asked about one image, so
    call this inside `evaluating(model)`."""
    if labels is None:
        return None
    plain = class_numbers(_array(labels), len(images), f"labels {_described(labels)}", tensor=True)
    low, high = int(plain.min()), int(plain.max())
    classes = all_logits(model, images[:1]).shape[1]
    if not 0 <= low <= high < classes:
        way_out = out_of_range(plain, classes)
        raise InputError(
            f"labels span [{low}, {high}], but the model has {classes} classes: they must be in [0, {classes - 1}], "
            f"counted from 0{f'; {way_out}' if way_out else ''}"
        )
    return torch.as_tensor(plain.astype(np.int64), device=images.device)


def class_numbers(labels: Array, n: int, described: str, *, tensor: bool = False) -> Array:
    """The whole number of each of `n` images, [n], from whole numbers [n] or [n, 1] of any kind or one-hot rows.

    described: what errors call them; tensor: whether the lines to paste are for a tensor. Raises InputError where it
    cannot be said without doubt what the class of an image is."""
    as_integers = "labels.long()" if tensor else "labels.astype('int64')"
    must = f"{described} must be whole numbers of shape [{n}], one per image"
    if labels.dtype.kind in "OUSV":
        line = "names, labels = np.unique(labels, return_inverse=True)"
        kept = "" if tensor else ", and save label_names=names with them"
        raise InputError(f"{must}: use {line}{kept}")
    if labels.ndim == 2 and len(labels) == n and labels.shape[1] > 1:
        return _of_one_hot(labels, must)
    if labels.ndim == 2 and labels.shape == (n, 1):  # a column: its rows are no one-hot rows of a single class
        labels = labels[:, 0]
    if labels.shape != (n,):
        flat = (
            "; use labels.reshape(-1)" if labels.size == n else f": there are {n} images, give each of them one label"
        )
        raise InputError(f"{must}{flat}")
    if labels.dtype.kind == "b":
        raise InputError(f"{must}: use {as_integers} if False is class 0 and True is class 1")
    if labels.dtype.kind == "f":
        return _whole(labels, must)
    if labels.dtype.kind not in "iu":
        raise InputError(f"{must}: use {as_integers}")
    return labels


def _of_one_hot(rows: Array, must: str) -> Array:
    """The places of the ones; rows of anything but one 1 and zeros are refused by what they look like."""
    if rows.dtype.kind not in "biuf" or (rows.dtype.kind == "f" and not np.isfinite(rows).all()):
        raise InputError(f"{must}, or one-hot rows: these hold NaN, infinite or complex values")
    bits = bool(((rows == 0) | (rows == 1)).all())
    ones = rows.astype(np.float64).sum(1)
    if bits and bool((ones == 1).all()):
        return np.asarray(rows.argmax(1))
    if bits and bool((ones == 0).any()):
        raise InputError(
            f"{must}, or one-hot rows: {int((ones == 0).sum())} rows are all 0, so their images have no class; use "
            "keep = labels.sum(1) == 1; images, labels = images[keep], labels[keep]"
        )
    if bits:
        raise InputError(
            f"{must}, or one-hot rows: {int((ones > 1).sum())} rows hold several 1, so their images have several "
            "classes; use keep = labels.sum(1) == 1; images, labels = images[keep], labels[keep]"
        )
    if bool((rows >= 0).all()) and np.allclose(ones, 1, atol=1e-3):
        raise InputError(
            f"{must}: these are probabilities; use labels.argmax(1) if the most probable class is the true one"
        )
    raise InputError(
        f"{must}, or one-hot rows of a single 1: keep the column that holds the class, such as labels[:, 0]"
    )


def _whole(labels: Array, must: str) -> Array:
    if np.isnan(labels).any():
        keep = "keep = labels == labels; images, labels = images[keep], labels[keep]"
        raise InputError(f"{must}: {int(np.isnan(labels).sum())} are NaN; use {keep} to leave their images out")
    if not bool((labels == np.floor(labels)).all()) or bool((np.abs(labels) > 2**53).any()):
        odd = labels[(labels != np.floor(labels)) | (np.abs(labels) > 2**53)][0]
        raise InputError(
            f"{must}: {odd:.4g} is no class; if these are probabilities of class 1 of two, use 1 * (labels > 0.5)"
        )
    return labels.astype(np.int64)


def _negative(low: int, labels: Array, classes: int) -> str:
    """What labels below 0 of so many classes may mean, and the line for it; empty where there are none."""
    if low >= 0:
        return ""
    if classes == 2 and set(np.unique(labels).tolist()) <= {-1, 1}:
        return "use (labels + 1) // 2 for -1 and 1"
    return "use keep = labels >= 0; images, labels = images[keep], labels[keep] if below 0 means unlabelled"


def out_of_range(labels: Array, classes: int) -> str:
    """The line that mends labels of which some are not in 0 .. classes - 1; empty where none is known."""
    low, high = int(labels.min()), int(labels.max())
    if low >= 1 and high == classes:
        return "use labels - 1 if they count from 1"
    return _negative(low, labels, classes)


def _array(labels: Any) -> Array:
    if isinstance(labels, Tensor):
        return labels.detach().to("cpu", torch.float64 if labels.is_floating_point() else None).numpy()
    return np.asarray(labels)


def _described(labels: Any) -> str:
    if isinstance(labels, Tensor):
        return f"{labels.dtype} {[*labels.shape]}"
    array = np.asarray(labels)
    return f"{array.dtype} {[*array.shape]}"
