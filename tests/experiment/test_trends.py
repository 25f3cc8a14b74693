"""The paper's claims on planted profiles: a trend is found, its absence is not called one, and doubt is said."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invrob.empirical.analysis import averaged, check_claims, half_width, holm, mean_of, p_value
from invrob.empirical.analysis.trends import deviation, line, steps
from invrob.empirical.profiles import RobustnessProfile
from invrob.empirical.profiles.rates import RatesOverEpsilon
from invrob.intervals import Estimate, share_bounds

SPEC = importlib.util.spec_from_file_location(
    "coverage_claims", Path(__file__).resolve().parents[2] / "tools/coverage_claims.py"
)
simulated = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(simulated)

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
    return {claim.name: claim.verdict for claim in check_claims(results) if claim.of_paper}


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


@given(
    st.floats(-1, 1),
    st.lists(st.tuples(st.floats(1e-8, 1), st.sampled_from([1, 2, 5, 299, np.inf])), min_size=1, max_size=3),
)
def test_a_p_value_is_where_the_interval_ends_at_zero(effect, parts):
    p = p_value(effect, parts)
    assert 0 <= p <= 1
    assert p == pytest.approx(p_value(-effect, parts))
    if 1e-12 < p < 1:
        assert half_width(parts, 1 - p) == pytest.approx(abs(effect), rel=1e-3, abs=1e-6)
    for confidence in (0.5, 0.95, 0.999):  # both say the same at every level
        if p != pytest.approx(1 - confidence, rel=1e-6):
            assert (p < 1 - confidence) == (half_width(parts, confidence) < abs(effect))


def test_an_interval_of_one_part_is_that_of_student():
    assert half_width([(0.01 / 3, 2)]) == pytest.approx(
        4.302653 * 0.1 / np.sqrt(3), abs=1e-6
    )  # a quantile from a table
    assert half_width([(0.01, np.inf)]) == pytest.approx(0.1959964, abs=1e-7)
    assert p_value(0.1, [(0.0, 5)]) == 0.0  # without any error
    assert (p_value(0.0, [(0.0, 5)]), half_width([])) == (1.0, 0.0)
    assert p_value(1.0, [(1e-300, np.inf)]) == 0.0


@given(st.lists(st.floats(0, 1), max_size=7), st.floats(0.001, 0.5))
def test_holm_rejects_what_going_down_step_by_step_rejects(p_values, level):
    """The textbook's procedure: the smallest against level / m, the next against level / (m - 1), until one fails."""
    rejected = set()
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        if (len(p_values) - rank) * p_values[index] >= level:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(holm(p_values)) if p < level} == rejected


def wrong(test, repeats, seeds, **how):
    return simulated.share(test, simulated.drawn(repeats, seeds, **how))


@pytest.mark.parametrize("shared", [0.0, 0.2])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_networks_without_a_trend_are_seldom_said_to_have_one(seeds, shared):
    """5 % of the time, whether what a seed does is common to its networks or not. Here seeds count, not images."""
    assert wrong(simulated.has_trend, 500, seeds, seed=shared) < 0.053 + 0.014  # three standard errors of 2,000 repeats


def test_networks_that_vary_unequally_are_no_trend_either():
    """As robustness does, the more of the grid lies on the slope, the more; also where nobody expects it."""
    for expected in (simulated.unequal, 0.015):
        assert wrong(simulated.has_trend, 400, 3, sd=simulated.unequal, expected=expected) < 0.053 + 0.016
    for seeds in (2, 3):
        spread = {"sd": simulated.one_unsteady, "expected": simulated.one_unsteady}
        assert wrong(simulated.has_trend, 400, seeds, **spread) < 0.053 + 0.016


def test_two_seeds_see_an_effect_of_ten_points():
    """Also where what a seed does to all its networks alike is larger than that."""
    for seed in (0, 0.1):
        how = {"means": simulated.rising, "sd": 0.015, "seed": seed, "images": 400}
        assert wrong(simulated.has_trend, 200, 2, counts=(5,), **how) > 0.97


def test_a_straight_line_is_seldom_called_another_form_and_a_bend_is_seen():
    assert wrong(simulated.is_bent, 200, 3, counts=(3, 5), means=simulated.rising) < 0.05 + 0.033
    assert (
        wrong(simulated.is_bent, 50, 3, counts=(3, 5), means=lambda v: np.linspace(-1, 1, v) ** 2 / 5, sd=0.01) > 0.95
    )
    assert deviation(simulated.networks(np.random.default_rng(0), 2, 3)) is None


def test_a_step_is_seldom_found_where_there_is_none_and_one_in_each_direction_where_there_are():
    assert wrong(simulated.has_step, 150, 3) < 0.05 + 0.027
    both = simulated.networks(np.random.default_rng(0), 3, 3, means=np.array([0.2, 0.0, 0.2]), sd=0.01)
    assert [(start, end, np.sign(effect.size)) for start, end, effect in steps(both)] == [(0, 1, -1), (1, 2, 1)]


def test_of_many_tests_in_a_run_one_is_seldom_wrong():
    """Six tests at 5 % each would be wrong in 26 % of all runs, if each were wrong as often as it may be."""
    each, all_six = simulated.of_six(300, 3)
    assert each > 0.1
    assert all_six < 0.05 + 0.038


@pytest.mark.parametrize("grid", simulated.GRIDS.values(), ids=simulated.GRIDS)
def test_one_seed_seldom_claims_a_trend_whatever_the_grid(grid):
    """A seed moves the whole curve along epsilon; how much of that the mean over a grid shows depends on the grid."""
    assert simulated.one_seed(600, grid) < 0.053 + 0.027


@pytest.mark.parametrize("grid", simulated.GRIDS.values(), ids=simulated.GRIDS)
def test_what_one_seed_is_expected_to_move_follows_the_rates_on_the_grid(grid):
    rng = np.random.default_rng(0)
    of = simulated.under_attack(rng, grid)
    results = [
        planted.result(
            rotation=a, robustness=planted.robustness(rates.mean(0), grid, images=300, per_image=rates.mean(1))
        )
        for a, rates in zip(of.values, simulated.kept(np.random.default_rng(0), grid), strict=True)
    ]
    claim = check_claims(results)[1]
    assert (claim.low, claim.high) == pytest.approx(line(of).interval())
    assert "the interval assumes that training again moves the mean rate of robustness by" in claim.note


def test_networks_that_differ_in_more_than_the_parameter_are_not_compared():
    rng = np.random.default_rng(0)
    mixed = [result(rng, theta=0), result(rng, theta=180, options={"width": 0.5}), result(rng, theta=90, model="gcnn")]
    assert {claim.network for claim in check_claims(mixed)} == {"-"}
    assert set(verdicts(mixed).values()) == {"undecided"}


def test_a_run_of_many_claims_goes_by_holm_and_says_so():
    rng = np.random.default_rng(0)
    clear = [result(rng, theta=a, invariance=0.3 + a / 400, robustness=0.5) for a in (0, 60, 180)]
    claims = [claim for claim in check_claims(clear) if claim.p_value is not None]
    assert [claim.p_holm for claim in claims] == holm([claim.p_value for claim in claims])
    doubtful = []
    for width in (0.2, 0.3, 0.4):  # six tests; the effect of one of them is significant alone
        shift = 0.05 if width == 0.2 else 0.0
        doubtful += [
            planted.result(
                rotation=a,
                options={"width": width},
                invariance=planted.invariance(images=N, per_image=np.full(N, 0.5 + shift * a / 180)),
                robustness=planted.robustness(images=N, per_image=np.full(N, 0.5)),
            )
            for a in (0, 180)
        ]
    claim = check_claims(doubtful)[0]
    assert claim.p_value < 0.05 < claim.p_holm
    assert claim.verdict == "undecided"
    assert "alone, " in claim.note
    assert "as one of 6 tests (Holm)" in claim.note
    assert check_claims(doubtful[:2])[0].verdict == "holds"  # one of two tests


def test_a_rate_that_falls_and_rises_again_supports_no_claim_and_the_step_is_named():
    rng = np.random.default_rng(0)
    for back in (0.6, 0.8, 1.0):  # the line through them falls, is level, or rises
        means = {0: 0.8, 60: 0.3, 180: back}
        claim = check_claims([result(rng, theta=a, seed=s, invariance=m) for a, m in means.items() for s in (0, 1)])[0]
        assert claim.verdict == "undecided"
        assert "a step the other way: from A = " in claim.note
        assert "the mean rate of invariance changes by " in claim.note
        assert claim.p_line < 0.05


def test_a_trend_that_levels_off_holds_and_its_form_is_said():
    rng = np.random.default_rng(0)
    means = {0: 0.3, 60: 0.8, 120: 0.85, 180: 0.9}
    claim = check_claims([result(rng, theta=a, seed=s, invariance=m) for a, m in means.items() for s in (0, 1)])[0]
    assert claim.verdict == "holds"
    assert claim.p_line < 0.05
    assert "no straight line: at A = " in claim.note
    assert "points below it (p < 0.001)" in claim.note
    straight = check_claims([result(rng, theta=a, seed=s, invariance=0.3 + a / 400) for a in means for s in (0, 1)])[0]
    assert straight.p_line > 0.05
    assert "straight" not in straight.note
    assert check_claims([result(rng, theta=a) for a in (0, 180)])[0].p_line is None


def audited(a, mean, missed, rng, **fields):
    """A result with this mean robustness, the floor of which lies `missed` below its interval."""
    per_image = np.clip(rng.normal(mean, 0.2, N), 0, 1)
    profile = planted.robustness([1.0, mean, mean], images=N, per_image=per_image, missed=missed, **fields)
    return planted.result(rotation=a, robustness=profile)


def test_a_claim_that_would_turn_within_the_floor_is_undecided_and_says_so():
    rng = np.random.default_rng(0)

    def claims(missed, means=(0.8, 0.6, 0.3)):
        results = [audited(a, m, missed[i], rng) for i, (a, m) in enumerate(zip((0, 60, 180), means, strict=True))]
        return {claim.name: claim for claim in check_claims(results)}

    sure = claims((0.0, 0.0, 0.0))["ii"]
    assert (sure.verdict, sure.floor_low, sure.floor_high) == ("holds", sure.low, sure.high)
    assert claims((0.02, 0.02, 0.02))["ii"].verdict == "holds"
    turned = claims((0.75, 0.0, 0.0))  # the network without rotations may be as weak as the others
    assert turned["ii"].verdict == "undecided"
    assert "would turn within `floor`" in turned["ii"].note
    assert turned["ii"].p_holm < 0.05
    assert turned["ii"].low == pytest.approx(turned["ii"].floor_low)
    assert turned["ii"].floor_high > 0
    assert claims((0.0, 0.0, 0.75))["ii"].verdict == "holds"  # what the most rotated one hides only adds to the fall
    assert claims((0.75, 0.0, 0.0))["i"].floor_low is None  # no attack has a part in invariance
    assert claims((0.0, 0.0, 0.28), (0.3, 0.3, 0.8))["ii"].verdict == "fails"


class Weak(RobustnessProfile):
    """A profile whose attack was found to fall short."""

    @property
    def verdict(self):
        return "weak"


def test_weak_attacks_are_believed_within_their_floor_alone():
    rng = np.random.default_rng(0)
    kinds = {missed: [audited(a, m, missed, rng) for a, m in ((0, 0.8), (180, 0.3))] for missed in (None, 0.05, 0.9)}
    for results in kinds.values():
        for found in results:
            object.__setattr__(found.robustness, "__class__", Weak)
    without, within, beyond = (check_claims(results)[1] for results in kinds.values())
    assert (without.verdict, within.verdict, beyond.verdict) == ("undecided", "holds", "undecided")
    assert "rests on weak attacks, and nothing says how much they missed: stdcnn A = 0" in without.note
    assert "would turn within `floor`" in beyond.note


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
    attackable = replace(result(rng, theta=180, invariance=1.0, robustness=0.7), ended_constant=True)
    assert verdicts([*masked[:2], attackable])["i"] == "undecided"


def test_a_seed_that_lacks_a_value_is_left_out_and_none_is_said():
    rng = np.random.default_rng(0)
    partial = [result(rng, theta=0, seed=0), result(rng, theta=180, seed=1)]
    claim = check_claims(partial)[0]
    assert claim.verdict == "undecided"
    assert claim.note == "no seed has all values of the parameter: let the run finish"


MEAN, REPEATS = 0.7, 2000


def measured(seeds, images, between, agreement, confidence):
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
    """Where all networks find the same images hard. Clopper-Pearson intervals err on the wide side, by a few points,
    and so do Banerjee's, the more the fewer seeds there are."""
    _, _, low, high = averaged(measured(seeds, images, between, 1.0, confidence))
    covered = ((low <= MEAN) & (high >= MEAN)).mean()
    assert confidence - 0.01 < covered < min(confidence + 0.1, 0.985)


def test_a_mean_over_seeds_covers_more_where_networks_differ_in_what_they_find_hard():
    """The error of the images then averages out over the seeds, which the interval does not count on."""
    _, _, low, high = averaged(measured(3, 100, 0.03, 0.5, 0.95))
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
