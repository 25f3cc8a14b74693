"""Networks by the names that torchvision and timm know them by. This runs the libraries' code, and their weights never
execute: timm reads its own, and torchvision's are read here, with `weights_only`.

Only `pretrained` ever downloads: by torchvision's loader, which compares the first eight digits of the SHA-256 that its
file names carry, or by timm's, from its hub."""

from collections.abc import Callable
from typing import Any, TypeVar

from invrob.empirical.loading.adapters import Preprocessing
from invrob.empirical.loading.opened import Opened
from invrob.errors import InputError, did_you_mean

T = TypeVar("T")

RANDOM = "the weights are random: neither a file nor the published ones were asked for"


def open_torchvision(name: str, pretrained: bool, classes: int | None) -> Opened:
    """The torchvision classifier `name`; its mean and deviation are those of its published weights.

    pretrained: with those weights and all their classes, resized to what they were trained on; else random ones for
    `classes` classes. Raises InputError for an unknown name and for weights that cannot be had."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(_unknown("torchvision", name, known))
    published = models.get_model_weights(name).DEFAULT
    preset = published.transforms()
    options = _classes(None if pretrained else classes)
    if name in ("googlenet", "inception_v3"):  # they warn of a slow start, and shift the input of published weights
        options |= {"init_weights": False, "transform_input": pretrained}
    network = models.get_model(name, weights=None, **options)
    if pretrained:
        state = _downloaded("torchvision", name, lambda: published.get_state_dict(check_hash=True, weights_only=True))
        network.load_state_dict(state)
    fixed = pretrained or name.startswith(("vit_", "maxvit"))  # transformers have positions for one size
    demanded = Preprocessing(preset.mean, preset.std, preset.crop_size[0] if fixed else None)
    return Opened(network, "torchvision", 3, demanded, notes=() if pretrained else (RANDOM,))


def open_timm(name: str, pretrained: bool, classes: int | None) -> Opened:
    """The timm classifier `name`; its mean and deviation are those of timm's configuration for it. Otherwise as
    `open_torchvision`. Needs the extra timm."""
    try:
        import timm
        from timm.models import is_model, list_models
    except ImportError:
        raise InputError(f"timm:{name} needs the extra timm: pip install 'invrob[timm]'") from None
    if ":" in name or "/" in name or not is_model(name):  # others are names of a hub, which is asked about them
        raise InputError(_unknown("timm", name, list_models()))
    if pretrained:
        network = _downloaded("timm", name, lambda: timm.create_model(name, pretrained=True))
    else:
        network = timm.create_model(name, pretrained=False, **_classes(classes))
    about: Any = network.pretrained_cfg
    fixed = pretrained or about.get("fixed_input_size", False)
    demanded = Preprocessing(about["mean"], about["std"], about["input_size"][1:] if fixed else None)
    return Opened(network, "timm", 3, demanded, notes=() if pretrained else (RANDOM,))


def _classes(classes: int | None) -> dict[str, Any]:
    return {} if classes is None else {"num_classes": classes}


def _downloaded(library: str, name: str, load: Callable[[], T]) -> T:
    try:
        return load()
    except Exception as error:  # of the network, the hub or the disk: some dozen kinds
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the published weights of {library}:{name} could not be had ({reason}): try again, or give `weights`"
        ) from error


def _unknown(library: str, name: str, known: list[str]) -> str:
    return f"{library} has no model {name!r}{did_you_mean(name, known)} ({len(known)} are known)"
