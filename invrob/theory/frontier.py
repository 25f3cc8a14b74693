"""What a classifier can reach on the distribution of Theorem 1: bounds, the exact frontier, exact rates. No sampling.

Three rates of a classifier f, for labels Y: a = Pr(f(X) = Y), b = Pr(f(X + A(X)) = Y), R = Pr(f(r(X)) = Y) = (a + b)/2.
a and b depend on f through x_0 and one number s only, with s ~ N(+m y, 1) on clean and N(-m y, 1) on attacked samples,
m = c sqrt(2). Hence nothing here depends on d. docs/theory.md has the proofs."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from scipy.optimize import brentq
from scipy.special import ndtr

from invrob.checks import checked_number
from invrob.records import Unbounded, unbounded
from invrob.shown import Shown, Summary
from invrob.theory.curves import attacked_rate, clean_rate, difference
from invrob.theory.distribution import checked_c, checked_p, separation
from invrob.theory.on_plane import DrawnRates, OnThePlane
from invrob.theory.tables import rates_summary, rule_title


@dataclass(frozen=True, repr=False)
class ExactRates(DrawnRates, Shown):
    """The exact rates of one classifier, each a probability in [0, 1]."""

    accuracy: float  # a: on clean samples
    attacked: float  # b: on x + A(x)
    transformed: float  # R: on r(x)
    invariance: float  # Pr(f(r(X)) = f(X))
    fooling: float  # Pr(f(X + A(X)) != f(X))

    def summary(self) -> Summary:
        return rates_summary(self, "exact, of one classifier")

    def records(self) -> list[dict[str, Any]]:
        """One row with all numbers."""
        return [dict(vars(self))]


@dataclass(frozen=True, repr=False)
class ThresholdRule(OnThePlane, ExactRates):
    """`x_0 unless s contradicts it by more than tau`, that is sign(tau x_0 + s), or sign(tau x_0 - s) if mirrored."""

    p: float
    c: float
    tau: Unbounded
    mirror: bool

    def summary(self) -> Summary:
        return rates_summary(self, rule_title(self))

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"tau": unbounded(self.tau)}


@dataclass(frozen=True, repr=False)
class FrontierPoint(OnThePlane, Shown):
    """The largest weight * accuracy + (1 - weight) * attacked of any classifier, and a rule that reaches it."""

    p: float
    c: float
    weight: float
    tau: Unbounded  # inf for sign(x_0)
    mirror: bool  # true where weight < 1 - p: the rule is then sign(tau x_0 - s)
    accuracy: float
    attacked: float
    value: float

    def summary(self) -> Summary:
        best = f"weight {self.weight:g}: the largest {self.weight:g} a + {1 - self.weight:g} b is {self.value:.6f}"
        return rates_summary(self.rule, f"{best}, by {rule_title(self)}")

    def records(self) -> list[dict[str, Any]]:
        """One row with all numbers, those of the rule that reaches the point included."""
        return [{**vars(self.rule), "weight": self.weight, "value": self.value}]

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"tau": unbounded(self.tau)}

    @property
    def rule(self) -> ThresholdRule:
        """The threshold rule that reaches the point, with its other rates."""
        return threshold_rule(self.p, self.tau, self.c, self.mirror)

    def to_json(self) -> dict[str, Any]:
        """All fields and rates as finite numbers, but for tau = inf, which JSON cannot hold: the string "Infinity"."""
        content = asdict(self.rule) | {"weight": self.weight, "value": self.value}
        return content | {"tau": "Infinity"} if math.isinf(self.tau) else content


@dataclass(frozen=True)
class Inequality:
    """left <= right, which holds for every classifier."""

    name: str
    formula: str
    left: float
    right: float


def threshold_rule(p: float, tau: float, c: float = 3.0, mirror: bool = False) -> ThresholdRule:
    """The exact rates of the rule: at x_0 = +1 predict + iff s >= -tau, at x_0 = -1 predict - iff s <= tau.

    The prediction changes under the swap iff |s| > |tau|, and under A with probability Phi(m - tau) - Phi(-m - tau)
    given either value of x_0.

    Args:
        p: how often x_0 equals the label, in [1/2, 1).
        tau: any number; inf is sign(x_0), 0 is sign(s), -inf is -sign(x_0).
        c: mean of a number times sqrt(d), in (0, 1e6].
        mirror: the rule with s replaced by -s, which has a and b exchanged.

    Raises:
        InputError: outside these ranges, and for tau = NaN.

    Example:
        >>> threshold_rule(0.7, float("inf")).transformed  # sign(x_0)
        0.7
    """
    p, c, m = checked_p(p), checked_c(c), separation(checked_c(c))
    tau = checked_number("tau", tau, lambda value: value == value, "[-inf, inf]: inf is sign(x_0), 0 is sign(s)")
    clean, attacked = float(clean_rate(p, tau, m)), float(attacked_rate(p, tau, m))
    if mirror:
        clean, attacked = attacked, clean
    size = abs(tau)
    crossing = float(ndtr(m - size) + ndtr(-m - size))  # Pr(|s| > |tau|)
    return ThresholdRule(
        accuracy=clean,
        attacked=attacked,
        transformed=(clean + attacked) / 2,
        invariance=1 - crossing / 2,
        fooling=difference(tau, m),
        p=p,
        c=c,
        tau=tau,
        mirror=bool(mirror),
    )


def paper_rule(c: float = 3.0) -> ExactRates:
    """The exact rates of the paper's f*(x) = sign(x_1 + x_3 + ... + x_{2d-1}), for every p.

    Its sum over sqrt(d) is N(c y, 1); the swap puts the even sum, an independent N(-c y, 1), in its place.

    Args:
        c: mean of a number times sqrt(d), in (0, 1e6].

    Raises:
        InputError: outside this range.

    Example:
        >>> round(paper_rule().accuracy, 4), round(paper_rule().attacked, 4)
        (0.9987, 0.0013)
    """
    c = checked_c(c)
    right, wrong = float(ndtr(c)), float(ndtr(-c))
    return ExactRates(right, wrong, (right + wrong) / 2, 0.5 + right * wrong, right - wrong)


def frontier_point(p: float, weight: float, c: float = 3.0) -> FrontierPoint:
    """The classifier that maximises weight * a + (1 - weight) * b.

    weight in [1 - p, p]: sign(x_0) (tau = inf), with the value p: two supporting lines meet in the corner (p, p).
    weight > p: the threshold rule with tau = ln[(weight - 1 + p)/(weight - p)] / (2 m), down to the Bayes classifier of
    the clean law at weight 1. weight < 1 - p: the mirrored rule of 1 - weight (`mirror` is true).

    Args:
        p: how often x_0 equals the label, in [1/2, 1).
        weight: of the accuracy on clean samples, in [0, 1].
        c: mean of a number times sqrt(d), in (0, 1e6].

    Raises:
        InputError: outside these ranges.

    Example:
        >>> round(frontier_point(p=0.7, weight=0.9).value, 6)
        0.899992
    """
    p, c, m = checked_p(p), checked_c(c), separation(checked_c(c))
    weight = _checked_share("weight", weight)
    mirror = 1 - weight > p
    larger = 1 - weight if mirror else weight
    if larger <= p:
        return FrontierPoint(p, c, weight, math.inf, False, p, p, p)
    tau = (math.log(larger - (1 - p)) - math.log(larger - p)) / (2 * m)
    rule = threshold_rule(p, tau, c, mirror)
    value = weight * rule.accuracy + (1 - weight) * rule.attacked
    return FrontierPoint(p, c, weight, tau, mirror, rule.accuracy, rule.attacked, max(value, p))  # max: rounding only


def frontier_point_at(p: float, tau: float, c: float = 3.0) -> FrontierPoint:
    """The frontier point of the rule sign(tau x_0 + s), for tau from that of weight 1 to inf; InputError outside.

    Its weight is p + (2p - 1)/(exp(2 m tau) - 1). At c = 3 that is p to the last bit long before b begins to rise, so
    only tau reaches the middle of the frontier."""
    start = frontier_point(p, 1, c)
    tau = checked_number("tau", tau, lambda value: value >= start.tau, f"[{start.tau}, inf], the frontier at p = {p}")
    if tau == start.tau:
        return start
    rule = threshold_rule(p, tau, c)
    exponent = 2 * separation(rule.c) * tau
    at_corner = rule.p == 0.5 or exponent > 700  # where exp() ends, the weight has long been p to the last bit
    weight = rule.p if at_corner else min(1.0, rule.p + (2 * rule.p - 1) / math.expm1(exponent))
    value = weight * rule.accuracy + (1 - weight) * rule.attacked
    return FrontierPoint(
        rule.p, rule.c, weight, tau, mirror=False, accuracy=rule.accuracy, attacked=rule.attacked, value=value
    )


def frontier_points(p: float, c: float = 3.0) -> tuple[FrontierPoint, ...]:
    """Nine points of the half of the frontier with a >= b, from the Bayes classifier of the clean law to the corner."""
    start, m = frontier_point(p, 1, c), separation(checked_c(c))
    steps = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, math.inf)
    return (start, *(frontier_point_at(p, start.tau + step * m, c) for step in steps))


def distance_to_frontier(p: float, accuracy: float, attacked: float, c: float = 3.0) -> float:
    """By how much a and b could both be better: the largest t for which some classifier has at least a + t and b + t.

    It equals the minimum over all weights of `frontier_point(p, weight, c).value - weight a - (1 - weight) b`, the
    support-function distance. 0 on the frontier, > 0 short of it, and < 0 beyond it, where no classifier is. It never
    grows with a or b, so an interval for each of them gives one for the distance. Where |a - b| is at most that of the
    Bayes classifier of the clean law, (a + t, b + t) is on the frontier; else the best in both is that classifier, or
    the one of the attacked law. Whether (a, b) itself can be reached is for `can_be_reached` to say.

    Args:
        p: how often x_0 equals the label, in [1/2, 1).
        accuracy: a, the share of clean samples that are right.
        attacked: b, the same under the attack.
        c: mean of a number times sqrt(d), in (0, 1e6].

    Raises:
        InputError: outside these ranges.

    Example:
        >>> round(distance_to_frontier(0.7, accuracy=1, attacked=1), 3)  # no classifier is there
        -0.3
    """
    p, m = checked_p(p), separation(checked_c(c))
    low, high = sorted((_checked_share("accuracy", accuracy), _checked_share("attacked", attacked)))  # it is symmetric
    gap = high - low  # a - b is kept along the diagonal; on the frontier it is difference(tau), which falls in tau
    bayes = frontier_point(p, 1, c).tau
    far = bayes + m + 40
    if gap >= difference(bayes, m):
        tau = bayes
    elif gap <= difference(far, m):
        tau = math.inf
    else:
        tau = brentq(lambda t: difference(t, m) - gap, bayes, far, xtol=1e-13)
    return float(clean_rate(p, tau, m)) - high


def inequalities(p: float, accuracy: float, attacked: float, transformed: float) -> tuple[Inequality, ...]:
    """The four bounds that hold for every classifier, d and c, at the rates of one of them.

    `paper`: Theorem 1's chain, which is R + (2p-1)/(2(1-p)) b <= p/(2(1-p)) with R = (a + b)/2 put in. `mirror`: the
    same with a and b exchanged. `transformed`: R <= p. `theorem-1`: what the paper concludes; R <= p implies it.

    Args:
        p: how often x_0 equals the label, in [1/2, 1).
        accuracy: a, on clean samples, in [0, 1].
        attacked: b, under the attack.
        transformed: R, under the transformation.

    Raises:
        InputError: for p outside its range.

    Example:
        >>> [row.left <= row.right for row in inequalities(0.7, accuracy=1, attacked=0, transformed=0.5)]
        [True, True, True, True]
    """
    p = checked_p(p)
    return (
        Inequality("paper", "(1-p) a + p b <= p", (1 - p) * accuracy + p * attacked, p),
        Inequality("mirror", "p a + (1-p) b <= p", p * accuracy + (1 - p) * attacked, p),
        Inequality("transformed", "R <= p", transformed, p),
        Inequality("theorem-1", "min(R, b) <= p", min(transformed, attacked), p),
    )


def _checked_share(name: str, value: float) -> float:
    return checked_number(name, value, lambda share: 0 <= share <= 1, "[0, 1]: it is a share, write 0.75 for 75 %")
