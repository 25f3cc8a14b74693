"""What a 90-degree turn of the image does to every p4 network, fresh and trained; filters are expanded once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob.empirical import groups
from invrob.empirical.groups import GroupPool, P4ConvP4, P4ConvZ2
from invrob.empirical.models import HEADS, MODELS, P4_MODELS, build

SMALL = {"gcnn": {"width": 0.5, "size": 16}, "gcnn_vgg16": {"width": 0.1, "size": 32}}
CONVOLUTIONS = {"gcnn": 4, "gcnn_vgg16": 13}
every_p4_model = pytest.mark.parametrize("name", P4_MODELS)
every_head = pytest.mark.parametrize("head", HEADS)


def images(name, n, seed=0):
    size, generator = SMALL[name]["size"], torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, size, size, dtype=torch.float64, generator=generator)


def p4_network(name, seed=0, normalization="cifar10", **options):
    return build(name, seed=seed, in_channels=3, normalization=normalization, **SMALL[name], **options).double()


def calibrated(model, x):
    """With the running statistics of `x`: a deep network that has never seen an image hardly tells any two apart."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 1.0
    with torch.no_grad(), torch.random.fork_rng():
        model.train()(x)
    return model.eval()


def trained(model, name):
    """After five steps, so that batch norm's scales, shifts and running statistics are no longer 1, 0 and 0, 1."""
    optimizer = torch.optim.SGD(model.train().parameters(), 0.05, momentum=0.9)
    for step in range(5):
        loss = nn.functional.cross_entropy(model(images(name, 16, seed=step)), torch.arange(16) % 10)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def trunk_of(model):
    """The layers whose feature maps are [N, C, 4, H, W]."""
    end = next(i for i, layer in enumerate(model) if isinstance(layer, GroupPool | nn.Flatten))
    return model[:end]


def assert_turns_act_as_they_should(model, x, turns, head):
    turned, trunk = x.rot90(turns, (2, 3)), trunk_of(model)
    torch.testing.assert_close(trunk(turned), trunk(x).roll(turns, 2).rot90(turns, (3, 4)), rtol=0, atol=1e-11)
    logits = model(x)
    difference = (model(turned) - logits).abs().max() / logits.std()
    assert difference < 1e-11 if head == "invariant" else difference > 1e-3


def test_the_p4_models_are_those_with_p4_convolutions():
    p4 = [name for name in MODELS if any(isinstance(m, P4ConvZ2 | P4ConvP4) for m in build(name, width=0.1).modules())]
    assert tuple(p4) == P4_MODELS


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(P4_MODELS),
    st.sampled_from(HEADS),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 3]),
    st.sampled_from(["none", "image", "cifar10"]),
)
def test_turns_permute_the_trunk_and_leave_the_invariant_logits_but_not_the_papers(
    name, head, seed, turns, normalization
):
    model = calibrated(p4_network(name, seed, normalization, head=head), images(name, 8, seed + 1))
    assert_turns_act_as_they_should(model, images(name, 2, seed), turns, head)


@every_p4_model
@every_head
def test_training_does_not_break_the_symmetry(name, head):
    model = trained(p4_network(name, head=head, dropout=0), name).eval()
    for turns in (1, 2, 3):
        assert_turns_act_as_they_should(model, images(name, 3, seed=99), turns, head)


@every_p4_model
def test_the_symmetry_holds_in_train_mode_for_batches_turned_as_a_whole(name):
    model = p4_network(name, head="invariant", dropout=0).train()
    assert_turns_act_as_they_should(model, images(name, 8), 1, "invariant")


@pytest.mark.long
def test_a_turn_acts_on_the_network_of_the_papers_size_as_well():
    x = images("gcnn_vgg16", 2)
    model = calibrated(build("gcnn_vgg16", head="invariant").double(), x)
    with torch.no_grad():
        assert_turns_act_as_they_should(model, x, 1, "invariant")


@every_p4_model
@every_head
def test_kept_filters_give_the_logits_of_filters_made_anew(name, head):
    model, x = p4_network(name, head=head).eval(), images(name, 4)
    expected = model(x)  # the weights need gradients: expanded in this call
    model.requires_grad_(False)
    for _ in range(2):
        assert torch.equal(model(x), expected)
    model.requires_grad_(True)
    assert torch.equal(model(x), expected)


@every_p4_model
def test_an_attack_of_k_steps_expands_each_filter_bank_once(name, monkeypatch):
    calls = []
    expand = groups.expand_filters
    monkeypatch.setattr(groups, "expand_filters", lambda *args: calls.append(args) or expand(*args))
    model, x = p4_network(name).eval().requires_grad_(False), images(name, 4)
    for _ in range(5):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(model(x).square().sum(), x)
        x = (x + 0.1 * gradient.sign()).detach()
    assert len(calls) == CONVOLUTIONS[name]
