"""The paper's claims on planted profiles: a trend is found, its absence is not called one, and doubt is said."""

import numpy as np
import pytest

from invrob.empirical.analysis.claims import SEED_SD, check_claims
from invrob.empirical.analysis.statistics import over_seeds
from invrob.empirical.experiments.cells import Cell
from invrob.empirical.experiments.experiment import Profiling
from invrob.empirical.experiments.results import Result
from invrob.empirical.training.loop import Recipe

N = 300


def result(
    rng, *, theta=0.0, epsilon=0.0, seed=0, invariance=0.5, robustness=0.5, verdict="sound", constant=False, **o
):
    cell = Cell(
        dataset="d",
        fingerprint="f",
        model=o.pop("model", "stdcnn"),
        options=o,
        recipe=Recipe(rotation=theta, epsilon=epsilon),
        seed=seed,
        profiling=Profiling(),
    )

    def profile(mean):
        return {"per_image": np.clip(rng.normal(mean, 0.2, N), -1, 2).tolist(), "images": N}

    sanity = {"sanity": {"constant": constant, "reasons": []}, "verdict": verdict}
    return Result(cell, profile(invariance), profile(robustness) | sanity)


def verdicts(results):
    return {claim.name: claim.verdict for claim in check_claims(results)}


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_planted_trends_hold_or_fail_by_their_sign(seeds):
    rng = np.random.default_rng(0)
    up_down = [
        result(rng, theta=a, seed=s, invariance=0.3 + a / 400, robustness=0.8 - a / 500)
        for a in (0, 60, 180)
        for s in seeds
    ]
    assert verdicts(up_down) == {"i": "holds", "ii": "holds", "iii": "undecided", "iv": "undecided"}
    down_up = [
        result(rng, theta=a, seed=s, invariance=0.9 - a / 400, robustness=0.2 + a / 500)
        for a in (0, 60, 180)
        for s in seeds
    ]
    assert verdicts(down_up) == {"i": "fails", "ii": "fails", "iii": "undecided", "iv": "undecided"}
    against = [
        result(rng, epsilon=e, seed=s, invariance=0.9 - e, robustness=0.2 + e) for e in (0, 0.1, 0.3) for s in seeds
    ]
    assert verdicts(against) == {"i": "undecided", "ii": "undecided", "iii": "holds", "iv": "holds"}


def test_the_effect_is_the_change_from_the_smallest_to_the_largest_value():
    rng = np.random.default_rng(0)
    claim = check_claims([result(rng, theta=a, invariance=0.2 + 0.5 * a / 180) for a in (0, 30, 90, 180)])[0]
    assert claim.effect == pytest.approx(0.5, abs=0.05)
    assert claim.low < claim.effect < claim.high
    assert claim.values == (0, 30, 90, 180)


@pytest.mark.parametrize(("seeds", "noise"), [(1, SEED_SD), (3, 0.03), (5, 0.03)])
def test_without_a_trend_one_is_seldom_claimed(seeds, noise):
    rng = np.random.default_rng(1)
    contrast, wrong, repeats = np.array([-1.0, 0.0, 1.0]), 0, 2000
    for _ in range(repeats):
        networks = rng.normal(0, noise, (seeds, 3)) @ contrast
        means = networks + rng.normal(0, 0.01)  # the images are the same for all seeds
        p_value = over_seeds(means, np.full(seeds, 0.01**2), N, assumed=SEED_SD**2 * (contrast**2).sum())[3]
        wrong += p_value < 0.05
    assert wrong / repeats < 0.08


def test_over_seeds_agrees_with_a_sum_by_hand():
    mean, low, high, _ = over_seeds(np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.0, 0.0]), N)
    assert mean == pytest.approx(0.2)
    half = 4.302653 * 0.1 / np.sqrt(3)  # t quantile of 2 degrees of freedom
    assert (low, high) == pytest.approx((0.2 - half, 0.2 + half), abs=1e-6)
    assert over_seeds(np.array([0.1]), np.array([0.0]), N) == (0.1, 0.1, 0.1, 0.0)


def test_networks_that_differ_in_more_than_the_parameter_are_not_compared():
    rng = np.random.default_rng(0)
    mixed = [result(rng, theta=0), result(rng, theta=180, width=0.5), result(rng, theta=90, model="gcnn")]
    assert {claim.network for claim in check_claims(mixed)} == {"-"}
    assert set(verdicts(mixed).values()) == {"undecided"}


def test_claims_on_masked_or_constant_profiles_stay_undecided_and_say_why():
    rng = np.random.default_rng(0)
    masked = [result(rng, theta=a, robustness=0.9 - a / 300, invariance=0.3 + a / 400) for a in (0, 90)]
    masked.append(result(rng, theta=180, robustness=0.1, invariance=0.9, verdict="masked"))
    claims = {claim.name: claim for claim in check_claims(masked)}
    assert (claims["i"].verdict, claims["ii"].verdict) == ("holds", "undecided")
    assert "attacks that failed their checks: stdcnn A = 180" in claims["ii"].note
    constant = [*masked[:2], result(rng, theta=180, invariance=1.0, robustness=1.0, verdict="masked", constant=True)]
    assert verdicts(constant)["i"] == verdicts(constant)["ii"] == "undecided"


def test_a_seed_that_lacks_a_value_is_left_out_and_none_is_said():
    rng = np.random.default_rng(0)
    partial = [result(rng, theta=0, seed=0), result(rng, theta=180, seed=1)]
    claim = check_claims(partial)[0]
    assert claim.verdict == "undecided"
    assert claim.note == "no seed has all values of the parameter: let the run finish"
