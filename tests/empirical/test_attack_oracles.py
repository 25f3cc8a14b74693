"""Foolbox and torchattacks as oracles: FGSM pixel by pixel, and a profile that is nowhere weaker than their PGD."""

import warnings

import numpy as np
import pytest
import torch

from invrob import robustness_profile
from invrob.empirical.attacks import fgsm, pgd

with warnings.catch_warnings():  # foolbox imports gaussian_filter from where SciPy 2 will not have it
    warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
    import foolbox
import torchattacks

STEPS = 20
BALLS = {"linf": [0.05, 0.1, 0.15, 0.2], "l2": [0.5, 1.0, 1.5, 2.0]}


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.images[:200]


def survivors_of_foolbox(net, images, own, norm):
    attacks = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
    attack = attacks[norm](steps=STEPS, rel_stepsize=2.5 / STEPS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wrapped = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        return ~attack(wrapped, images, own, epsilons=BALLS[norm])[2].numpy()


def survivors_of_torchattacks(net, images, own, norm):
    attacks = {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = [
            attacks[norm](net, eps=epsilon, alpha=2.5 * epsilon / STEPS, steps=STEPS)(images, own)
            for epsilon in BALLS[norm]
        ]
    return np.stack([(net(x).argmax(1) == own).numpy() for x in found])


ORACLES = {"foolbox": survivors_of_foolbox, "torchattacks": survivors_of_torchattacks}


@pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES.keys())
@pytest.mark.parametrize("norm", BALLS)
def test_no_oracle_fools_more_than_the_profile_says(net, images, norm, oracle):
    own = net(images).argmax(1)
    profile = robustness_profile(net, images, BALLS[norm], norm=norm, steps=STEPS)
    theirs = oracle(net, images, own, norm)
    ours = profile.levels > np.arange(len(BALLS[norm]))[:, None]
    # The images are the same, so only those count that one attack fools and the other does not.
    missed, gained = (ours & ~theirs).sum(1), (theirs & ~ours).sum(1)
    assert (missed <= gained + 0.02 * 200 + 2 * np.sqrt(missed + gained)).all()
    assert profile.rate.mean() <= theirs.mean() + 0.005
    assert 0.02 < profile.rate[-1] < profile.rate[0] < 0.95  # something was at stake


@pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES.keys())
@pytest.mark.parametrize("norm", BALLS)
def test_pgd_fools_as_many_as_the_oracles_with_the_same_steps(net, images, norm, oracle):
    own = net(images).argmax(1)
    theirs = oracle(net, images, own, norm)
    for epsilon, survived in zip(BALLS[norm], theirs, strict=True):
        ours = ~pgd(net, images, epsilon, norm=norm, steps=STEPS).fooled.numpy()
        missed, gained = (ours & ~survived).sum(), (survived & ~ours).sum()
        assert abs(missed - gained) <= 0.02 * 200 + 2 * np.sqrt(missed + gained)


@pytest.mark.parametrize("labels", ["predicted", "true"])
@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_fgsm_is_that_of_torchattacks_image_by_image(net, digits, images, epsilon, labels):
    # In float64: in float32 their cross-entropy has lost its gradient where the network is sure.
    net, images = net.double(), images.double()
    own = net(images).argmax(1) if labels == "predicted" else digits.test.labels[:200]
    theirs = torchattacks.FGSM(net, eps=epsilon)(images, own)
    ours = fgsm(net, images, epsilon, labels=None if labels == "predicted" else own)
    assert (ours.images - theirs).abs().max() <= 1e-12
    assert torch.equal(ours.fooled, net(theirs).argmax(1) != own)
