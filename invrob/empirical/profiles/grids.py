"""The usual grids of epsilon, and how an epsilon is printed."""

from collections.abc import Sequence

from invrob.checks import read_epsilon as read_epsilon  # beside how one is printed

EPSILONS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # the paper's range for MNIST, as far as it matters
L2_EPSILONS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # half a pixel of CIFAR-10 to what an MNIST digit can bear
COLOUR_EPSILONS = tuple(k / 255 for k in (0, 0.5, 1, 2, 4, 8, 12, 16))  # around the 8/255 that is usual for CIFAR-10
TABLE_EPSILONS = (0.1, 0.3, 2 / 255, 8 / 255)  # what tables and planes have of a grid, where it has them


def usual_epsilons(norm: str, channels: int) -> tuple[float, ...]:
    """The grid of epsilons where nobody asks for another; channels: of the data's images."""
    if norm == "l2":
        return L2_EPSILONS
    return EPSILONS if channels == 1 else COLOUR_EPSILONS


def table_epsilons(grid: Sequence[float]) -> list[float]:
    """Which two epsilons of a grid stand in tables; planes have the first."""
    return [epsilon for epsilon in TABLE_EPSILONS if epsilon in grid][:2] or [grid[len(grid) // 2], grid[-1]]


def format_epsilon(epsilon: float) -> str:
    """An epsilon as people read it: 8/255 for a multiple of half a level of 8 bits, else a short number as it is."""
    short, levels = f"{epsilon:g}", round(epsilon * 255, 6)
    return f"{levels:g}/255" if 0 < epsilon < 1 and (2 * levels).is_integer() and len(short) > 5 else short
