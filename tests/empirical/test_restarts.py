"""The attacks after the search: what they may change, what they keep, and when they end."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob.empirical.attacks import norm_named, search, strengthen
from invrob.empirical.attacks.restarts import PATIENCE, aim_at_others, descend, lower, ranks
from invrob.empirical.inference import evaluating

GRID = {"linf": [0.05, 0.1, 0.2, 0.4], "l2": [0.3, 0.6, 1.2, 2.4]}
both = pytest.mark.parametrize("norm", GRID)
seeds = st.integers(0, 10**6)


def bent(seed, classes=4):
    """A random network of two layers whose decisions are bent."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, classes))
        model[1].weight.data *= 6
    return model.eval().requires_grad_(False)


def searched(model, norm, seed, n=12, steps=2):
    """A finished search among `n` random images."""
    images = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    state = search.begin(model, images, torch.tensor(GRID[norm], dtype=torch.float64), norm_named(norm))
    search.run(state, steps=steps, restarts=1, generator=torch.Generator().manual_seed(seed))
    return state


def checked(state, before):
    """What holds after any attack: nothing rose, and what fell is an image in ball and box that fools the model."""
    fell = state.fooled < len(state.epsilons)
    assert (state.fooled <= before).all()
    assert (state.fooled - state.withstood == 1).all()  # no image is left open
    assert (state.model(state.perturbed).argmax(1) != state.labels)[fell].all()
    assert (state.norm.size(state.perturbed - state.images).double()[fell] <= state.epsilons[state.fooled[fell]]).all()
    assert ((state.perturbed >= 0) & (state.perturbed <= 1)).all()


def test_an_attempt_goes_on_below_for_as_long_as_it_fools_and_in_no_other_ball():
    state = searched(lambda x: x.flatten(1)[:, :2], "linf", 0, n=4)
    state.fooled[:], state.withstood[:] = 4, 3
    towards = state.images.clone()  # nothing is fooled by the clean images; the planted attempt says otherwise
    until, asked = torch.tensor([0, 2, 4, 1]), []

    def attempt(here, radius):
        asked.append((here.tolist(), radius.tolist()))
        fools = state.withstood[here] >= until[here]
        reached = state.epsilons[state.withstood[here]].float()[:, None, None, None] * 0.999
        return torch.where(towards[here] < 0.5, towards[here] + reached, towards[here] - reached), fools

    fell = lower(state, torch.arange(4), attempt)
    assert fell.tolist() == [True, True, False, True]
    assert state.fooled.tolist() == until.tolist()
    assert state.withstood.tolist() == (until - 1).tolist()
    assert asked == [
        ([0, 1, 2, 3], [0.4] * 4),
        ([0, 1, 3], [0.2] * 3),
        ([0, 1, 3], [0.1] * 3),
        ([0, 3], [0.05] * 2),
    ]
    assert lower(state, torch.arange(0), attempt).tolist() == []


@both
@given(seed=seeds, rank=st.integers(0, 5), kind=st.integers(0, 2), n=st.integers(0, 8))
@settings(deadline=None, max_examples=15)
def test_an_attack_stays_in_ball_and_box_says_what_the_model_says_and_counts_its_gradients(norm, seed, rank, kind, n):
    model, generator = bent(seed), torch.Generator().manual_seed(seed)
    with evaluating(model):
        state = searched(model, norm, seed)
        who, asked = torch.randperm(12, generator=generator)[:n], state.evaluations
        descent = state.norm.again[kind]
        radius = torch.full((n,), GRID[norm][1], dtype=torch.float64)
        x, fools = descend(state, who, radius, torch.full_like(who, rank), 4, descent, generator)
    assert (state.norm.size(x - state.images[who]).double() <= radius)[fools].all()
    assert ((x >= 0) & (x <= 1)).all()
    assert torch.equal(model(x).argmax(1)[fools] != state.labels[who][fools], torch.ones(int(fools.sum())).bool())
    assert 0 <= state.evaluations - asked <= n * 4 * descent.longer


@both
@given(seed=seeds, classes=st.integers(2, 5))
@settings(deadline=None, max_examples=8)
def test_what_is_attacked_again_never_rises_and_the_same_seed_gives_the_same_bits(norm, seed, classes):
    ends = []
    for _ in range(2):
        with evaluating(model := bent(seed, classes)):
            state = searched(model, norm, seed)
            before = state.fooled.clone()
            strengthen(state, 300, 0.01, 5, torch.Generator().manual_seed(seed))
            checked(state, before)
            ends.append(state)
    assert torch.equal(ends[0].perturbed, ends[1].perturbed)
    assert ends[0].evaluations == ends[1].evaluations


@both
def test_more_attacks_find_more_where_two_steps_fell_short(norm):
    gained = 0
    for seed in range(5):
        with evaluating(model := bent(seed)):
            state = searched(model, norm, seed, n=40)
            before = state.fooled.clone()
            strengthen(state, 1e9, 0.01, 10, torch.Generator().manual_seed(seed))
            checked(state, before)
        gained += int((before - state.fooled).sum())
    assert gained >= 5


@both
@pytest.mark.parametrize("limit", [0, 30, 100])
def test_the_gradients_that_were_allowed_are_not_passed_by_more_than_one_round(norm, limit):
    with evaluating(model := bent(1)):
        state = searched(model, norm, 1, n=100)
        state.near[:] = 1.0  # so that patience is not what ends it
        asked = state.evaluations
        enough = strengthen(state, limit, 1e-6, 10, torch.Generator().manual_seed(0))
    longest = 10 * max(descent.longer for descent in state.norm.again)
    assert state.evaluations - asked <= limit + 10 * longest * len(GRID[norm])  # a tenth of the images, at each level
    assert not enough


def test_attacks_in_vain_end_it_and_an_image_that_falls_makes_up_for_some(monkeypatch):
    state = searched(bent(1), "linf", 1, n=40)
    state.near[:] = 1.0
    rounds = []

    def nothing_falls(state, who, attempt, fallen=0):
        rounds.append(len(who))
        return torch.arange(len(who)) < (fallen if len(rounds) <= 3 else 0)

    left = int((state.withstood >= 0).sum())
    for fallen, worth in ((0, 0.01), (1, 1 / 4), (1, 1 / 2)):
        rounds.clear()
        monkeypatch.setattr("invrob.empirical.attacks.restarts.lower", partial(nothing_falls, fallen=fallen))
        assert strengthen(state, 1e9, worth, 5, torch.Generator().manual_seed(0))
        expected = PATIENCE * left + 3 * min(4, fallen / worth)  # no credit beyond the patience that it begins with
        assert expected <= sum(rounds) < expected + 4


def test_images_whose_boundary_is_far_are_left_alone():
    state = searched(bent(1), "linf", 1, n=40)
    state.near[:] = 2.0
    asked = state.evaluations
    assert strengthen(state, 1e9, 0.01, 5, torch.Generator().manual_seed(0))
    assert state.evaluations == asked


@given(seed=seeds, classes=st.integers(2, 10))
@settings(deadline=None, max_examples=15)
def test_a_step_towards_every_class_is_the_end_of_it_for_linear_models(linear, worst_case, seed, classes):
    model = linear(classes, 16, seed).requires_grad_(False)
    with evaluating(model):
        state = searched(model, "linf", seed, steps=1)
        aim_at_others(state, torch.arange(12))
    largest = [worst_case(model, state.images, state.labels, epsilon) for epsilon in GRID["linf"]]
    certain = sum((margin < -1e-4).long() for margin in largest)  # levels at which no perturbation fools for certain
    possible = sum((margin < 1e-4).long() for margin in largest)
    assert ((certain <= state.fooled) & (state.fooled <= possible)).all()


def test_classes_are_aimed_at_up_to_the_ninth():
    for classes, expected in ((2, [1]), (3, [1, 2]), (10, [*range(1, 10)]), (100, [*range(1, 10)])):
        assert [*ranks(searched(bent(0, classes), "linf", 0, n=1))] == expected
