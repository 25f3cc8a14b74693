"""How often the bounds of an audit hold: simulated, with populations whose misses are known.

    python tools/coverage_audits.py [REPEATS]

prints the table of docs/profiles.md as Markdown; 4,000 repeats take a minute."""

import sys

import numpy as np

from invrob.empirical.profiles.gaps import gaps_of

CONFIDENCE = 0.95
CASES = (  # images, audited, the rate that the search leaves, the share of those that the audit would fool
    (200, 32, 0.9, 0.0),
    (200, 32, 0.9, 0.03),
    (200, 32, 0.3, 0.1),
    (600, 100, 0.7, 0.01),
    (600, 100, 0.7, 0.05),
    (1000, 64, 0.5, 0.2),
    (1000, 256, 0.05, 0.3),
    (40, 32, 0.9, 0.1),
)


def coverage(images: int, audited: int, rate: float, missed: float, repeats: int, seed: int = 0) -> dict[str, float]:
    """How often `gap_high` covers the misses among the images that were not audited, and `floor` the rate of the
    population; and how large both are on average."""
    rng, held, below, highs, floors = np.random.default_rng(seed), 0, 0, [], []
    for _ in range(repeats):
        stood = rng.random(images) < rate
        falls = stood & (rng.random(images) < missed)
        looked_at = np.arange(images) < audited  # the images are in random order
        after = np.where(stood & ~(falls & looked_at), 1, 0)
        gaps = gaps_of(stood.astype(int), after, looked_at, np.array([False]), CONFIDENCE)
        held += bool((falls & ~looked_at).mean() <= gaps.gap_high[0] + 1e-12)
        below += bool(gaps.floor[0] <= rate * (1 - missed))
        highs.append(gaps.gap_high[0])
        floors.append(gaps.floor[0])
    means = {"mean_bound": float(np.mean(highs)), "mean_floor": float(np.mean(floors))}
    return {"gap_high": held / repeats, "floor": below / repeats, **means}


def audit_table(repeats: int) -> None:
    """One line for each of CASES."""
    headings = ("images", "audited", "rate of the search", "of which the audit fools")
    print("| " + " | ".join((*headings, "`gap_high` held", "`floor` held", "mean `gap_high`")) + " |")
    print(7 * "|---:" + "|")
    for images, audited, rate, missed in CASES:
        found = coverage(images, audited, rate, missed, repeats)
        print(
            f"| {images:,} | {audited} | {100 * rate:.0f} % | {100 * missed:.0f} % | {100 * found['gap_high']:.1f} % "
            f"| {100 * found['floor']:.1f} % | {100 * found['mean_bound']:.1f} points |"
        )


if __name__ == "__main__":
    audit_table(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
