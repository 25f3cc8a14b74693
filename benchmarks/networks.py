"""The networks that are attacked: two trained here on the embedded digits, and a published one."""

from functools import cache
from pathlib import Path

import torch
from torch import nn

from benchmarks.timing import Setting
from invrob.empirical import data
from invrob.empirical.models import build
from invrob.empirical.training import Recipe, train

EPSILONS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)  # for digits, in L-inf


@cache
def digits_networks(setting: Setting) -> dict[str, nn.Module]:
    """A naturally trained StdCNN and an adversarially trained LeNet, frozen: a gift to the peers, some of which would
    differentiate the weights as well."""
    digits = data.load("mnist-mini")
    networks = {
        "StdCNN, natural": (build("stdcnn"), Recipe(epochs=4)),
        f"LeNet of width {setting.width:g}, trained at 0.3": (
            build("madry_lenet", width=setting.width),
            Recipe(epochs=6, epsilon=0.3),
        ),
    }
    for model, recipe in networks.values():
        train(model.to(setting.device), digits.train, digits.validation, recipe, seed=0)
        model.eval().requires_grad_(False)
    return {name: model for name, (model, _) in networks.items()}


def resnet() -> nn.Module:
    """The network in pyautoattack's wheel, frozen. Raises ImportError where that is not installed."""
    import pyautoattack
    from pyautoattack.examples.resnet import ResNet18

    network = ResNet18()
    weights = Path(pyautoattack.__file__).parent / "examples" / "model_test.pt"
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False)
