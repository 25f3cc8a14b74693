"""The paper's claims on planted profiles: a trend is found, its absence is not called one, and doubt is said."""

import numpy as np
import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invrob.empirical.analysis import averaged, check_claims, mean_of, over_seeds
from invrob.empirical.analysis.claims import SEED_SD
from invrob.empirical.profiles.rates import RatesOverEpsilon
from invrob.intervals import Estimate, share_bounds

N = 300


def result(rng, *, theta=0.0, epsilon=0.0, invariance=0.5, robustness=0.5, judged=None, **cell):
    """A result whose images have rates about these means; judged: what the judge of the attack says."""
    turned, attacked = (np.clip(rng.normal(mean, 0.2, N), -1, 2) for mean in (invariance, robustness))
    return planted.result(
        rotation=theta,
        epsilon=epsilon,
        invariance=planted.invariance(images=N, per_image=turned),
        robustness=planted.robustness(images=N, per_image=attacked, judged=judged),
        **cell,
    )


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
    mixed = [result(rng, theta=0), result(rng, theta=180, options={"width": 0.5}), result(rng, theta=90, model="gcnn")]
    assert {claim.network for claim in check_claims(mixed)} == {"-"}
    assert set(verdicts(mixed).values()) == {"undecided"}


def test_claims_on_masked_or_constant_profiles_stay_undecided_and_say_why():
    rng = np.random.default_rng(0)
    masked = [result(rng, theta=a, robustness=0.9 - a / 300, invariance=0.3 + a / 400) for a in (0, 90)]
    masked.append(result(rng, theta=180, robustness=0.1, invariance=0.9, judged=planted.sanity("masked")))
    claims = {claim.name: claim for claim in check_claims(masked)}
    assert (claims["i"].verdict, claims["ii"].verdict) == ("holds", "undecided")
    assert "attacks that failed their checks: stdcnn A = 180" in claims["ii"].note
    alike = planted.sanity("constant", constant=True)
    constant = [*masked[:2], result(rng, theta=180, invariance=1.0, robustness=1.0, judged=alike)]
    assert verdicts(constant)["i"] == verdicts(constant)["ii"] == "undecided"


def test_a_seed_that_lacks_a_value_is_left_out_and_none_is_said():
    rng = np.random.default_rng(0)
    partial = [result(rng, theta=0, seed=0), result(rng, theta=180, seed=1)]
    claim = check_claims(partial)[0]
    assert claim.verdict == "undecided"
    assert claim.note == "no seed has all values of the parameter: let the run finish"


MEAN, REPEATS = 0.7, 2000


def simulated(seeds, images, between, agreement, confidence):
    """Profiles of `seeds` trainings, each repetition of the experiment as if it were a value of the axis.

    A network's mean rate is MEAN, give or take `between` from training to training. The images of a repetition are the
    same for all its networks, and `agreement` is the share of them whose difficulty is, too."""
    rng = np.random.default_rng(0)
    shared, profiles = rng.random((images, REPEATS)), []
    for mean in np.clip(MEAN + between * rng.standard_normal((seeds, REPEATS)), 0, 1):
        difficulty = np.where(rng.random((images, REPEATS)) < agreement, shared, rng.random((images, REPEATS)))
        rate = (difficulty < mean).mean(0)
        low, high = share_bounds(rate, images, confidence)
        fields = planted.rates(rate, images) | {"low": low, "high": high, "confidence": confidence}
        profiles.append(RatesOverEpsilon(**fields, epsilons=np.arange(REPEATS) + 1.0))
    return profiles


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("between", [0.0, 0.03])
@pytest.mark.parametrize(("seeds", "images"), [(2, 100), (5, 200)])
def test_a_mean_over_seeds_covers_the_truth_as_often_as_it_says(seeds, images, between, confidence):
    """Where all networks find the same images hard. Clopper-Pearson intervals err on the wide side, by a few points."""
    _, _, low, high = averaged(simulated(seeds, images, between, 1.0, confidence))
    covered = ((low <= MEAN) & (high >= MEAN)).mean()
    assert confidence - 0.02 < covered < min(confidence + 0.06, 0.98)


def test_a_mean_over_seeds_covers_more_where_networks_differ_in_what_they_find_hard():
    """The error of the images then averages out over the seeds, which the interval does not count on."""
    _, _, low, high = averaged(simulated(3, 100, 0.03, 0.5, 0.95))
    assert ((low <= MEAN) & (high >= MEAN)).mean() > 0.97


@st.composite
def estimates(draw):
    """A share with an interval around it."""
    low, estimate, high = sorted(draw(st.tuples(*[st.floats(0, 1)] * 3)))
    return Estimate(estimate, low, high)


@given(st.lists(estimates(), min_size=1, max_size=6), st.integers(1, 1000), st.sampled_from([0.5, 0.95]))
def test_a_mean_over_seeds_lies_in_its_interval_and_has_no_order(listed, images, confidence):
    mean = mean_of(listed, images, confidence)
    assert 0 <= mean.low <= mean.estimate <= mean.high <= 1
    assert mean.estimate == pytest.approx(np.mean([share.estimate for share in listed]))
    backwards = mean_of(listed[::-1], images, confidence)
    assert (backwards.low, backwards.high) == pytest.approx((mean.low, mean.high))
    assert mean_of(listed[:1], images, confidence) is listed[0]
