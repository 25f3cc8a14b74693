"""The builders of users' networks that this process may call, by their spec.

An experiment or a run directory names such a builder, and a name alone runs nothing: somebody must have put the builder
here, by `--import` on the command line or by handing it to `invrob.experiment`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from shlex import quote
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from invrob.empirical.models.described import sum_of
from invrob.empirical.models.named import Named, canonical, factory_arguments, import_named, place_of
from invrob.errors import InputError

Code = tuple[str, str, str]  # spec, the place where another process finds it, SHA-256 of its source

BUILDERS: dict[str, Named] = {}
_trusted: list[str] = []  # modules that the user lets run where a stored network was built by one of them


def is_own(model: str) -> bool:
    """Whether the name of a model is the spec of a user's builder, and none of the paper's networks."""
    return ":" in model


def allow(
    specs: Sequence[str], allowed: Sequence[str], sources: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Import the builders `specs`, each of which must be of one of the modules or files `allowed` by the user.

    sources: by which a run knows them already, perhaps by their text, as those that were handed over from Python.

    Returns spec -> SHA-256 of its source. Raises InputError, and imports nothing, where one is not allowed."""
    for spec in specs:
        if not any(covers(one, spec) for one in allowed):
            raise InputError(f"model {spec!r} is code of your own, which runs only where you name it: {_way_out(spec)}")
    for spec in specs:
        named = import_named(spec)
        BUILDERS[spec] = _known_by(named, sources.get(spec, "")) or named
    return {spec: BUILDERS[spec].source for spec in specs}


def covers(allowed: str, spec: str) -> bool:
    """Whether a user who named `allowed` meant the module of `spec`: the same file, or a module of that package."""
    given, wanted = canonical(allowed), canonical(spec.rpartition(":")[0])
    return given == wanted or (not given.endswith(".py") and wanted.startswith(given + "."))


@contextmanager
def lent(factories: Mapping[str, Named]) -> Iterator[None]:
    """These builders may be called inside the block."""
    before = dict(BUILDERS)
    BUILDERS.update(factories)
    try:
        yield
    finally:
        BUILDERS.clear()
        BUILDERS.update(before)


@contextmanager
def trusting(modules: Sequence[str]) -> Iterator[None]:
    """Inside the block these modules or files may be imported for a stored network that one of them has built."""
    _trusted.extend(modules)
    try:
        yield
    finally:
        del _trusted[len(_trusted) - len(modules) :]


def allowed_code() -> tuple[Code, ...]:
    """What another process must be able to call as well. Raises InputError for a builder that has no name there."""
    for spec, named in BUILDERS.items():
        if not named.place:
            raise InputError(
                f"{spec} exists in this process alone: take jobs = 1, or put the function or class into a file of its "
                "own and import it from there"
            )
    return tuple((spec, named.place, named.source) for spec, named in BUILDERS.items())


def adopt(code: Sequence[Code]) -> None:
    """Make the builders of another process those of this one. Raises InputError where the files differ."""
    for spec, place, source in code:
        named = _known_by(import_named(place), source)
        if named is None:
            raise InputError(f"{place} differs from the file with which the run was started: copy that one here")
        BUILDERS[spec] = replace(named, spec=spec, place=place)


def handed_over(spec: str, builder: Any) -> Named:
    """A callable of this process, known by its text, with the place where other processes find it if there is one."""
    return Named(spec, builder, {"": sum_of(builder)}, place_of(builder))


def _known_by(named: Named, source: str) -> Named | None:
    """The builder, known by its files or, as one that was handed over, by its text; None where neither is `source`."""
    by_text = replace(named, files={"": sum_of(named.value)})
    return next((known for known in (named, by_text) if known.source == source), None)


def build_own(
    spec: str, source: str | None, given: Mapping[str, int | None], arguments: Mapping[str, Any], seed: int
) -> nn.Module:
    """The untrained network that a builder makes, on the CPU: same seed, same bits.

    source: the SHA-256 that the code must have; given: as for `factory_arguments`. Raises InputError where the builder
    may not be called, has changed, or returns no module. Its code may raise anything."""
    named = _found(spec, source)
    by = "functools.partial" if "" in named.files else "`arguments`"  # as it was named: in Python, or in a file
    taken = factory_arguments(named, given, arguments, by=by, optional=True)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(int(seed))
        network = named.called(**taken)
    if not isinstance(network, nn.Module):
        raise InputError(f"{spec} returned a {type(network).__name__}: it must return a torch.nn.Module to be trained")
    return network


def _found(spec: str, source: str | None) -> Named:
    """The builder that may be called under this name, or one of a trusted module, wherever that lies now, whose code is
    the one with that sum."""
    named = BUILDERS.get(spec)
    if named is not None and source in (None, named.source):
        return named
    if named is None and not _trusted:
        raise InputError(f"model {spec!r} is code that nobody has allowed to run here: {_way_out(spec)}")
    for module in _trusted:
        named = import_named(f"{module}:{spec.rpartition(':')[2]}")
        if source is None or _known_by(named, source) is not None:
            return named
    raise InputError(
        f"the code of {spec} is not that with which the network was trained: bring its file back, or train again"
    )


def _way_out(spec: str) -> str:
    return f"add --import {quote(spec.rpartition(':')[0])}"
