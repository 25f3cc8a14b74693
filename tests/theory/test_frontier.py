"""Exact rates and the exact frontier against the check values of the theory, quadrature, and brute force."""

import math
from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from invrob.errors import InputError
from invrob.theory import (
    GaussianTradeoff,
    distance_to_frontier,
    frontier_curve,
    frontier_point,
    inequalities,
    paper_rule,
    threshold_rule,
)
from invrob.theory.check import check
from invrob.theory.classifiers import linear, paper
from invrob.theory.frontier import frontier_point_at, frontier_points

PS = st.floats(0.5, 1, exclude_max=True)
CS = st.floats(0.01, 30)
TAUS = st.floats(-30, 30) | st.sampled_from([math.inf, -math.inf])
SHARES = st.floats(0, 1)
laws = settings(deadline=None, max_examples=100)


def best_value_by_quadrature(p, weight, c):
    """max over f of weight a + (1 - weight) b, from the two densities alone: at each s the larger posterior wins."""
    m = c * math.sqrt(2)

    def larger(s):
        clean, attacked = (math.exp(-((s - mean) ** 2) / 2) / math.sqrt(2 * math.pi) for mean in (m, -m))
        plus = p * (weight * clean + (1 - weight) * attacked)
        minus = (1 - p) * (weight * attacked + (1 - weight) * clean)
        return max(plus, minus)

    edges = np.unique(np.concatenate([np.linspace(-m - 12, m + 12, 25), np.linspace(-2, 2, 41)]))
    return sum(quad(larger, low, high, epsabs=1e-13, epsrel=1e-11)[0] for low, high in pairwise(edges))


@pytest.mark.parametrize(
    ("weight", "value"), [(0.75, 0.7499967861), (0.9, 0.8999924059), (0.99, 0.9899901652), (0.7, 0.7), (0.3, 0.7)]
)
def test_the_best_weighted_accuracy_has_the_check_values(weight, value):
    assert frontier_point(0.7, weight).value == pytest.approx(value, abs=1e-10)
    assert frontier_point(0.7, 1 - weight).value == pytest.approx(value, abs=1e-10)


def test_the_bayes_point_the_corner_and_the_papers_rule_have_the_check_values():
    bayes = frontier_point(0.7, 1)
    assert bayes.tau == pytest.approx(0.0998550, abs=5e-8)
    assert bayes.accuracy == pytest.approx(0.9999899227, abs=1e-10)
    assert bayes.attacked == pytest.approx(0.0000141220, abs=1e-10)
    assert frontier_point(0.7, 0.75).tau == pytest.approx(0.2589454, abs=5e-8)
    corner = frontier_point(0.7, 0.5)
    assert (corner.tau, corner.accuracy, corner.attacked, corner.value) == (math.inf, 0.7, 0.7, 0.7)
    assert paper_rule(3).accuracy == pytest.approx(norm.cdf(3), abs=1e-15)
    assert paper_rule(3).attacked == pytest.approx(norm.cdf(-3), abs=1e-15)


@pytest.mark.parametrize("p", [0.5, 0.6, 0.7, 0.999])
@pytest.mark.parametrize("weight", [0.0, 0.2, 0.65, 0.8, 1.0])
@pytest.mark.parametrize("c", [0.2, 3.0])
def test_the_frontier_value_is_the_integral_of_the_larger_posterior(p, weight, c):
    assert frontier_point(p, weight, c).value == pytest.approx(best_value_by_quadrature(p, weight, c), abs=1e-9)


@given(PS, SHARES, CS)
@laws
def test_a_frontier_point_is_reached_by_its_rule(p, weight, c):
    point = frontier_point(p, weight, c)
    rule = threshold_rule(p, point.tau, c, point.mirror)
    assert (rule.accuracy, rule.attacked) == pytest.approx((point.accuracy, point.attacked), abs=1e-15)
    assert point.rule == rule
    assert point.value == pytest.approx(weight * point.accuracy + (1 - weight) * point.attacked, abs=1e-15)


@given(PS, SHARES, CS, TAUS, st.booleans())
@laws
def test_no_rule_beats_the_frontier_for_any_weight(p, weight, c, tau, mirror):
    rule = threshold_rule(p, tau, c, mirror)
    assert weight * rule.accuracy + (1 - weight) * rule.attacked <= frontier_point(p, weight, c).value + 1e-14


@given(PS, SHARES, CS)
@laws
def test_exchanging_a_and_b_mirrors_the_frontier(p, weight, c):
    point, mirrored = frontier_point(p, weight, c), frontier_point(p, 1 - weight, c)
    assume(1 - (1 - weight) == weight)
    assert (point.accuracy, point.attacked, point.tau) == (mirrored.attacked, mirrored.accuracy, mirrored.tau)
    assert point.mirror != mirrored.mirror or point.tau == math.inf


@given(PS, CS, st.tuples(SHARES, SHARES, SHARES))
@laws
def test_the_frontier_value_is_convex_in_the_weight_and_accuracy_grows_with_it(p, c, weights):
    low, middle, high = sorted(weights)
    assume(high - low > 1e-6)
    points = [frontier_point(p, weight, c) for weight in (low, middle, high)]
    share = (middle - low) / (high - low)
    assert points[1].value <= (1 - share) * points[0].value + share * points[2].value + 1e-12
    assert points[0].accuracy <= points[1].accuracy + 1e-12
    assert points[0].attacked >= points[1].attacked - 1e-12


@given(PS, CS)
@laws
def test_the_frontier_is_concave_and_falls_from_the_attacked_to_the_clean_bayes_point(p, c):
    a, b = frontier_curve(p, c, 50).T
    assert (np.diff(a) <= 1e-15).all()
    assert (np.diff(b) >= -1e-15).all()
    turns = np.diff(a)[:-1] * np.diff(b)[1:] - np.diff(b)[:-1] * np.diff(a)[1:]
    assert (turns >= -1e-15).all()
    assert (a[0], b[0]) == pytest.approx((frontier_point(p, 1, c).accuracy, frontier_point(p, 1, c).attacked))
    assert (a[-1], b[-1]) == (b[0], a[0])


@given(PS, TAUS, CS, st.booleans())
@laws
def test_rates_are_probabilities_that_satisfy_every_inequality(p, tau, c, mirror):
    rule = threshold_rule(p, tau, c, mirror)
    rates = (rule.accuracy, rule.attacked, rule.transformed, rule.invariance, rule.fooling)
    assert all(0 <= rate <= 1 for rate in rates)
    assert rule.transformed == (rule.accuracy + rule.attacked) / 2
    assert rule.fooling == pytest.approx(abs(rule.accuracy - rule.attacked), abs=1e-12)
    assert [row.name for row in inequalities(p, *rates[:3])] == ["paper", "mirror", "transformed", "theorem-1"]
    assert all(row.left <= row.right + 1e-15 for row in inequalities(p, *rates[:3]))


@given(PS, TAUS, CS)
@laws
def test_a_threshold_rule_misses_the_mirror_line_by_its_tail(p, tau, c):
    rule = threshold_rule(p, tau, c)
    tail = norm.cdf(-c * math.sqrt(2) - tau)
    assert p * rule.accuracy + (1 - p) * rule.attacked == pytest.approx(p - (2 * p - 1) * tail, abs=1e-13)


@given(PS, TAUS, CS)
@laws
def test_the_complement_of_a_rule_is_the_mirrored_rule_of_minus_tau(p, tau, c):
    rule, complement = threshold_rule(p, tau, c), threshold_rule(p, -tau, c, mirror=True)
    assert complement.accuracy == pytest.approx(1 - rule.accuracy, abs=1e-14)
    assert complement.attacked == pytest.approx(1 - rule.attacked, abs=1e-14)
    assert (complement.invariance, complement.fooling) == (rule.invariance, rule.fooling)


@given(PS, st.floats(-9, 9), st.floats(0.05, 5))
@settings(deadline=None, max_examples=25)
def test_invariance_and_fooling_agree_with_quadrature_for_every_sign_of_tau(p, tau, c):
    m = c * math.sqrt(2)

    def predict(x0, s):  # the definition, at x_0 = +1: + iff s >= -tau; at -1: - iff s <= tau
        return 1 if (s >= -tau if x0 == 1 else s > tau) else -1

    def mean(changes):
        cuts = sorted({m - 12, m + 12, *(z for z in (tau, -tau, tau + 2 * m, 2 * m - tau) if abs(z - m) < 12)})
        total = 0.0
        for x0, share in ((1, p), (-1, 1 - p)):  # given Y = +1; Y = -1 is the same by symmetry
            for low, high in pairwise(cuts):
                total += share * changes(x0, (low + high) / 2) * (norm.cdf(high - m) - norm.cdf(low - m))
        return total

    rule = threshold_rule(p, tau, c)
    assert rule.invariance == pytest.approx(1 - mean(lambda x0, s: predict(x0, s) != predict(x0, -s)) / 2, abs=1e-12)
    assert rule.fooling == pytest.approx(mean(lambda x0, s: predict(x0, s) != predict(x0, s - 2 * m)), abs=1e-12)
    assert rule.accuracy == pytest.approx(mean(lambda x0, s: predict(x0, s) == 1), abs=1e-12)
    assert rule.attacked == pytest.approx(mean(lambda x0, s: predict(x0, s - 2 * m) == 1), abs=1e-12)


@pytest.mark.parametrize("d", [1, 5])
@pytest.mark.parametrize(
    ("p", "tau", "c", "mirror"),
    [
        *((0.7, 0.5, 1.0, False), (0.7, 0.5, 1.0, True), (0.6, -0.8, 0.7, False), (0.9, 3.0, 2.0, True)),
        *((0.8, math.inf, 3.0, False), (0.8, -math.inf, 3.0, False), (0.5, 0.0, 0.5, True)),
    ],
)
def test_exact_rates_are_those_of_the_classifier_on_real_samples(p, tau, c, mirror, d):
    g, n = GaussianTradeoff(p, d, c), 40_000
    f, rule = linear(g, tau, mirror), threshold_rule(p, tau, c, mirror)
    x, y = g.sample(n, 12)
    clean, attacked, moved = f(x), f(g.attack(x, y)), f(g.transform(x, 13))
    for found, exact in (
        ((clean == y).mean(), rule.accuracy),
        ((attacked == y).mean(), rule.attacked),
        ((moved == y).mean(), rule.transformed),
        ((moved == clean).mean(), rule.invariance),
        ((attacked != clean).mean(), rule.fooling),
    ):
        assert abs(found - exact) <= norm.isf(1e-6 / 140) * math.sqrt(exact * (1 - exact) / n) + 2 / n


@pytest.mark.parametrize("c", [0.3, 1.0, 3.0])
def test_the_papers_rule_has_its_exact_rates_on_real_samples(c):
    result = check(GaussianTradeoff(0.7, 4, c), [paper(GaussianTradeoff(0.7, 4, c))], 100_000, 2, 1 - 1e-6).classifiers[
        0
    ]
    assert result.exact == paper_rule(c)
    assert result.excluded == ()


@given(PS, CS, SHARES, SHARES)
@laws
def test_the_distance_to_the_frontier_is_the_smallest_gap_over_all_weights(p, c, a, b):
    weights = np.linspace(0, 1, 401)
    gaps = [frontier_point(p, weight, c).value - weight * a - (1 - weight) * b for weight in weights]
    distance = distance_to_frontier(p, a, b, c)
    assert distance <= min(gaps) + 1e-12
    assert distance >= min(gaps) - 1 / 400  # the value is 1-Lipschitz in the weight


@given(PS, st.floats(0.1, 20), SHARES)
@laws
def test_frontier_points_are_at_distance_zero_and_a_step_along_the_diagonal_is_measured(p, c, weight):
    point = frontier_point(p, weight, c)
    assert distance_to_frontier(p, point.accuracy, point.attacked, c) == pytest.approx(0, abs=1e-10)
    step = min(point.accuracy, point.attacked) / 2
    inside = distance_to_frontier(p, point.accuracy - step, point.attacked - step, c)
    assert inside == pytest.approx(step, abs=1e-10)


@given(PS, CS, SHARES, SHARES, SHARES)
@laws
def test_the_distance_never_grows_with_a_rate_so_a_box_bounds_it(p, c, a, b, more):
    better = min(1.0, a + more)
    assert distance_to_frontier(p, better, b, c) <= distance_to_frontier(p, a, b, c) + 1e-10
    assert distance_to_frontier(p, b, better, c) <= distance_to_frontier(p, b, a, c) + 1e-10


def test_what_no_classifier_reaches_is_beyond_the_frontier():
    assert distance_to_frontier(0.7, 1, 1) == pytest.approx(-0.3, abs=1e-12)
    assert distance_to_frontier(0.7, 0.75, 0.7) < 0


@given(PS, SHARES, SHARES)
@laws
def test_the_papers_inequality_is_its_form_in_r_and_b(p, a, b):
    left, right = (a + b) / 2 + (2 * p - 1) / (2 * (1 - p)) * b, p / (2 * (1 - p))
    paper = inequalities(p, a, b, (a + b) / 2)[0]
    assert (paper.left - paper.right) / (2 * (1 - p)) == pytest.approx(left - right, abs=1e-9 * (1 + abs(right)))


@given(PS, CS)
@laws
def test_points_by_tau_are_on_the_frontier_and_best_for_their_weight(p, c):
    points = frontier_points(p, c)
    assert points[0] == frontier_point(p, 1, c)
    assert (points[-1].accuracy, points[-1].attacked, points[-1].tau) == (p, p, math.inf)
    for point in points:
        assert distance_to_frontier(p, point.accuracy, point.attacked, c) == pytest.approx(0, abs=1e-9)
        assert point.value == pytest.approx(frontier_point(p, point.weight, c).value, abs=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.5 + 2**-53, 1 - 1e-12, 1 - 2**-53])
@pytest.mark.parametrize("c", [1e-9, 3.0, 1e6])
def test_extreme_parameters_stay_finite_and_ordered(p, c):
    for weight in (0.0, 1 - p, 0.5, p, math.nextafter(p, 1), 1.0):
        point = frontier_point(p, weight, c)
        assert p <= point.value <= 1
        assert point.tau >= 0
        assert 0 <= point.accuracy <= 1
    assert abs(distance_to_frontier(p, p, p, c)) < 1e-9
    assert np.isfinite(frontier_curve(p, c)).all()


def test_just_above_p_the_threshold_grows_smoothly():
    taus = [frontier_point(0.7, 0.7 + 10.0**-k).tau for k in range(1, 16)]
    assert np.diff(taus) == pytest.approx(math.log(10) / (6 * math.sqrt(2)), rel=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: threshold_rule(0.7, math.nan),
            "tau = nan is outside [-inf, inf]: inf is sign(x_0), 0 is sign(s)",
        ),
        (lambda: threshold_rule(0.7, 1, c=0), "c = 0 is outside (0, 1e6]: the paper has c = 3"),
        (lambda: frontier_point(0.7, 1.1), "weight = 1.1 is outside [0, 1]: it is a share, write 0.75 for 75 %"),
        (lambda: frontier_point(0.7, math.nan), "weight = nan is outside [0, 1]: it is a share, write 0.75 for 75 %"),
        (lambda: distance_to_frontier(0.7, 2, 0), "accuracy = 2 is outside [0, 1]: it is a share, write 0.75 for 75 %"),
        (
            lambda: frontier_point(1, 0.5),
            "p = 1 is outside [0.5, 1): below 0.5 flip the sign of x_0; at 1 the bound divides by 0, try 0.99",
        ),
        (
            lambda: frontier_point_at(0.5, -1),
            "tau = -1 is outside [0.0, inf], the frontier at p = 0.5",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name_value_and_range(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value) == message


def test_results_are_frozen():
    with pytest.raises(FrozenInstanceError):
        threshold_rule(0.7, 1).accuracy = 1
