"""What several test files share: real digits, a small network trained on them, and the truth about linear models."""

import copy

import pytest
import sketches
import torch
from torch import nn
from torch.nn import functional as F

from invrob.empirical.data import load
from invrob.empirical.inference import single_thread
from invrob.empirical.models import lent


@pytest.fixture(autouse=True)
def _code_that_a_test_allows_is_allowed_in_no_other():
    """A command that is run in the process of the tests leaves the builders that `--import` named."""
    with lent({}):
        yield


@pytest.fixture
def one_thread():
    """One torch thread for the test, as cells are computed."""
    with single_thread():
        yield


@pytest.fixture
def sketched():
    """Figures are sketched: for tests that ask which are written, and not what they look like."""
    with sketches.sketched():
        yield


@pytest.fixture(scope="session")
def digits():
    """The embedded digits: .train, .validation and .test, each with .images and .labels."""
    return load("mnist-mini")


@pytest.fixture(scope="session")
def _trained(digits):
    """A small convolutional network at 95 % accuracy; about a second."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU(), nn.Flatten()),
            *(nn.Dropout(0.1), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10)),
        )
        optimizer = torch.optim.Adam(net.parameters(), 3e-3)
        for _ in range(3):
            for part in torch.randperm(len(digits.train.images)).split(100):
                loss = F.cross_entropy(net(digits.train.images[part]), digits.train.labels[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return net.eval()


@pytest.fixture
def net(_trained):
    """A copy of the trained network, for this test alone."""
    copied = copy.deepcopy(_trained)
    copied.zero_grad(set_to_none=True)
    return copied


class Linear(nn.Module):
    """Logits `weight` x + `bias`, row by row, so that a row's result does not depend on its batch."""

    def __init__(self, classes, pixels, seed, dtype=torch.float32):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(classes, pixels, generator=generator, dtype=torch.float64).to(dtype))
        self.bias = nn.Parameter((0.3 * torch.randn(classes, generator=generator, dtype=torch.float64)).to(dtype))

    def forward(self, images):
        return torch.stack([(images.flatten(1) * row).sum(1) for row in self.weight], 1) + self.bias


@pytest.fixture(scope="session")
def linear():
    return Linear


@pytest.fixture(scope="session")
def worst_case():
    """(linear model, images, labels, epsilon, norm) -> the largest margin [N], float64, over ball and box: other logit
    minus that of the label. Above 0 some perturbation of size epsilon changes the prediction.

    One linear programme per other class, with direction w = w_other - w_label. L-inf: every pixel goes by epsilon along
    the sign of w, and stops at the box. L2: clip(x + t w) into the box, t >= 0 as large as the ball allows (the
    multiplier of the ball; KKT), found by bisection."""

    def clipped(images, direction, epsilon, norm):
        if norm == "linf":
            return (images + epsilon * direction.sign()).clamp(0, 1)
        low, high = torch.zeros(len(images), 1, dtype=torch.float64), torch.full((len(images), 1), 1e6).double()
        for _ in range(80):
            middle = (low + high) / 2
            inside = ((images + middle * direction).clamp(0, 1) - images).norm(dim=1, keepdim=True) <= epsilon
            low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        return (images + low * direction).clamp(0, 1)

    def margins(model, images, labels, epsilon, norm="linf"):
        weight, bias = model.weight.detach().double(), model.bias.detach().double()
        images, best = images.double().flatten(1), torch.full((len(images),), -torch.inf, dtype=torch.float64)
        for other in range(len(weight)):
            direction = weight[other] - weight[labels]
            x = clipped(images, direction, epsilon, norm)
            margin = (x * direction).sum(1) + bias[other] - bias[labels]
            best = torch.where(labels == other, best, torch.maximum(best, margin))
        return best

    return margins
