"""The face of a room whose modules are imported on first use, so that who asks for little loads little."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazily(face: str, modules: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """The `__getattr__` of a face. For type checkers the same names are imported under TYPE_CHECKING.

    Args:
        face: its `__name__`.
        modules: the modules of the room, each with its names that are public.

    Returns:
        What imports the module of a name, and returns what the name stands for.

    Example:
        >>> from invrob.lazy import lazily
        >>> find = lazily("email", {"utils": ["quote"]})
        >>> find("quote")("Robert 'Bob' Roe")
        "Robert 'Bob' Roe"
    """
    where = {name: f"{face}.{module}" for module, names in modules.items() for name in names}

    def find(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {face!r} has no attribute {name!r}")
        return getattr(import_module(where[name]), name)

    return find
