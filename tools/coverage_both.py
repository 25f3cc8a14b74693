"""How often the statement (vi), that both can be had, is said to hold or to fail wrongly, and rightly: simulated.

    python -m tools.coverage_both [REPEATS] [--json FILE]

prints the table of docs/profiles.md, section "Can one have both?", as Markdown, and writes it into docs/numbers. The
tests run the same simulation with fewer repeats."""

from collections.abc import Sequence

import numpy as np

from invrob.empirical.analysis.dominance import Trainings, evidence
from invrob.empirical.analysis.statistics import LEVEL
from tools.coverage_command import print_table

SEEDS = (1, 2, 3, 5)
SINGLE = ((0.9, 0.2), (0.6, 0.5), (0.4, 0.85))  # invariance and robustness: the middle one lies short of the others
ON_THE_LINE, AT_AN_END, BEYOND, SHORT = (0.65, 0.525), (0.9, 0.2), (0.8, 0.7), (0.45, 0.35)
MOVES = (0.015, 0.05)  # what a seed moves either rate by, as a standard deviation


def drawn(rng: np.random.Generator, places: Sequence[tuple[float, float]], seeds: int, images: int = 500) -> Trainings:
    """Trainings at these true places of the plane. Images that are easy for one network are easy for the others."""
    truth = np.array(places)
    at = np.clip(truth[:, None] + rng.standard_normal((len(truth), seeds, 2)) * MOVES, 0.01, 0.99)
    of_images = np.sqrt(truth[:, 0] * (1 - truth[:, 0]) / images)
    turned = 0.7 * rng.standard_normal((1, 1)) + 0.7 * rng.standard_normal((len(truth), 1))  # in common, and by itself
    difficulty = 0.7 * rng.random(images) + 0.3 * rng.random((len(truth), seeds, images))
    thresholds = np.quantile(0.7 * rng.random(20_000) + 0.3 * rng.random(20_000), at[..., 1])
    robust = (difficulty < thresholds[..., None]).astype(float)
    invariance = np.clip(at[..., 0] + of_images[:, None] * turned, 0, 1)
    return Trainings(invariance, of_images, robust, np.zeros(len(truth)))


def said(places: Sequence[tuple[float, float]], seeds: int, repeats: int) -> tuple[float, float]:
    """How often trainings with both at these places are said to be beyond the frontier of SINGLE, and short of it."""
    rng = np.random.default_rng(0)
    both, single = range(len(places)), range(len(places), len(places) + len(SINGLE))
    tests = [evidence(drawn(rng, (*places, *SINGLE), seeds), both, single) for _ in range(repeats)]
    holds, fails = (np.array([test[side][0] for test in tests]) for side in (0, 1))
    return float(np.mean((2 * holds < LEVEL) & (holds <= fails))), float(np.mean((2 * fails < LEVEL) & (fails < holds)))


def table(repeats: int) -> str:
    """All of it, as Markdown."""
    cases = {
        "it holds, with one training on the line between two single ones": ([ON_THE_LINE], 0),
        "the same, with four on that line": ([ON_THE_LINE] * 4, 0),
        "the same, with two at the end of the frontier": ([AT_AN_END] * 2, 0),
        "it fails, with one on the line": ([ON_THE_LINE], 1),
        "it holds, where one of two lies beyond by 16 points of a weighted mean": ([BEYOND, SHORT], 0),
        "it fails, where two lie short of the line by 19 points": ([SHORT] * 2, 1),
    }
    lines = ["| it is said that | 1 seed | 2 seeds | 3 seeds | 5 seeds |", "|---|---:|---:|---:|---:|"]
    for name, (places, side) in cases.items():
        shares = (said(places, seeds, repeats)[side] for seeds in SEEDS)
        lines.append(f"| {name} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print_table(__doc__, table, 1000, "tools.coverage_both")
