"""What is measured is measured in all of float32, whatever PyTorch was told about a GPU's TF32."""

import pytest
import torch
from torch import nn

import invrob
from invrob.empirical.inference import evaluating, exact_float32, fastest_convolutions

SETTINGS = {"products": torch.backends.cuda.matmul, "convolutions": torch.backends.cudnn.conv}


def as_set():
    return {name: setting.fp32_precision for name, setting in SETTINGS.items()}


class Asked(nn.Module):
    """A linear network that notes how a GPU would round when it is asked."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def forward(self, x):
        self.noted.append(as_set())
        return x.flatten(1)


@pytest.fixture(params=["as PyTorch has it", "matrix products", "everything"])
def told(request):
    """TF32 allowed in one of the ways that there are."""
    before, general = as_set(), torch.backends.fp32_precision
    if request.param == "matrix products":
        torch.set_float32_matmul_precision("high")
    elif request.param == "everything":
        torch.backends.fp32_precision = "tf32"
    yield as_set()
    torch.backends.fp32_precision = general
    torch.set_float32_matmul_precision("highest")
    for name, value in before.items():
        SETTINGS[name].fp32_precision = value


def test_profiles_ask_the_network_in_all_of_float32_and_leave_the_setting_as_it_was(told):
    network, images = Asked(), torch.rand(4, 1, 4, 4)
    invrob.robustness_profile(network, images, [0, 0.1], audit=0)
    invrob.invariance_profile(network, images, [0, 90])
    invrob.invariance_profile(network, images, [0, 90], against="worst-of-10")
    assert {precision for note in network.noted for precision in note.values()} == {"ieee"}
    assert as_set() == told


def test_the_steps_of_a_training_round_as_the_user_wants_it(told):
    with evaluating(Asked(), snapshot=False):
        assert as_set() == told


def test_settings_come_back_after_an_exception(told):
    benchmark = torch.backends.cudnn.benchmark
    with pytest.raises(ZeroDivisionError), exact_float32(), fastest_convolutions():
        _ = 1 / 0
    assert as_set() == told
    assert torch.backends.cudnn.benchmark is benchmark
