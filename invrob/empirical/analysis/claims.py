"""The paper's four claims, tested on a run: each is a trend of one rate along one training parameter.

Each image has a rate, averaged over the profile's axis, and the slope of that rate along the parameter. The claim is
about the mean of the slopes. All networks see the same images, so the slopes are paired. Their spread over the images
and over the seeds gives the interval and the p-value. One seed shows no spread over seeds: SEED_SD is assumed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from invrob.empirical.analysis.statistics import LEVEL, over_seeds
from invrob.empirical.analysis.trainings import grouped, varied
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Rates

# Standard deviation of a network's mean rate from one training seed to another, for runs that have one seed only:
# docs/profiles.md has the measurement.
SEED_SD = 0.015


@dataclass(frozen=True)
class Statement:
    """A claim of the paper: along `parameter`, the mean of the `profile` rises (sign 1) or falls (sign -1)."""

    name: str
    text: str
    parameter: str  # a field of the recipe
    profile: str  # "invariance" or "robustness"
    sign: int

    def value(self, result: Result) -> float:
        """The value of the parameter that a result was trained with."""
        return float(getattr(result.cell.recipe, self.parameter))

    def profile_of(self, result: Result) -> Rates:
        """The profile that the claim is about."""
        return result.invariance if self.profile == "invariance" else result.robustness


STATEMENTS = (
    Statement("i", "larger training A raises the rate of invariance", "rotation", "invariance", 1),
    Statement("ii", "larger training A lowers robustness", "rotation", "robustness", -1),
    Statement("iii", "larger adversarial epsilon raises robustness", "epsilon", "robustness", 1),
    Statement("iv", "larger adversarial epsilon lowers the rate of invariance", "epsilon", "invariance", -1),
)


@dataclass(frozen=True)
class Claim:
    """A statement about one network of the run.

    `effect` is in [-1, 1]: the change of the mean rate from the smallest to the largest value of the parameter, along a
    straight line through all of them. It and what belongs to it are None where nothing was compared."""

    name: str
    text: str
    network: str
    verdict: str  # "holds", "fails" (the trend is the other way round) or "undecided"
    effect: float | None = None
    low: float | None = None  # its 95 % interval
    high: float | None = None
    p_value: float | None = None  # two-sided, that there is no trend
    values: tuple[float, ...] = ()  # of the parameter
    seeds: int = 0
    note: str = ""


def check_claims(results: Sequence[Result]) -> tuple[Claim, ...]:
    """Test the paper's claims on a run.

    Args:
        results: its finished cells.

    Returns:
        Every statement for every network that was trained with at least two values of its parameter. A statement
        without such a network stands there once, for the network "-".
    """
    claims: list[Claim] = []
    for statement in STATEMENTS:
        networks = _comparable(results, statement)
        claims.extend(_claim(statement, network, group) for network, group in networks)
        if not networks:
            note = f"this run has no network that was trained with two values of {statement.parameter}"
            claims.append(Claim(statement.name, statement.text, "-", "undecided", note=note))
    return tuple(claims)


def _comparable(results: Iterable[Result], statement: Statement) -> list[tuple[str, list[Result]]]:
    """The results that differ in the statement's parameter, and but for the seed in nothing else; named apart."""
    groups = grouped(
        results,
        lambda r: (r.network, r.cell.recipe.model_copy(update={statement.parameter: 0.0}), r.cell.profile_key),
    )
    compared = {key: group for key, group in groups.items() if len({statement.value(r) for r in group}) > 1}
    named = []
    for (network, recipe, _), group in compared.items():
        apart = varied(rival for other, rival, _ in compared if other == network)
        named.append((", ".join([network, *(f"{name} {recipe.formatted(name)}" for name in apart)]), group))
    return named


def _claim(statement: Statement, network: str, group: Sequence[Result]) -> Claim:
    values = sorted({statement.value(r) for r in group})
    centred = np.array(values) - np.mean(values)
    contrast = centred / (centred**2).sum() * (values[-1] - values[0])
    slopes = []  # one row per seed, one slope per image
    for seed in sorted({r.cell.seed for r in group}):
        of_seed = {statement.value(r): r for r in group if r.cell.seed == seed}
        if len(of_seed) == len(values):
            slopes.append(contrast @ np.array([statement.profile_of(of_seed[v]).per_image for v in values]))
    claim = Claim(statement.name, statement.text, network, "undecided", values=tuple(values))
    if not slopes:
        return replace(claim, note="no seed has all values of the parameter: let the run finish")
    by_seed = np.array(slopes)
    seeds, images = by_seed.shape
    if images < 2:
        return replace(claim, note="a single test image shows no spread")
    assumed = SEED_SD**2 * float((contrast**2).sum())
    means, variances = by_seed.mean(1), by_seed.var(1, ddof=1) / images
    effect, low, high, p_value = over_seeds(means, variances, images, assumed=assumed)
    claim = replace(claim, effect=effect, low=low, high=high, p_value=p_value, seeds=seeds)
    doubt = _doubt(statement, group)
    if doubt:
        return replace(claim, note=doubt)
    note = f"over {images} images and {seeds} seeds"
    if seeds == 1:
        note = (
            f"over {images} images; one seed: the interval assumes that training again moves a mean rate by "
            f"{100 * SEED_SD:g} points (standard deviation)"
        )
    if p_value >= LEVEL:
        return replace(claim, note=note)
    return replace(claim, verdict="holds" if effect * statement.sign > 0 else "fails", note=note)


def _doubt(statement: Statement, group: Sequence[Result]) -> str:
    """Why the rates of a group say nothing about the claim, if so."""
    constant = [str(r.cell) for r in group if r.robustness.sanity.constant]
    if constant:
        return f"rests on constant classifiers: {'; '.join(constant)}"
    masked = [str(r.cell) for r in group if r.verdict == "masked"]
    if masked and statement.profile == "robustness":
        return f"rests on attacks that failed their checks: {'; '.join(masked)}"
    return ""
