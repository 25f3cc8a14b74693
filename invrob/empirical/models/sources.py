"""The files of a user's code: which of them a module is made of, and how they are imported.

What a network is known by are the files that its module and all that it imports of the user's own are written in. They
are found by reading the `import` statements, so that nothing runs, and that the answer does not depend on what this
process has imported before. They are then executed as they stand on the disk, each set of them by itself: two folders
may have modules of one name, and a file that was edited is a new one, also in a process that has imported it before."""

import ast
import hashlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

NOT_OWN = {*sys.stdlib_module_names, "invrob"}
INSTALLED = {"site-packages", "dist-packages"}
Places = dict[str, Path]  # module -> its file, or the folder of a package without __init__.py


@dataclass(frozen=True, eq=False)
class Own:
    """A module of the user's own, with all of the user's own that it imports."""

    name: str
    places: Places  # empty where the module is installed
    roots: tuple[Path, ...]  # the folders that they are imported from

    @property
    def files(self) -> list[Path]:
        """The files that it is made of, its own first."""
        return [place for place in self.places.values() if place.is_file()]

    def module(self) -> ModuleType:
        """The module as its files are now; executed once in a process for the same files. Its code may raise
        anything."""
        with self.importable():
            return importlib.import_module(self.name)

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Inside the block `import` finds what belongs to the module, in the state of its files, and whatever else lies
        in its folders. Modules of other files that have the same names come back afterwards."""
        ours = _executed.setdefault(tuple(sums(self.files).items()), {})
        aside = {name: sys.modules.pop(name) for name in self.places if name in sys.modules}
        sys.modules.update(ours)
        finder: Any = _Finder(self.places)
        sys.meta_path.insert(0, finder)
        try:
            with _first_on_path(self.roots):
                yield
        finally:
            sys.meta_path.remove(finder)
            ours.update({name: sys.modules[name] for name in self.places if name in sys.modules})
            sys.modules.update({name: module for name, module in aside.items() if not _is_executed_here(module)})


_executed: dict[tuple[tuple[str, str], ...], dict[str, ModuleType]] = {}  # by the files and their sums


def own_module(name: str, roots: Sequence[Path], file: Path | None = None) -> Own:
    """The module `name` of one of the folders `roots`, or the one in `file`, and all of these folders that it
    imports."""
    folders = [root for root in roots if not INSTALLED & set(root.parts)]
    found: Places = {}
    waiting = [name]
    while waiting:
        module = waiting.pop(0)
        if module in found:
            continue
        place = file if file is not None and not found else _place(module, folders)
        if place is None:
            continue
        found[module] = place
        if "." in module:
            waiting.append(module.rpartition(".")[0])  # importing a part of a package runs the package as well
        if place.is_file():
            waiting += _imports(place, module)
    return Own(name, found if name in found else {}, tuple(roots))


def is_installed(file: str | Path) -> bool:
    """Whether a file is of a package that is installed, or of Python itself."""
    return bool(INSTALLED & set(Path(file).parts)) or Path(file).is_relative_to(Path(ast.__file__).parent)


def sums(files: Sequence[Path]) -> dict[str, str]:
    """Path -> SHA-256 of each of the files."""
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _is_taken(top: str) -> bool:
    """Whether that is a module of Python, of this package, or of one that is installed and was imported already."""
    module = sys.modules.get(top)
    if top in NOT_OWN or module is None:
        return top in NOT_OWN
    file = getattr(module, "__file__", None)
    return not hasattr(module, "__path__") if file is None else is_installed(file)


def _place(name: str, roots: Sequence[Path]) -> Path | None:
    """Where the module lies in one of the folders; None for one that does not, or is another's."""
    top = name.partition(".")[0]
    if _is_taken(top):
        return None
    for root in roots:
        place = root.joinpath(*name.split("."))
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                return file
    elsewhere = PathFinder.find_spec(top)
    if elsewhere is not None and elsewhere.origin is not None:
        return None  # what is installed goes before a folder without __init__.py
    return next((place for root in roots if (place := root.joinpath(*name.split("."))).is_dir()), None)


def _imports(file: Path, name: str) -> Iterator[str]:
    """The names of modules in the `import` statements of a file, wherever they stand in it; some name no module."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # importing it will say so
        return
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [above, node.module]))
            yield from (part for part in (base, *(f"{base}.{alias.name}" for alias in node.names)) if part.strip("."))


class _FromText(SourceFileLoader):
    """Compiles what stands in the file now: a .pyc beside it may be of an earlier text of the same second."""

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder:
    """Finds the modules of `places`, and no other."""

    def __init__(self, places: Places) -> None:
        self.places = places

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        place = self.places.get(name)
        if place is None:
            return None
        if place.is_dir():
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        inside = [str(place.parent)] if place.name == "__init__.py" else None
        loader = _FromText(name, str(place))
        return spec_from_file_location(name, place, loader=loader, submodule_search_locations=inside)


def _is_executed_here(module: ModuleType) -> bool:
    return isinstance(getattr(module, "__loader__", None), _FromText)


@contextmanager
def _first_on_path(folders: Sequence[Path]) -> Iterator[None]:
    added = [str(folder) for folder in folders]
    sys.path[:0] = added
    try:
        importlib.invalidate_caches()  # a file may have been written a moment ago
        yield
    finally:
        for folder in added:
            with suppress(ValueError):  # the module itself may have taken it out
                sys.path.remove(folder)
