"""A part of an experiment, computed in a folder of its own: the same deal of its cells on every machine."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shard:
    """Which part of an experiment a run directory is for; the others are elsewhere.

    number: from 1 to count; cells: the keys of its cells."""

    number: int
    count: int
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"shard {self.number} of {self.count}"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, which `from_dict` reads."""
        return {"number": self.number, "count": self.count, "cells": list(self.cells)}

    @classmethod
    def from_dict(cls, plain: Any) -> "Shard | None":
        """What `to_dict` wrote; None for anything else, as in the directory of a whole run."""
        if not isinstance(plain, dict):
            return None
        number, count, cells = (plain.get(name) for name in ("number", "count", "cells"))
        if not (isinstance(number, int) and isinstance(count, int) and isinstance(cells, list)):
            return None
        return cls(number, count, tuple(map(str, cells))) if 1 <= number <= count else None
