"""What every test of a claim asks of the networks that it rests on: what training again would move, what attacks may
have missed, and whether their rates say anything at all."""

from collections.abc import Sequence

import numpy as np

from invrob.empirical.analysis.statistics import floor_of
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Rates

# What training again moves a mean rate by, as a standard deviation, for runs that have one seed only; docs/profiles.md
# has the measurement. A seed moves the whole curve of robustness along epsilon, and its mean over a grid moves the more
# the larger the part of the grid is that lies on the slope: SEED_SHIFT times 4 r (1 - r), averaged over the grid. What
# it does to the rate of invariance goes with the share of images that are in doubt: SEED_FLIPS times the root of that.
SEED_SHIFT = 0.1
SEED_FLIPS = 0.02


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
