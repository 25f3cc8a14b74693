"""The networks, by name. No softmax is at their end, for cross-entropy and the attacks take logits; pixels are
normalised, where they are, by a layer inside the network. `mnist` and `cifar` have the builders and their sources."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from invrob.empirical.models.cifar import gcnn_vgg16, madry_resnet, vgg16
from invrob.empirical.models.layers import is_integer, is_number
from invrob.empirical.models.mnist import gcnn, madry_lenet, stdcnn
from invrob.errors import InputError, did_you_mean

MODELS: dict[str, Callable[..., nn.Module]] = {
    "stdcnn": stdcnn,
    "gcnn": gcnn,
    "vgg16": vgg16,
    "gcnn_vgg16": gcnn_vgg16,
    "madry_lenet": madry_lenet,
    "madry_resnet": madry_resnet,
}
P4_MODELS = ("gcnn", "gcnn_vgg16")  # exactly equivariant to 90-degree turns up to their head


def build(name: str, *, seed: int = 0, **options: object) -> nn.Module:
    """Build a network by its name, untrained: images float [N, C, S, S] in [0, 1] -> logits [N, K].

    It is on the CPU and in train mode; the caller's random state is left as it was.

    Args:
        name: one of `MODELS`: "stdcnn", "gcnn", "vgg16", "gcnn_vgg16", "madry_lenet" or "madry_resnet".
        seed: of the weights, in [0, 2^64): same seed, same bits.
        options: in_channels and size of the images (1 and 28 for the networks made for MNIST, else 3 and 32),
            classes = 10, width = 1 (multiplies the channels and hidden units; the paper's is 1), dropout, normalization
            (one of `NORMALIZATIONS`), and those of the builder itself, such as head.

    Returns:
        nn.Module: the network.

    Raises:
        InputError: for an unknown name or option, and for values outside the builder's ranges.

    Example:
        >>> import torch
        >>> from invrob.empirical.models import build
        >>> build("gcnn", head="invariant", width=0.5).eval()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """
    if name not in MODELS:
        raise InputError(
            f"model {name!r} is unknown{did_you_mean(str(name), MODELS)}; "
            f"choose one of {', '.join(MODELS)}, or pass your own nn.Module where a model is asked for"
        )
    known = inspect.signature(MODELS[name]).parameters
    for option in options:
        if option not in known:
            raise InputError(
                f"option {option!r} of model {name!r} is unknown{did_you_mean(option, known)}; "
                f"its options are {', '.join(known)}"
            )
    if not (is_integer(seed) and 0 <= seed < 2**64):
        raise InputError(f"seed = {seed!r} must be an integer in [0, 2^64)")
    _check_options(options)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(int(seed))  # torch.manual_seed would touch the GPU's state as well
        return MODELS[name](**options)


def _check_options(options: dict[str, Any]) -> None:
    for name, low in (("in_channels", 1), ("classes", 2), ("size", 1)):
        value = options.get(name, low)
        if not (is_integer(value) and value >= low):
            raise InputError(f"{name} = {value!r} must be an integer of at least {low}")
    width, dropout = options.get("width", 1), options.get("dropout", 0)
    if not (is_number(width) and 0 < width < math.inf):
        raise InputError(
            f"width = {width!r} must be a finite number above 0: 1 is the paper's, 0.25 a quarter of its channels"
        )
    if not (is_number(dropout) and 0 <= dropout < 1):
        raise InputError(f"dropout = {dropout!r} must be a number in [0, 1): 0 switches it off")
