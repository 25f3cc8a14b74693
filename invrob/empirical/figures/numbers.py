"""Numbers beside the points of a picture, where they cover neither a point nor each other."""

from collections.abc import Sequence
from itertools import product
from math import cos, dist, radians, sin

Spot = tuple[float, float]  # x and y, in points of text
Box = tuple[float, float, float, float]  # left, lower, right and upper end, in points of text

DISTANCES = (10.0, 14.0, 19.0, 26.0, 34.0)  # from the middle of a point to that of its number
ANGLES = (45, 135, 315, 225, 0, 180, 90, 270)  # degrees, the first that fits
HEIGHT, DIGIT = 8.0, 5.0  # of a number, and how wide its digits are
MARKER = 5.0  # half the width of a point
LED = 16.0  # from how far on a line leads to the number


def numbers_beside(spots: Sequence[Spot], bars: Sequence[Box], size: Spot) -> list[tuple[Spot, bool]]:
    """Where the numbers of points stand: 1 for the first point, and so on.

    Args:
        spots: of the points.
        bars: what numbers had better not cover, such as intervals.
        size: width and height of the picture; its lower left corner is at (0, 0).

    Returns:
        For each point the middle of its number, and whether a line is to lead there: where it is far, or nearer to
        another point. It covers no point, no other number and no edge of the picture where that is possible, and as few
        bars.
    """
    taken = [(x - MARKER, y - MARKER, x + MARKER, y + MARKER) for x, y in spots]
    chosen = []
    for number, (x, y) in enumerate(spots, start=1):
        costs = []
        for (ring, away), (rank, angle) in product(enumerate(DISTANCES), enumerate(ANGLES)):
            turned = radians(angle + (ring % 2) * 22.5)  # so that no number stands on the line to another one
            middle = (x + away * cos(turned), y + away * sin(turned))
            led = away > LED or any(dist(middle, other) < away - 0.1 for other in spots)
            box = _box(middle, number)
            cost = _cost(box, taken, bars, size) + 2 * led + away / 10
            costs.append((cost, rank, middle, led, box))
        _, _, middle, led, box = min(costs)
        taken.append(box)
        chosen.append((middle, led))
    return chosen


def _box(middle: Spot, number: int) -> Box:
    half = (DIGIT * len(str(number)) + 1) / 2
    return middle[0] - half, middle[1] - HEIGHT / 2, middle[0] + half, middle[1] + HEIGHT / 2


def _cost(box: Box, taken: Sequence[Box], bars: Sequence[Box], size: Spot) -> float:
    outside = box[0] < 0 or box[1] < 0 or box[2] > size[0] or box[3] > size[1]
    return 100 * (outside + sum(_meet(box, other) for other in taken)) + sum(_meet(box, bar) for bar in bars)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
