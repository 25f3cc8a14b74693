"""The networks for CIFAR-10: their layers, and Madry's ResNet against a reading of its description in numpy."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from invrob.empirical.groups import GroupPool, P4ConvP4, P4ConvZ2, PlaneMaxPool2d
from invrob.empirical.models import build
from invrob.empirical.models.cifar import ResidualUnit, SameConv2d
from invrob.errors import InputError

VGG16 = [64, 64, "pool", 128, 128, "pool", *[256] * 3, "pool", *[512] * 3, "pool", *[512] * 3, "pool"]


def scaled_vgg16(factor):
    return [entry if entry == "pool" else max(1, round(entry * factor)) for entry in VGG16]


@pytest.mark.parametrize("width", [1, 0.25, 0.01])
@pytest.mark.parametrize("name", ["vgg16", "gcnn_vgg16"])
def test_vgg16_has_the_layers_of_the_paper_at_every_width(name, width):
    p4 = name == "gcnn_vgg16"
    model, seen = build(name, width=width), []
    for i, layer in enumerate(model):
        if isinstance(layer, nn.MaxPool2d | PlaneMaxPool2d):
            seen.append("pool")
        if isinstance(layer, nn.Conv2d | P4ConvZ2 | P4ConvP4):
            seen.append(layer.out_channels)
            assert isinstance(model[i + 1], nn.BatchNorm3d if p4 else nn.BatchNorm2d)
            assert model[i + 1].num_features == layer.out_channels  # per group channel, for all four turns
            assert isinstance(model[i + 2], nn.ReLU)
    assert seen == scaled_vgg16(width / 2 if p4 else width)
    assert model[-1].in_features == seen[-2] * (4 if p4 else 1)


def test_the_heads_of_gcnn_vgg16_differ_in_the_pool_over_the_group_alone():
    flatten, invariant = (build("gcnn_vgg16", width=0.1, head=head) for head in ("flatten", "invariant"))
    differing = [(type(a), type(b)) for a, b in zip(flatten, invariant, strict=True) if repr(a) != repr(b)]
    assert differing == [(nn.Flatten, GroupPool), (nn.Linear, nn.Linear)]


@pytest.mark.parametrize(
    ("width", "widths"),
    [(1, (16, 16, 32, 64)), (10, (16, 160, 320, 640)), (1.1, (16, 18, 35, 70)), (0.25, (4, 4, 8, 16))],
)
def test_madry_resnet_keeps_its_stem_and_has_5_units_of_each_width(width, widths):
    units = [layer for layer in build("madry_resnet", width=width) if isinstance(layer, ResidualUnit)]
    stem, *stages = widths
    convolutions = [[m for m in unit.modules() if isinstance(m, SameConv2d)] for unit in units]
    channels = [stem, *(conv.out_channels for pair in convolutions for conv in pair)]
    assert channels == [stem] + [w for w in stages for _ in range(10)]
    assert [conv.in_channels for pair in convolutions for conv in pair] == channels[:-1]
    assert [(first.stride[0], second.stride[0]) for first, second in convolutions] == (
        [(1, 1)] * 5 + [(2, 1)] + [(1, 1)] * 4 + [(2, 1)] + [(1, 1)] * 4
    )


def same_convolution(x, w, stride):
    """TensorFlow's rule: ceil(n / stride) outputs; of the zeros that takes, the odd one after the last row."""
    k = w.shape[-1]
    sides = []
    for n in x.shape[2:]:
        total = max((math.ceil(n / stride) - 1) * stride + k - n, 0)
        sides.append((total // 2, total - total // 2))
    x = np.pad(x, [(0, 0), (0, 0), *sides])
    rows, columns = ((n - k) // stride + 1 for n in x.shape[2:])
    y = np.zeros((len(x), len(w), rows, columns))
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
            y[:, :, i, j] = np.einsum("ncij,ocij->no", window, w)
    return y


def activation(x, weights):
    """Batch norm by running statistics (next in `weights`: scale, shift, mean, variance, count), then leaky ReLU."""
    scale, shift, mean, variance, _ = (next(weights) for _ in range(5))
    scale, shift, mean, variance = (v[:, None, None] for v in (scale, shift, mean, variance))
    y = (x - mean) / np.sqrt(variance + 0.001) * scale + shift
    return np.where(y > 0, y, 0.1 * y)


def shortcut(x, out_channels, stride):
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // stride, stride, w // stride, stride).mean((3, 5))
    new = out_channels - c
    before, after = (np.zeros((n, k, *x.shape[2:])) for k in (new // 2, new - new // 2))
    return np.concatenate([before, x, after], 1)


def madry_resnet_in_numpy(images, weights):
    """The network of the cifar10_challenge, its weights taken in the order in which they are used."""
    pixels = 255 * images
    mean, std = (reduce(pixels, axis=(1, 2, 3), keepdims=True) for reduce in (np.mean, np.std))
    x = (pixels - mean) / np.maximum(std, 1 / np.sqrt(pixels[0].size))
    x = same_convolution(x, next(weights), 1)
    for stage in range(3):
        for unit in range(5):
            stride = 2 if stage > 0 and unit == 0 else 1
            activated = activation(x, weights)
            kept = activated if stage == unit == 0 else x
            y = same_convolution(activated, next(weights), stride)
            y = same_convolution(activation(y, weights), next(weights), 1)
            x = y + shortcut(kept, y.shape[1], stride)
    x = activation(x, weights).mean((2, 3))
    return x @ next(weights).T + next(weights)


@pytest.mark.parametrize(("width", "size"), [(0.2, 8), (1.1, 4)])
def test_madry_resnet_is_that_of_its_description(width, size):
    generator = torch.Generator().manual_seed(1)
    model = build("madry_resnet", width=width, size=size).double().eval()
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.ndim == 1:  # all of batch norm, which would be 0 and 1 else, and the last bias
                value.copy_(0.05 + torch.rand(value.shape, generator=generator) / 10)
        images = torch.rand(3, 3, size, size, generator=generator, dtype=torch.float64)
        logits = model(images).numpy()
    expected = madry_resnet_in_numpy(images.numpy(), (value.numpy() for value in model.state_dict().values()))
    assert expected.std() > 1e-3
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-12)


def test_same_padding_at_stride_2_samples_from_the_first_pixel_on():
    convolution = SameConv2d(1, 1, stride=2)
    with torch.no_grad():
        convolution.weight.zero_()[0, 0, 0, 0] = 1  # the top left tap alone
        x = torch.arange(16.0).view(1, 1, 4, 4)
        assert convolution(x).flatten().tolist() == [0, 2, 8, 10]  # padding=1 would give 0, 0, 0, 5


def test_madry_resnet_starts_as_described():
    model = build("madry_resnet", width=2)
    for layer in model.modules():
        if isinstance(layer, SameConv2d):
            assert layer.bias is None
            assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * layer.out_channels)), rel=0.15)
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.momentum, layer.eps) == (0.1, 1e-3)
    last, bound = model[-1], math.sqrt(3 / 128)
    assert 0.95 * bound < last.weight.abs().max() <= bound
    assert last.weight.std().item() == pytest.approx(math.sqrt(1 / 128), rel=0.1)
    assert not last.bias.any()


def test_madry_resnet_fits_mnist_as_it_is():
    model = build("madry_resnet", in_channels=1, size=28, width=0.25)
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        (
            "vgg16",
            28,
            "size = 28 must be a multiple of 32: five 2x2 pools halve the map, down to one pixel at 32; "
            "pad or resize the images to 32, or choose stdcnn, which takes any size from 16 on",
        ),
        (
            "gcnn_vgg16",
            33,
            "size = 33 must be a multiple of 32: on other sizes a 2x2 pool meets an odd map and breaks the 90-degree "
            "symmetry; pad or resize the images to 64, or choose stdcnn, which takes any size from 16 on",
        ),
        (
            "madry_resnet",
            30,
            "size = 30 must be a multiple of 4: two strides of 2 halve the map; "
            "pad or resize the images to 32, or choose stdcnn, which takes any size from 16 on",
        ),
    ],
)
def test_a_size_that_does_not_halve_evenly_is_refused_with_the_way_out(name, size, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        build(name, size=size)


def test_an_unknown_head_of_gcnn_vgg16_is_told_the_right_one():
    with pytest.raises(InputError, match=r"^head = 'flat' is unknown; did you mean 'flatten'\?; choose one of"):
        build("gcnn_vgg16", head="flat")
