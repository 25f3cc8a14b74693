"""The networks of an experiment from Python: names of the paper's, and callables that build others."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from invrob.empirical.models import ALIASES, Named, handed_over, is_own, required
from invrob.errors import InputError

Builder = Callable[..., nn.Module]
Models = str | Builder | Sequence[str | Builder] | Mapping[str, Builder]

WAYS = 'name a network of the paper, such as "gcnn", or give the class or function that builds yours'


def networks(models: Any) -> dict[str, Named | None]:
    """The networks by the name or spec that stands for each in tables and files; None is one of the paper's.

    Raises InputError for what names or builds none."""
    found: list[tuple[str, Named | None]]
    if isinstance(models, Mapping):
        found = [_by_name(name, builder) for name, builder in models.items()]
    elif isinstance(models, str | nn.Module) or callable(models):
        found = [_one(models, "models")]
    elif isinstance(models, Iterable) and not isinstance(models, bytes):
        found = [_one(model, f"models[{place}]") for place, model in enumerate(models)]
    else:
        raise InputError(f"models is a {type(models).__name__}: {WAYS}, or several in a list or by name in a dict")
    if not found:
        raise InputError(f"models is empty: {WAYS}")
    named = dict(found)
    if len(named) < len(found):
        twice = next(name for name, _ in found if [other for other, _ in found].count(name) > 1)
        raise InputError(
            f"models holds {twice} twice: leave one out, or tell them apart by name, as in "
            'models = {"small": build_small, "large": build_large}'
        )
    return named


def _by_name(name: Any, builder: Any) -> tuple[str, Named | None]:
    if not isinstance(name, str) or not name:
        raise InputError(f"models has the key {name!r}: give each callable a name that is text, such as mynet")
    if isinstance(builder, str):
        raise InputError(
            f"models: {name} is the text {builder!r}, not a callable that returns a network: name the paper's "
            f"networks in a list, as in models = [{builder!r}, build]"
        )
    _check_callable(builder, f"models: {name}", name)
    spec = _spec(name, builder)
    return spec, handed_over(spec, builder)


def _one(model: Any, what: str) -> tuple[str, Named | None]:
    if isinstance(model, str):
        if is_own(model):
            module, _, attribute = model.rpartition(":")
            line = f"from {module} import {attribute}; models = {attribute}"
            hint = f": {line}" if module.replace(".", "").isidentifier() and attribute.isidentifier() else ""
            raise InputError(f"models names {model!r}: import it, and hand the callable over{hint}")
        return model, None
    _check_callable(model, what)
    inner = model.func if isinstance(model, functools.partial) else model
    spec = _spec(getattr(inner, "__module__", None) or "own", model)
    return spec, handed_over(spec, model)


def _check_callable(builder: Any, what: str, name: str | None = None) -> None:
    """Raises InputError unless `builder` is something to be called for an untrained network."""
    if isinstance(builder, nn.Module):
        line = _line_for(builder)
        line = f"{{{name!r}: {line}}}" if name else line
        raise InputError(
            f"{what} is a {type(builder).__name__} that is built already, and every training starts from an untrained "
            f"network of its own: write models = {line}"
        )
    if not callable(builder):
        raise InputError(f"{what} is a {type(builder).__name__}, not a callable that returns a network: {WAYS}")


def _line_for(network: nn.Module) -> str:
    """What builds such a network: its class, where that needs nothing but what is known from the data."""
    kind = type(network)
    if getattr(nn, kind.__name__, None) is kind:
        return f"lambda: torch.nn.{kind.__name__}(...)"
    known = {alias for aliases in ALIASES.values() for alias in aliases}
    return kind.__name__ if known.issuperset(required(kind)) else f"lambda: {kind.__name__}(...)"


def _spec(name: str, builder: Any) -> str:
    inner = builder.func if isinstance(builder, functools.partial) else builder
    return name if ":" in name else f"{name}:{getattr(inner, '__name__', type(inner).__name__)}"
