"""Images and weights are known by their numbers, and by nothing else."""

import copy

import pytest
import torch
from torch import nn

from invrob.empirical.inference import images_fingerprint, weights_fingerprint

IMAGES = torch.rand(5, 2, 4, 3, generator=torch.Generator().manual_seed(0))


def test_the_same_images_have_one_fingerprint_however_they_lie_in_memory():
    known = images_fingerprint(IMAGES)
    assert known == images_fingerprint(IMAGES.clone().double())
    assert known == images_fingerprint(IMAGES.contiguous(memory_format=torch.channels_last))
    assert known == images_fingerprint(IMAGES.clone().requires_grad_())


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images.flip(0),
        lambda images: images[:4],
        lambda images: images.transpose(2, 3),
        lambda images: images.reshape(5, 1, 8, 3),
        lambda images: images + 1e-6,
    ],
)
def test_other_images_another_order_or_shape_have_another_one(change):
    assert images_fingerprint(change(IMAGES)) != images_fingerprint(IMAGES)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def doubled(net):
    net[3].bias.data *= 2


def counted(net):
    net[1].running_mean += 1


def halved(net):
    net.half()


def renamed(net):
    net[0], net[2] = net[2], net[0]


@pytest.mark.parametrize("change", [doubled, counted, halved, renamed])
def test_other_parameters_buffers_dtypes_or_names_have_another_fingerprint(change):
    net = network()
    other = copy.deepcopy(net)
    assert weights_fingerprint(other) == weights_fingerprint(net) is not None
    change(other)
    assert weights_fingerprint(other) != weights_fingerprint(net)


def test_modes_gradients_and_compiling_a_script_change_no_fingerprint():
    net = network()
    known = weights_fingerprint(net)
    net.eval()(torch.rand(1, 1, 4, 4)).sum().backward()
    assert weights_fingerprint(net) == known
    exported = torch.export.export(net, (torch.rand(1, 1, 4, 4),)).module()
    assert weights_fingerprint(exported) == known


@pytest.mark.parametrize(
    "model",
    [lambda x: x, nn.ReLU(), nn.LazyLinear(3), nn.Linear(2, 2, device="meta")],
    ids=["function", "no numbers", "lazy", "meta"],
)
def test_what_has_no_numbers_at_hand_has_no_fingerprint(model):
    assert weights_fingerprint(model) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.complex64])
def test_numbers_of_any_dtype_have_one(dtype):
    assert len(weights_fingerprint(nn.Linear(2, 2, dtype=dtype))) == 64


def test_equal_bytes_of_another_dtype_shape_or_name_have_another_fingerprint():
    def holding(name, numbers):
        module = nn.Module()
        module.register_buffer(name, numbers)
        return module

    zeros = [torch.zeros(4, dtype=torch.float16), torch.zeros(4, dtype=torch.bfloat16), torch.zeros(2)]
    modules = [*(holding("a", numbers) for numbers in zeros), holding("a", torch.zeros(1, 2)), holding("b", zeros[0])]
    assert len({weights_fingerprint(module) for module in modules}) == len(modules)
