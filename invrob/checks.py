"""What is asked of numbers from outside, in one place: grids, counts, seeds, confidence levels."""

import math
import operator
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from invrob.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]


def checked_grid(name: str, values: Iterable[float], largest: float, why: str, *, smallest: float = 0.0) -> Array:
    """`values` as float64 [T], T >= 1, increasing in [smallest, largest]. Raises InputError otherwise, with `why` and a
    way out."""
    try:
        listed = [float(value) for value in values]
    except (TypeError, ValueError):
        raise InputError(f"{name} = {values!r} must be a list of numbers, such as [0, 0.1, 0.2]") from None
    for value in listed:
        if not (smallest <= value <= largest and value < float("inf")):
            limits = f"[{smallest:g}, {largest:g}" + ("]" if largest < float("inf") else ")")
            raise InputError(f"{name} holds {value}, outside {limits}: {why}")
    if not listed or any(after <= before for before, after in pairwise(listed)):
        raise InputError(f"{name} = {listed} must be at least one number, each larger than the one before: sort them")
    return np.array(listed, dtype=np.float64)


def check_confidence(confidence: float) -> None:
    """Raises InputError unless confidence is in (0, 1)."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence = {confidence} is outside (0, 1): write 0.95 for 95 %")


def check_settings(*, confidence: float, seed: int) -> None:
    """Raises InputError unless confidence is in (0, 1) and seed an integer in [0, 2^63)."""
    check_confidence(confidence)
    if not (isinstance(seed, (int, np.integer)) and 0 <= seed < 2**63):
        raise InputError(f"seed = {seed!r} must be an integer in [0, 2^63)")


def check_counts(**counts: int) -> None:
    """Raises InputError unless each of `counts` is an integer of at least 1."""
    for name, count in counts.items():
        checked_count(name, count)


def checked_number(name: str, value: Any, allowed: Callable[[float], bool], interval: str) -> float:
    """value as a float, or InputError that names `interval` unless it is a number and allowed; NaN never is."""
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not allowed(number):
        raise InputError(f"{name} = {value} is outside {interval}")
    return number


def checked_count(name: str, value: int) -> int:
    """value as an int, or InputError unless it is an integer >= 1."""
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1 or isinstance(value, bool):
        raise InputError(f"{name} = {value!r} must be an integer of at least 1")
    return count


def read_epsilon(text: str) -> float:
    """An epsilon as people write it: 0.1 or 8/255. Raises InputError."""
    above, slash, below = text.partition("/")
    try:
        epsilon = float(above) / float(below if slash else 1)
    except (ValueError, ZeroDivisionError):
        epsilon = float("nan")
    if not math.isfinite(epsilon):
        raise InputError(f"epsilon = {text!r} is no number: write 0.1, or 8/255")
    return epsilon
