"""The house as CONTRIBUTING draws it, held against the code: arrows run down, in no circle, and a private name stays in
its room. The graph is derived from the sources, imports inside functions and under TYPE_CHECKING included."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| (`invrob/.*?) \|", re.MULTILINE)
PLACE = re.compile(r"`(invrob/[\w/.]+)`")


def module_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(file): file.read_text("utf-8") for file in sorted((ROOT / "invrob").rglob("*.py"))}
OUTSIDE = {
    str(file.relative_to(ROOT)): file.read_text("utf-8")
    for folder in ("tests", "tools", "benchmarks")
    for file in sorted((ROOT / folder).rglob("*.py"))
}


def floors():
    """The rooms of CONTRIBUTING's table as dotted names, the top floor first; a row may hold several."""
    rows = ROW.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    named = [
        [
            place.removesuffix("/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            for place in PLACE.findall(row)
        ]
        for row in rows
    ]
    return {room: floor for floor, rooms in enumerate(named) for room in rooms}


FLOORS = floors()


@cache
def room_of(module):
    """The room that a module is in: the longest name of the table that it begins with."""
    rooms = [room for room in FLOORS if module == room or module.startswith(room + ".")]
    return max(rooms, key=len, default=None)


@cache
def nodes(source):
    """All nodes of a module's syntax tree that the checks look at."""
    kinds = (ast.ImportFrom, ast.Import, ast.Attribute, ast.Call)
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]


def imports(sources):
    """(importing module, imported module, imported name) of every import of this package, wherever it stands."""
    for module, source in sources.items():
        for node in nodes(source):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "invrob":
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    yield module, whole if whole in SOURCES else node.module, alias.name
            elif isinstance(node, ast.Import):
                yield from ((module, alias.name, "") for alias in node.names if alias.name.split(".")[0] == "invrob")


def circles(sources):
    graph = {}
    for importer, imported, _ in imports(sources):
        if importer != imported:
            graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def climbing(sources):
    """Imports that run up, or to another room of the same floor."""
    return [
        f"{importer} -> {imported}"
        for importer, imported, _ in imports(sources)
        if room_of(importer) != room_of(imported)
        and FLOORS.get(room_of(importer), -1) >= FLOORS.get(room_of(imported), -1)
    ]


def strangers(sources):
    """Imports between the two halves."""
    halves = ("invrob.theory", "invrob.empirical")
    return [
        f"{importer} -> {imported}"
        for importer, imported, _ in imports(sources)
        if {half for half in halves for end in (importer, imported) if (end + ".").startswith(half + ".")} == {*halves}
    ]


def private(name):
    return name.startswith("_") and not name.endswith("__")


def trespassing(sources):
    """Private names that are imported from another room, or reached through a module of another room."""
    caught = []
    for importer, imported, name in imports(sources):
        parts = [name, *imported.split(".")]
        if any(map(private, parts)) and (room_of(importer) is None or room_of(importer) != room_of(imported)):
            caught.append(f"{importer}: {imported} {name}".strip())
    for module, source in sources.items():
        names = {}  # of a module of another room, under the name that it has here
        for node in nodes(source):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "invrob":
                names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        reached = {n for n, whole in names.items() if whole in SOURCES and room_of(module) != room_of(whole)}
        for node in nodes(source):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in reached:
                caught += [f"{module}: {node.value.id}.{node.attr}"] * private(node.attr)
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setattr":
                words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                target = node.args[0] if node.args else None
                ours = isinstance(target, ast.Name) and target.id in reached
                caught += [
                    f"{module}: setattr {word}"
                    for word in words
                    if (ours or word.startswith("invrob.")) and private(word.split(".")[-1])
                ]
    return caught


def test_every_module_has_a_room_and_every_room_is_there():
    assert len(FLOORS) > 15
    assert {module for module in SOURCES if room_of(module) == "invrob"} == {"invrob", "invrob.empirical"}
    assert [room for room in FLOORS if room not in SOURCES] == []


def test_there_is_no_circle():
    assert circles(SOURCES) == []


def test_every_import_runs_down():
    assert climbing(SOURCES) == []


def test_the_two_halves_do_not_know_each_other():
    assert strangers(SOURCES) == []


def test_no_private_name_leaves_its_room():
    assert trespassing(SOURCES) == []
    assert trespassing(OUTSIDE) == []


@pytest.mark.parametrize("room", [room for room in FLOORS if room.startswith("invrob.empirical.")])
def test_a_room_says_what_belongs_there_and_what_others_may_use(room):
    face = import_module(room)
    assert len(face.__doc__.split()) > 5
    if hasattr(face, "__path__"):
        assert len(face.__all__) == len({*face.__all__}) > 0
        assert [name for name in face.__all__ if private(name) or not hasattr(face, name)] == []


def test_other_rooms_are_entered_by_their_faces():
    rooms = [room for room in FLOORS if room.startswith("invrob.empirical.")]
    faces = {room: {*import_module(room).__all__} for room in rooms if hasattr(import_module(room), "__path__")}
    beside = [
        f"{importer} -> {imported}: {name}"
        for importer, imported, name in imports(SOURCES)
        if room_of(imported) in faces
        and room_of(imported) != room_of(importer)
        and imported != "invrob.empirical.profiles.plots"  # matplotlib, which a face that everybody loads must not load
        and imported not in (room_of(imported), f"{room_of(imported)}.{name}")  # of a function, or of a module
    ]
    assert beside == []
    taken = [
        (room_of(imported), name)
        for _, imported, name in imports(SOURCES)
        if imported in faces and not imported.endswith(name)
    ]
    assert [f"{room}: {name}" for room, name in taken if name not in ("", *faces[room])] == []


def test_the_old_corridor_is_gone():
    flat = {path.stem for path in (ROOT / "invrob/empirical").glob("*.py")}
    assert flat == {"__init__", "groups", "selftest"}


INSIDE = "invrob.empirical.attacks.planted"


@pytest.mark.parametrize(
    ("check", "module", "source"),
    [
        (circles, "invrob.empirical.attacks.norms", "def f():\n    from invrob.empirical.attacks import pgd"),
        (climbing, INSIDE, "from invrob.empirical.profiles import tradeoff"),
        (climbing, INSIDE, "def f():\n    import invrob.commands.profile"),
        (strangers, INSIDE, "from invrob.theory.frontier import frontier_point"),
        (strangers, "invrob.theory.planted", "import invrob.empirical.groups"),
        (trespassing, INSIDE, "from invrob.empirical.inference.memory import _limit"),
        (trespassing, "tests/planted.py", "from invrob.empirical.inference import memory\nmemory._limit.get()"),
        (trespassing, "tests/planted.py", "monkeypatch.setattr('invrob.empirical.inference.memory._limit', 1)"),
    ],
)
def test_what_is_forbidden_is_caught(check, module, source):
    assert check({**SOURCES, module: source})
