"""What the audit of a profile says, and when: laws, the verdict that follows from it, and floors that hold."""

from functools import partial

import numpy as np
import planted
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob import PGD, Auto, InputError, Square, robustness_profile
from invrob.empirical.attacks import audit, norm_named, search, strength
from invrob.empirical.inference import evaluating
from invrob.empirical.profiles import by_gradients

EPSILONS = {"linf": [0, 0.05, 0.1, 0.2, 0.4], "l2": [0, 0.3, 0.6, 1.2, 2.4]}
both = pytest.mark.parametrize("norm", EPSILONS)
seeds = st.integers(0, 10**6)
ROUGH = PGD(steps=2)  # falls short of what an audit finds


def tangled(seed, classes=4):
    """A random network of two layers whose decisions are bent: two steps of gradients do not get to the end of it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, classes))
        model[1].weight.data *= 6
    return model.eval()


def some(seed, n=12):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


@both
@given(seed=seeds, classes=st.integers(2, 5), n=st.integers(1, 12))
@settings(deadline=None, max_examples=4)
def test_an_audit_raises_no_level_and_touches_the_images_alone_that_it_was_given(norm, seed, classes, n):
    model, measure = tangled(seed, classes), norm_named(norm)
    generator, grid = torch.Generator().manual_seed(seed), torch.tensor(EPSILONS[norm][1:], dtype=torch.float64)
    with evaluating(model):
        state = search.begin(model, some(seed, n), grid, measure)
        search.run(state, steps=2, restarts=1, generator=generator)
        before, who = state.fooled.clone(), torch.randperm(n, generator=generator)[: max(1, n // 2)]
        done = audit(state, who, generator)
        answers = model(state.perturbed).argmax(1)
    others = torch.ones(n, dtype=torch.bool).scatter(0, who, False)
    assert (state.fooled <= before).all()
    assert torch.equal(state.fooled[others], before[others])
    assert torch.equal(done.before, before)
    fell = state.fooled < len(grid)
    assert (answers[fell] != state.labels[fell]).all()
    size = measure.size(state.perturbed - state.images).double()[fell]
    assert (size <= grid[state.fooled[fell]]).all()
    assert 0 <= done.black_box <= 1


@pytest.mark.parametrize("norm", ["linf", pytest.param("l2", marks=pytest.mark.long)])
@given(seed=seeds)
@settings(deadline=None, max_examples=2)
def test_bounds_are_in_order_and_the_same_seed_gives_the_same_bits(norm, seed):
    measure = partial(robustness_profile, tangled(seed), some(seed, 12), EPSILONS[norm], norm=norm, seed=seed)
    for attack in (ROUGH, Auto(limit=2)):
        profile = measure(attack=attack, audit=5)
        assert profile == measure(attack=attack, audit=5)
        assert (profile.floor >= 0).all()
        assert (profile.floor <= profile.low).all()
        assert (np.diff(profile.floor) <= 0).all()
        assert profile.floor[0] == 1
        assert (profile.gap >= 0).all()
        assert (profile.gap <= profile.gap_high).all()
        assert (profile.gap_high <= profile.rate).all()
        assert profile.gap_high[0] == profile.missed[0] == 0


@given(seed=seeds, classes=st.integers(2, 10))
@settings(deadline=None, max_examples=3)
def test_nothing_is_missed_of_a_linear_model(linear, seed, classes):
    profile = robustness_profile(linear(classes, 16, seed), some(seed, 40), [0, 0.01, 0.03, 0.1, 0.3], seed=seed)
    assert profile.missed.tolist() == profile.gap.tolist() == [0] * 5
    assert (profile.verdict, profile.shortfall, profile.audited) == ("sound", "", 32)


@pytest.fixture
def audited(monkeypatch):
    """The images of each audit, as indices."""
    chosen, real = [], by_gradients.audit

    def spy(state, who, generator):
        chosen.append(who.tolist())
        return real(state, who, generator)

    monkeypatch.setattr(by_gradients, "audit", spy)
    return chosen


def test_audited_images_are_chosen_whatever_the_model_and_the_images_are(audited):
    for model in (tangled(0), tangled(1), lambda x: x.flatten(1)[:, :3].detach() * 0 + torch.eye(3)[0]):
        robustness_profile(model, some(0, 30), EPSILONS["linf"], attack=ROUGH, audit=7, seed=3)
        robustness_profile(model, some(1, 30), [0, 0.9], attack=PGD(steps=5), audit=7, seed=3)
    assert len(audited) == 6
    assert len({tuple(who) for who in audited}) == 1
    assert len(set(audited[0])) == 7


def test_each_image_is_audited_as_often_as_any_other(audited, monkeypatch):
    monkeypatch.setattr(by_gradients, "judge", lambda *_: planted.sanity())
    seeds = 200
    for seed in range(seeds):
        robustness_profile(lambda x: x.flatten(1)[:, :2], some(0, 8), [1.0], attack=PGD(1), audit=4, seed=seed)
    times = np.bincount(np.ravel(audited), minlength=8)
    assert times.sum() == 4 * seeds
    assert np.abs(times - seeds / 2).max() < 4 * np.sqrt(seeds / 4)  # four standard errors


@pytest.mark.long
def test_a_second_audit_looks_at_images_that_the_first_did_not(audited):
    for seed in range(5):
        audited.clear()
        robustness_profile(
            tangled(seed), some(seed, 60), EPSILONS["linf"], attack=Auto(1, limit=1), audit=10, seed=seed
        )
        if len(audited) == 2:
            break
    first, second = audited
    assert len({*first, *second}) == 20


def test_of_many_images_the_audit_is_of_32_and_of_few_it_is_of_all():
    model = tangled(0)
    for n, audit_asked, looked_at in ((50, "auto", 32), (20, "auto", 20), (20, 999, 20), (20, 3, 3), (1, "auto", 1)):
        profile = robustness_profile(model, some(0, n), EPSILONS["linf"], attack=ROUGH, audit=audit_asked)
        assert profile.audited == looked_at
        assert (profile.gap_high.max() == 0) == (looked_at == n)
        assert str(profile.strength).startswith("20 steps at each of 3 other classes")


def test_without_an_audit_nothing_is_said_of_what_was_missed():
    profile = robustness_profile(tangled(0), some(0), EPSILONS["linf"], audit=0)
    assert profile.gap is profile.gap_high is profile.floor is profile.missed is None
    assert (profile.verdict, profile.audited, profile.strength, profile.shortfall) == ("unaudited", 0, "", "")
    assert robustness_profile(tangled(0), some(0), [0.1], attack=Square(20), audit=0).verdict == "black-box"


@pytest.mark.parametrize("asked", [-1, 2.5, True, "all", None, [3]])
def test_an_audit_that_is_no_number_of_images_is_refused_in_words(asked):
    with pytest.raises(InputError, match="must be 'auto', a number of images, or 0 for none"):
        robustness_profile(tangled(0), some(0), [0.1], audit=asked)


def test_an_attack_that_falls_short_of_an_honest_network_is_weak_and_says_the_way_out(net, digits):
    images, grid = digits.test.images[:100], [0, 0.05, 0.1, 0.15, 0.2, 0.3]
    weak = robustness_profile(net, images, grid, attack=PGD(steps=1), audit=50)
    assert weak.verdict == "weak"
    assert weak.sanity.verdict == "sound"
    assert "too high at worst: more than 1 steps and 1 restarts find more, as does 'auto'" in weak.shortfall
    assert (weak.missed > 1).any()
    mended = robustness_profile(net, images, grid, attack="auto", audit=50)
    assert (mended.verdict, mended.shortfall) == ("sound", "")
    assert mended.rate.mean() < weak.rate.mean()


@pytest.mark.long
def test_a_limit_that_was_reached_is_said_and_a_larger_one_is_advised():
    for seed in range(20):
        short = robustness_profile(
            *(tangled(seed), some(seed, 100), EPSILONS["linf"]), attack=Auto(steps=1, limit=1), audit=30
        )
        if short.verdict == "weak":
            break
    assert "had spent its limit of 1 gradients per image" in short.shortfall
    assert "5 steps with 5 restarts, or a larger limit, find more" in short.shortfall


def test_an_audit_of_a_masked_model_bounds_nothing_and_says_so(net, digits):
    profile = robustness_profile(lambda x: net(x.detach()), digits.test.images[:40], [0, 0.1, 0.3])
    assert profile.verdict == "masked"
    assert profile.floor.tolist() == [1, 0, 0]
    assert profile.gap_high.tolist() == [0, *profile.rate[1:].tolist()]
    assert profile.strength.endswith("as blind as the search, so that it bounds nothing")
    assert profile.shortfall == ""


@pytest.mark.long
def test_a_fixed_effort_costs_the_search_and_one_audit_and_auto_keeps_its_limit(net, digits):
    images, grid = digits.test.images[:50], EPSILONS["linf"]
    price = {
        name: robustness_profile(net, images, grid, attack=attack, audit=number).gradient_evaluations
        for name, attack, number in (
            ("search", PGD(), 0),
            ("audited", PGD(), 16),
            ("auto", Auto(limit=30), 16),
            ("auto, little", Auto(limit=2), 16),
        )
    }
    assert price["search"] < price["audited"]
    assert price["auto, little"] <= price["audited"] * 2 + 2 + 0.1  # a second audit at most
    assert price["auto"] <= price["audited"] * 2 + 30 + 0.1


def test_the_strength_names_every_attack_of_the_audit(net, digits):
    state = search.begin(net, digits.test.images[:2], torch.tensor([0.1]).double(), norm_named("linf"))
    for words in ("20 steps at each of 9 other classes", "Auto-PGD with 30 steps on ce and dlr", "500 queries"):
        assert words in strength(state)
    two = search.begin(tangled(0, 2), some(0), torch.tensor([0.1]).double(), norm_named("linf"))
    assert "on ce, and Square" in strength(two)


@pytest.mark.long
@both
def test_the_floor_lies_below_the_best_attack_there_is(net, digits, norm):
    """The population: 100 digits. The truth about it: what 40 steps, 3 restarts and an audit of all leave standing."""
    population, grid = digits.test.images[:100], EPSILONS[norm][1:4]
    best = robustness_profile(net, population, grid, norm=norm, attack=PGD(steps=40, restarts=3), audit=100)
    random, audits, below = np.random.default_rng(0), 20, 0
    for seed in range(audits):
        drawn = torch.from_numpy(random.integers(0, 100, 40))
        profile = robustness_profile(net, population[drawn], grid, norm=norm, attack=PGD(steps=3), audit=12, seed=seed)
        below += bool((profile.floor <= best.rate + 1e-12).all())
    assert below >= 0.95 * audits
