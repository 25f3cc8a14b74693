"""Faults by name: planted ones are named, no honest model has any, and a worthless rate is masked."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

from invrob import PGD, robustness_profile
from invrob.empirical.attacks.faults import TEXTS, WORTHLESS, Finding, findings
from invrob.empirical.inference import evaluating
from invrob.empirical.models import MODELS, Normalize, build

IMAGES = 40


def with_batch_norm(net):
    return nn.Sequential(nn.BatchNorm2d(1), copy.deepcopy(net)).train()


def noisy(net):
    generator = torch.Generator().manual_seed(0)
    return lambda x: net(x) + torch.randn(len(x), 10, generator=generator)


def straight_through(x):
    return x + ((8 * x).round() / 8 - x).detach()


def train_mode_dropout(net):
    net = copy.deepcopy(net)
    for module in net:
        module.train(isinstance(module, nn.Dropout))
    return lambda x: net(x)  # out of reach of eval()


FAULTS = {
    "softmax": ("softmax outputs", lambda net: lambda x: net(x).softmax(1)),
    "saturated softmax": ("softmax outputs", lambda net: lambda x: (30 * net(x)).softmax(1)),
    "log-softmax": ("log-softmax outputs", lambda net: lambda x: net(x).log_softmax(1)),
    "times 1e4": ("saturated logits", lambda net: lambda x: 1e4 * net(x)),
    "plus 1e4 in float16": ("half-precision logits", lambda net: lambda x: (net(x) + 1e4).half()),
    "plus 1e4 in bfloat16": ("half-precision logits", lambda net: lambda x: (net(x) + 1e4).bfloat16().float()),
    "8 levels": ("quantised input", lambda net: lambda x: net((8 * x).round() / 8)),
    "256 levels": ("quantised input", lambda net: lambda x: net((255 * x).round() / 255)),
    "8 levels, gradient made up": ("quantised input", lambda net: lambda x: net(straight_through(x))),
    "detached": ("detached input", lambda net: lambda x: net(x.detach())),
    "numpy inside": ("detached input", lambda net: lambda x: net(torch.from_numpy(x.detach().numpy().copy()))),
    "noise": ("random outputs", noisy),
    "dropout, functional": (
        "dropout in train mode",
        lambda net: lambda x: net(F.dropout(x, 0.2, training=True)),
    ),
    "dropout, module": ("dropout in train mode", train_mode_dropout),
    "batch norm": ("batch norm in train mode", lambda net: (lambda inner: lambda x: inner(x))(with_batch_norm(net))),
    "mean over the batch": ("batch norm in train mode", lambda net: lambda x: net(x - x.mean(0))),
    "normalised twice": (
        "normalised twice",
        lambda net: nn.Sequential(Normalize(0.13, 0.31), Normalize(0.13, 0.31), net),
    ),
}


@pytest.mark.parametrize("plant", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_named_and_masks_what_is_worthless(net, digits, plant):
    name, planted = plant
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        profile = robustness_profile(planted(net), digits.test.images[:IMAGES], [0, 0.1], attack=PGD(steps=5), audit=16)
    assert name in [f.name for f in profile.sanity.findings]
    if name in WORTHLESS:
        assert profile.verdict == "masked"
        assert f"{name}: {TEXTS[name]}" in profile.sanity.reasons
    assert {"name": name, "text": TEXTS[name]} in profile.to_dict()["sanity"]["findings"]


@pytest.mark.parametrize(
    "behind",
    [lambda z: z.log_softmax(1), lambda z: 1e4 * z, lambda z: z.softmax(1)],
    ids=["log-softmax", "saturated", "softmax"],
)
def test_what_the_attack_sees_through_is_named_and_stays_sound(net, digits, behind):
    profile = robustness_profile(lambda x: behind(net(x)), digits.test.images[:IMAGES], [0, 0.1, 0.2])
    assert profile.sanity.findings
    assert profile.verdict == "sound"


HONEST = {
    **{name: lambda name=name: build(name) for name in MODELS if name in ("stdcnn", "gcnn", "madry_lenet")},
    "times 255 inside": lambda: nn.Sequential(Normalize(0, 1 / 255), build("stdcnn")),
    "times 10 inside": lambda: nn.Sequential(Normalize(0, 0.1), build("stdcnn")),
    "normalised once": lambda: nn.Sequential(Normalize(0.13, 0.31), build("stdcnn")),
    "float16 inside": lambda: (lambda net: lambda x: net(x.half()).float())(build("stdcnn").half().eval()),
    "two classes": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 2)),
    "double": lambda: (lambda net: lambda x: net(x.double()))(build("stdcnn").double().eval()),
    "batch norm in eval mode": lambda: nn.Sequential(nn.BatchNorm2d(1), build("stdcnn")),
}


def findings_of(model, images):
    with evaluating(model):
        return findings(model, images, False)


@pytest.mark.parametrize("model", HONEST.values(), ids=HONEST.keys())
@pytest.mark.parametrize("n", [1, 16])
def test_an_honest_model_has_no_finding(digits, model, n):
    assert findings_of(model(), digits.test.images[:n]) == ()


def test_a_network_in_colour_has_none_either():
    images = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert findings_of(resnet18(num_classes=10), images) == ()


def test_a_trained_network_has_no_finding_and_a_constant_one_is_named(net, digits):
    images = digits.test.images[:16]
    assert findings_of(net, images) == ()
    (finding,) = findings(lambda x: torch.zeros(len(x), 3) * x.flatten(1)[:, :3], images, True)
    assert finding == Finding("constant classifier", TEXTS["constant classifier"])
    assert finding.worthless


def test_looking_draws_no_random_number_of_the_caller(net, digits):
    before = torch.get_rng_state()
    findings_of(net, digits.test.images[:16])
    assert torch.equal(before, torch.get_rng_state())


def test_a_model_that_answers_and_cannot_be_differentiated_is_looked_at_all_the_same(net, digits):
    def by_numpy(x):
        return net(torch.from_numpy(x.numpy()))  # of a tensor that requires a gradient this raises

    with evaluating(net):
        assert [found.name for found in findings(by_numpy, digits.test.images[:8], False)] == ["detached input"]


def test_a_model_that_takes_each_image_by_vmap_is_looked_at_as_any_other(net, digits):
    linear = nn.Linear(784, 10)

    def by_vmap(x):
        return torch.func.vmap(lambda image: linear(image.flatten()))(x)

    assert findings(by_vmap, digits.test.images[:8], False) == ()
