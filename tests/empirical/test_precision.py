"""What is measured is measured in all of float32, whatever PyTorch was told about a GPU's TF32."""

import pytest
import torch
from torch import nn

import invrob
from invrob.empirical.inference import evaluating, exact_float32, fastest_convolutions

NEWER = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.mkldnn.matmul)
OLDER = {
    "products": lambda: torch.backends.cuda.matmul.allow_tf32,
    "convolutions": lambda: torch.backends.cudnn.allow_tf32,
    "precision": torch.get_float32_matmul_precision,
}


def readable(switch):
    """An older switch raises where newer ones contradict it."""
    try:
        return switch()
    except RuntimeError:
        return "contradicted"


def as_set():
    """How a GPU would round, by the newer switches and by the older ones."""
    return [switch.fp32_precision for switch in NEWER], {name: readable(switch) for name, switch in OLDER.items()}


class Asked(nn.Module):
    """A linear network that notes how a GPU would round when it is asked."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def forward(self, x):
        self.noted.append(as_set())
        return x.flatten(1)


@pytest.fixture(params=["as PyTorch has it", "older products", "newer products", "older convolutions", "everything"])
def told(request):
    """TF32 allowed, or not, in one of the ways that there are."""
    general, newer = torch.backends.fp32_precision, [switch.fp32_precision for switch in NEWER]
    if request.param == "older products":
        torch.set_float32_matmul_precision("high")
    elif request.param == "newer products":
        torch.backends.cuda.matmul.fp32_precision = "tf32"
    elif request.param == "older convolutions":
        torch.backends.cudnn.allow_tf32 = False
    elif request.param == "everything":
        torch.backends.fp32_precision = "tf32"
    yield as_set()
    torch.backends.fp32_precision = general
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True
    for switch, value in zip(NEWER, newer, strict=True):
        switch.fp32_precision = value


def test_profiles_ask_the_network_in_all_of_float32_and_leave_the_settings_as_they_were(told):
    network, images = Asked(), torch.rand(4, 1, 4, 4)
    invrob.robustness_profile(network, images, [0, 0.1], audit=0)
    invrob.invariance_profile(network, images, [0, 90])
    invrob.invariance_profile(network, images, [0, 90], against="worst-of-10")
    assert all(newer == ["ieee"] * len(NEWER) for newer, _ in network.noted)
    assert as_set() == told


def test_a_network_that_reads_the_older_switches_finds_tf32_off(told):
    network = Asked()
    with exact_float32():
        network(torch.zeros(1, 1, 2, 2))
    (_, older), (_, before) = network.noted[0], told
    assert older["products"] is False
    assert older["convolutions"] is False or before["convolutions"] == "contradicted"


def test_the_steps_of_a_training_round_as_the_user_wants_it(told):
    with evaluating(Asked(), snapshot=False):
        assert as_set() == told


def test_settings_come_back_after_an_exception(told):
    benchmark = torch.backends.cudnn.benchmark
    with pytest.raises(ZeroDivisionError), exact_float32(), fastest_convolutions():
        _ = 1 / 0
    assert as_set() == told
    assert torch.backends.cudnn.benchmark is benchmark
