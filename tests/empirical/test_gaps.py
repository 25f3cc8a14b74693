"""What an audit of some images says of all of them: laws of the bounds, and how often they cover, as simulated."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical.profiles.gaps import gaps_of

SIMULATIONS = 400


@st.composite
def audits(draw):
    """before, after, audited, identity, confidence: an audit lowers levels, and those of audited images alone."""
    images, values = draw(st.integers(1, 30)), draw(st.integers(1, 5))
    identity = np.arange(values) < draw(st.integers(0, 1))
    levels = st.lists(st.integers(int(identity[0]), values), min_size=images, max_size=images)
    audited = np.array(draw(st.lists(st.booleans(), min_size=images, max_size=images)))
    before, found = np.array(draw(levels)), np.array(draw(levels))
    after = np.where(audited, np.minimum(before, found), before)
    return before, after, audited, identity, draw(st.sampled_from([0.5, 0.9, 0.95, 0.99]))


@given(audits())
@settings(deadline=None, max_examples=300)
def test_the_bounds_are_in_order_and_never_nan(audit):
    _, after, _, identity, _ = audit
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gaps = gaps_of(*audit)
    rate = (after[:, None] > np.arange(len(identity))).mean(0)
    for values in (gaps.gap, gaps.gap_high, gaps.floor):
        assert np.isfinite(values).all()
    assert (gaps.gap >= 0).all()
    assert (gaps.gap <= gaps.gap_high).all()
    assert (gaps.gap_high <= rate + 1e-12).all()
    assert (gaps.floor >= 0).all()
    assert (gaps.floor <= rate + 1e-12).all()
    assert (np.diff(gaps.floor) <= 0).all()
    assert (gaps.gap_high[identity] == 0).all()
    assert (gaps.floor[identity] == 1).all()


@given(audits())
@settings(deadline=None, max_examples=100)
def test_where_all_images_are_audited_nothing_is_missed(audit):
    before, after, _, identity, confidence = audit
    gaps = gaps_of(before, after, np.ones(len(before), dtype=bool), identity, confidence)
    assert (gaps.gap == 0).all()
    assert (gaps.gap_high == 0).all()


COVERED = [  # images, audited, share that withstands the search, share of those that the audit fools, confidence
    (40, 10, 0.5, 0.1, 0.95),
    (100, 32, 0.9, 0.02, 0.95),
    (200, 32, 0.3, 0.2, 0.95),
    (200, 64, 0.6, 0.05, 0.9),
    (200, 150, 0.6, 0.05, 0.8),
    (400, 32, 0.7, 0.0, 0.95),
    (60, 60, 0.6, 0.3, 0.95),
    (50, 8, 0.95, 0.9, 0.9),
]


@pytest.mark.parametrize(("n", "audited", "stands", "falls", "confidence"), COVERED)
def test_both_bounds_cover_at_least_as_often_as_they_say(n, audited, stands, falls, confidence):
    random, covered, beneath = np.random.default_rng(0), 0, 0
    for _ in range(SIMULATIONS):
        before = (random.random(n) < stands).astype(int)
        under_audit = before * (random.random(n) >= falls)
        chosen = random.permutation(n) < audited
        after = np.where(chosen, under_audit, before)
        gaps = gaps_of(before, after, chosen, np.array([False]), confidence)
        covered += gaps.gap_high[0] >= (after - under_audit).sum() / n - 1e-12
        beneath += gaps.floor[0] <= stands * (1 - falls)
    # Three standard errors of the simulation itself; the bounds are exact or conservative.
    least = SIMULATIONS * (confidence - 3 * np.sqrt(confidence * (1 - confidence) / SIMULATIONS))
    assert covered >= least
    assert beneath >= least


def test_one_image_and_one_epsilon_say_what_little_they_can():
    one, no, yes = np.array([1]), np.array([False]), np.array([True])
    assert gaps_of(one, one, yes, no, 0.95).gap_high.tolist() == [0]
    assert gaps_of(one, one, no, no, 0.95).gap_high.tolist() == [1]
    assert gaps_of(one, one, no, no, 0.95).floor.tolist() == [0]
    assert gaps_of(one, one, no, yes, 0.95).floor.tolist() == [1]
    assert gaps_of(one, 0 * one, yes, no, 0.95).missed.tolist() == [1]
