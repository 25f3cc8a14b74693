"""Claims about a trend of one rate along one parameter of training.

Each image has a rate, averaged over the profile's axis. The claim is about the slope of the mean rate along the
parameter; `trends` has the intervals. A verdict is withheld where the attacks may have missed what it rests on, and
where the rate also goes the other way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from invrob.empirical.analysis.claim import Claim, Unjudged
from invrob.empirical.analysis.evidence import doubt, missed, seed_sd, span
from invrob.empirical.analysis.statistics import LEVEL, floor_of
from invrob.empirical.analysis.trainings import grouped, varied
from invrob.empirical.analysis.trends import Effect, Networks, deviation, line, steps, steps_confidence
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Rates, format_epsilon
from invrob.intervals import p_text

Rows = Sequence[Sequence[Result]]  # [V][S]: the networks at each value of a parameter, by seed


@dataclass(frozen=True)
class Statement:
    """A claim about a trend: along `parameter`, the mean of the `profile` rises (sign 1) or falls (sign -1).

    Those that look at the profile in another way, under a control, are classes of their own."""

    name: str
    text: str
    parameter: str  # a field of the recipe
    profile: str  # "invariance" or "robustness"
    sign: int
    control: str = ""  # as of `Claim`

    @property
    def measured(self) -> str:
        """What the trend is of, in words."""
        return f"the mean rate of {self.profile}"

    def value(self, result: Result) -> float:
        """The value of the parameter that a result was trained with."""
        return float(getattr(result.cell.recipe, self.parameter))

    def named(self, value: float) -> str:
        """A value of the parameter, as people read it."""
        return f"A = {value:g}" if self.parameter == "rotation" else f"epsilon = {format_epsilon(value)}"

    def profile_of(self, result: Result) -> Rates:
        """The profile that the claim is about."""
        return result.invariance if self.profile == "invariance" else result.robustness

    def networks(self, values: tuple[float, ...], rows: Rows) -> Networks:
        """The rates that the trend is of."""
        profiles = [[self.profile_of(result) for result in row] for row in rows]
        return Networks(
            values,
            np.array([[profile.per_image for profile in row] for row in profiles]),
            np.array([np.mean([seed_sd(profile) for profile in row]) for row in profiles]),
            np.array([np.mean([missed(profile) for profile in row]) for row in profiles]),
        )

    def lacking(self, rows: Rows) -> str:
        """Why these results cannot be asked, if so."""
        return "a single test image shows no spread" if self.profile_of(rows[0][0]).images < 2 else ""

    def images(self, rows: Rows) -> str:
        """How many images the trend rests on, in words."""
        return f"{self.profile_of(rows[0][0]).images} images"

    def remark(self, values: tuple[float, ...], rows: Rows) -> str:
        """What else is to be said beside the trend; nothing by default."""
        return ""


def comparable(results: Iterable[Result], statement: Statement) -> list[tuple[str, list[Result]]]:
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


def trend_claim(statement: Statement, network: str, group: Sequence[Result]) -> Claim | Unjudged:
    """The claim with its numbers; or why there are none."""
    values = tuple(sorted({statement.value(r) for r in group}))
    claim = Claim(statement.name, statement.text, network, "undecided", values=values, control=statement.control)
    by_seed = grouped(group, lambda r: r.cell.seed)
    whole = [
        by_seed[seed] for seed in sorted(by_seed) if len({statement.value(r) for r in by_seed[seed]}) == len(values)
    ]
    if not whole:
        return replace(claim, note="no seed has all values of the parameter: let the run finish")
    by_value = [sorted(results, key=statement.value) for results in whole]
    rows = [*zip(*by_value, strict=True)]
    lacking = statement.lacking(rows)
    if lacking:
        return replace(claim, note=lacking)
    networks = statement.networks(values, rows)
    effect, off = line(networks), deviation(networks)
    (low, high), (floor_low, floor_high) = effect.interval(), effect.interval_with_missed()
    p_line = None if off is None else off[0]
    claim = replace(
        claim, effect=effect.size, low=low, high=high, p_value=effect.p_value, p_line=p_line, seeds=len(whole)
    )
    if all(floor_of(statement.profile_of(result)) is not None for row in rows for result in row):
        claim = replace(claim, floor_low=floor_low, floor_high=floor_high)
    other_way = _other_way(statement, networks, effect)
    off_the_line = "" if other_way else _off_the_line(statement, off)
    remarks = (
        _rests_on(statement, statement.images(rows), networks),
        statement.remark(values, rows),
        off_the_line,
    )
    doubtful = doubt(group, under_attack=statement.profile == "robustness") or other_way
    return Unjudged.of(claim, effect, statement.sign, doubtful, remarks)


def _rests_on(statement: Statement, images: str, networks: Networks) -> str:
    """How many images and seeds there are; and what stands in for the seeds where there is one."""
    seeds = networks.rates.shape[1]
    if seeds > 1:
        return f"over {images} and {seeds} seeds"
    points = span(100 * networks.seed_sd, 1)
    return (
        f"over {images}; one seed: the interval assumes that training again moves {statement.measured} by {points} "
        "points (standard deviation)"
    )


def _off_the_line(statement: Statement, off: tuple[float, float, Effect] | None) -> str:
    """That a trend is no straight line, if that is certain."""
    if off is None or off[0] >= LEVEL:
        return ""
    _, value, effect = off
    side = "above" if effect.size > 0 else "below"
    at = statement.named(value)
    return (
        f"no straight line: at {at} the mean rate lies {100 * abs(effect.size):.1f} points {side} it ({p_text(off[0])})"
    )


def _other_way(statement: Statement, networks: Networks, effect: Effect) -> str:
    """The step against the trend, if there is one for certain."""
    found = steps(networks)
    against = [step for step in found if step[2].size * effect.size <= 0]
    if not against:
        return ""
    start, end, step = max(against, key=lambda step: abs(step[2].size))
    low, high = (f"{100 * bound:+.1f}" for bound in step.interval(steps_confidence(networks)))
    return (
        f"a step the other way: from {statement.named(start)} to {statement.named(end)} "
        f"{statement.measured} changes by {100 * step.size:+.1f} points [{low}, {high}], all steps together at 95 %"
    )
