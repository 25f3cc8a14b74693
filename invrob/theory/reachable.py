"""Every pair (a, b) of accuracies, clean and attacked, that some classifier has on the distribution of Theorem 1.

The set is convex. Its border is the curve of the threshold rules sign(tau x_0 + s) for every tau from -inf, which is
-sign(x_0), to inf, which is sign(x_0), and the mirror image of that curve, which the rules sign(tau x_0 - s) have. The
frontier is the part of the border on which neither number can rise unless the other falls. docs/theory.md has the
proof."""

from scipy.optimize import brentq

from invrob.checks import checked_number
from invrob.errors import InputError
from invrob.theory.distribution import separation
from invrob.theory.frontier import distance_to_frontier, frontier_point, threshold_rule

ROUNDING = 1e-9  # what lies outside by no more than this counts as reached: the border itself is known by rounding only
TAIL = 40.0  # standard deviations on which a normal distribution has all of its probability, to the last bit


def can_be_reached(
    p: float, accuracy: float | tuple[float, float], attacked: float | tuple[float, float], c: float = 3.0
) -> bool:
    """Whether some classifier has its a in the range `accuracy` and its b in the range `attacked`.

    Args:
        p: how often x_0 equals the label, in [1/2, 1).
        accuracy: a, the share of clean samples that are right, or the least and the largest that it may be.
        attacked: b, the same under the attack.
        c: mean of a number times sqrt(d), in (0, 1e6].

    Raises:
        InputError: outside these ranges, or for a least share above the largest.

    Example:
        >>> can_be_reached(0.7, accuracy=0.9, attacked=0.1)
        True
        >>> can_be_reached(0.7, accuracy=0.9, attacked=(0.3, 0.5))  # no classifier is both so accurate and so robust
        False
    """
    a_low, a_high = _checked_range("accuracy", accuracy)
    b_low, b_high = _checked_range("attacked", attacked)
    # A convex set misses a box exactly if it holds no point beyond one of the box's corners, as seen from that corner.
    distances = (
        distance_to_frontier(p, a_low, b_low, c),  # is any classifier at least as good in both?
        distance_to_frontier(p, 1 - a_high, 1 - b_high, c),  # as bad in both? -f has 1 - a and 1 - b
        _distance_to_side(p, a_low, b_high, c),  # at least as good on clean samples and as bad under the attack?
        _distance_to_side(p, b_low, a_high, c),  # the other way round? The mirrored rule has a and b exchanged
    )
    return min(distances) >= -ROUNDING


def _distance_to_side(p: float, larger: float, smaller: float, c: float) -> float:
    """The largest t for which some classifier has at least larger + t of one accuracy and at most smaller - t of the
    other. Between the clean Bayes rule, tau, and the worst one under the attack, -tau, both numbers grow with tau."""
    most = min(frontier_point(p, 1, c).tau, separation(c) + TAIL)
    best, worst = threshold_rule(p, most, c), threshold_rule(p, -most, c)
    middle = (larger + smaller) / 2
    if middle >= best.transformed:
        return best.accuracy - larger
    if middle <= worst.transformed:
        return smaller - worst.attacked
    tau = brentq(lambda t: threshold_rule(p, t, c).transformed - middle, -most, most, xtol=1e-13)
    return threshold_rule(p, tau, c).accuracy - larger


def _checked_range(name: str, value: float | tuple[float, float]) -> tuple[float, float]:
    low, high = value if isinstance(value, tuple) else (value, value)
    low, high = (
        checked_number(name, share, lambda x: 0 <= x <= 1, "[0, 1]: it is a share, write 0.75 for 75 %")
        for share in (low, high)
    )
    if low > high:
        raise InputError(f"{name} = {value} has its least share above its largest: exchange them")
    return low, high
