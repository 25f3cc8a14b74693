"""What is at fault where a model raises for two images: an argument, a dtype, a device, their number, or their size."""

import re
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from invrob.empirical.loading import Loaded

ARGUMENTS = re.compile(r"missing \d+ required (positional|keyword-only) arguments?: (?P<names>.+)|takes .+ were given")
DEVICES = re.compile(r"same device|on device|device mismatch|\b(cpu|cuda:\d+)\b.+\b(cpu|cuda:\d+)\b")
SIZES = re.compile(
    r"\bfits?\b|sizes?\b|shapes?\b|dimension|channels?\b|kernel|cannot be multiplied|\bview\b|must match",
    re.I,
)
GRADIENTS = re.compile(r"requires[ _]grad|grad_fn|\.grad\(|differentiable|derivative|backward", re.I)
NUMBERS = (1, 4, 8, 16, 32, 64, 128)  # of images at a time that a network may have been made for


def about_images(error: Exception, loaded: "Loaded", images: "Tensor") -> str:
    """What may be wrong with `images` for a model that raised `error` for them, and the way out."""
    from invrob.empirical.inference import floating_dtypes, is_about_dtypes

    shape, text = [*images.shape], " ".join(str(error).split())
    described = f"images are {shape}"
    if isinstance(error, TypeError) and (found := ARGUMENTS.search(text)) and _is_of_the_call(text, loaded):
        asked = f" needs {found['names']} as well" if found["names"] else " takes another number of arguments"
        return f"the model is called with images alone, and{asked}: give further arguments a default, or wrap the model"
    if DEVICES.search(text):
        return (
            f"images and weights are on {loaded.device}; what forward() makes itself must be, too: register_buffer "
            "moves with the network, and torch.zeros(..., device=x.device) is where the images are"
        )
    if is_about_dtypes(error):
        held = ", ".join(str(dtype).removeprefix("torch.") for dtype in floating_dtypes(loaded.model)) or "unknown"
        return (
            f"images are {str(images.dtype).removeprefix('torch.')}, weights and buffers {held}, and no single dtype "
            "suits all layers: model.float() makes them one"
        )
    if GRADIENTS.search(text):
        return (
            "the model differentiates by itself, and is asked without gradients: put what does so under "
            "`with torch.enable_grad():` in its forward()"
        )
    if channels := _channels(loaded, images):
        return f"{described}, and the network takes C = {channels}: {_way_to_channels(shape[1], channels)}"
    if number := _number(loaded, images):
        return (
            f"it answers for {number} images at a time and not for {len(images)}: from invrob.empirical.inference "
            f"import FixedBatch; model = FixedBatch(model, {number})"
        )
    if not SIZES.search(text):
        return described
    if loaded.size is not None:
        return f"{described}, resized to {loaded.size[0]} x {loaded.size[1]} inside the model: try another --size"
    return f"{described}; --size resizes them inside the model"


def without_gradients(error: Exception) -> str:
    """The way out where a model answers, and cannot be attacked by gradients; empty for other errors."""
    if isinstance(error, RuntimeError) and GRADIENTS.search(str(error)):
        return "; where the model cannot be differentiated, --attack black-box measures it"
    return ""


def _channels(loaded: "Loaded", images: "Tensor") -> int | None:
    """How many channels the network takes, where it takes another number than these images have; None where the number
    is not at fault, or nobody knows it."""
    from torch import no_grad

    from invrob.empirical.inference import evaluating, logits

    for channels in (1, 3, 4):
        if channels != images.shape[1]:
            with suppress(Exception), evaluating(loaded.model), no_grad():
                logits(loaded.model, images[:, :1].expand(-1, channels, -1, -1))
                return channels
    known = loaded.channels
    return known if known is not None and images.shape[1] not in (1, known) else None


def _way_to_channels(given: int, taken: int) -> str:
    """How images of so many channels come to a network that takes another number."""
    if (given, taken) == (1, 3):
        return "leave --channels keep out, and grey images are repeated"
    if (given, taken) == (3, 1):
        return (
            "give grey images, or make them grey inside the model, "
            "model = torch.nn.Sequential(torchvision.transforms.Grayscale(), model)"
        )
    return "give data with as many channels"


def _is_of_the_call(text: str, loaded: "Loaded") -> bool:
    """Whether a TypeError is about the call of the model itself, and not of a layer inside it."""
    network, caller = getattr(loaded.model, "network", loaded.model), text.partition("(")[0]
    names = [f"{kind.__name__}.forward" for kind in type(network).__mro__] + [getattr(network, "__name__", "forward")]
    return any(caller == name or caller.endswith(f".{name}") for name in names)


def _number(loaded: "Loaded", images: "Tensor") -> int | None:
    """How many images at a time the model answers for, where it takes a fixed number; None where it takes none."""
    from torch import no_grad

    from invrob.empirical.inference import evaluating, logits

    for number in NUMBERS:
        with suppress(Exception), evaluating(loaded.model), no_grad():
            logits(loaded.model, images[:1].expand(number, -1, -1, -1))
            return number
    return None
