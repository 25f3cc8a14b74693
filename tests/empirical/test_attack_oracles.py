"""Foolbox, torchattacks, adv-lib and AutoAttack as oracles: FGSM pixel by pixel, and a profile that is nowhere weaker
than what they find."""

import math
import sys
import warnings
from functools import cache, partial
from types import ModuleType

import numpy as np
import pytest
import torch

from invrob import PGD, robustness_profile
from invrob.empirical.attacks.pgd import fgsm, pgd

with warnings.catch_warnings():  # foolbox imports gaussian_filter from where SciPy 2 will not have it
    warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
    import foolbox
import torchattacks

STEPS = 20
BALLS = {"linf": [0.05, 0.1, 0.2], "l2": [0.5, 1.0, 2.0]}


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.images[:200]


def foolbox_survivors(net, images, labels, norm):
    attacks = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
    attack = attacks[norm](steps=STEPS, rel_stepsize=2.5 / STEPS)
    wrapped = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    return ~attack(wrapped, images, labels, epsilons=BALLS[norm])[2].numpy()


def torchattacks_survivors(net, images, labels, norm):
    attacks = {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}
    fooling = [
        attacks[norm](net, eps=epsilon, alpha=2.5 * epsilon / STEPS, steps=STEPS)(images, labels)
        for epsilon in BALLS[norm]
    ]
    return np.stack([(net(x).argmax(1) == labels).numpy() for x in fooling])


ORACLES = {"foolbox": foolbox_survivors, "torchattacks": torchattacks_survivors}
every_oracle = pytest.mark.parametrize("oracle", ORACLES)
both = pytest.mark.parametrize("norm", BALLS)


@pytest.fixture(scope="module")
def theirs(_trained, images):
    """(oracle, norm) -> bool [E, N]: whom the oracle did not fool, with the same steps and step sizes."""

    @cache
    def survivors(oracle, norm):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return ORACLES[oracle](_trained, images, _trained(images).argmax(1), norm)

    return survivors


@pytest.fixture(scope="module")
def profiled(_trained, images):
    """(number of images, epsilons, further options) -> their robustness profile, measured once."""

    @cache
    def profile(n, epsilons, **options):
        return robustness_profile(_trained, images[:n], epsilons, audit=0, **options)

    return profile


@pytest.fixture(scope="module")
def by_pgd(_trained, images):
    """(norm, epsilon) -> bool [N]: whom PGD of as many steps fooled."""
    return cache(lambda norm, epsilon: pgd(_trained, images, epsilon, norm=norm, steps=STEPS).fooled.numpy())


@every_oracle
@both
def test_no_oracle_fools_more_than_the_profile_says(profiled, theirs, oracle, norm):
    survived = theirs(oracle, norm)
    profile = profiled(200, tuple(BALLS[norm]), norm=norm, attack=PGD(steps=STEPS))
    ours = profile.levels > np.arange(len(BALLS[norm]))[:, None]
    # The images are the same, so only those count that one attack fools and the other does not.
    missed, gained = (ours & ~survived).sum(1), (survived & ~ours).sum(1)
    assert (missed <= gained + 0.02 * 200 + 2 * np.sqrt(missed + gained)).all()
    assert profile.rate.mean() <= survived.mean() + 0.005
    assert 0.02 < profile.rate[-1] < profile.rate[0] < 0.95  # something was at stake


@every_oracle
@both
def test_pgd_fools_as_many_as_the_oracles_with_the_same_steps(by_pgd, theirs, oracle, norm):
    for epsilon, survived in zip(BALLS[norm], theirs(oracle, norm), strict=True):
        ours = ~by_pgd(norm, epsilon)
        missed, gained = (ours & ~survived).sum(), (survived & ~ours).sum()
        assert abs(missed - gained) <= 0.02 * 200 + 2 * np.sqrt(missed + gained)


@pytest.mark.parametrize("labels", ["predicted", "true"])
@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_fgsm_is_that_of_torchattacks_image_by_image(net, digits, images, epsilon, labels):
    # In float64: in float32 their cross-entropy has lost its gradient where the network is sure.
    net, images = net.double(), images.double()
    by_default = labels == "predicted"
    labels = net(images).argmax(1) if by_default else digits.test.labels[:200]
    theirs = torchattacks.FGSM(net, eps=epsilon)(images, labels)
    ours = fgsm(net, images, epsilon, labels=None if by_default else labels)
    assert (ours.images - theirs).abs().max() <= 1e-12
    assert torch.equal(ours.fooled, net(theirs).argmax(1) != labels)


OTHERS = {
    "APGD-CE": lambda net, epsilon: torchattacks.APGD(net, eps=epsilon, steps=STEPS, loss="ce", seed=0),
    "APGD-DLR": lambda net, epsilon: torchattacks.APGD(net, eps=epsilon, steps=STEPS, loss="dlr", seed=0),
    "Square": lambda net, epsilon: torchattacks.Square(net, eps=epsilon, n_queries=150, seed=0),
}


@pytest.mark.parametrize("attack", OTHERS.values(), ids=OTHERS.keys())
def test_the_parts_of_autoattack_fool_no_more_than_the_profile_says(net, images, profiled, attack):
    images, epsilons = images[:100], (0.07, 0.12)
    labels = net(images).argmax(1)
    profile = profiled(100, epsilons)
    for level, epsilon in enumerate(epsilons):
        with torch.random.fork_rng(devices=[]):
            survived = (net(attack(net, epsilon)(images, labels)).argmax(1) == labels).numpy()
        ours = profile.levels > level
        missed, gained = (ours & ~survived).sum(), (survived & ~ours).sum()
        assert missed <= gained + 2 + 2 * np.sqrt(missed + gained)
        assert 0.1 < profile.rate[level] < 0.9


def adv_lib():
    """adv-lib's attacks, which import visdom only to draw; and distutils, which warns."""
    sys.modules.setdefault("visdom", ModuleType("visdom"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("adv_lib.attacks", reason="adv-lib is not installed: `make` installs it")


MINIMUM_NORM = {
    "FMN": lambda library, order: partial(library.fmn, norm=order, steps=100),
    "PDPGD": lambda library, order: partial(library.pdpgd, norm=order, num_steps=100),
    "DDN": lambda library, order: partial(library.ddn, steps=100, levels=None),
    "ALMA": lambda library, order: partial(library.alma, num_steps=100, distance="l2", init_lr_distance=1.0),
}


@pytest.mark.parametrize(
    ("attack", "norm"),
    [
        *(("FMN", "linf"), ("ALMA", "l2")),  # one in each norm; the others are of the same kind
        *(pytest.param("PDPGD", norm, marks=pytest.mark.long) for norm in ("linf", "l2")),
        *(pytest.param(attack, "l2", marks=pytest.mark.long) for attack in ("FMN", "DDN")),
    ],
)
def test_no_minimum_norm_attack_of_a_hundred_steps_fools_more_than_the_profile_says(
    net, images, profiled, attack, norm
):
    images = images[:100]
    labels, order = net(images).argmax(1), {"linf": math.inf, "l2": 2}[norm]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        perturbed = MINIMUM_NORM[attack](adv_lib(), order)(net, images, labels)
    fooled = net(perturbed).argmax(1) != labels
    sizes = torch.linalg.vector_norm((perturbed - images).flatten(1), ord=order, dim=1).where(fooled, torch.inf)
    survived = sizes.detach().numpy() > np.array(BALLS[norm])[:, None] + 1e-6
    profile = profiled(100, tuple(BALLS[norm]), norm=norm)
    ours = profile.levels > np.arange(len(BALLS[norm]))[:, None]
    missed, gained = (ours & ~survived).sum(1), (survived & ~ours).sum(1)
    assert (missed <= gained + 2 + 2 * np.sqrt(missed + gained)).all()
    assert 0.02 < profile.rate[-1] < profile.rate[0] < 0.95


@pytest.mark.long
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 1.0)])
def test_autoattack_fools_no_more_than_the_profile_says(net, images, norm, epsilon):
    """The standard version, but for Square's queries: 300 of its 5,000, so that the test takes ten seconds."""
    pyautoattack = pytest.importorskip("pyautoattack", reason="pyautoattack is not installed: `make` installs it")
    images = images[:50]
    labels = net(images).argmax(1)
    autoattack = pyautoattack.AutoAttack(net, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, seed=0)
    autoattack.square.n_queries = 300
    with torch.random.fork_rng(devices=[]):
        perturbed, _ = autoattack.run_standard_evaluation(images, labels, batch_size=50)
    survived = (net(perturbed).argmax(1) == labels).numpy()
    profile = robustness_profile(net, images, [epsilon], norm=norm)
    ours = profile.levels > 0
    missed, gained = (ours & ~survived).sum(), (survived & ~ours).sum()
    assert missed <= gained + 1 + np.sqrt(missed + gained)
    assert profile.floor[0] <= survived.mean()
    assert 0.1 < profile.rate[0] < 0.9
