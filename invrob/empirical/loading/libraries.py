"""Networks by the names that torchvision and timm know them by. This runs the libraries' code, and their weights never
execute: timm reads its own, and torchvision's are read here, with `weights_only`.

Only `pretrained` ever downloads: by torchvision's loader, which compares the first eight digits of the SHA-256 that its
file names carry, or by timm's, from its hub."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from invrob.empirical.loading.adapters import Preprocessing
from invrob.empirical.loading.opened import Opened
from invrob.errors import InputError, did_you_mean

T = TypeVar("T")

RANDOM = "the weights are random: neither a file nor the published ones were asked for"
HUB = ("hf_hub:", "hf-hub:")  # how timm calls the hub of Hugging Face


def open_torchvision(name: str, pretrained: bool, classes: int | None, arguments: Mapping[str, Any]) -> Opened:
    """The torchvision classifier `name`; its mean and deviation are those of its published weights.

    pretrained: with those weights and all their classes, resized to what they were trained on; else random ones for
    `classes` classes. arguments: of the network. Raises InputError for an unknown name or argument, and for weights
    that cannot be had."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(_unknown("torchvision", name, known))
    published = models.get_model_weights(name).DEFAULT
    preset = published.transforms()
    options = _classes(None if pretrained else classes) | dict(arguments)
    if name in ("googlenet", "inception_v3"):  # they warn of a slow start, and shift the input of published weights
        options = {"init_weights": False, "transform_input": pretrained} | options
    network = _built(f"torchvision:{name}", lambda: models.get_model(name, weights=None, **options))
    if pretrained:
        state = _downloaded("torchvision", name, lambda: published.get_state_dict(check_hash=True, weights_only=True))
        network.load_state_dict(state)
    fixed = pretrained or name.startswith(("vit_", "maxvit"))  # transformers have positions for one size
    demanded = Preprocessing(preset.mean, preset.std, preset.crop_size[0] if fixed else None)
    return Opened(network, "torchvision", 3, demanded, notes=() if pretrained else (RANDOM,))


def open_timm(name: str, pretrained: bool, classes: int | None, arguments: Mapping[str, Any]) -> Opened:
    """The timm classifier `name`, or "hf_hub:ORG/NAME" of its hub; its mean and deviation are those of timm's
    configuration for it. Otherwise as `open_torchvision`. Needs the extra timm."""
    try:
        import timm
        from timm.models import is_model, list_models
    except ImportError:
        raise InputError(f"timm:{name} needs the extra timm: pip install 'invrob[timm]'") from None
    if name.startswith(HUB):
        _check_hub(name, pretrained)
    elif ":" in name or "/" in name or not is_model(name):
        way = f"; use timm:hf_hub:{name} for one of the hub" if name.count("/") == 1 and ":" not in name else ""
        raise InputError(_unknown("timm", name, list_models()) + way)
    if pretrained:
        network = _downloaded("timm", name, lambda: timm.create_model(name, pretrained=True, **arguments))
    else:
        options = _classes(classes) | dict(arguments)
        network = _built(f"timm:{name}", lambda: timm.create_model(name, pretrained=False, **options))
    about: Any = network.pretrained_cfg
    fixed = pretrained or about.get("fixed_input_size", False)
    channels = int(arguments.get("in_chans", 3))
    mean, std = ([sum(about[key]) / 3] if channels == 1 else about[key] for key in ("mean", "std"))
    demanded = Preprocessing(mean, std, about["input_size"][1:] if fixed else None)
    return Opened(network, "timm", channels, demanded, notes=() if pretrained else (RANDOM,))


def _check_hub(name: str, pretrained: bool) -> None:
    """Raises InputError for a name of the hub that is none, or that is not to be asked."""
    organisation, _, model = name.partition(":")[2].partition("/")
    if not (organisation and model):
        raise InputError(f"timm:{name} names no model of the hub: write timm:hf_hub:ORG/NAME")
    if not pretrained:
        raise InputError(
            f"timm:{name} is a network of the hub, which has to be asked for it: allow that by `pretrained`, or name "
            "one that timm itself knows, timm:NAME"
        )


def _classes(classes: int | None) -> dict[str, Any]:
    return {} if classes is None else {"num_classes": classes}


def _built(spec: str, build: Callable[[], T]) -> T:
    try:
        return build()
    except TypeError as error:
        raise InputError(
            f"{spec} cannot be built ({' '.join(str(error).split())[:200]}): correct `model_args`"
        ) from None


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
