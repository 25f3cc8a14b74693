"""All that classifiers can reach: every classifier lies inside the outline, and every vertex of it is reached."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from invrob.errors import InputError
from invrob.theory import (
    can_be_reached,
    distance_to_frontier,
    frontier_curve,
    frontier_point,
    paper_rule,
    reachable_outline,
    threshold_rule,
)

PS = st.floats(0.5, 1, exclude_max=True)
CS = st.floats(0.01, 30)
TAUS = st.floats(-30, 30) | st.sampled_from([math.inf, -math.inf])
SHARES = st.floats(0, 1)
RULES = st.tuples(TAUS, st.booleans())
laws = settings(deadline=None, max_examples=60)


@st.composite
def tables(draw):
    """A random classifier: cuts of s and, for each x_0 and each interval between cuts, the chance of predicting +1."""
    cuts = sorted(draw(st.lists(st.floats(-12, 12), max_size=6)))
    chances = st.floats(0, 1) | st.sampled_from([0.0, 1.0])
    return cuts, draw(st.lists(st.tuples(chances, chances), min_size=len(cuts) + 1, max_size=len(cuts) + 1))


def rates_of_table(p, c, table):
    """(a, b) from the definition of the distribution alone, summed over y, x_0 and the intervals of s."""
    cuts, chances = table
    edges, m, rates = np.array([-math.inf, *cuts, math.inf]), c * math.sqrt(2), []
    for side in (1, -1):  # clean, attacked
        total = 0.0
        for y in (1, -1):
            within = np.diff(norm.cdf(edges - side * y * m))
            for place, x0 in enumerate((1, -1)):
                plus = np.array([pair[place] for pair in chances])
                share = (p if x0 == y else 1 - p) / 2
                total += share * (within * (plus if y == 1 else 1 - plus)).sum()
        rates.append(min(1.0, max(0.0, float(total))))
    return tuple(rates)


def beyond(outline, a, b):
    """The distance of (a, b) from the border of the convex polygon `outline`, negative inside."""
    steps = np.diff(outline, axis=0)
    sizes = np.hypot(*steps.T)
    steps, starts = steps[sizes > 1e-9] / sizes[sizes > 1e-9, None], outline[:-1][sizes > 1e-9]
    return (-steps[:, 1] * (a - starts[:, 0]) + steps[:, 0] * (b - starts[:, 1])).max()  # it runs clockwise


@pytest.mark.parametrize(("p", "c"), [(0.9, 0.5), (0.7, 0.25), (0.6, 1.0), (0.99, 0.3), (0.7, 3.0), (0.5, 1.0)])
def test_the_papers_own_rule_lies_inside_the_outline(p, c):
    rule = paper_rule(c)
    assert can_be_reached(p, rule.accuracy, rule.attacked, c)
    assert beyond(reachable_outline(p, c), rule.accuracy, rule.attacked) < 1e-4  # what a polygon cuts off a curve


@given(PS, CS)
@laws
def test_the_papers_rule_can_be_reached_whatever_p_and_c_are(p, c):
    assert can_be_reached(p, paper_rule(c).accuracy, paper_rule(c).attacked, c)


@given(PS, CS, TAUS, st.booleans())
@laws
def test_every_threshold_rule_and_its_opposite_can_be_reached(p, c, tau, mirror):
    rule = threshold_rule(p, tau, c, mirror)
    assert can_be_reached(p, rule.accuracy, rule.attacked, c)
    assert can_be_reached(p, 1 - rule.accuracy, 1 - rule.attacked, c)


@given(PS, CS, st.lists(st.tuples(RULES, st.floats(0.01, 1)), min_size=2, max_size=4))
@laws
def test_a_random_choice_between_rules_can_be_reached(p, c, mixture):
    rules = [threshold_rule(p, tau, c, mirror) for (tau, mirror), _ in mixture]
    shares = np.array([share for _, share in mixture])
    a, b = (np.average([getattr(rule, key) for rule in rules], weights=shares) for key in ("accuracy", "attacked"))
    assert can_be_reached(p, min(1.0, float(a)), min(1.0, float(b)), c)


@given(PS, CS, tables())
@laws
def test_a_random_classifier_can_be_reached_and_lies_inside_the_outline(p, c, table):
    a, b = rates_of_table(p, c, table)
    assert can_be_reached(p, a, b, c)
    assert beyond(reachable_outline(p, c, 50), a, b) < 2e-3  # what a polygon of 50 vertices a quarter cuts off


@given(PS, CS, SHARES, SHARES)
@laws
def test_what_can_be_reached_is_what_the_statement_in_the_docs_says(p, c, a, b):
    """|a + b - 1| <= (2p - 1) h(|a - b|), with h falling from 1 to 0: h by bisection of tau, from its definition."""
    m, gap = c * math.sqrt(2), abs(a - b)
    low, high = 0.0, m + 40
    for _ in range(200):
        tau = (low + high) / 2
        low, high = (tau, high) if norm.cdf(m - tau) - norm.cdf(-m - tau) > gap else (low, tau)
    h = norm.cdf(m + low) - norm.cdf(m - low)
    slack = min((2 * p - 1) * h - abs(a + b - 1), 2 * norm.cdf(m) - 1 - gap)
    if abs(slack) > 1e-6:
        assert can_be_reached(p, a, b, c) == (slack > 0)


@given(PS, CS, st.integers(1, 30))
@laws
def test_the_outline_is_closed_convex_symmetric_and_every_vertex_is_reached(p, c, points):
    outline = reachable_outline(p, c, points)
    assert outline.shape == (4 * points + 5, 2)
    assert (outline[0] == outline[-1]).all()
    steps = np.diff(outline, axis=0)
    turns = steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]
    assert (turns <= 1e-15).all()  # clockwise throughout
    assert (outline == outline[::-1, ::-1]).all()  # exchanging a and b
    assert np.allclose(1 - outline[: 2 * points + 3], outline[2 * points + 2 :], atol=1e-14)  # -f
    taus = [math.inf, *np.linspace(m := c * math.sqrt(2) + 8, -m, 2 * points + 1), -math.inf]
    rules = [threshold_rule(p, float(tau), c) for tau in taus]
    assert [tuple(row) for row in outline[: len(rules)]] == [(rule.accuracy, rule.attacked) for rule in rules]


@given(PS, CS)
@laws
def test_the_frontier_is_the_part_of_the_outline_where_neither_rate_can_rise_alone(p, c):
    for a, b in frontier_curve(p, c, 20):
        assert can_be_reached(p, float(a), float(b), c)
        for better in ((min(1, a + 1e-5), b), (a, min(1, b + 1e-5))):
            if max(better) < 1 and distance_to_frontier(p, *map(float, better), c) < -1e-8:
                assert not can_be_reached(p, *map(float, better), c)


@given(PS, CS, st.tuples(SHARES, SHARES), st.tuples(SHARES, SHARES))
@laws
def test_a_box_can_be_reached_exactly_if_one_of_its_pieces_can(p, c, first, second):
    a, b = tuple(sorted(first)), tuple(sorted(second))
    (xs, ys) = (np.linspace(*side, 5).tolist() for side in (a, b))
    pieces = [(x, y) for x in pairwise(xs) for y in pairwise(ys)]
    assert can_be_reached(p, a, b, c) == any(can_be_reached(p, *piece, c) for piece in pieces)
    if any(can_be_reached(p, x, y, c) for x in xs for y in ys):
        assert can_be_reached(p, a, b, c)


@given(PS, CS, SHARES, SHARES)
@laws
def test_the_best_in_both_is_t_better_and_lies_on_the_diagonal_up_to_the_gap_of_the_bayes_rule(p, c, a, b):
    t = distance_to_frontier(p, a, b, c)
    best = (min(1.0, a + t - 1e-7), min(1.0, b + t - 1e-7))
    if min(best) >= 0:  # some classifier has at least a + t and b + t, and none has more of both
        assert can_be_reached(p, (best[0], 1.0), (best[1], 1.0), c)
        more = (a + t + 1e-7, b + t + 1e-7)
        assert max(more) > 1 or not can_be_reached(p, (more[0], 1.0), (more[1], 1.0), c)
        bayes = frontier_point(p, 1, c)
        if abs(a - b) <= bayes.accuracy - bayes.attacked - 1e-6:
            assert can_be_reached(p, min(1.0, a + t), min(1.0, b + t), c)


def test_too_bad_under_the_attack_for_its_accuracy_is_impossible_though_no_frontier_forbids_it():
    assert distance_to_frontier(0.7, 0.5, 0.0, c=0.5) > 0
    assert not can_be_reached(0.7, 0.5, 0.0, c=0.5)
    assert not can_be_reached(0.7, 0.0, 0.5, c=0.5)
    assert not can_be_reached(0.7, 0.1, 0.1, c=0.5)
    assert can_be_reached(0.7, 0.5, 0.5, c=0.5)


@pytest.mark.parametrize("p", [0.5, 0.5 + 2**-53, 1 - 1e-12, 1 - 2**-53])
@pytest.mark.parametrize("c", [1e-9, 3.0, 1e6])
def test_extreme_parameters_stay_finite_and_the_corners_stay_reached(p, c):
    outline = reachable_outline(p, c, 10)
    assert np.isfinite(outline).all()
    assert all(can_be_reached(p, float(a), float(b), c) for a, b in outline)
    assert can_be_reached(p, (0.0, 1.0), (0.0, 1.0), c)
    assert can_be_reached(p, 0.5, 0.5, c)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: can_be_reached(0.7, 2, 0), "accuracy = 2 is outside [0, 1]: it is a share, write 0.75 for 75 %"),
        (
            lambda: can_be_reached(0.7, 0, (0.2, 1.5)),
            "attacked = 1.5 is outside [0, 1]: it is a share, write 0.75 for 75 %",
        ),
        (
            lambda: can_be_reached(0.7, (0.5, 0.4), 0),
            "accuracy = (0.5, 0.4) has its least share above its largest: exchange them",
        ),
        (lambda: can_be_reached(0.7, 0, 0, c=0), "c = 0 is outside (0, 1e6]: the paper has c = 3"),
        (lambda: reachable_outline(0.7, points=0), "points = 0 must be an integer of at least 1"),
        (
            lambda: reachable_outline(1.0),
            "p = 1.0 is outside [0.5, 1): below 0.5 flip the sign of x_0; at 1 the bound divides by 0, try 0.99",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name_value_and_range(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value) == message
