"""What a callable that lives in a script, a notebook or a test is known by: its text, and all of the user's own that it
rests on."""

import functools
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor

from invrob.empirical.models.sources import is_installed, own_module, sums

PLAIN = (str, bytes, int, float, complex, bool, type(None))


def sum_of(builder: Any) -> str:
    """The SHA-256, in hex, of the text of a function or class, of the values that it has from elsewhere, and of the
    same of every function and class of the user's own that it names.

    It is the same in another process, and another one where something that the callable rests on was edited."""
    return hashlib.sha256("\0".join(_described(builder, {})).encode()).hexdigest()


def _described(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """Pieces of text that say what a value is, without anything that differs from process to process."""
    if isinstance(value, PLAIN):
        yield repr(value)
        return
    if id(value) in seen:
        return
    seen[id(value)] = value  # kept: the id of what is gone may be that of another value
    if isinstance(value, functools.partial):
        yield from _described((value.func, value.args, value.keywords), seen)
    elif isinstance(value, (Tensor, np.ndarray)):
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        yield f"{array.dtype}{array.shape}{hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _described((key, part), seen)
    elif isinstance(value, (tuple, list, set, frozenset)):
        for part in sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value:
            yield from _described(part, seen)
    elif isinstance(value, ModuleType):
        yield from _module(value)
    elif inspect.isclass(value):
        yield from _class(value, seen)
    elif inspect.ismethod(value):
        yield from _described((value.__func__, value.__self__), seen)
    elif inspect.isfunction(value):
        yield from _function(value, seen)
    else:
        yield type(value).__qualname__
        yield from _described(type(value), seen)
        yield from _described(getattr(value, "__dict__", {}), seen)


def _is_own(value: Any) -> bool:
    try:
        return not is_installed(inspect.getfile(value))
    except (TypeError, OSError):
        return getattr(value, "__module__", None) == "__main__"


def _text(value: Any) -> str:
    """The text of a function or class; the bytecode of a lambda, whose text is that of the whole statement around it,
    and of what was typed into Python itself."""
    try:
        if value.__name__ != "<lambda>":
            return inspect.getsource(value)
    except (OSError, TypeError):
        pass
    code = getattr(value, "__code__", None)
    return f"{value.__qualname__}{_bytecode(code) if code else ''}"


def _bytecode(code: CodeType) -> str:
    constants = [_bytecode(const) if isinstance(const, CodeType) else _constant(const) for const in code.co_consts]
    return f"{code.co_code.hex()}{code.co_names}{constants}"


def _constant(value: Any) -> str:
    return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)


def _names(code: CodeType) -> set[str]:
    nested = (_names(const) for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*nested)


def _function(function: Any, seen: dict[int, Any]) -> Iterator[str]:
    function = inspect.unwrap(function)
    yield f"{function.__module__ if not _is_own(function) else ''}{function.__qualname__}"
    if not _is_own(function):
        return
    yield _text(function)
    yield from _described((function.__defaults__, function.__kwdefaults__), seen)
    for cell in function.__closure__ or ():
        yield from _described(_content(cell), seen)
    for name in sorted(_names(function.__code__) & function.__globals__.keys()):
        yield name
        yield from _described(function.__globals__[name], seen)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is not filled yet
        return None


def _class(of: type, seen: dict[int, Any]) -> Iterator[str]:
    yield of.__qualname__
    if not _is_own(of):
        return
    yield _text(of)
    for base in of.__mro__[1:]:
        yield from _described(base, seen)
    for name, member in sorted(vars(of).items()):
        inner = getattr(member, "__func__", getattr(member, "fget", member))
        if inspect.isfunction(inner) or isinstance(inner, (Tensor, np.ndarray, *PLAIN)):
            yield from (name, *_described(inner, seen))


def _module(module: ModuleType) -> Iterator[str]:
    yield module.__name__
    file = getattr(module, "__file__", None)
    if file is not None and not is_installed(file) and module.__name__.partition(".")[0] != "invrob":
        own = own_module(module.__name__, [Path(file).parent], Path(file))
        yield from sums(own.files).values()
