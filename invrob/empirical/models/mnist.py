"""The networks for MNIST. Sources: `stdcnn` and `gcnn`, Table 1 of the paper, with valid padding; `madry_lenet`, Madry
et al. 2018 (arXiv 1706.06083) and their mnist_challenge repository.

All take in_channels >= 1, classes >= 2, size >= 1 (side of the images), width > 0 (multiplies the channels), dropout
in [0, 1) before the last layer, and normalization = "none", "image", "mnist" or "cifar10", a layer in front (see
`layers`). `build` checks them; InputError for a size, a normalization or a head that does not fit."""

import math
from collections.abc import Callable

from torch import nn

from invrob.empirical.groups import GroupPool, P4ConvP4, P4ConvZ2, PlaneMaxPool2d
from invrob.empirical.models.layers import HEADS, check_name, input_layer, scaled
from invrob.errors import InputError


def stdcnn(
    *,
    in_channels: int = 1,
    classes: int = 10,
    size: int = 28,
    width: float = 1.0,
    dropout: float = 0.5,
    normalization: str = "none",
) -> nn.Sequential:
    """The paper's plain network for MNIST (Table 1): 23,010 parameters at the defaults.

    size: at least 16. width multiplies 10, 20 and 50 channels."""
    if size < 16:
        raise InputError(f"size = {size} must be at least 16: four valid 3x3 convolutions and two pools leave no pixel")
    first = input_layer(in_channels, size, normalization)
    narrow, wide, hidden = scaled(width, 10, 20, 50)
    trunk = _trunk((nn.Conv2d, nn.Conv2d, nn.MaxPool2d), in_channels, narrow, wide)
    features = wide * (((size - 4) // 2 - 4) // 2) ** 2
    return nn.Sequential(first, *trunk, nn.Flatten(), *_head(features, hidden, classes, dropout))


def gcnn(
    *,
    in_channels: int = 1,
    classes: int = 10,
    size: int = 28,
    width: float = 1.0,
    dropout: float = 0.5,
    normalization: str = "none",
    head: str = "flatten",
) -> nn.Sequential:
    """The paper's p4 network for MNIST (Table 1): `stdcnn` with each channel replaced by four, one per 90-degree turn.

    The trunk is exactly equivariant to 90-degree turns. head = "flatten" is the paper's, 89,910 parameters at the
    defaults; its logits are not invariant, for the fully connected layer sees where in the map and under which turn a
    feature was found. head = "invariant" takes the maximum over turns and places first: 26,910 parameters, and logits
    that 90-degree turns leave as they are.
    The other options as in `stdcnn`, but size must be a multiple of 4: the pools are equivariant on even maps only."""
    check_name("head", head, HEADS)
    if size < 16 or size % 4:
        raise InputError(
            f"size = {size} must be a multiple of 4 of at least 16: on other sizes a 2x2 pool meets an odd map and "
            f"breaks the 90-degree symmetry; pad or resize the images to {max(16, math.ceil(size / 4) * 4)}"
        )
    first = input_layer(in_channels, size, normalization)
    narrow, wide, hidden = scaled(width, 10, 20, 50)
    trunk = _trunk((P4ConvZ2, P4ConvP4, PlaneMaxPool2d), in_channels, narrow, wide)
    features = 4 * wide * ((size // 2 - 6) // 2) ** 2
    if head == "invariant":
        trunk, features = [*trunk, GroupPool("max"), nn.AdaptiveMaxPool2d(1)], wide
    return nn.Sequential(first, *trunk, nn.Flatten(), *_head(features, hidden, classes, dropout))


def madry_lenet(
    *,
    in_channels: int = 1,
    classes: int = 10,
    size: int = 28,
    width: float = 1.0,
    dropout: float = 0.0,
    normalization: str = "none",
) -> nn.Sequential:
    """Madry's network for MNIST: 3,274,634 parameters at the defaults; weights truncated normal, std 0.1, biases 0.1.

    width multiplies 32, 64 and 1024 channels. The original has no dropout."""
    narrow, wide, hidden = scaled(width, 32, 64, 1024)
    side = math.ceil(math.ceil(size / 2) / 2)
    network = nn.Sequential(
        input_layer(in_channels, size, normalization),
        *(nn.Conv2d(in_channels, narrow, 5, padding=2), nn.ReLU()),
        nn.MaxPool2d(2, ceil_mode=True),  # TensorFlow's SAME
        *(nn.Conv2d(narrow, wide, 5, padding=2), nn.ReLU()),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        *_head(wide * side * side, hidden, classes, dropout),
    )
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            nn.init.trunc_normal_(parameter, std=0.1, a=-0.2, b=0.2)  # TensorFlow cuts at two standard deviations
        else:
            nn.init.constant_(parameter, 0.1)
    return network


def _trunk(kinds: tuple[Callable[..., nn.Module], ...], in_channels: int, narrow: int, wide: int) -> list[nn.Module]:
    """Table 1 up to its fully connected layers. kinds: the first convolution, those after it, the pool."""
    first, later, pool = kinds
    layers: list[nn.Module] = []
    for before, after in ((in_channels, narrow), (narrow, wide)):
        layers += [
            (later if layers else first)(before, after, 3),
            nn.ReLU(),
            later(after, after, 3),
            nn.ReLU(),
            pool(2),
        ]
    return layers


def _head(features: int, hidden: int, classes: int, dropout: float) -> tuple[nn.Module, ...]:
    return nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
