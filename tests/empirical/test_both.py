"""Whether both can be had, invariance and robustness: planes that are decided by hand, laws, and false verdicts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical.analysis import Claim, answer, check_claims
from invrob.empirical.analysis.both import both_claims
from invrob.empirical.analysis.dominance import beyond_mixtures, dominates, falls_short, gain, trainings_at
from invrob.empirical.training import CURRICULA
from tests.planted import invariance, result, robustness, sanity

N = 400
A, E, BOTH, NEITHER = (180, 0), (0, 0.2), (180, 0.2), (0, 0)


def placed(training, inv, rob, accuracy=0.95, seed=0, shift=0, images=N, **changes):
    """A training whose rates at theta = 180 and at epsilon = 0.1 are these; `shift` says which images are robust."""
    robust = np.roll(np.arange(images) < round(rob * images), shift)
    right = np.roll(np.arange(images) < round(accuracy * images), shift)
    how = {name: changes.pop(name) for name in ("judged", "missed", "shortfall") if name in changes}
    attacked = robustness((1.0, float(robust.mean()), 0.0), images=images, **how)
    attacked = replace(attacked, levels=np.where(robust, 2, 1), right=right.astype(int), clean_accuracy=right.mean())
    turned = invariance((1.0, (1 + inv) / 2, inv), images=images)
    recipe = {"rotation": training[0], "epsilon": training[1]}
    return result(invariance=turned, robustness=attacked, seed=seed, **recipe, **changes)


def seeds(training, inv, rob, count=3, **changes):
    """The same training with several seeds that differ by a point."""
    return [
        placed(training, min(inv + 0.01 * (seed - 1), 1), rob - 0.01 * (seed - 1), seed=seed, shift=7 * seed, **changes)
        for seed in range(count)
    ]


def vi(*results):
    """The claim (vi) on a run of one network."""
    (claim,) = [claim for claim in check_claims(results) if claim.name == "vi"]
    return claim


SINGLES = (*seeds(A, 0.9, 0.1), *seeds(E, 0.3, 0.9), *seeds((60, 0), 0.6, 0.3))


def test_a_training_with_both_that_is_better_in_both_rates_than_a_member_of_the_frontier_has_both():
    claim = vi(*SINGLES, *seeds(BOTH, 0.85, 0.8, accuracy=0.9))
    assert claim.verdict == "holds"
    assert claim.effect == pytest.approx(0.25)
    assert claim.low < 0.25 < claim.high
    for said in (
        "keeps 85.0 % of its predictions under rotations up to 180 degrees and 80.0 % under attacks of 0.1",
        "trained with A = 60, epsilon = 0 it keeps 60.0 % and 30.0 %",
        "The former is 5.0 points less accurate [",
    ):
        assert said in claim.finding
    assert "1 of 3 on the frontier of those trained with one of both are dominated for certain" in claim.note
    kept = "A = 180, epsilon = 0 (90.0 % and 10.0 %) or A = 0, epsilon = 0.2 (30.0 % and 90.0 %)"
    assert f"No training with both dominates for certain {kept}." in claim.finding
    assert claim.finding.endswith("It is better than every mixture of those that were trained with one of both.")
    assert "beyond every mixture of those for certain: A = 180, epsilon = 0.2" in claim.note


def test_to_dominate_those_alone_that_another_single_one_dominates_is_nothing():
    claim = vi(*seeds(A, 0.95, 0.1), *seeds(E, 0.9, 0.9), *seeds((60, 0), 0.3, 0.3), *seeds(BOTH, 0.6, 0.6))
    assert claim.verdict == "fails"


def test_where_each_training_with_both_is_worse_in_one_rate_than_every_member_not_both_can_be_had():
    claim = vi(*SINGLES, *seeds(BOTH, 0.5, 0.2))
    assert claim.verdict == "fails"
    assert claim.effect < 0
    assert "0 of 3 on the frontier" in claim.note
    assert "beyond every mixture of those for certain: none" in claim.note
    assert "mixture" not in claim.finding


def test_what_may_dominate_a_member_must_be_dominated_with_it():
    close = (*seeds((60, 0), 0.6, 0.30), *seeds((30, 0), 0.84, 0.31), *seeds(A, 0.95, 0.1))
    alone = (*seeds((60, 0), 0.6, 0.30), *seeds(A, 0.95, 0.1))
    with_both = seeds(BOTH, 0.83, 0.8)
    assert vi(*alone, *with_both).verdict == "holds"
    assert vi(*close, *with_both).verdict == "undecided"


def test_rates_that_are_close_leave_it_undecided():
    claim = vi(*seeds(A, 0.9, 0.1), *seeds(E, 0.3, 0.9), *seeds(BOTH, 0.9, 0.1))
    assert claim.verdict == "undecided"


def test_no_verdict_rests_on_what_attacks_missed():
    better = seeds(BOTH, 0.85, 0.8, missed=0.0)
    weak = seeds(BOTH, 0.85, 0.8, missed=0.6, shortfall="planted")
    singles = [replace(r, robustness=replace(r.robustness, **_bounds(r.robustness))) for r in SINGLES]
    assert vi(*singles, *better).verdict == "holds"
    claim = vi(*singles, *weak)
    assert claim.verdict == "undecided"
    assert "within `floor`" in claim.note


def _bounds(profile):
    zero = np.zeros(len(profile.rate))
    return {"floor": profile.low, "gap": zero, "gap_high": zero, "missed": zero.astype(int), "audited": 32}


def test_collapsed_and_masked_trainings_take_no_part_and_are_named():
    collapsed = seeds(BOTH, 1.0, 1.0, judged=sanity(constant=True))
    masked = seeds(BOTH, 0.9, 0.9, judged=sanity("planted"), epochs=9)
    none = vi(*SINGLES, *collapsed)
    assert (none.verdict, none.p_holm) == ("undecided", None)
    assert none.note == "nothing is left to compare; left out: A = 180, epsilon = 0.2 (one class for everything)"
    claim = vi(*SINGLES, *seeds(BOTH, 0.5, 0.2, epochs=10), *masked)
    assert claim.verdict == "undecided"
    assert "attacks say too little about trainings that may decide it: A = 180, epsilon = 0.2, epochs 9" in claim.note


def test_a_run_without_both_or_without_one_of_both_is_not_asked():
    assert both_claims([]) == both_claims(SINGLES) == []
    assert both_claims([*seeds(NEITHER, 0.3, 0.1), *seeds(BOTH, 0.9, 0.9)]) == []
    assert answer(check_claims(SINGLES)) == ()


def test_variants_of_one_place_are_told_by_their_curriculum():
    variants = [r for name in ("cusp", "warm") for r in seeds(BOTH, 0.5, 0.4, curriculum=CURRICULA[name])]
    claim = vi(*SINGLES, *seeds(BOTH, 0.4, 0.2), *variants, *seeds(BOTH, 0.9, 0.8, trades_beta=1.0))
    assert "Trained with A = 180, epsilon = 0.2, trades_beta 1 it keeps 90.0 %" in claim.finding


def test_one_seed_can_answer_and_says_what_it_assumes():
    claim = vi(*(r for r in (*SINGLES, *seeds(BOTH, 0.85, 0.8)) if r.cell.seed == 1))
    assert claim.verdict == "holds"
    assert "one seed, with what training again is expected to move" in claim.note


def test_each_training_with_both_that_might_have_been_it_is_paid_for():
    few = [placed(A, 0.9, 0.1), placed(E, 0.3, 0.9), placed((60, 0), 0.6, 0.3), placed(BOTH, 0.75, 0.7)]
    (one,), (two,) = both_claims(few), both_claims([*few, placed((60, 0.2), 0.2, 0.05)])
    assert 0 < one.p_value < 0.5
    assert two.p_value == pytest.approx(2 * one.p_value)


def test_the_answer_is_one_sentence_and_then_some_for_each_network():
    claims = [
        Claim("vi", "t", "a", "holds", finding="It keeps more."),
        Claim("vi", "t", "b", "undecided", note="let it run"),
        Claim("vi", "t", "c", "fails", finding="It keeps less."),
    ]
    assert answer(claims) == (
        "Can one have both, invariance and robustness? Yes, with a; not with c; undecided for b.",
        "a: yes. It keeps more.",
        "b: undecided. Let it run",
        "c: no. It keeps less.",
    )


rate = st.floats(0.02, 0.98)
pair = st.tuples(rate, rate)


@settings(deadline=None, max_examples=30)
@given(pair, pair)
def test_no_training_both_dominates_another_and_falls_short_of_it(one, other):
    at = trainings_at([seeds(BOTH, *one), seeds(A, *other)], 180, 0.1)
    for i, j in ((0, 1), (1, 0)):
        better, worse = dominates(at, i, j), falls_short(at, i, j)
        assert min(better[0], worse[0]) >= 0
        assert not (better[0] < 0.05 and worse[0] < 0.05)
        assert better[1] >= better[0]
        assert worse[1] >= worse[0]
    assert not (dominates(at, 0, 1)[0] < 0.5 and dominates(at, 1, 0)[0] < 0.5)


@settings(deadline=None, max_examples=30)
@given(pair, pair, st.floats(0, 1))
def test_a_gain_is_the_weighted_difference_and_turns_its_sign_with_the_order(one, other, weight):
    at = trainings_at([seeds(BOTH, *one), seeds(A, *other)], 180, 0.1)
    there, back = gain(at, 0, 1, weight), gain(at, 1, 0, weight)
    difference = at.rates[0] - at.rates[1]
    assert there.size == pytest.approx(weight * difference[0] + (1 - weight) * difference[1])
    assert back.size == pytest.approx(-there.size)
    assert back.interval()[0] == pytest.approx(-there.interval()[1])


@pytest.mark.parametrize(("point", "beyond"), [((0.5, 0.5), False), ((0.75, 0.75), True), ((0.58, 0.58), True)])
def test_beyond_every_mixture_is_beyond_the_line_between_two(point, beyond):
    rows = [seeds(BOTH, *point, images=4000), seeds(A, 0.9, 0.1, images=4000), seeds(E, 0.1, 0.9, images=4000)]
    assert beyond_mixtures(trainings_at(rows, 180, 0.1), 0, (1, 2), 0.05) == beyond


def test_a_verdict_for_both_where_there_is_none_is_rare():
    """The worst case: three trainings with both that are as good as the best member in both rates."""
    draws = np.random.default_rng(3)
    wrong = 0
    for _ in range(60):
        truth = {A: (0.7, 0.3), E: (0.3, 0.7), (60, 0.2): (0.7, 0.3), BOTH: (0.7, 0.3), (60, 0.1): (0.3, 0.7)}
        rows = []
        for training, (inv, rob) in truth.items():
            moved = np.clip(draws.normal((inv, rob), 0.03, (3, 2)), 0.01, 0.99)
            rows += [placed(training, *moved[seed], seed=seed, shift=int(draws.integers(N))) for seed in range(3)]
        (test,) = both_claims(rows)
        wrong += test.p_value < 0.05 and test.supports
    assert wrong <= 6  # 5 % of 60 are 3
