"""Verdicts on the attack: an honest network is sound, and every planted fault that hides a gradient is masked."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from invrob import PGD, robustness_profile
from invrob.empirical.attacks.faults import CONSTANT, TEXTS, WORTHLESS, Finding
from invrob.empirical.attacks.sanity import TOLERATED, Sanity, with_reasons

EPSILONS = [0, 0.05, 0.1, 0.2, 0.3]
BALLS = {"linf": EPSILONS, "l2": [0, 0.5, 1, 2, 3]}


class Around(nn.Module):
    """A network with something in front of it and something behind it."""

    def __init__(self, net, before=lambda x: x, behind=lambda z: z):
        super().__init__()
        self.net, self.before, self.behind = net, before, behind

    def forward(self, x):
        return self.behind(self.net(self.before(x)))


@pytest.fixture
def measured(net, digits):
    """A profile on the first digits, with labels, of the trained network with a fault planted in it."""

    def measure(before=lambda x: x, behind=lambda z: z, norm="linf", audit=0, n=70):  # the judge needs no audit
        images, labels = digits.test.images[:n], digits.test.labels[:n]
        return robustness_profile(Around(net, before, behind), images, BALLS[norm], labels, norm=norm, audit=audit)

    return measure


@pytest.mark.parametrize("norm", ["linf", pytest.param("l2", marks=pytest.mark.long)])
def test_an_honest_network_is_sound(measured, norm):
    profile = measured(norm=norm, audit="auto")
    assert profile.verdict == "sound"
    assert profile.sanity.reasons == ()
    assert profile.sanity.probed == 32
    assert not profile.sanity.constant
    assert profile.sanity.unfooled_at_largest == profile.sanity.zero_gradient == profile.sanity.changed_prediction == 0
    assert profile.rate[-1] < 0.1


@pytest.mark.parametrize("n", [1, 3, *(pytest.param(n, marks=pytest.mark.long) for n in (2, 8))])
def test_an_honest_network_is_sound_on_a_few_images_too(net, digits, n):
    for start in (0, 20):
        profile = robustness_profile(net, digits.test.images[start : start + n], EPSILONS)
        assert profile.verdict == "sound", profile.sanity.reasons


FAULTS = {
    "detached input": ({"before": lambda x: x.detach()}, "the gradient was zero"),
    "input in 8 steps": ({"before": lambda x: (8 * x).round() / 8}, "the gradient was zero"),
    "input in 256 steps": ({"before": lambda x: (255 * x).round() / 255}, "the gradient was zero"),
    "binary input": ({"before": lambda x: (x > 0.5).float()}, "the gradient was zero"),
    "saturated softmax": ({"behind": lambda z: (30 * z).softmax(1)}, "the gradient was zero"),
    "noise on the logits": ({"behind": lambda z: z + 5 * torch.randn_like(z)}, "the model is random"),
    "noise on the input": ({"before": lambda x: x + 0.5 * torch.randn_like(x)}, "the model is random"),
    "dropout that ignores eval": ({"before": lambda x: F.dropout(x, 0.7, training=True)}, "the model is random"),
}


@pytest.mark.long
@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize(("fault", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_masked_and_the_reason_says_what(measured, fault, reason, norm):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for the noise of the model itself
        profile = measured(**fault, norm=norm, n=40)
    assert profile.verdict == "masked"
    assert any(reason in text for text in profile.sanity.reasons), profile.sanity.reasons


def test_a_gradient_that_misleads_is_given_away_by_an_attack_without_gradients(measured):
    class Reversed(torch.autograd.Function):
        """The identity, whose gradient points the other way."""

        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return -gradient

    profile = measured(before=Reversed.apply)
    assert profile.verdict == "masked"
    assert profile.sanity.zero_gradient == 0
    assert profile.sanity.black_box > 0.1  # of those that the other loss did not fool by accident
    assert any("the gradients mislead" in text for text in profile.sanity.reasons)


def test_a_constant_classifier_has_every_rate_and_no_worth(digits):
    for model in (
        lambda x: F.one_hot(torch.full((len(x),), 7), 10).float(),
        lambda x: torch.eye(10)[7] + 0 * x.flatten(1)[:, :10],
    ):
        profile = robustness_profile(model, digits.test.images[:100], EPSILONS, digits.test.labels[:100])
        assert profile.rate.tolist() == [1] * 5
        assert profile.sanity.constant
        assert profile.verdict == "masked"
        assert profile.accuracy.tolist() == [0.1] * 5 == [profile.clean_accuracy] * 5
        assert profile.sanity.reasons[0] == (
            "class 7 for every image at every epsilon: rates of 100 % of a constant classifier are worthless"
        )


HARMLESS = {
    "logits times 1e4": lambda z: 1e4 * z,
    "logits times 1e-4": lambda z: 1e-4 * z,
    "logits plus a constant": lambda z: z + 1000,
    "log-probabilities": lambda z: z.log_softmax(1),
    "probabilities": lambda z: z.double().softmax(1),
    "probabilities at a high temperature": lambda z: (z / 10).softmax(1),
}


@pytest.mark.parametrize(
    ("norm", "every"),
    [("linf", 2), *(pytest.param(norm, n, marks=pytest.mark.long) for norm, n in (("l2", -2), ("linf", 1)))],
)
def test_what_leaves_the_decisions_alone_does_not_fool_the_attack(measured, norm, every):
    # The decisions are the same, and so is the truth; the attack takes another path to it through the same images.
    plain = measured(norm=norm)
    for name, behind in list(HARMLESS.items())[::every]:
        other = measured(behind=behind, norm=norm)
        assert other.sanity.verdict == "sound", name
        assert np.abs(other.rate - plain.rate).max() <= 0.03, name
        assert np.abs(other.rate.mean() - plain.rate.mean()) <= 0.01, name


def test_what_the_probes_find_is_in_the_rates(net, digits):
    # All images are probed here: the black box fools most of them, although no gradient leads anywhere.
    profile = robustness_profile(lambda x: net(x.detach()), digits.test.images[:40], [0, 0.3], attack=PGD(), audit=40)
    assert profile.sanity.black_box > 0.5
    assert profile.rate[1] <= 1 - profile.sanity.black_box


def test_the_figures_of_the_probes_are_shares(measured):
    for profile in (measured(), measured(before=lambda x: x.detach())):
        sanity = profile.to_dict()["sanity"]
        shares = {k: v for k, v in sanity.items() if k not in ("probed", "constant", "reasons", "findings")}
        assert len(shares) == 4
        assert all(0 <= value <= 1 for value in shares.values())


PROBES = tuple(TOLERATED)
shares = st.sampled_from([0.0, 0.02, 0.03, 0.05, 0.06, 0.1, 0.11, 0.5, 1.0])


@given(
    probed=st.sampled_from([0, 1, 3, 32]),
    values=st.fixed_dictionaries(dict.fromkeys(PROBES, shares)),
    faults=st.lists(st.sampled_from([*TEXTS]), unique=True, max_size=3),
)
def test_what_is_suspicious_is_what_the_reasons_name_and_what_masks(probed, values, faults):
    findings, constant = tuple(Finding(name, TEXTS[name]) for name in faults), CONSTANT in faults
    sanity = with_reasons(Sanity(probed, **values, constant=constant, reasons=(), findings=findings), 7)
    suspicious = sanity.suspicious()
    assert (sanity.verdict == "masked") == bool(suspicious)
    worthless = {*faults} & WORTHLESS
    assert len(sanity.reasons) == len(suspicious - {"findings", "constant"}) + len(worthless)
    assert ("constant" in suspicious) == constant
    assert ("findings" in suspicious) == bool(worthless - {CONSTANT})


@pytest.mark.parametrize(
    ("name", "tolerated", "beyond"),
    [
        ("zero_gradient", 0.05, 0.06),
        ("black_box", 0.05, 0.06),
        ("unfooled_at_largest", 0.05, 0.06),
        ("changed_prediction", 0.02, 0.03),
    ],
)
def test_a_share_is_suspicious_beyond_what_docs_tolerate(name, tolerated, beyond):
    def suspicious(share, probed=100):
        return Sanity(probed, **{**dict.fromkeys(PROBES, 0.0), name: share}, constant=False, reasons=()).suspicious()

    assert suspicious(tolerated) == frozenset()
    assert suspicious(beyond) == {name}
    by_chance = name == "black_box"  # any attack misses a single image
    assert suspicious(1 / 5, probed=5) == (frozenset() if by_chance else {name})
