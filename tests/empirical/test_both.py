"""Whether both can be had, invariance and robustness: planes that are decided by hand, laws, and false verdicts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical.analysis import Claim, answer, check_claims
from invrob.empirical.analysis.both import both_claims
from invrob.empirical.analysis.dominance import alone, better, beyond, ends, gain, margin, short_of, trainings_at
from invrob.empirical.training import CURRICULA
from tests.planted import invariance, result, robustness, sanity
from tools.coverage_both import AT_AN_END, BEYOND, ON_THE_LINE, SHORT, said

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


def test_a_training_with_both_beyond_the_line_between_the_ends_has_both():
    claim = vi(*SINGLES, *seeds(BOTH, 0.85, 0.8, accuracy=0.9))
    assert claim.verdict == "holds"
    # With 0.6 of invariance: 0.6 * 0.85 + 0.4 * 0.8 is 0.25 more than 0.6 * 0.9 + 0.4 * 0.1 of the most invariant one.
    assert claim.effect == pytest.approx(0.25)
    assert claim.low < 0.25 < claim.high
    for part in (
        "keeps 85.0 % of its predictions under rotations up to 180 degrees and 80.0 % under attacks of 0.1",
        "the most invariant, A = 180, epsilon = 0, keeps 90.0 % and 10.0 %",
        "the most robust, A = 0, epsilon = 0.2, 30.0 % and 90.0 %",
        "It is 5.0 points less accurate [",
        "In both rates it is better than A = 60, epsilon = 0 (60.0 % and 30.0 %).",
        "Tested by itself, it is better than every mixture of those trained with one of both.",
    ):
        assert part in claim.finding
    assert "beyond every mixture for certain: A = 180, epsilon = 0.2" in claim.note
    assert "a mean of both rates, 0.6 of it invariance" in claim.note


def test_to_dominate_those_alone_that_another_single_one_dominates_is_nothing():
    claim = vi(*seeds(A, 0.95, 0.1), *seeds(E, 0.9, 0.9), *seeds((60, 0), 0.3, 0.3), *seeds(BOTH, 0.6, 0.6))
    assert claim.verdict == "fails"
    assert claim.effect < 0


def test_better_than_no_single_one_but_worse_than_a_mixture_of_two_is_not_both():
    """Half of each end has 60 % and 50 %, which is more than 50 % and 40 %, though neither end has more of both."""
    places = ((A, 0.9, 0.1), (E, 0.3, 0.9), (BOTH, 0.5, 0.4))
    claim = vi(*(result for place in places for result in seeds(*place, images=4000)))
    assert claim.verdict == "fails"
    assert claim.effect < 0
    assert "beyond every mixture for certain: none" in claim.note
    assert "better than every mixture" not in claim.finding


def test_more_of_what_one_end_has_most_of_is_not_both():
    """It lies beyond all mixtures, and has nothing of the other rate."""
    with_both = seeds(BOTH, 0.99, 0.1, images=4000)
    others = (*seeds(A, 0.8, 0.1, images=4000), *seeds(E, 0.3, 0.9, images=4000))
    assert vi(*others, *with_both).verdict == "undecided"
    assert vi(*others, *seeds(BOTH, 0.99, 0.3, images=4000)).verdict == "holds"


def test_where_one_training_is_the_best_in_both_rates_it_stands_alone():
    claim = vi(*seeds(A, 0.9, 0.9), *seeds(E, 0.3, 0.5), *seeds(BOTH, 0.5, 0.4))
    assert claim.verdict == "fails"
    assert "A = 180, epsilon = 0 is the best in both: 90.0 % and 90.0 %" in claim.finding


def test_rates_that_are_close_leave_it_undecided():
    for point in ((0.9, 0.1), (0.6, 0.5), (0.61, 0.5)):
        claim = vi(*seeds(A, 0.9, 0.1), *seeds(E, 0.3, 0.9), *seeds(BOTH, *point))
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
@given(pair, pair, pair)
def test_no_training_lies_both_beyond_a_frontier_and_short_of_it(one, first, second):
    at = trainings_at([seeds(BOTH, *one), seeds(A, *first), seeds(E, *second)], 180, 0.1)
    further, shorter = beyond(at, 0, (1, 2)), short_of(at, 0, (1, 2))
    assert min(further[0], shorter[0]) >= 0
    assert not (further[0] < 0.05 and shorter[0] < 0.05)
    assert further[1] >= further[0]
    assert shorter[1] >= shorter[0]
    if further[0] < 0.05:
        assert margin(at, 0, (1, 2))[0].size > 0


@settings(deadline=None, max_examples=30)
@given(pair, pair, st.floats(0, 1))
def test_a_gain_is_the_weighted_difference_and_turns_its_sign_with_the_order(one, other, weight):
    at = trainings_at([seeds(BOTH, *one), seeds(A, *other)], 180, 0.1)
    there, back = (gain(at, alone(at, i), alone(at, 1 - i), weight) for i in (0, 1))
    difference = at.rates[0] - at.rates[1]
    assert there.size == pytest.approx(weight * difference[0] + (1 - weight) * difference[1])
    assert back.size == pytest.approx(-there.size)
    assert back.interval()[0] == pytest.approx(-there.interval()[1])


@settings(deadline=None, max_examples=30)
@given(pair, pair, pair, st.floats(0, 1), st.floats(0, 1))
def test_a_mixture_has_the_rates_on_the_line_between_two(one, first, second, share, weight):
    at = trainings_at([seeds(BOTH, *one), seeds(A, *first), seeds(E, *second)], 180, 0.1)
    mixture = share * alone(at, 1) + (1 - share) * alone(at, 2)
    rates = share * at.rates[1] + (1 - share) * at.rates[2]
    effect = gain(at, mixture, alone(at, 0), weight)
    assert effect.size == pytest.approx(float((rates - at.rates[0]) @ (weight, 1 - weight)))
    both = [gain(at, alone(at, other), alone(at, 0), weight).size for other in (1, 2)]
    assert min(both) - 1e-9 <= effect.size <= max(both) + 1e-9


@pytest.mark.parametrize(
    ("point", "where"), [((0.5, 0.5), 0), ((0.75, 0.75), 1), ((0.58, 0.58), 1), ((0.42, 0.42), -1), ((0.95, 0.05), 0)]
)
def test_beyond_the_frontier_is_beyond_the_line_between_its_ends(point, where):
    rows = [seeds(BOTH, *point, images=4000), seeds(A, 0.9, 0.1, images=4000), seeds(E, 0.1, 0.9, images=4000)]
    at = trainings_at(rows, 180, 0.1)
    assert ends(at, (1, 2)) == (1, 2)
    assert (beyond(at, 0, (1, 2))[1] < 0.05) == (where == 1)
    assert (short_of(at, 0, (1, 2))[1] < 0.05) == (where == -1)


def test_what_attacks_missed_counts_against_the_better_one_alone():
    rows = [seeds(BOTH, 0.8, 0.8, missed=0.2), seeds(A, 0.5, 0.5, missed=0.3)]
    at = trainings_at(rows, 180, 0.1)
    effect = gain(at, alone(at, 0), alone(at, 1), 0.0)
    assert (effect.down, effect.up) == pytest.approx((0.2, 0.3))
    assert better(at, alone(at, 0), alone(at, 1))[1] > better(at, alone(at, 0), alone(at, 1))[0]


@pytest.mark.parametrize(("places", "side"), [([ON_THE_LINE, AT_AN_END], 0), ([ON_THE_LINE], 1)])
def test_a_verdict_where_there_is_none_is_rare(places, side):
    assert said(places, 3, 30)[side] <= 0.1  # 3 of 30; docs/profiles.md has the table of 300


def test_what_is_there_is_found():
    assert said([BEYOND, SHORT], 5, 10)[0] >= 0.8
    assert said([SHORT], 5, 10)[1] >= 0.8
