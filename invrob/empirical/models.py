"""The networks, by name: `build("stdcnn", seed=0)` -> an nn.Module from images [N, C, S, S] in [0, 1] to logits [N, K].

No softmax at the end: cross-entropy and the attacks take logits. Sources: `stdcnn` and `gcnn`, Table 1 of the paper,
with valid padding; `madry_lenet`, Madry et al. 2018 (arXiv 1706.06083) and their mnist_challenge repository."""

import inspect
import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import TypeGuard

import torch
from torch import Tensor, nn

from invrob.empirical.groups import GroupPool, P4ConvP4, P4ConvZ2, PlaneMaxPool2d
from invrob.errors import InputError, did_you_mean

HEADS = ("flatten", "invariant")


class Normalize(nn.Module):
    """(x - mean) / std per channel, as the first layer of a model, so that attacks and profiles stay in [0, 1] pixels.

    mean, std: one number, or one per channel; std > 0. Images [N, C, H, W] float -> the same shape.
    `nn.Sequential(Normalize(0.1307, 0.3081), network)`. Raises InputError for other values, and in forward for images
    with another number of channels."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        means, stds = ([v] if _is_number(v) or not isinstance(v, Sequence) else list(v) for v in (mean, std))
        numbers = all(map(_is_number, means + stds)) and all(map(math.isfinite, means + stds))
        if not (numbers and len(means) == len(stds) > 0 and min(stds) > 0):
            raise InputError(
                f"mean = {mean!r} and std = {std!r} must be finite numbers, one each or one per channel each, with std "
                f"above 0: take those of the training set, in pixels of [0, 1]"
            )
        self.register_buffer("mean", torch.tensor([*map(float, means)]).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor([*map(float, stds)]).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        channels = len(self.mean)
        if images.ndim != 4 or channels not in (1, images.shape[1]):  # broadcasting would invent channels
            raise InputError(f"images {[*images.shape]} must be [N, C, H, W] with C = {channels}, one per mean")
        return (images - self.mean) / self.std

    def extra_repr(self) -> str:
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


class Images(nn.Module):
    """The door of a network: hands images on as they are, or says what it expects of them."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.channels, self.size = channels, size

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1:] != (self.channels, self.size, self.size):
            raise InputError(
                f"images {[*images.shape]} must be [N, {self.channels}, {self.size}, {self.size}]: "
                f"reshape them, or build the model with other in_channels and size"
            )
        if not images.is_floating_point():
            raise InputError(f"images are {images.dtype}: this model takes floats in [0, 1], so pass x / 255")
        return images

    def extra_repr(self) -> str:
        return f"[N, {self.channels}, {self.size}, {self.size}]"


def stdcnn(
    *, in_channels: int = 1, classes: int = 10, size: int = 28, width: float = 1.0, dropout: float = 0.5
) -> nn.Sequential:
    """The paper's plain network for MNIST (Table 1): 23,010 parameters at the defaults.

    in_channels >= 1, classes >= 2, size >= 16 (side of the image), width > 0 (multiplies 10, 20 and 50 channels),
    dropout in [0, 1). `build` checks them all; InputError for a smaller size."""
    narrow, wide, hidden = _widths(width, 10, 20, 50)
    if size < 16:
        raise InputError(f"size = {size} must be at least 16: four valid 3x3 convolutions and two pools leave no pixel")
    side = ((size - 4) // 2 - 4) // 2
    return nn.Sequential(
        Images(in_channels, size),
        nn.Conv2d(in_channels, narrow, 3),
        nn.ReLU(),
        nn.Conv2d(narrow, narrow, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(narrow, wide, 3),
        nn.ReLU(),
        nn.Conv2d(wide, wide, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(wide * side * side, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )


def gcnn(
    *,
    in_channels: int = 1,
    classes: int = 10,
    size: int = 28,
    width: float = 1.0,
    dropout: float = 0.5,
    head: str = "flatten",
) -> nn.Sequential:
    """The paper's p4 network for MNIST (Table 1): `stdcnn` with each channel replaced by four, one per 90-degree turn.

    The trunk is exactly equivariant to 90-degree turns. head = "flatten" is the paper's, 89,910 parameters at the
    defaults; its logits are not invariant, for the fully connected layer sees where in the map and under which turn a
    feature was found. head = "invariant" takes the maximum over turns and places first: 26,910 parameters, and logits
    that 90-degree turns leave as they are.
    The other options as in `stdcnn`, but size must be a multiple of 4: the pools are equivariant on even maps only.
    `build` checks them; InputError for another size or head."""
    if head not in HEADS:
        raise InputError(
            f"head = {head!r} is unknown{did_you_mean(str(head), HEADS)}; choose one of {', '.join(HEADS)}"
        )
    if size < 16 or size % 4:
        raise InputError(
            f"size = {size} must be a multiple of 4 of at least 16: on other sizes a 2x2 pool meets an odd map and "
            f"breaks the 90-degree symmetry; pad or resize the images to {max(16, math.ceil(size / 4) * 4)}"
        )
    narrow, wide, hidden = _widths(width, 10, 20, 50)
    side = (size // 2 - 6) // 2
    invariant = head == "invariant"
    return nn.Sequential(
        Images(in_channels, size),
        P4ConvZ2(in_channels, narrow, 3),
        nn.ReLU(),
        P4ConvP4(narrow, narrow, 3),
        nn.ReLU(),
        PlaneMaxPool2d(2),
        P4ConvP4(narrow, wide, 3),
        nn.ReLU(),
        P4ConvP4(wide, wide, 3),
        nn.ReLU(),
        PlaneMaxPool2d(2),
        *((GroupPool("max"), nn.AdaptiveMaxPool2d(1)) if invariant else ()),
        nn.Flatten(),
        nn.Linear(wide if invariant else wide * 4 * side * side, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )


def madry_lenet(
    *, in_channels: int = 1, classes: int = 10, size: int = 28, width: float = 1.0, dropout: float = 0.0
) -> nn.Sequential:
    """Madry's network for MNIST: 3,274,634 parameters at the defaults; weights truncated normal, std 0.1, biases 0.1.

    in_channels >= 1, classes >= 2, size >= 1, width > 0 (multiplies 32, 64 and 1024 channels), dropout in [0, 1)
    (the original has none). `build` checks them."""
    narrow, wide, hidden = _widths(width, 32, 64, 1024)
    side = math.ceil(math.ceil(size / 2) / 2)
    network = nn.Sequential(
        Images(in_channels, size),
        nn.Conv2d(in_channels, narrow, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),  # TensorFlow's SAME
        nn.Conv2d(narrow, wide, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(wide * side * side, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            nn.init.trunc_normal_(parameter, std=0.1, a=-0.2, b=0.2)  # TensorFlow cuts at two standard deviations
        else:
            nn.init.constant_(parameter, 0.1)
    return network


MODELS: dict[str, Callable[..., nn.Module]] = {"stdcnn": stdcnn, "gcnn": gcnn, "madry_lenet": madry_lenet}


def build(name: str, *, seed: int = 0, **options: object) -> nn.Module:
    """The model `name` of MODELS on the CPU, in train mode, its weights drawn from `seed`: same seed, same bits.

    options: in_channels = 1, classes = 10, size = 28, width = 1 (multiplies the channels and hidden units; the paper's
    is 1), dropout, and those of the builder itself. The caller's random state is left as it was.
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
    if not (_is_integer(seed) and 0 <= seed < 2**64):
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
        if not (_is_integer(value) and value >= low):
            raise InputError(f"{name} = {value!r} must be an integer of at least {low}")
    if not (_is_number(width) and 0 < width < math.inf):
        raise InputError(
            f"width = {width!r} must be a finite number above 0: 1 is the paper's, 0.25 a quarter of its channels"
        )
    if not (_is_number(dropout) and 0 <= dropout < 1):
        raise InputError(f"dropout = {dropout!r} must be a number in [0, 1): 0 switches it off")


def _is_integer(value: object) -> TypeGuard[int]:
    return not isinstance(value, bool) and isinstance(value, Integral)


def _is_number(value: object) -> TypeGuard[float]:
    return not isinstance(value, bool) and isinstance(value, Real)


def _widths(width: float, *channels: int) -> tuple[int, ...]:
    return tuple(max(1, round(width * c)) for c in channels)
