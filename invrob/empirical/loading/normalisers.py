"""Means and deviations among the tensors of a file: of a normaliser that the network was trained behind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from invrob.empirical.loading.adapters import Preprocessing
from invrob.errors import InputError

MEAN = re.compile(r"(^|\.)(new_|pixel_|image_|_|input_)?(mean|mu)_?$")
STD = r"std|stddev|sigma"
BOTH = re.compile(rf"(^|\.)(new_|pixel_|image_|_|input_)?(mean|mu|{STD})_?$")
LARGEST = 16  # channels of an image, at most


@dataclass(frozen=True)
class Normaliser:
    """names: of its tensors in the file; mean, std: their values."""

    names: tuple[str, str]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def is_of_pixels(self) -> bool:
        """Whether the values can be those of pixels in [0, 1]."""
        return all(0 <= value < 1 for value in self.mean) and all(0 < value <= 1 for value in self.std)

    def __str__(self) -> str:
        return f"{self.names[0]} = {_row(self.mean)} and {self.names[1]} = {_row(self.std)}"


def is_of_a_normaliser(name: str) -> bool:
    """Whether a tensor is called as a mean or a deviation is."""
    return bool(BOTH.search(name))


def normalisers_in(tensors: Mapping[str, Tensor]) -> tuple[Normaliser, ...]:
    """The pairs of a mean and a deviation, one number or one per channel, that lie together."""
    found = []
    for name, mean in tensors.items():
        if not MEAN.search(name):
            continue
        for word in STD.split("|"):
            other = re.sub(r"(mean|mu)(_?)$", rf"{word}\2", name)
            if other in tensors and _is_row(mean) and _is_row(tensors[other]):
                found.append(Normaliser((name, other), _values(mean), _values(tensors[other])))
    return tuple(found)


def with_normaliser(
    how: Preprocessing, found: tuple[Normaliser, ...], file: str, prefix: str
) -> tuple[Preprocessing, str]:
    """`how`, with the normaliser of a file where it says nothing of a mean; and a note, "" where there is none.

    Raises InputError where the file has several that differ, or one that is not of pixels in [0, 1]."""
    if not found:
        return how, ""
    first = found[0]
    if how.mean is not None:
        return how, f"{file} has a normaliser, {first}; in its place stands the mean and deviation that was asked for"
    alike = all((other.mean, other.std) == (first.mean, first.std) for other in found)
    if not alike or not first.is_of_pixels:
        why = "they differ" if not alike else "those are not of pixels in [0, 1]"
        below = f" beside the network, which is taken by prefix = {prefix!r}" if prefix else ""
        raise InputError(
            f"{file} has a normaliser{below}: {'; '.join(map(str, found))}; {why}. Say what the network wants: `mean` "
            "and `std`, or 0 and 1 for nothing"
        )
    return Preprocessing(
        first.mean, first.std, how.size, how.channels
    ), f"images are normalised as {file} says: {first}"


def _is_row(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.is_floating_point() and 1 <= tensor.numel() <= LARGEST


def _values(tensor: Tensor) -> tuple[float, ...]:
    return tuple(round(value, 7) for value in tensor.detach().double().flatten().tolist())


def _row(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:.6g}" for value in values)
