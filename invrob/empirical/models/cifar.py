"""The networks for CIFAR-10. Sources: `vgg16`, Simonyan & Zisserman 2015 (arXiv 1409.1556) as the paper's authors have
it in the code of their later work: batch norm, and one fully connected layer; `gcnn_vgg16`, the same over p4, at half
the width and so of the same size (the paper does not give its widths); `madry_resnet`, Madry et al. 2018 (arXiv
1706.06083) and their cifar10_challenge repository.

All take in_channels >= 1, classes >= 2, size >= 1 (side of the images), width > 0 (multiplies the channels), dropout
in [0, 1) before the last layer, and normalization = "none", "image", "mnist" or "cifar10", a layer in front (see
`layers`). `build` checks them; InputError for a size, a normalization or a head that does not fit."""

import math
from collections.abc import Callable, Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from invrob.empirical.groups import GroupPool, P4ConvP4, P4ConvZ2, PlaneMaxPool2d
from invrob.empirical.models.layers import HEADS, check_name, input_layer, scaled
from invrob.errors import InputError

_STAGES = (2, 2, 3, 3, 3)  # convolutions before each pool of VGG16
_UNITS = 5  # residual units per stage of the ResNet: 1 + 3 * 5 * 2 + 1 = 32 layers
_SLOPE = 0.1


def vgg16(
    *,
    in_channels: int = 3,
    classes: int = 10,
    size: int = 32,
    width: float = 1.0,
    dropout: float = 0.0,
    normalization: str = "cifar10",
) -> nn.Sequential:
    """The paper's plain network for CIFAR-10: 14,728,266 parameters at the defaults.

    size: a multiple of 32; the last map is averaged. width multiplies 64, 128, 256, 512 and 512 channels. The original
    has no dropout."""
    _check_size(size, 32, "five 2x2 pools halve the map, down to one pixel at 32")
    first = input_layer(in_channels, size, normalization)
    widths = scaled(width, 64, 128, 256, 512, 512)
    trunk = _trunk((nn.Conv2d, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d), in_channels, widths)
    return nn.Sequential(first, *trunk, *_head(dropout, widths[-1], classes))


def gcnn_vgg16(
    *,
    in_channels: int = 3,
    classes: int = 10,
    size: int = 32,
    width: float = 1.0,
    dropout: float = 0.0,
    normalization: str = "cifar10",
    head: str = "flatten",
) -> nn.Sequential:
    """The p4 network for CIFAR-10: `vgg16` at half the channels, each replaced by four, one per 90-degree turn.

    The trunk is exactly equivariant to 90-degree turns; batch norm has one mean and one scale per group channel, shared
    by its four planes. head = "flatten" hands the planes on as channels: 14,726,186 parameters at the defaults, logits
    not invariant. head = "invariant" takes the maximum over turns first: 14,718,506 parameters, and logits that
    90-degree turns leave as they are. The other options as in `vgg16`; width multiplies 32, 64, 128, 256 and 256."""
    check_name("head", head, HEADS)
    _check_size(size, 32, "on other sizes a 2x2 pool meets an odd map and breaks the 90-degree symmetry")
    first = input_layer(in_channels, size, normalization)
    widths = scaled(width, 32, 64, 128, 256, 256)
    trunk = _trunk((P4ConvZ2, P4ConvP4, nn.BatchNorm3d, PlaneMaxPool2d), in_channels, widths)
    invariant = head == "invariant"
    planes = GroupPool("max") if invariant else nn.Flatten(1, 2)
    return nn.Sequential(first, *trunk, planes, *_head(dropout, widths[-1] * (1 if invariant else 4), classes))


def madry_resnet(
    *,
    in_channels: int = 3,
    classes: int = 10,
    size: int = 32,
    width: float = 1.0,
    dropout: float = 0.0,
    normalization: str = "image",
) -> nn.Sequential:
    """Madry's ResNet for CIFAR-10, 32 layers: width = 1 is their narrow one, 464,154 parameters at the other defaults;
    width = 10 is that of the cifar10_challenge, 45,901,914.

    size: a multiple of 4. width multiplies 16, 32 and 64 channels; below 1 also the 16 of the first convolution. The
    original has no dropout, and normalization = "image". Convolutions start normal with std sqrt(2 / (k k out)), the
    last layer uniform within sqrt(3 / in), its bias 0; batch norm has momentum 0.1 and epsilon 0.001. Their weight
    decay is on the weights of convolutions and the last layer only."""
    _check_size(size, 4, "two strides of 2 halve the map")
    widths = scaled(width, 16, 32, 64)
    before = min(16, widths[0])
    layers: list[nn.Module] = [input_layer(in_channels, size, normalization), SameConv2d(in_channels, before)]
    for stage, channels in enumerate(widths):
        for unit in range(_UNITS):
            stride = 2 if stage and not unit else 1
            layers.append(ResidualUnit(before, channels, stride, activate_first=not (stage or unit)))
            before = channels
    last = nn.Linear(before, classes)
    nn.init.uniform_(last.weight, -math.sqrt(3 / before), math.sqrt(3 / before))
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        *layers, *_activation(before), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), last
    )


def _trunk(
    kinds: tuple[Callable[..., nn.Module], ...], in_channels: int, widths: tuple[int, ...]
) -> Iterator[nn.Module]:
    """VGG16 up to its head. kinds: the first convolution, those after it, the batch norm, the pool."""
    convolution, later, norm, pool = kinds
    before = in_channels
    for convolutions, channels in zip(_STAGES, widths, strict=True):
        for _ in range(convolutions):
            yield from (convolution(before, channels, 3, padding=1), norm(channels), nn.ReLU())
            before, convolution = channels, later
        yield pool(2)


def _head(dropout: float, features: int, classes: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(features, classes)


class SameConv2d(nn.Conv2d):
    """A 3x3 convolution without bias and with TensorFlow's SAME padding: [N, in, H, W] -> [N, out, H / s, W / s].

    At stride s = 2 and even H, W that is no row before the first and one after the last; padding=1 would sample the
    other pixels. Starts normal, std sqrt(2 / (9 out))."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 3, stride, padding=1 if stride == 1 else 0, bias=False)
        nn.init.normal_(self.weight, std=math.sqrt(2 / (9 * out_channels)))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.stride == (1, 1) else F.pad(x, (0, 1, 0, 1)))


class ResidualUnit(nn.Module):
    """[N, in, H, W] -> [N, out, H / s, W / s]: two convolutions, each after batch norm and leaky ReLU, plus a shortcut.

    The shortcut has no weights: the mean of s x s pixels, and as many channels of zeros before the old ones as after
    them. activate_first: it starts after the first batch norm and ReLU, as in the first unit of the network."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, activate_first: bool) -> None:
        super().__init__()
        self.activate = nn.Sequential(*_activation(in_channels))
        self.residual = nn.Sequential(
            SameConv2d(in_channels, out_channels, stride),
            *_activation(out_channels),
            SameConv2d(out_channels, out_channels),
        )
        self.stride, self.activate_first = stride, activate_first
        new = out_channels - in_channels
        self.padding = (0, 0, 0, 0, new // 2, new - new // 2)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activate(x)
        shortcut = activated if self.activate_first else x
        if self.stride > 1:
            shortcut = F.avg_pool2d(shortcut, self.stride)
        if any(self.padding):
            shortcut = F.pad(shortcut, self.padding)
        added: Tensor = self.residual(activated) + shortcut
        return added


def _activation(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.1), nn.LeakyReLU(_SLOPE)


def _check_size(size: int, factor: int, why: str) -> None:
    if size % factor:  # `build` has seen to it that it is at least 1
        raise InputError(
            f"size = {size} must be a multiple of {factor}: {why}; pad or resize the images to "
            f"{math.ceil(size / factor) * factor}, or choose stdcnn, which takes any size from 16 on"
        )
