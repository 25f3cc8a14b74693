"""Names that users write on the command line and in files, known before PyTorch is loaded.

What they stand for is in the rooms; a test holds these names against what is there."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from invrob.errors import InputError, did_you_mean
from invrob.files import expanded

PRESETS = ("smoke", "mini", "both", "paper-mnist", "paper-cifar")  # experiments
NORMS = ("linf", "l2")
TRANSFORMATIONS = (
    "rotation",
    "translation",
    "scaling",
    "shear",
    "rotation+translation",
    "horizontal-flip",
    "vertical-flip",
)
WEAK = ("paper", "softmax", "fixed-step", "few-steps", "one-step", "noise", "half")  # attacks that flatter a model

AVERAGE, GRID = "average", "grid"  # adversaries, beside the worst of so many random changes
WORST_OF = re.compile(r"worst-of-0*([1-9][0-9]{0,5})", re.ASCII)


def check_preset(name: str) -> None:
    """Raises InputError where no preset has this name."""
    if name not in PRESETS:
        near = did_you_mean(name, PRESETS)
        raise InputError(f"preset {name!r} is unknown{near}; choose one of {', '.join(PRESETS)}, or use --config")


def check_norm(name: object) -> None:
    """Raises InputError where no norm has this name."""
    if not (isinstance(name, str) and name in NORMS):
        raise InputError(f"norm {name!r} is unknown: choose one of {', '.join(NORMS)}{did_you_mean(str(name), NORMS)}")


def check_transformation(name: object, asked_as: str = "transformation") -> None:
    """Raises InputError where no transformation has this name; asked_as: where its text says that the name comes
    from."""
    if not (isinstance(name, str) and name in TRANSFORMATIONS):
        near = did_you_mean(str(name), TRANSFORMATIONS)
        raise InputError(f"{asked_as} {name!r} is unknown{near}: use {', '.join(TRANSFORMATIONS)}")


def check_adversary(name: object, asked_as: str = "against =") -> None:
    """Raises InputError for what is neither "average", "grid" nor such as "worst-of-10"; asked_as: likewise."""
    if name not in (AVERAGE, GRID) and not WORST_OF.fullmatch(str(name)):
        raise InputError(
            f"{asked_as} {name!r} is unknown: use 'average', 'grid', or 'worst-of-10' for ten random changes"
        )


def check_weak(name: str) -> None:
    """Raises InputError where no weak attack has this name."""
    if name not in WEAK:
        raise InputError(f"attack {name!r} is unknown{did_you_mean(name, WEAK)}; choose from {', '.join(WEAK)}")


def is_file(source: str) -> bool:
    """Whether the part of a spec before the colon is the path of a Python file, and no dotted name."""
    return source.endswith(".py") or "/" in source or "\\" in source


def check_source(source: str) -> None:
    """Raises InputError where the file or the module that the part of a spec before the colon names is not there;
    nothing is imported."""
    if is_file(source):
        path = expanded(source).resolve()
        if not path.is_file():
            raise InputError(f"{path} is not there: name the Python file, or pkg.module:callable")
        return
    top = source.partition(".")[0]
    if not (Path(top).exists() or Path(f"{top}.py").exists() or top in sys.modules or find_spec(top)):
        raise InputError(not_here(top))


def not_here(module: str) -> str:
    """What is said of a module that is neither installed nor in the current folder."""
    return (
        f"module {module!r} is not here: it must be installed or in the current folder; a file elsewhere is named by "
        "its path, such as ./folder/mynet.py:build"
    )
