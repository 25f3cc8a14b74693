"""What every test of a claim asks of the networks that it rests on: what training again would move, what attacks may
have missed, and whether their rates say anything at all."""

from collections.abc import Sequence

import numpy as np

from invrob.checks import Array
from invrob.empirical.analysis.statistics import floor_of
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Rates

# What training again moves a mean rate by, as a standard deviation, for runs that have one seed only; docs/profiles.md
# has the measurement. A seed moves the whole curve of robustness along epsilon, and its mean over a grid moves the more
# the larger the part of the grid is that lies on the slope: SEED_SHIFT times 4 r (1 - r), averaged over the grid. What
# it does to the rate of invariance goes with the share of images that are in doubt: SEED_FLIPS times the root of that.
SEED_SHIFT = 0.1
SEED_FLIPS = 0.02

MEASURE_AGAIN = (
    "these profiles are of before version 0.8 and do not say which images are right: remove cells/*/profiles-*.json in "
    "the folder of the run, and the same command measures the trained networks again"
)


def seed_sd(profile: Rates) -> float:
    """What training again is expected to move the mean rate of a profile by, as a standard deviation."""
    doubtful = float((4 * profile.rate * (1 - profile.rate)).mean())
    return SEED_FLIPS * doubtful**0.5 if profile.axis == "theta" else SEED_SHIFT * doubtful


def missed(profile: Rates) -> float:
    """How much the attack may have missed, beyond the interval over the images, averaged over the axis."""
    floor = floor_of(profile)
    return 0.0 if floor is None else float(np.maximum(profile.low - floor, 0).mean())


def doubt(results: Sequence[Result], *, under_attack: bool) -> str:
    """Why the rates of networks say nothing about a claim; "" where they do.

    under_attack: whether the claim rests on their robustness as well, and so on the attacks."""
    constant = [str(r.cell) for r in results if r.collapsed]
    if constant:
        return f"rests on constant classifiers: {'; '.join(constant)}"
    if not under_attack:
        return ""
    masked = [str(r.cell) for r in results if r.verdict == "masked"]
    if masked:
        return f"rests on attacks that failed their checks: {'; '.join(masked)}"
    weak = [str(r.cell) for r in results if r.verdict == "weak" and floor_of(r.robustness) is None]
    if weak:
        return f"rests on weak attacks, and nothing says how much they missed: {'; '.join(weak)}"
    return ""


def right_for_all(groups: Sequence[Sequence[Result]]) -> Array | None:
    """Which images all networks of a group get right: bool [G, N]; None where one of them does not say it."""
    rights = [[result.robustness.right for result in group] for group in groups]
    if any(right is None for group in rights for right in group):
        return None
    return np.array([np.all(np.array(group) == 1, axis=0) for group in rights])


def span(numbers: Array, decimals: int = 0) -> str:
    """The smallest and the largest, as people write them: "3 to 5", or "4" where all are the same."""
    least, most = (f"{bound:,.{decimals}f}" for bound in (numbers.min(), numbers.max()))
    return least if least == most else f"{least} to {most}"
