"""The loss that attacks climb: the direction of cross-entropy, without its blind spots."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from invrob.empirical.attacks.gradients import margins, odds_loss, runner_up

seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, scale=st.sampled_from([0.1, 1.0, 5.0]), targeted=st.booleans(), spread=st.sampled_from([0.0, 1e-3]))
@settings(deadline=None, max_examples=40)
def test_the_loss_climbs_where_cross_entropy_does(seed, scale, targeted, spread):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(8, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (8,), generator=generator)
    targets = (labels + 1 + torch.randint(4, (8,), generator=generator)) % 5
    z = logits.clone().requires_grad_()
    if targeted:  # towards the target: cross-entropy against the label when there is no third class
        pair = torch.stack([z.gather(1, labels[:, None])[:, 0], z.gather(1, targets[:, None])[:, 0]], 1)
        theirs = F.cross_entropy(pair, torch.zeros(8, dtype=torch.int64), reduction="sum")
    else:
        theirs = F.cross_entropy(z, labels, reduction="sum")
    expected = torch.autograd.grad(theirs, z)[0]
    loss = odds_loss(z, labels, targets if targeted else None, spread)
    gradient = torch.autograd.grad(loss.sum(), z)[0]
    assert torch.allclose(F.normalize(gradient, dim=1), F.normalize(expected, dim=1), atol=1e-9)
    assert ((gradient * expected).sum(1) > 0).all()


def test_the_loss_does_not_vanish_where_cross_entropy_does():
    z = torch.tensor([[200.0, 0.0, -1.0]], requires_grad=True)
    label = torch.zeros(1, dtype=torch.int64)
    assert not torch.autograd.grad(F.cross_entropy(z, label), z)[0].any()
    assert torch.autograd.grad(odds_loss(z, label).sum(), z)[0].abs().sum() == pytest.approx(2)


@given(seed=seeds, temperature=st.floats(1, 1e6))
@settings(deadline=None, max_examples=40)
def test_with_a_spread_the_direction_does_not_depend_on_the_temperature(seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(8, 5, generator=generator).double(), torch.randint(5, (8,), generator=generator)

    def direction(values):
        z = values.clone().requires_grad_()
        return torch.autograd.grad(odds_loss(z, labels, None, 20.0).sum(), z)[0]

    assert torch.allclose(direction(logits), direction(logits / temperature), atol=1e-9)


def test_equal_or_infinite_logits_give_the_loss_no_nan():
    labels = torch.zeros(2, dtype=torch.int64)
    for logits in (torch.zeros(2, 3), torch.tensor([[0.0, 1.0, -torch.inf]] * 2)):
        z = logits.clone().requires_grad_()
        assert not torch.autograd.grad(odds_loss(z, labels, None, 20.0).sum(), z)[0].isnan().any()


def test_half_precision_logits_are_summed_in_float32():
    logits = torch.tensor([[12.0, 11.0, 10.0]])
    labels = torch.zeros(1, dtype=torch.int64)
    assert odds_loss(logits.half(), labels).dtype == torch.float32
    assert odds_loss(logits.half(), labels) == odds_loss(logits, labels)


def test_runners_up_are_the_other_classes_in_order_and_then_nobody():
    logits, labels = torch.tensor([[3.0, 9.0, 5.0], [3.0, 9.0, 5.0]]), torch.tensor([1, 0])
    assert [runner_up(logits, labels, rank).tolist() for rank in (0, 1, 2, 3)] == [[-1, -1], [2, 1], [0, 2], [-1, -1]]
    assert runner_up(logits, labels, torch.tensor([2, 1])).tolist() == [0, 1]
    assert margins(logits, labels).tolist() == [-4, 6]
