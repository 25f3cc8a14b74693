"""Auto-PGD: as strong as torchattacks' on either loss, inside ball and box, and its losses as in the paper."""

import numpy as np
import pytest
import torch
import torchattacks
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical.attacks.apgd import apgd, checkpoints, dlr_loss
from invrob.empirical.attacks.norms import NORMS

BALLS = {"linf": 0.1, "l2": 1.0}


def attacked(net, images, labels, norm, loss, epsilon, steps=20, seed=0):
    radius = torch.full((len(images),), epsilon, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    return apgd(net, images, labels, radius, NORMS[norm], loss=loss, steps=steps, generator=generator)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_it_fools_as_many_as_the_one_of_torchattacks(net, digits, norm, loss):
    images = digits.test.images[:150]
    labels = net(images).argmax(1)
    ours = attacked(net, images, labels, norm, loss, BALLS[norm])
    name = {"linf": "Linf", "l2": "L2"}[norm]
    with torch.random.fork_rng(devices=[]):
        theirs = torchattacks.APGD(net, norm=name, eps=BALLS[norm], steps=20, loss=loss, seed=0)(images, labels)
    fooled = (net(theirs).argmax(1) != labels).numpy()
    missed, gained = (fooled & ~ours.fooled.numpy()).sum(), (~fooled & ours.fooled.numpy()).sum()
    assert missed <= gained + 3 + 2 * np.sqrt(missed + gained)
    assert 0.1 < fooled.mean() < 0.95


@pytest.mark.parametrize("norm", BALLS)
@given(seed=st.integers(0, 2**32 - 1), epsilon=st.floats(0, 1))
@settings(deadline=None, max_examples=10)
def test_what_it_found_lies_in_ball_and_box_and_is_what_it_says(linear, norm, seed, epsilon):
    model = linear(4, 25, seed % 100)
    images = torch.rand(12, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    labels = model(images).argmax(1)
    attack = attacked(model, images, labels, norm, "dlr", epsilon, steps=7, seed=seed)
    assert (NORMS[norm].size(attack.images - images).double() <= epsilon).all()
    assert 0 <= attack.images.min() <= attack.images.max() <= 1
    assert torch.equal(model(attack.images).argmax(1) != labels, attack.fooled)
    assert attack.evaluations <= 12 * 7


@given(scale=st.floats(0.01, 100), shift=st.floats(-100, 100), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_dlr_knows_neither_scale_nor_shift_and_is_positive_where_the_label_lost(scale, shift, seed):
    outputs = torch.randn(9, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    labels = torch.arange(9) % 5
    loss = dlr_loss(outputs, labels)
    assert torch.allclose(dlr_loss(scale * outputs + shift, labels), loss, rtol=1e-6, atol=1e-6)
    assert torch.equal(loss > 0, outputs.argmax(1) != labels)


def test_steps_are_halved_until_they_find_a_narrow_peak():
    def model(x):  # another class between 0.297 and 0.303 alone; from 0, steps of a whole ball jump over it for ever
        brightness = x.flatten(1)[:, 0]
        return torch.stack([(brightness - 0.3).abs(), torch.full_like(brightness, 0.003)], 1)

    images = torch.zeros(20, 1, 1, 1)
    attack = attacked(model, images, torch.zeros(20, dtype=torch.int64), "linf", "ce", 0.5, steps=50)
    assert attack.fooled.all()


def test_checkpoints_are_those_of_the_paper():
    # p = 0, 0.22, then steps shorter by 0.03 each time, 0.06 at least: 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99
    assert checkpoints(100) == [0, 22, 41, 57, 70, 80, 87, 93, 99]


@pytest.mark.parametrize("steps", [10, 40])
def test_steps_are_halved_where_fewer_than_three_quarters_of_those_since_the_checkpoint_raised_the_loss(steps):
    # Condition 1 of the paper, at the first checkpoint: the loss falls from its top at the start, rises `rises` times
    # and falls again.
    window = checkpoints(steps)[1]
    for rises in range(window):
        falls = window - 1 - rises
        losses = [0, *range(-100, -99 + rises), *range(-101 + rises, -101 + rises - falls, -1), *[-200] * steps]
        visited = []

        def model(x, losses=losses, visited=visited):  # the gradient leads down at the start, and up everywhere else
            loss = losses[len(visited)] + (1 if visited else -1) * (x - x.detach()).flatten()
            visited.append(x.item())
            return torch.stack([torch.full_like(loss, 200), loss], 1)

        attacked(model, torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64), "linf", "ce", 1.0, steps=steps)
        back_at_the_start = visited[window + 1] < 0.5  # and down from there, instead of at the upper edge
        assert back_at_the_start == (rises < 0.75 * window)
