"""How often verdicts on claims are wrong: simulated, with networks that have no trend, or one that is known.

    python tools/coverage_claims.py [REPEATS]

prints the tables of docs/profiles.md, section "Claims", as Markdown; 4,000 repeats take some minutes. The tests run the
same simulations with fewer repeats."""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from invrob.checks import Array
from invrob.empirical.analysis import holm
from invrob.empirical.analysis.evidence import SEED_SHIFT
from invrob.empirical.analysis.trends import Networks, deviation, line, steps

MOVE = 0.09  # what a seed moves a robustness of 50 % by, as a standard deviation; 0.07 was measured
VALUES = (2, 3, 5, 7)  # how many values a parameter has
GRIDS: dict[str, Sequence[float]] = {
    "0.1": [0.1],
    "0, 0.1, 0.2": [0, 0.1, 0.2],
    "0 to 0.4, 11 of them": [0.04 * k for k in range(11)],
}


def networks(
    rng: np.random.Generator,
    count: int,
    seeds: int,
    *,
    means: Array | float = 0.0,
    sd: Array | float = 0.1,
    seed: float = 0.0,
    images: int = 40,
    expected: Array | float = 0.015,
) -> Networks:
    """Networks at `count` values, whose mean rates are `means`, give or take `sd` [V] by network and `seed` by seed.

    What an image is to them changes with the value, and also differs from network to network. expected: what the
    analysis thinks of `sd`; it matters with one seed, and where it says that some networks vary more than others."""
    of_images = 0.5 + 0.3 * rng.standard_normal(images)
    of_images = of_images + np.linspace(0, 0.2, count)[:, None] * rng.standard_normal(images)
    of_networks = np.broadcast_to(sd, count)[:, None] * rng.standard_normal((count, seeds))
    of_networks = of_networks + seed * rng.standard_normal(seeds) + np.broadcast_to(means, count)[:, None]
    rates = of_images[:, None, :] + of_networks[:, :, None] + 0.1 * rng.standard_normal((count, seeds, images))
    return Networks(tuple(map(float, range(count))), rates, np.broadcast_to(expected, count), np.zeros(count))


def kept(rng: np.random.Generator, grid: Sequence[float], images: int = 300) -> Array:
    """Whether three networks of one seed, without any trend, keep their predictions: [3, N, T].

    The epsilon at which an image falls is log-normal, and a seed moves all of them so far that a rate of 50 % moves by
    MOVE."""
    spread = 0.4
    moves = MOVE * spread * np.sqrt(2 * np.pi) * rng.standard_normal(3)
    levels = np.exp(np.log(0.09) + spread * rng.standard_normal(images) + moves[:, None])
    stays: Array = levels[:, :, None] > np.asarray(grid)
    return stays


def under_attack(rng: np.random.Generator, grid: Sequence[float], images: int = 300) -> Networks:
    """These networks, with what a single seed is expected to move their mean rates by."""
    stays = kept(rng, grid, images)
    rates = stays.mean(1)
    expected = SEED_SHIFT * (4 * rates * (1 - rates)).mean(1)
    return Networks((0.0, 90.0, 180.0), stays.mean(2)[:, None, :], expected, np.zeros(3))


def has_trend(of: Networks) -> bool:
    """Whether the interval of the trend, by itself, holds no 0."""
    low, high = line(of).interval()
    return not low <= 0 <= high


def is_bent(of: Networks) -> bool:
    """Whether the mean rates are said to lie on no straight line."""
    off = deviation(of)
    return off is not None and off[0] < 0.05


def has_step(of: Networks) -> bool:
    """Whether there is a step between two values, in either direction."""
    return bool(steps(of))


def share(test: Callable[[Networks], bool], draws: Iterable[Networks]) -> float:
    """How often a test finds something."""
    return float(np.mean([test(of) for of in draws]))


def drawn(repeats: int, seeds: int, counts: Sequence[int] = VALUES, **how: object) -> Iterable[Networks]:
    """Networks as many times for each number of values; what is callable in `how` is a function of that number."""
    rng = np.random.default_rng(0)
    for count in counts:
        for _ in range(repeats):
            fields = {name: of(count) if callable(of) else of for name, of in how.items()}
            yield networks(rng, count, seeds, **fields)  # type: ignore[arg-type]


def unequal(count: int) -> Array:
    """Standard deviations of networks of which the last varies three times as much as the first."""
    return np.linspace(0.05, 0.15, count)


def one_unsteady(count: int) -> Array:
    """Standard deviations of networks of which only the last varies three times as much as the others."""
    return np.array([0.05] * (count - 1) + [0.15])


def rising(count: int, by: float = 0.1) -> Array:
    """Mean rates that rise in a straight line."""
    return np.linspace(0, by, count)


def of_six(repeats: int, seeds: int) -> tuple[float, float]:
    """In how many runs of six tests without any trend one is said to have one: each at 5 %, and after Holm."""
    draws = iter(drawn(6 * repeats, seeds, counts=(3,)))
    runs = [[line(next(draws)).p_value for _ in range(6)] for _ in range(repeats)]
    each, all_six = ([min(adjust(run)) < 0.05 for run in runs] for adjust in (list, holm))
    return float(np.mean(each)), float(np.mean(all_six))


def one_seed(repeats: int, grid: Sequence[float]) -> float:
    """How often one seed claims a trend of robustness on this grid."""
    rng = np.random.default_rng(0)
    return share(has_trend, (under_attack(rng, grid) for _ in range(repeats)))


def main(repeats: int) -> None:
    """Print the tables."""

    def percent(share: float) -> str:
        return f"{100 * share:.1f} %"

    tests: dict[str, Callable[[int], float]] = {
        "a trend where there is none": lambda s: share(has_trend, drawn(repeats, s)),
        "the same, a seed moves all its networks alike as well": lambda s: share(
            has_trend, drawn(repeats, s, seed=0.2)
        ),
        "the same, networks vary the more the larger the value is, at last three times as much": lambda s: share(
            has_trend, drawn(repeats, s, sd=unequal)
        ),
        "the same, only the last one varies three times as much, as it is expected to": lambda s: share(
            has_trend, drawn(repeats, s, sd=one_unsteady, expected=one_unsteady)
        ),
        "a step between any two of 3 to 7 values": lambda s: share(has_step, drawn(repeats // 4, s, VALUES[1:])),
        "a bend in a straight line": lambda s: share(
            is_bent, drawn(repeats // 4, s, VALUES[1:], means=partial(rising, by=0.3))
        ),
        "one of six claims, each at 5 %": lambda s: of_six(repeats // 4, s)[0],
        "one of six claims, after Holm": lambda s: of_six(repeats // 4, s)[1],
        "a rise of 10 points that is there (3 values)": lambda s: share(
            has_trend, drawn(repeats // 4, s, (3,), means=rising, sd=0.015, images=400)
        ),
        "the same (5 values)": lambda s: share(
            has_trend, drawn(repeats // 4, s, (5,), means=rising, sd=0.015, images=400)
        ),
    }
    print("| it finds | 2 seeds | 3 seeds | 5 seeds |\n|---|---:|---:|---:|")
    for name, found in tests.items():
        print(f"| {name} | {' | '.join(percent(found(seeds)) for seeds in (2, 3, 5))} |", flush=True)
    print("\n| epsilons | one seed finds a trend where there is none |\n|---|---:|")
    for name, grid in GRIDS.items():
        print(f"| {name} | {percent(one_seed(repeats, grid))} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
