"""The paper's four claims, tested on a run: each is a trend of one rate along one training parameter.

For each image the slope of its own rate (averaged over the profile's axis) along the parameter is a number; the claim
is about their mean. All networks see the same images, so the slopes are paired. Their spread over the images, and over
the seeds, gives the interval and the p-value. With one seed the spread over seeds is not seen but assumed, as
SEED_SD."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from invrob.empirical.analysis.statistics import LEVEL, over_seeds
from invrob.empirical.analysis.trainings import varied
from invrob.empirical.experiments import Result
from invrob.empirical.training import Recipe

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


STATEMENTS = (
    Statement("i", "larger training A raises the rate of invariance", "rotation", "invariance", 1),
    Statement("ii", "larger training A lowers robustness", "rotation", "robustness", -1),
    Statement("iii", "larger adversarial epsilon raises robustness", "epsilon", "robustness", 1),
    Statement("iv", "larger adversarial epsilon lowers the rate of invariance", "epsilon", "invariance", -1),
)


@dataclass(frozen=True)
class Claim:
    """A statement about one network of the run. `effect` is in [-1, 1]: the change of the mean rate over the range."""

    name: str
    text: str
    network: str
    verdict: str  # "holds", "fails" (the trend is the other way round) or "undecided"
    effect: (
        float | None
    )  # along a straight line from the smallest to the largest value; None where nothing was compared
    low: float | None  # its 95 % interval
    high: float | None
    p_value: float | None  # two-sided, that there is no trend
    values: tuple[float, ...]  # of the parameter
    seeds: int
    note: str


def check_claims(results: Sequence[Result]) -> tuple[Claim, ...]:
    """Every statement for every network that was trained with at least two values of its parameter."""
    claims: list[Claim] = []
    for statement in STATEMENTS:
        groups = _groups(results, statement)
        claims.extend(_claim(statement, network, group) for network, group in groups)
        if not groups:
            note = f"this run has no network that was trained with two values of {statement.parameter}"
            none = (None, None, None, None)
            claims.append(Claim(statement.name, statement.text, "-", "undecided", *none, (), 0, note))
    return tuple(claims)


def _groups(results: Iterable[Result], statement: Statement) -> list[tuple[str, list[Result]]]:
    """The results that differ in the statement's parameter, and but for the seed in nothing else; named apart."""
    groups: dict[tuple[str, Recipe, str], list[Result]] = {}
    for result in results:
        recipe = result.cell.recipe.model_copy(update={statement.parameter: 0.0})
        groups.setdefault((result.network, recipe, result.cell.profile_key), []).append(result)
    compared = {key: group for key, group in groups.items() if len({statement.value(r) for r in group}) > 1}
    named = []
    for (network, recipe, _), group in compared.items():
        apart = varied(rival for other, rival, _ in compared if other == network)
        named.append((", ".join([network, *(f"{name} {recipe.shown(name)}" for name in apart)]), group))
    return named


def _claim(statement: Statement, network: str, group: Sequence[Result]) -> Claim:
    values = sorted({statement.value(r) for r in group})
    centred = np.array(values) - np.mean(values)
    contrast = centred / (centred**2).sum() * (values[-1] - values[0])
    slopes = []  # one row per seed, one slope per image
    for seed in sorted({r.cell.seed for r in group}):
        of_seed = {statement.value(r): r for r in group if r.cell.seed == seed}
        if len(of_seed) == len(values):
            rates = np.array([getattr(of_seed[v], statement.profile)["per_image"] for v in values])
            slopes.append(contrast @ rates)
    if not slopes or len(slopes[0]) < 2:
        unfinished = "no seed has all values of the parameter: let the run finish"
        note = "a single test image shows no spread" if slopes else unfinished
        none = (None, None, None, None)
        return Claim(statement.name, statement.text, network, "undecided", *none, tuple(values), 0, note)
    each = np.array(slopes)
    images = each.shape[1]
    assumed = SEED_SD**2 * float((contrast**2).sum())
    effect, low, high, p_value = over_seeds(each.mean(1), each.var(1, ddof=1) / images, images, assumed=assumed)
    verdict, note = "undecided", f"over {images} images and {len(each)} seeds"
    if len(each) == 1:
        note = (
            f"over {images} images; one seed: the interval assumes that training again moves a mean rate by "
            f"{100 * SEED_SD:g} points (standard deviation)"
        )
    if p_value < LEVEL:
        verdict = "holds" if effect * statement.sign > 0 else "fails"
    suspect = _suspects(statement, group)
    if suspect:
        verdict, note = "undecided", suspect
    found = (effect, low, high, p_value)
    return Claim(statement.name, statement.text, network, verdict, *found, tuple(values), len(each), note)


def _suspects(statement: Statement, group: Sequence[Result]) -> str:
    """Why the rates of a group say nothing about the claim, if so."""
    constant = [str(r.cell) for r in group if r.robustness["sanity"]["constant"]]
    if constant:
        return f"rests on constant classifiers: {'; '.join(constant)}"
    masked = [str(r.cell) for r in group if r.verdict == "masked"]
    if masked and statement.profile == "robustness":
        return f"rests on attacks that failed their checks: {'; '.join(masked)}"
    return ""
