"""The two rates inside the frameworks that people train with: metrics for torchmetrics, a callback for Lightning.

Each name is loaded on first use, so that importing this room needs none of the frameworks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invrob.integrations.callback import ProfilesCallback
    from invrob.integrations.metrics import AdversarialRobustness, RotationInvariance

__all__ = ["AdversarialRobustness", "ProfilesCallback", "RotationInvariance"]

_PLACES = {  # the module of each name, the extra that it needs, and the packages of that extra
    "AdversarialRobustness": ("metrics", "torchmetrics", ("torchmetrics",)),
    "RotationInvariance": ("metrics", "torchmetrics", ("torchmetrics",)),
    "ProfilesCallback": (
        "callback",
        "lightning",
        ("lightning", "pytorch_lightning", "lightning_utilities", "torchmetrics"),
    ),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    module, extra, packages = _PLACES[name]
    try:
        return getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in packages:
            raise
        raise ImportError(f'{name} needs the extra {extra}: pip install "invrob[{extra}]"') from None


def __dir__() -> list[str]:
    return __all__
