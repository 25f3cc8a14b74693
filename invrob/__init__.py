"""invrob: what rotation invariance costs a network in adversarial robustness, and the other way round.

The public names are loaded on first use, so that `import invrob` costs next to nothing and never imports torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from invrob.versions import __version__

if TYPE_CHECKING:
    from invrob.empirical.loading.spec import Loaded, load_model
    from invrob.empirical.profiles.black_box import BlackBoxProfile, black_box_profile
    from invrob.empirical.profiles.invariance import InvarianceProfile, invariance_profile
    from invrob.empirical.profiles.robustness import RobustnessProfile, robustness_profile
    from invrob.empirical.profiles.tradeoff import Card, tradeoff
    from invrob.empirical.profiles.worst_case import WorstCaseProfile, worst_case_profile
    from invrob.errors import InputError


_HOMES = {
    "BlackBoxProfile": "invrob.empirical.profiles.black_box",
    "Card": "invrob.empirical.profiles.tradeoff",
    "InputError": "invrob.errors",
    "InvarianceProfile": "invrob.empirical.profiles.invariance",
    "Loaded": "invrob.empirical.loading.spec",
    "RobustnessProfile": "invrob.empirical.profiles.robustness",
    "WorstCaseProfile": "invrob.empirical.profiles.worst_case",
    "black_box_profile": "invrob.empirical.profiles.black_box",
    "invariance_profile": "invrob.empirical.profiles.invariance",
    "load_model": "invrob.empirical.loading.spec",
    "robustness_profile": "invrob.empirical.profiles.robustness",
    "tradeoff": "invrob.empirical.profiles.tradeoff",
    "worst_case_profile": "invrob.empirical.profiles.worst_case",
}

__all__ = [
    "BlackBoxProfile",
    "Card",
    "InputError",
    "InvarianceProfile",
    "Loaded",
    "RobustnessProfile",
    "WorstCaseProfile",
    "__version__",
    "black_box_profile",
    "invariance_profile",
    "load_model",
    "robustness_profile",
    "tradeoff",
    "worst_case_profile",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'invrob' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
