"""How often the comparison of equivariant networks with plain ones, and trends at equal accuracy, are wrong: simulated.

    python -m tools.coverage_controls [REPEATS] [--json FILE]

prints the table of docs/profiles.md, section "An equivariant network against a plain one", as Markdown, and writes it
into docs/numbers; 4,000 repeats take a minute. The tests run the same simulations with fewer repeats."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from invrob.empirical.analysis.equivariant import Compared, difference_of
from invrob.empirical.analysis.statistics import LEVEL
from invrob.empirical.analysis.trends import Networks, among, line
from tools.coverage_command import print_table

SEEDS = (1, 2, 3, 5)
TRAININGS = (1, 3, 7)
ALIKE, APART = (0.03, 0.01), (0.0, 0.03)  # what a seed moves all trainings of a network by, and each by itself


def compared(
    rng: np.random.Generator,
    trainings: int,
    seeds: int,
    *,
    moves: tuple[float, float] = ALIKE,
    by: float = 0.0,
    right: bool = False,
    images: int = 60,
) -> Compared:
    """Two networks whose mean robustness differs by `by`, with a share of what an image is to them in common.

    right: on the images alone that both get right, which are the more robust ones."""
    together, alone = moves
    shape = (2, trainings, seeds, images)
    of_images = 0.3 * rng.standard_normal(images) + 0.15 * rng.standard_normal((2, 1, 1, images))
    moved = together * rng.standard_normal((2, 1, seeds, 1)) + alone * rng.standard_normal((2, trainings, seeds, 1))
    rates = 0.5 + of_images + moved + 0.1 * rng.standard_normal(shape)
    rates[0] += by
    expected = np.full((2, trainings), np.hypot(together, alone))
    of_all = Compared(rates[0], rates[1], expected, np.zeros((2, trainings)))
    if not right:
        return of_all
    sure = np.all(of_images + 0.2 * rng.standard_normal(shape) > -0.3, axis=0)
    sure[..., :2] = True  # at least two images
    return of_all.right(sure)


def at_equal_accuracy(rng: np.random.Generator, values: int, seeds: int, images: int = 60) -> Networks:
    """Networks without a trend at `values` values, on the images that those of a seed get right."""
    of_images = 0.3 * rng.standard_normal(images) + 0.15 * rng.standard_normal((values, 1, images))
    moved = 0.03 * rng.standard_normal((values, seeds, 1))
    rates = 0.5 + of_images + moved + 0.1 * rng.standard_normal((values, seeds, images))
    right = np.all(of_images + 0.2 * rng.standard_normal((values, seeds, images)) > -0.3, axis=0)
    right[:, :2] = True
    return Networks(tuple(map(float, range(values))), among(rates, right), np.full(values, 0.03), np.zeros(values))


def differ(seeds: int, repeats: int, trainings: Sequence[int] = TRAININGS, **how: object) -> float:
    """How often two networks are said to differ, by themselves, before Holm."""
    rng = np.random.default_rng(0)
    draws: Iterable[Compared] = (compared(rng, t, seeds, **how) for t in trainings for _ in range(repeats))  # type: ignore[arg-type]
    return float(np.mean([difference_of(draw).p_value < LEVEL for draw in draws]))


def trend(seeds: int, repeats: int) -> float:
    """How often a trend is found at equal accuracy where there is none."""
    rng = np.random.default_rng(0)
    draws = (at_equal_accuracy(rng, values, seeds) for values in (2, 3, 5) for _ in range(repeats))
    return float(np.mean([line(draw).p_value < LEVEL for draw in draws]))


def table(repeats: int) -> str:
    """All of it, as Markdown."""
    tests: dict[str, Callable[[int], float]] = {
        "a difference between networks that do not differ; a seed moves all trainings of a network alike": lambda s: (
            differ(s, repeats)
        ),
        "the same, a seed moves each training by itself": lambda s: differ(s, repeats, moves=APART),
        "the same as the first, on the images that both get right": lambda s: differ(s, repeats, right=True),
        "a trend at equal accuracy where there is none": lambda s: trend(s, repeats),
        "a difference of 10 points that is there": lambda s: differ(s, repeats // 4, by=0.1, images=400),
    }
    lines = ["| it finds | 1 seed | 2 seeds | 3 seeds | 5 seeds |", "|---|---:|---:|---:|---:|"]
    for name, found in tests.items():
        lines.append(f"| {name} | {' | '.join(f'{100 * found(seeds):.1f} %' for seeds in SEEDS)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print_table(__doc__, table, 4000, "tools.coverage_controls")
