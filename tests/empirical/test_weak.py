"""Weak attacks: they flatter where they are said to, stay inside the ball, and are refused under another name."""

import numpy as np
import pytest
import torch

from invrob import InputError, Weak, robustness_profile
from invrob.empirical.attacks import norm_named
from invrob.empirical.profiles import WEAK
from invrob.empirical.profiles.weak import last_iterate

EPSILONS = [0, 0.05, 0.1, 0.3]


@pytest.mark.parametrize("attack", WEAK)
def test_no_weak_attack_leaves_ball_or_box_or_the_seed(net, digits, attack):
    images = digits.test.images[:20]
    labels = net(images).argmax(1)
    linf = norm_named("linf")
    x, again = (
        last_iterate(net, images, labels, 0.1, WEAK[attack], linf, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(x, again)
    assert (x - images).abs().max() <= 0.1
    assert 0 <= x.min() <= x.max() <= 1
    assert not torch.equal(x, images)


@pytest.fixture(scope="module")
def strong(_trained, digits):
    return robustness_profile(_trained, digits.test.images[:50], EPSILONS, digits.test.labels[:50])


@pytest.mark.parametrize("attack", sorted(WEAK.keys() - {"noise"}))
def test_on_an_easy_network_it_finds_about_what_the_strong_one_finds(net, digits, strong, attack):
    images, labels = digits.test.images[:50], digits.test.labels[:50]
    weak = robustness_profile(net, images, EPSILONS, labels, attack=Weak(attack))
    assert weak.rate[0] == 1
    assert (weak.rate >= strong.rate - 0.05).all()
    assert (weak.accuracy <= weak.rate + 1e-9).all()
    assert weak.clean_accuracy == strong.clean_accuracy
    assert abs(weak.rate[1] - strong.rate[1]) < 0.2
    assert weak.to_dict()["attack"] == attack


def test_a_random_start_alone_fools_next_to_nobody(net, digits, strong):
    weak = robustness_profile(net, digits.test.images[:50], [0.1], attack=Weak("noise"))
    assert weak.rate[0] > 0.9 > strong.rate_at(0.1).estimate + 0.1


@pytest.fixture(scope="module")
def strong_at_large_logits(_trained, digits):
    return robustness_profile(lambda x: 100 * _trained(x), digits.test.images[:50], EPSILONS)


@pytest.mark.parametrize("attack", ["paper", "softmax", "half"])
def test_large_logits_make_it_report_robustness_that_is_not_there(net, digits, strong_at_large_logits, attack):
    images, strong = digits.test.images[:50], strong_at_large_logits
    weak = robustness_profile(lambda x: 100 * net(x), images, EPSILONS, attack=Weak(attack))
    assert strong.verdict == "sound"
    assert strong.rate[-1] < 0.1
    assert weak.rate[-1] > 0.5


@pytest.mark.filterwarnings("ignore:images .* all pixels of all images are 0:UserWarning")
def test_a_fixed_step_falls_short_where_the_ball_is_larger_than_its_way():
    # A prediction that changes where the mean pixel passes 1/2: from 0 the way is 0.5, and 40 steps of 0.01 make 0.4.
    images = torch.zeros(4, 1, 8, 8)

    def model(x):
        mean = x.flatten(1).mean(1)
        return torch.stack([0.45 - mean, mean - 0.45], 1)

    assert robustness_profile(model, images, [0.5], attack=Weak("fixed-step")).rate.tolist() == [1.0]
    assert robustness_profile(model, images, [0.5]).rate.tolist() == [0.0]


def test_the_curve_is_measured_anew_at_every_epsilon_and_says_how_sure_it_is(net, digits):
    profile = robustness_profile(net, digits.test.images[:50], EPSILONS, attack=Weak("few-steps"))
    assert ((profile.low <= profile.rate) & (profile.rate <= profile.high)).all()
    assert profile.low[0] == 1
    assert np.array_equal(profile.epsilons, EPSILONS)


def test_an_attack_of_another_name_is_refused_with_the_nearest_one(net, digits):
    with pytest.raises(InputError) as caught:
        robustness_profile(net, digits.test.images[:2], EPSILONS, attack=Weak("softmx"))
    assert str(caught.value) == (
        "attack = Weak(name='softmx') is unknown; did you mean 'softmax'?: use Weak(name) with one of "
        + ", ".join(WEAK)
    )


def test_another_norm_than_that_of_the_attack_is_refused(net, digits):
    with pytest.raises(InputError) as caught:
        robustness_profile(net, digits.test.images[:2], EPSILONS, norm="l2", attack="weak")
    assert str(caught.value) == "norm = 'l2' is not what weak attacks are made for: use 'linf'"
