"""Frozen dataclasses that go to JSON and come back equal, to the bit."""

import json
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import lru_cache, partial
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np

from invrob.checks import Array
from invrob.errors import InputError

if TYPE_CHECKING:
    Numbers = Array
    Levels = Array
    Unbounded = float
else:  # fields of records, and how a file's lists become them
    from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt

    INFINITIES = {"Infinity": float("inf"), "-Infinity": float("-inf")}
    Numbers = Annotated[list[float], AfterValidator(np.array)]
    Levels = Annotated[list[NonNegativeInt], AfterValidator(partial(np.array, dtype=np.int64))]
    Unbounded = Annotated[
        float,
        Field(allow_inf_nan=True),
        BeforeValidator(lambda value: INFINITIES.get(value, value) if isinstance(value, str) else value),
    ]

PER_IMAGE = ("per_image", "levels", "right")  # fields with a number for each image; the others have one for each value


def unbounded(value: float) -> float | str:
    """A number of an `Unbounded` field as JSON holds it, which has no infinity: "Infinity" and "-Infinity" stand for
    it."""
    return value if isfinite(value) else "Infinity" if value > 0 else "-Infinity"


class Record:
    """A frozen dataclass that goes to JSON and comes back equal: `T.from_dict(record.to_dict()) == record`."""

    # No text stands for a number, nor true for 1.
    __pydantic_config__: ClassVar[dict[str, bool]] = {"strict": True, "allow_inf_nan": False}

    def __post_init__(self) -> None:
        fields = vars(self).items()
        lengths = {len(v) for name, v in fields if isinstance(v, np.ndarray) and name not in PER_IMAGE}
        if len(lengths) > 1 or 0 in lengths:
            raise InputError("its lists need a number for each value, and at least one")

    def to_dict(self) -> dict[str, Any]:
        """All of it in lists, numbers and strings, ready for `json.dumps(..., allow_nan=False)`."""
        return {name: _plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The record that `to_dict` wrote, also after a way through JSON. Keys that are no fields are passed over.

        Raises InputError where a field is missing or is not what it should be, a NaN or an infinity included."""
        from pydantic import ValidationError

        try:
            record: Self = _reader(cls)(json.dumps(plain))  # type: ignore[arg-type]  # a class is hashable
            return record
        except ValidationError as error:
            fault = error.errors()[0]
            text = ": ".join([".".join(map(str, fault["loc"])), fault["msg"]]).removeprefix(": ")
        except (TypeError, ValueError, OverflowError) as error:
            text = str(error)
        raise InputError(f"this is no {cls.__name__}: {text[:200]}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(map(_equal, vars(self).values(), vars(other).values()))

    def __hash__(self) -> int:
        return hash(tuple(value for value in vars(self).values() if not isinstance(value, (np.ndarray, dict))))


@lru_cache
def _reader(cls: type[Any]) -> Callable[[str], Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cls).validate_json


def _equal(a: Any, b: Any) -> bool:
    return np.array_equal(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else bool(a == b)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Record):
        return value.to_dict()
    if is_dataclass(value):
        return {name: _plain(field) for name, field in vars(value).items()}
    if isinstance(value, dict):
        return {name: _plain(field) for name, field in value.items()}
    if hasattr(value, "model_dump"):  # of pydantic
        return value.model_dump(mode="json")
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
