"""What the package imports is what it asks for: read from its source, held against pyproject.toml."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOR_DEVELOPERS = {"dev", "audit", "docs"}  # extras that no user installs


def plain(name):
    """The name of a distribution as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(source):
    """(top-level names that the source imports at once, all those that it may import later) of other packages."""
    tree, at_once, later = ast.parse(source), set(), set()
    deferred = {node for body in ast.walk(tree) if isinstance(body, ast.FunctionDef) for node in ast.walk(body)}
    deferred |= {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test).endswith("TYPE_CHECKING")
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [word.value for word in node.args[:1] if isinstance(word, ast.Constant)]
        tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"invrob"}
        (later if node in deferred else at_once).update(tops)
    return at_once, later


def test_imports_are_found_wherever_they_stand():
    source = """
import os.path, numpy.linalg
from typing import TYPE_CHECKING
from . import near
from invrob import far
if TYPE_CHECKING:
    import timm
def later():
    from PIL import Image
    importlib.import_module("ray.util")
"""
    assert imported(source) == ({"numpy"}, {"timm", "PIL", "ray"})


@pytest.fixture(scope="module")
def asked():
    """(distributions that everyone gets, those of the extras for users)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(requirements):
        return {plain(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}

    extras = {key: names(value) for key, value in project["optional-dependencies"].items()}
    return names(project["dependencies"]), set().union(*(extras[key] for key in {*extras} - FOR_DEVELOPERS))


@pytest.fixture(scope="module")
def used():
    """(distributions that are imported at once, those imported later) by any module of the package."""
    provides = packages_distributions()
    at_once, later = set(), set()
    for path in (ROOT / "invrob").rglob("*.py"):
        # Modules of this room are loaded when a name of it is asked for, and no sooner.
        first = later if path.parent.name == "integrations" else at_once
        for names, found in zip(imported(path.read_text("utf-8")), (first, later), strict=True):
            found |= {plain(provides.get(name, [name])[0]) for name in names}
    return at_once, later


def test_every_package_that_is_imported_is_a_dependency_or_an_extra(asked, used):
    dependencies, extras = asked
    at_once, later = used
    assert at_once <= dependencies  # an extra would break the import for those who have it not
    assert later <= dependencies | extras | {"pytorch-lightning"}  # that is lightning under its other name


def test_nothing_is_asked_for_that_is_not_imported(asked, used):
    assert set().union(*asked) <= set().union(*used)
