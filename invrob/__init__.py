"""invrob: what rotation invariance costs a network in adversarial robustness, and the other way round.

The public names are loaded on first use, so that `import invrob` costs next to nothing and never imports torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from invrob.versions import __version__

if TYPE_CHECKING:
    from invrob.empirical.data import images_of, sample
    from invrob.empirical.loading import Loaded, Preprocessing, load_model
    from invrob.empirical.profiles import (
        PGD,
        Auto,
        BlackBoxProfile,
        Card,
        Grid,
        InvarianceProfile,
        RobustnessProfile,
        Rotation,
        Square,
        Weak,
        WeakProfile,
        WorstCaseProfile,
        WorstOf,
        black_box_profile,
        invariance_profile,
        robustness_profile,
        tradeoff,
        worst_case_profile,
    )
    from invrob.empirical.study import Study, experiment
    from invrob.errors import InputError
    from invrob.saved import load

__all__ = [
    "PGD",
    "Auto",
    "BlackBoxProfile",
    "Card",
    "Grid",
    "InputError",
    "InvarianceProfile",
    "Loaded",
    "Preprocessing",
    "RobustnessProfile",
    "Rotation",
    "Square",
    "Study",
    "Weak",
    "WeakProfile",
    "WorstCaseProfile",
    "WorstOf",
    "__version__",
    "black_box_profile",
    "experiment",
    "images_of",
    "invariance_profile",
    "load",
    "load_model",
    "robustness_profile",
    "sample",
    "tradeoff",
    "worst_case_profile",
]

_PUBLIC = [name for name in __all__ if not name.startswith("_")]
_ELSEWHERE = {
    "Study": "invrob.empirical.study",
    "experiment": "invrob.empirical.study",
    "InputError": "invrob.errors",
    "Loaded": "invrob.empirical.loading",
    "Preprocessing": "invrob.empirical.loading",
    "images_of": "invrob.empirical.data",
    "load": "invrob.saved",
    "load_model": "invrob.empirical.loading",
    "sample": "invrob.empirical.data",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'invrob' has no attribute {name!r}; it has {', '.join(_PUBLIC)}")
    return getattr(import_module(_ELSEWHERE.get(name, "invrob.empirical.profiles")), name)


def __dir__() -> list[str]:
    return __all__
