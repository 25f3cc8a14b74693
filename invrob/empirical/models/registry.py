"""The networks, by name: `build("stdcnn", seed=0)` -> an nn.Module from images [N, C, S, S] in [0, 1] to logits [N, K].

No softmax at the end: cross-entropy and the attacks take logits. Pixels are normalised, where they are, by a layer
inside the network. The builders and their sources are in `mnist_nets` and `cifar_nets`."""

import inspect
import math
from collections.abc import Callable

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
    """The model `name` of MODELS on the CPU, in train mode, its weights drawn from `seed`: same seed, same bits.

    options: in_channels, size (1 and 28 for the networks made for MNIST, else 3 and 32), classes = 10, width = 1
    (multiplies the channels and hidden units; the paper's is 1), dropout, normalization, and those of the builder
    itself. The caller's random state is left as it was.
    Raises InputError for an unknown name or option, and for values outside the builder's ranges."""
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
    _check_options(**options)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(int(seed))  # torch.manual_seed would touch the GPU's state as well
        return MODELS[name](**options)


def _check_options(
    in_channels: object = 1,
    classes: object = 10,
    size: object = 28,
    width: object = 1.0,
    dropout: object = 0.5,
    **_own: object,
) -> None:
    for name, value, low in (("in_channels", in_channels, 1), ("classes", classes, 2), ("size", size, 1)):
        if not (is_integer(value) and value >= low):
            raise InputError(f"{name} = {value!r} must be an integer of at least {low}")
    if not (is_number(width) and 0 < width < math.inf):
        raise InputError(
            f"width = {width!r} must be a finite number above 0: 1 is the paper's, 0.25 a quarter of its channels"
        )
    if not (is_number(dropout) and 0 <= dropout < 1):
        raise InputError(f"dropout = {dropout!r} must be a number in [0, 1): 0 switches it off")
