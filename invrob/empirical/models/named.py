"""Code of users by name: "pkg.module:callable", "mynet.py:build" or "./folder/mynet.py:build".

Importing runs the module and all that it imports. So it happens only where a user has named it."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from invrob.errors import InputError, did_you_mean

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


def import_named(spec: str) -> Named:
    """Import what "pkg.module:callable" or "path/to/file.py:callable" names; modules of the current folder are found.

    Raises InputError where there is no such module, file or name. The code of the module may raise anything."""
    source, _, attribute = spec.rpartition(":")
    if not source or not attribute:
        raise InputError(f"{spec!r} names no code: write pkg.module:callable or mynet.py:callable")
    module = _from_file(Path(source).expanduser()) if is_file(source) else _from_name(source, (Path.cwd(),))
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            near = did_you_mean(part, [name for name in dir(value) if not name.startswith("_")])
            raise InputError(f"module {module.__name__!r} has no {attribute!r}{near}")
        value = getattr(value, part)
    return Named(spec, value, _sources(module, value))


def is_file(source: str) -> bool:
    """Whether the part of a spec before the colon is the path of a Python file, and no dotted name."""
    return source.endswith(".py") or "/" in source or "\\" in source


def module_name(spec: str) -> str:
    """The name of the module in a spec, as `import` would have it: "mynet" of "./folder/mynet.py:build"."""
    source = spec.rpartition(":")[0] or spec
    return Path(source).stem if is_file(source) else source


def call_factory(named: Named, given: Mapping[str, int | None], arguments: Mapping[str, Any], *, by: str) -> Any:
    """Call the factory with `arguments`, and with the numbers in `given` that it cannot be called without.

    given: "classes", "channels" and "size" of the data, None where nobody knows; a factory may use another usual name
    for each (ALIASES). by: how the user gives arguments, for the errors. Raises InputError, with the factory's
    signature, for an argument that it does not have and for one that is missing."""
    return named.value(**factory_arguments(named, given, arguments, by=by))


def factory_arguments(
    named: Named, given: Mapping[str, int | None], arguments: Mapping[str, Any], *, by: str, optional: bool = False
) -> dict[str, Any]:
    """What `call_factory` calls the factory with. optional: also arguments with a default get their number in
    `given`."""
    parameters = _parameters(named.value)
    if parameters is None:  # written in C: it has no signature to hold the arguments against
        return dict(arguments)
    signature = f"{named.spec}({', '.join(map(str, parameters.values()))})"
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in arguments:
            if name not in parameters:
                raise InputError(f"{signature} has no argument {name!r}{did_you_mean(name, parameters)}: correct {by}")
    taken = dict(arguments)
    for name, parameter in parameters.items():
        number = given.get(KNOWN.get(name, ""))
        if name not in taken and number is not None and (optional or parameter.default is parameter.empty):
            taken[name] = number
    missing = [name for name in required(named.value) if name not in taken]
    if missing:
        example = ",".join(f"{name}=..." for name in missing)
        text = f"cannot be called without the argument{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise InputError(f"{signature} {text}: give {example} by {by}, or name a function without any")
    return taken


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


def _from_file(path: Path) -> ModuleType:
    """The module in a Python file; a file of a package is imported as a part of it."""
    path = path.resolve()
    if not path.is_file():
        raise InputError(f"{path} is not there: name the Python file, or pkg.module:callable")
    for module in list(sys.modules.values()):  # by its file: two files may share a name
        if getattr(module, "__file__", None) and Path(str(module.__file__)) == path and module.__name__ != "__main__":
            return module
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        root, parts = root.parent, [root.name, *parts]
    name = ".".join(parts)
    if len(parts) > 1 or (name.isidentifier() and not _is_taken(name, path)):
        module = _from_name(name, (root,))
        if Path(str(module.__file__)).resolve() == path:
            return module
    return _from_location(path, f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}")


def _is_taken(name: str, path: Path) -> bool:
    """Whether `import name` would give another file than `path`, or a module that is there already."""
    if name in sys.modules:
        return True
    with importable_from(path.parent):
        found = importlib.util.find_spec(name)
    return found is None or found.origin is None or Path(found.origin).resolve() != path


def _from_location(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file: its name must end in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with importable_from(path.parent), _staying(name):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_name(name: str, folders: tuple[Path, ...]) -> ModuleType:
    with importable_from(*folders), _staying(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name + ".").startswith(error.name + "."):
                raise  # something that the module itself imports
            raise InputError(
                f"module {error.name!r} is not here: it must be installed or in the current folder; a file elsewhere "
                "is named by its path, such as ./folder/mynet.py:build"
            ) from None


@contextmanager
def _staying(name: str) -> Iterator[None]:
    try:
        yield
    except SystemExit:
        raise InputError(
            f"module {name!r} ended the process as it was imported: put what it does under if __name__ == '__main__'"
        ) from None


@contextmanager
def importable_from(*folders: Path) -> Iterator[None]:
    """These folders come first on the path inside the block, as the current one does with `python -m`."""
    added = [str(folder) for folder in folders]
    sys.path[:0] = added
    try:
        importlib.invalidate_caches()  # a file may have been written a moment ago
        yield
    finally:
        for folder in added:
            with suppress(ValueError):  # the module itself may have taken it out
                sys.path.remove(folder)


def _sources(module: ModuleType, value: Any) -> dict[str, str]:
    """The files of the module and of the callable, which may come from another one, with their sums."""
    places = [getattr(module, "__file__", None)]
    with suppress(TypeError, OSError):
        places.append(inspect.getsourcefile(inspect.unwrap(value) if callable(value) else type(value)))
    files = [Path(place) for place in places if place]
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in dict.fromkeys(files) if f.is_file()}
