"""Statement (v) on planted profiles: like is compared with like, and what is not alike is shown without a verdict."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from invrob.empirical.analysis import check_claims
from invrob.empirical.analysis.equivariant import Compared, difference_of
from invrob.empirical.analysis.trends import among
from invrob.empirical.models import HEADS, MODELS, NORMALIZATIONS, build, parameters_built, parameters_in

TOOL = Path(__file__).resolve().parents[2] / "tools/coverage_controls.py"
SPEC = importlib.util.spec_from_file_location("coverage_controls", TOOL)
simulated = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(simulated)

N = 120
PAIR = {"gcnn": ("gcnn", {"head": "invariant"}), "stdcnn": ("stdcnn", {})}  # 26,910 parameters and 23,010
EASY = np.random.default_rng(7).normal(0, 0.2, N)  # what an image is to all networks alike


def network(rng, kind, mean, *, right=True, judged=None, missed=None, images=N, **cell):
    """A result of a gcnn or a stdcnn whose images keep their predictions at this rate, under attack."""
    model, options = PAIR[kind]
    rates = mean + EASY[:images] + rng.normal(0, 0.1, images)
    profile = planted.robustness(images=images, per_image=rates, judged=judged, missed=missed)
    seen = None if right is None else np.ones(images, int) if right is True else right
    how = {"model": model, "options": options, **cell}
    return planted.result(robustness=replace(profile, right=seen), invariance=planted.invariance(images=images), **how)


def run(by=0.0, seeds=(0, 1, 2), rotations=(0, 90), plain=None, **equivariant):
    """Both networks with every A and seed, the equivariant one more robust by `by`."""
    rng = np.random.default_rng(0)
    of_plain = plain or {}
    return [
        network(rng, kind, 0.4 + (by if kind == "gcnn" else 0), rotation=a, seed=s, **how)
        for kind, how in (("gcnn", equivariant), ("stdcnn", of_plain))
        for a in rotations
        for s in seeds
    ]


def of_v(results):
    return {claim.control: claim for claim in check_claims(results) if claim.name == "v"}


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_an_equivariant_network_that_is_more_robust_or_less_is_found_under_both_controls(seeds):
    for by, verdict in ((0.2, "holds"), (-0.2, "fails"), (0.0, "undecided")):
        claims = of_v(run(by, seeds))
        assert {control: claim.verdict for control, claim in claims.items()} == {
            "parameters": verdict,
            "accuracy": verdict,
        }
        for claim in claims.values():
            assert claim.effect == pytest.approx(by, abs=0.03)
            assert claim.network == "gcnn (head invariant) against stdcnn"
            assert "averaged over A = 0, 90" in claim.note
            assert not claim.of_paper


def test_one_seed_and_one_training_without_spread_of_training_are_the_paired_test_of_scipy():
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(0.6, 0.2, (2, 1, 1, 50))
    right = rng.random((1, 1, 50)) < 0.7
    exact = Compared(ours, theirs, np.zeros((2, 1)), np.zeros((2, 1)))
    effect, alone = difference_of(exact), difference_of(exact.right(right))
    assert effect.p_value == pytest.approx(stats.ttest_rel(ours[0, 0], theirs[0, 0]).pvalue, rel=1e-6)
    some = right[0, 0]
    golden = stats.ttest_rel(ours[0, 0][some], theirs[0, 0][some])
    assert alone.p_value == pytest.approx(golden.pvalue, rel=1e-6)
    assert alone.interval() == pytest.approx(tuple(golden.confidence_interval()), abs=1e-9)
    unpaired = difference_of(replace(exact, theirs=theirs[..., :30]))
    expected = np.hypot(*(stats.t.ppf(0.975, len(x) - 1) * stats.sem(x) for x in (ours[0, 0], theirs[0, 0, :30])))
    assert unpaired.interval()[1] - unpaired.size == pytest.approx(expected)


def test_several_seeds_count_by_the_spread_of_their_averages_over_the_trainings():
    """The golden value by hand: two t quantiles from scipy, one for the images and one for the seeds."""
    rng = np.random.default_rng(2)
    ours, theirs = rng.normal(0.6, 0.2, (2, 4, 3, 30))  # 4 trainings, 3 seeds, 30 images
    effect = difference_of(Compared(ours, theirs, np.zeros((2, 4)), np.zeros((2, 4))))
    of_seeds = stats.sem([(ours - theirs)[:, seed].mean() for seed in range(3)])
    of_images = stats.sem([(ours - theirs)[..., image].mean() for image in range(30)])
    half = np.hypot(stats.t.ppf(0.975, 2) * of_seeds, stats.t.ppf(0.975, 29) * of_images)
    assert effect.interval() == pytest.approx(((ours - theirs).mean() - half, (ours - theirs).mean() + half))


def test_images_of_their_own_for_each_seed_have_the_error_of_the_jackknife():
    """Leaving out one image after the other gives the error without any formula."""
    rng = np.random.default_rng(3)
    rates = rng.normal(0.5, 0.2, (2, 3, 200)) + rng.normal(0, 0.2, 200)
    seen = rng.random((3, 200)) < 0.6

    def mean(keep):
        return np.mean([(rates[0, s] - rates[1, s])[keep & seen[s]].mean() for s in range(3)])

    every = np.ones(200, bool)
    left = np.array([mean(every & (np.arange(200) != n)) for n in range(200)])
    jackknife = 199 / 200 * ((left - left.mean()) ** 2).sum()
    images = among(rates, seen)
    assert images.shape[-1] == seen.any(0).sum()
    of_images = (images[0] - images[1]).mean(0)
    assert of_images.mean() == pytest.approx(mean(every))
    assert of_images.var(ddof=1) / len(of_images) == pytest.approx(jackknife, rel=0.03)
    assert among(rates, np.ones((3, 200), bool)) == pytest.approx(rates)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 1), (2, 1), (1, 3), (3, 2)]))
def test_the_two_networks_exchanged_turn_the_sign_and_order_does_not_matter(seed, shape):
    rng = np.random.default_rng(seed)
    trainings, seeds = shape
    ours, theirs = rng.random((2, trainings, seeds, 12))
    sd, missed = rng.random((2, 2, trainings))
    effect = difference_of(Compared(ours, theirs, sd, missed))
    turned = difference_of(Compared(theirs, ours, sd[::-1], missed[::-1]))
    assert turned.size == pytest.approx(-effect.size)
    assert (turned.down, turned.up) == pytest.approx((effect.up, effect.down))
    assert turned.p_value == pytest.approx(effect.p_value)
    order = [rng.permutation(n) for n in (trainings, seeds, 12)]
    moved = [rates[np.ix_(*order)] for rates in (ours, theirs)]
    again = difference_of(Compared(*moved, sd[:, order[0]], missed[:, order[0]]))
    assert again.interval_with_missed() == pytest.approx(effect.interval_with_missed())
    low, high = effect.interval_with_missed()
    assert low <= effect.interval()[0] <= effect.size <= effect.interval()[1] <= high


def test_the_order_of_the_results_does_not_matter():
    results = run(0.1)
    shuffled = [results[i] for i in np.random.default_rng(0).permutation(len(results))]
    first, again = of_v(results), of_v(shuffled)
    for control, claim in first.items():
        assert again[control].effect == pytest.approx(claim.effect)
        assert again[control].p_holm == pytest.approx(claim.p_holm)


def test_networks_that_were_not_trained_alike_show_the_effect_and_get_no_verdict():
    results = run(0.2, epochs=5)
    claim = of_v(results)["parameters"]
    assert (claim.verdict, claim.p_value, claim.p_holm) == ("undecided", None, None)
    assert claim.effect == pytest.approx(0.2, abs=0.03)
    assert claim.note.startswith("not trained alike: epochs 5 and 8;")
    alone = [one.p_holm for one in check_claims([r for r in results if r.cell.model == "gcnn"]) if one.of_paper]
    beside = [one.p_holm for one in check_claims(results) if one.of_paper and one.network != "stdcnn"]
    assert [p is None for p in alone] == [p is None for p in beside]  # what is not tested costs no other test anything
    tests = sum(one.p_holm is not None for one in check_claims(results))
    assert all(one.p_holm <= tests * one.p_value for one in check_claims(results) if one.p_holm is not None)


def test_networks_that_are_trained_alike_come_before_nearer_ones_that_are_not():
    rng = np.random.default_rng(0)
    nearer = [network(rng, "stdcnn", 0.4, options={"width": 1.09}, epochs=3, seed=s) for s in (0, 1, 2)]
    claims = of_v([*run(0.2, rotations=(0,)), *nearer])
    assert claims["parameters"].network == "gcnn (head invariant) against stdcnn"
    alike = [network(rng, "stdcnn", 0.4, options={"width": 1.09}, seed=s) for s in (0, 1, 2)]
    claims = of_v([*run(0.2, rotations=(0,)), *alike])
    assert claims["parameters"].network == "gcnn (head invariant) against stdcnn (width 1.09)"


def test_too_many_parameters_are_said_with_both_numbers_and_heads_are_networks_of_their_own():
    rng = np.random.default_rng(0)
    flat = [network(rng, "gcnn", 0.6, options={}, rotation=a, seed=s) for a in (0, 90) for s in (0, 1, 2)]
    claims = [claim for claim in check_claims([*run(0.2), *flat]) if claim.name == "v"]
    by_head = {(claim.control, claim.network.partition(" against")[0]): claim for claim in claims}
    assert [*by_head] == [(c, n) for c in ("parameters", "accuracy") for n in ("gcnn (head invariant)", "gcnn")]
    too_large = by_head["parameters", "gcnn"]
    assert (too_large.verdict, too_large.p_holm) == ("undecided", None)
    assert "not as many parameters: 89,910, and 23,010 of the nearest plain network" in too_large.note
    assert by_head["accuracy", "gcnn"].verdict == "holds"  # the number of parameters is no matter there


def test_profiles_that_do_not_say_which_images_are_right_are_to_be_measured_again():
    claim = of_v(run(0.2, right=None))["accuracy"]
    assert (claim.verdict, claim.effect) == ("undecided", None)
    assert "of before version 0.8" in claim.note
    assert "measures the trained networks again" in claim.note


def test_at_equal_accuracy_only_images_that_both_get_right_count():
    """One network is more robust on the images that it gets wrong, and nowhere else."""
    rng = np.random.default_rng(0)
    right = (np.arange(N) >= 40).astype(int)
    ours = [network(rng, "gcnn", 0.4, right=right, seed=s) for s in (0, 1, 2)]
    for one in ours:
        one.robustness.per_image[:40] += 0.5
    claims = of_v([*ours, *(network(rng, "stdcnn", 0.4, seed=s) for s in (0, 1, 2))])
    assert claims["parameters"].effect == pytest.approx(0.5 / 3, abs=0.03)
    assert claims["accuracy"].effect == pytest.approx(0, abs=0.03)
    assert "the 80 of 120 images that both get right" in claims["accuracy"].note


def test_networks_on_other_images_are_not_paired_and_get_no_verdict():
    claims = of_v(run(0.2, images=60))
    assert [*claims] == ["parameters"]
    assert claims["parameters"].p_holm is None
    assert "not measured on the same images: 60 and 120 of them" in claims["parameters"].note
    assert claims["parameters"].effect == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize(
    ("judged", "why"),
    [(planted.sanity("planted"), "attacks that failed"), (planted.sanity(constant=True), "constant classifiers")],
)
def test_masked_attacks_and_constant_classifiers_get_no_verdict(judged, why):
    for claims in (of_v(run(0.3, judged=judged)), of_v(run(0.3, plain={"judged": judged}))):
        assert {claim.verdict for claim in claims.values()} == {"undecided"}
        assert all(why in claim.note for claim in claims.values())


def test_what_the_attacks_may_have_missed_of_the_better_one_speaks_against_it():
    assert of_v(run(0.2, missed=0.0, plain={"missed": 0.0}))["parameters"].verdict == "holds"
    turned = of_v(run(0.2, missed=0.5, plain={"missed": 0.0}))["parameters"]
    assert turned.verdict == "undecided"
    assert "would turn within `floor`" in turned.note
    assert turned.floor_low < turned.low < turned.floor_high == turned.high
    assert of_v(run(0.2, missed=0.0, plain={"missed": 0.5}))["parameters"].verdict == "holds"
    lost = of_v(run(0.2, missed=0.02, right=(np.arange(N) < 60).astype(int), plain={"missed": 0.02}))
    whole, half = (lost[control].low - lost[control].floor_low for control in ("parameters", "accuracy"))
    assert half == pytest.approx(2 * whole)  # all that was missed may be among the half that counts


def test_a_training_that_says_the_contrary_for_certain_is_said_in_place_of_a_verdict():
    rng = np.random.default_rng(0)
    by = {0: 0.4, 180: -0.2}
    results = [
        network(rng, kind, 0.4 + (by[a] if kind == "gcnn" else 0), rotation=a, seed=s)
        for kind in PAIR
        for a in by
        for s in (0, 1, 2)
    ]
    claim = of_v(results)["parameters"]
    assert (claim.verdict, claim.p_holm < 0.05) == ("undecided", True)
    assert "the other way at A = 180: -2" in claim.note


def test_only_trainings_and_seeds_that_both_have_are_compared():
    results = [r for r in run(0.2) if not (r.cell.model == "stdcnn" and r.cell.seed == 2)]
    assert of_v(results)["parameters"].seeds == 2
    apart = [r for r in run(0.2) if (r.cell.seed == 0) == (r.cell.model == "gcnn")]
    assert of_v(apart)["parameters"].note == "no seed has all trainings of both: let the run finish"
    no_pair = [r for r in run(0.2) if (r.cell.recipe.rotation == 0) == (r.cell.model == "gcnn")]
    assert of_v(no_pair) == of_v([r for r in run(0.2) if r.cell.model == "gcnn"]) == {}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_counted_in_weights_as_in_the_network(name):
    heads = [{"head": head} for head in HEADS] if name.startswith("gcnn") else [{}]
    for options in heads:
        for normalization in NORMALIZATIONS:
            channels = 1 if normalization == "mnist" else 3
            given = {"width": 0.1, "normalization": normalization, **options}
            size = 28 if MODELS[name].__module__.endswith("mnist") else 32
            built = build(name, in_channels=channels, size=size, **given)
            count = sum(parameter.numel() for parameter in built.parameters())
            assert parameters_in(name, built.state_dict()) == count
            assert parameters_built(name, channels, size, given) == count
    assert parameters_in("mynet:build", {}) is None


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_networks_that_do_not_differ_are_seldom_said_to(seeds):
    """5 % of the time, whether a seed moves all trainings of a network alike or not, and on some images alone."""
    most = 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5
    for how in ({}, {"moves": simulated.APART}, {"right": True}):
        assert simulated.differ(seeds, 200, **how) < most
    assert simulated.trend(seeds, 200) < most
