"""Code of users by name: "pkg.module:callable", "mynet.py:build" or "./folder/mynet.py:build".

Importing runs the module and all that it imports. So it happens only where a user has named it. `factories` has the
builders of networks that this process may call; what a file or a run directory names is looked up there and never
imported."""

import hashlib
import inspect
import sys
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from invrob.empirical.models.sources import Own, is_installed, own_module, sums
from invrob.errors import InputError, did_you_mean
from invrob.files import expanded
from invrob.names import check_source, is_file, not_here

ALIASES = {  # what a factory may call a number that is known from the data
    "classes": ("classes", "num_classes", "n_classes", "nclasses", "nb_classes", "num_labels", "n_class", "nclass"),
    "channels": ("channels", "in_channels", "num_channels", "n_channels", "in_chans", "input_channels", "in_planes"),
    "size": ("size", "image_size", "img_size", "input_size", "resolution"),
}
KNOWN = {alias: number for number, aliases in ALIASES.items() for alias in aliases}


@dataclass(frozen=True, eq=False)
class Named:
    """What a name stands for, and the files that it came from."""

    spec: str
    value: Any
    files: dict[str, str]  # path of the source -> SHA-256
    place: str = ""  # the spec by which another process finds the same; "" where none can
    own: Own | None = None  # the module, where there is one: the callable may import parts of it as it runs

    @property
    def source(self) -> str:
        """What the code is known by, wherever its files lie: the SHA-256 over theirs, in hex."""
        return hashlib.sha256("".join(sorted(set(self.files.values()))).encode()).hexdigest()

    def called(self, **arguments: Any) -> Any:
        """What the callable returns; it finds the modules of its folder, as at its import."""
        with self.own.importable() if self.own else nullcontext():
            return self.value(**arguments)


def import_named(spec: str) -> Named:
    """Import what "pkg.module:callable" or "path/to/file.py:callable" names; modules of the current folder are found.

    Raises InputError where there is no such module, file or name. The code of the module may raise anything."""
    source, _, attribute = spec.rpartition(":")
    if not source or not attribute:
        raise InputError(f"{spec!r} names no code: write pkg.module:callable or mynet.py:callable")
    own = _located(source)
    module = _imported(own)
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            near = did_you_mean(part, [name for name in dir(value) if not name.startswith("_")]) or _shadowed(
                source, attribute, own
            )
            raise InputError(f"module {module.__name__!r} has no {attribute!r}{near}")
        value = getattr(value, part)
    place = f"{expanded(source).resolve()}:{attribute}" if is_file(source) else spec
    return Named(spec, value, _sources(module, value, own), place, own)


def place_of(value: Any) -> str:
    """The spec by which another process finds a function or class of this one; "" where it cannot, as of what was
    written into a script, a notebook or another function."""
    name, attribute = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or name == "__main__" or not isinstance(attribute, str):
        return ""
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if found is not value:
        return ""
    file = Path(getattr(module, "__file__", None) or "")
    by_file = file.suffix == ".py" and not is_installed(file) and _root_of(file.resolve())[1] == name
    return f"{file.resolve() if by_file else name}:{attribute}"


def _shadowed(source: str, attribute: str, own: Own) -> str:
    """Where a file of the current folder has the name of an installed module, how the file is named."""
    here = Path(f"{source}.py")
    return f"; the file of that name is {here}:{attribute}" if source not in own.places and here.is_file() else ""


def canonical(source: str) -> str:
    """One text for all ways to name a module: the path of its file where that is known without importing anything."""
    if is_file(source):
        return str(expanded(source).resolve())
    here = Path.cwd().joinpath(*source.split(".")).with_suffix(".py")
    return str(here.resolve()) if here.is_file() else source


def module_name(spec: str) -> str:
    """The name of the module in a spec, as `import` would have it: "mynet" of "./folder/mynet.py:build"."""
    source = spec.rpartition(":")[0] or spec
    return Path(source).stem if is_file(source) else source


def call_factory(named: Named, given: Mapping[str, int | None], arguments: Mapping[str, Any], *, by: str) -> Any:
    """Call the factory with `arguments`, and with the numbers in `given` that it cannot be called without.

    given: "classes", "channels" and "size" of the data, None where nobody knows; a factory may use another usual name
    for each (ALIASES). by: how the user gives arguments, for the errors. Raises InputError, with the factory's
    signature, for an argument that it does not have and for one that is missing."""
    return named.called(**factory_arguments(named, given, arguments, by=by))


def factory_arguments(
    named: Named, given: Mapping[str, int | None], arguments: Mapping[str, Any], *, by: str, optional: bool = False
) -> dict[str, Any]:
    """What `call_factory` calls the factory with. optional: also arguments with a default get their number in
    `given`, where that default is one of its kind."""
    parameters = _parameters(named.value)
    if parameters is None:  # written in C: it has no signature to hold the arguments against
        return dict(arguments)
    signature = f"{named.spec}({', '.join(map(str, parameters.values()))})"
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in arguments:
            if name not in parameters:
                raise InputError(f"{signature} has no argument {name!r}{did_you_mean(name, parameters)}: correct {by}")
    taken = dict(arguments)
    bound = named.value.keywords if isinstance(named.value, partial) else {}
    for name, parameter in parameters.items():
        number = given.get(KNOWN.get(name, ""))
        if name in taken or number is None:
            continue
        if parameter.default is parameter.empty:
            taken[name] = number
        elif optional and name not in bound and (instead := _instead(parameter.default, KNOWN[name], number)):
            taken[name] = instead
    missing = [name for name in required(named.value) if name not in taken]
    if missing:
        example = ",".join(f"{name}=..." for name in missing)
        text = f"cannot be called without the argument{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise InputError(f"{signature} {text}: give {example} by {by}, or name a function without any")
    return taken


def _instead(default: Any, known: str, number: int) -> int | tuple[int, int] | None:
    """What stands for a default that says how many classes, channels or pixels there are; None for other defaults, such
    as channels = 64, which is a width, or size = "small"."""
    if known == "size" and isinstance(default, (tuple, list)):
        return (number, number) if len(default) == 2 else None
    if isinstance(default, bool) or not isinstance(default, (int, type(None))):
        return None
    return None if known == "channels" and (default or 0) > 4 else number


def required(value: Any) -> list[str]:
    """The arguments that a callable cannot be called without, by name."""
    found = (_parameters(value) or {}).values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in found if p.default is p.empty and p.kind not in variadic]


def _parameters(value: Any) -> Mapping[str, inspect.Parameter] | None:
    try:
        return inspect.signature(value).parameters
    except (TypeError, ValueError):
        return None


def _root_of(path: Path) -> tuple[Path, str]:
    """The folder from which the module in a file is imported, and its name there: a file of a package is a part of
    it."""
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        root, parts = root.parent, [root.name, *parts]
    return root, ".".join(parts)


def _located(source: str) -> Own:
    """The module that the part of a spec before the colon stands for."""
    here = Path.cwd()
    if not is_file(source):
        return own_module(source, [here])
    check_source(source)
    path = expanded(source).resolve()
    root, name = _root_of(path)
    own = own_module(name, [root, here])
    if own.places.get(name) == path:
        return own
    unique = f"{path.stem.replace('.', '_')}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    return own_module(unique, [root, here], path)  # its name is no name of a module, or another's


def _imported(own: Own) -> ModuleType:
    try:
        return own.module()
    except ModuleNotFoundError as error:
        if error.name is None or not (own.name + ".").startswith(error.name + "."):
            raise  # something that the module itself imports
        raise InputError(not_here(error.name)) from None
    except SystemExit:
        raise InputError(
            f"module {own.name!r} ended the process as it was imported: put what it does under "
            "if __name__ == '__main__'"
        ) from None


def _sources(module: ModuleType, value: Any, own: Own) -> dict[str, str]:
    """The files that the module is made of, and that of the callable, which may be installed, with their sums."""
    written: list[Any] = list(own.files) or [getattr(module, "__file__", None)]
    with suppress(TypeError, OSError):
        written.append(inspect.getsourcefile(inspect.unwrap(value) if callable(value) else type(value)))
    files = [Path(place) for place in written if place]
    return sums([file for file in dict.fromkeys(files) if file.is_file()])
