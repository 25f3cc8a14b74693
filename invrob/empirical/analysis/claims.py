"""The paper's four claims, tested on a run: each is a trend of one rate along one training parameter.

Each image has a rate, averaged over the profile's axis. The claim is about the slope of the mean rate along the
parameter; `trends` has the intervals. The verdicts of a run hold together: its p-values are adjusted after Holm. A
verdict is withheld where the attacks may have missed what it rests on, and where the rate also goes the other way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from invrob.empirical.analysis.statistics import LEVEL, floor_of, holm
from invrob.empirical.analysis.trainings import grouped, varied
from invrob.empirical.analysis.trends import Effect, Networks, deviation, line, steps, steps_confidence
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Rates, format_epsilon
from invrob.intervals import p_text

# What training again moves a mean rate by, as a standard deviation, for runs that have one seed only; docs/profiles.md
# has the measurement. A seed moves the whole curve of robustness along epsilon, and its mean over a grid moves the more
# the larger the part of the grid is that lies on the slope: SEED_SHIFT times 4 r (1 - r), averaged over the grid. What
# it does to the rate of invariance goes with the share of images that are in doubt: SEED_FLIPS times the root of that.
SEED_SHIFT = 0.1
SEED_FLIPS = 0.02


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

    def named(self, value: float) -> str:
        """A value of the parameter, as people read it."""
        return f"A = {value:g}" if self.parameter == "rotation" else f"epsilon = {format_epsilon(value)}"

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
    straight line through all of them. It and what belongs to it are None where nothing was compared. The intervals are
    of 95 % for each claim alone; `p_holm` is what the verdict goes by."""

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
    p_holm: float | None = None  # the p-value, adjusted after Holm for all tests of the run
    floor_low: float | None = None  # the interval with all that the attacks may have missed; None without an audit
    floor_high: float | None = None
    p_line: float | None = None  # that the mean rates lie on a straight line; None with two values


@dataclass(frozen=True)
class _Tested:
    """A claim before its verdict, which depends on the other tests of the run."""

    claim: Claim
    effect: Effect
    sign: int  # of the effect, if the statement is right
    doubt: str  # why there can be no verdict, if so
    remarks: tuple[str, ...]  # on what the test rests on, and on the form of the trend


def check_claims(results: Sequence[Result]) -> tuple[Claim, ...]:
    """Test the paper's claims on a run.

    The verdict is "holds" or "fails" where the trend is significant at 5 %, after Holm over all tests of the run. It is
    "undecided" otherwise, and also where the claim rests on masked attacks or constant classifiers, where the trend
    would no longer be significant if the rates lay at their `floor`, and where the rate takes a significant step the
    other way between two values. The note says which.

    Args:
        results: its finished cells.

    Returns:
        Every statement for every network that was trained with at least two values of its parameter. A statement
        without such a network stands there once, for the network "-".

    Example:
        >>> from invrob.empirical.analysis import check_claims
        >>> [claim.verdict for claim in check_claims([])]
        ['undecided', 'undecided', 'undecided', 'undecided']
    """
    claims: list[Claim | _Tested] = []
    for statement in STATEMENTS:
        networks = _comparable(results, statement)
        claims.extend(_test(statement, network, group) for network, group in networks)
        if not networks:
            note = f"this run has no network that was trained with two values of {statement.parameter}"
            claims.append(Claim(statement.name, statement.text, "-", "undecided", note=note))
    tested = [claim for claim in claims if isinstance(claim, _Tested)]
    adjusted = holm([t.effect.p_value for t in tested])
    with_missed = holm([t.effect.p_with_missed for t in tested])
    verdicts = iter([_judged(*row, len(tested)) for row in zip(tested, adjusted, with_missed, strict=True)])
    return tuple(next(verdicts) if isinstance(claim, _Tested) else claim for claim in claims)


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


def _test(statement: Statement, network: str, group: Sequence[Result]) -> "Claim | _Tested":
    """The claim with its numbers; or why there are none."""
    values = tuple(sorted({statement.value(r) for r in group}))
    claim = Claim(statement.name, statement.text, network, "undecided", values=values)
    by_seed = grouped(group, lambda r: r.cell.seed)
    whole = [
        by_seed[seed] for seed in sorted(by_seed) if len({statement.value(r) for r in by_seed[seed]}) == len(values)
    ]
    if not whole:
        return replace(claim, note="no seed has all values of the parameter: let the run finish")
    rows = [sorted(results, key=statement.value) for results in whole]
    profiles = [[statement.profile_of(result) for result in row] for row in zip(*rows, strict=True)]  # by value
    if profiles[0][0].images < 2:
        return replace(claim, note="a single test image shows no spread")
    networks = Networks(
        values,
        np.array([[profile.per_image for profile in row] for row in profiles]),
        np.array([np.mean([_seed_sd(profile) for profile in row]) for row in profiles]),
        np.array([np.mean([_missed(profile) for profile in row]) for row in profiles]),
    )
    effect, off = line(networks), deviation(networks)
    (low, high), (floor_low, floor_high) = effect.interval(), effect.interval_with_missed()
    p_line = None if off is None else off[0]
    claim = replace(
        claim, effect=effect.size, low=low, high=high, p_value=effect.p_value, p_line=p_line, seeds=len(whole)
    )
    if all(floor_of(profile) is not None for row in profiles for profile in row):
        claim = replace(claim, floor_low=floor_low, floor_high=floor_high)
    other_way = _other_way(statement, networks, effect)
    remarks = (_rests_on(statement, networks), "" if other_way else _off_the_line(statement, off))
    doubt = _doubt(statement, group) or other_way
    return _Tested(claim, effect, statement.sign, doubt, tuple(filter(None, remarks)))


def _judged(tested: _Tested, p_holm: float, p_with_missed: float, tests: int) -> Claim:
    """The claim with its verdict; the p-values are adjusted."""
    verdict, reason = "undecided", tested.doubt
    if not reason and p_with_missed < LEVEL:
        verdict = "holds" if tested.effect.size * tested.sign > 0 else "fails"
    elif not reason and p_holm < LEVEL:
        low, high = (f"{100 * bound:+.1f}" for bound in tested.effect.interval_with_missed())
        reason = (
            f"would turn within `floor`: with all that the attacks may have missed, the interval is [{low}, {high}]"
        )
    elif not reason and tested.effect.p_value < LEVEL:
        reason = f"{p_text(tested.effect.p_value)} alone, {p_text(p_holm)} as one of {tests} tests (Holm)"
    note = "; ".join(filter(None, [reason, *tested.remarks]))
    return replace(tested.claim, verdict=verdict, note=note, p_holm=p_holm)


def _seed_sd(profile: Rates) -> float:
    """What training again is expected to move the mean rate of a profile by, as a standard deviation."""
    doubtful = float((4 * profile.rate * (1 - profile.rate)).mean())
    return SEED_FLIPS * doubtful**0.5 if profile.axis == "theta" else SEED_SHIFT * doubtful


def _missed(profile: Rates) -> float:
    """How much the attack may have missed, beyond the interval over the images, averaged over the axis."""
    floor = floor_of(profile)
    return 0.0 if floor is None else float(np.maximum(profile.low - floor, 0).mean())


def _rests_on(statement: Statement, networks: Networks) -> str:
    """How many images and seeds there are; and what stands in for the seeds where there is one."""
    _, seeds, images = networks.rates.shape
    if seeds > 1:
        return f"over {images} images and {seeds} seeds"
    least, most = (f"{100 * bound:.1f}" for bound in (networks.seed_sd.min(), networks.seed_sd.max()))
    points = least if least == most else f"{least} to {most}"
    return (
        f"over {images} images; one seed: the interval assumes that training again moves the mean rate of "
        f"{statement.profile} by {points} points (standard deviation)"
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
        f"a step the other way: from {statement.named(start)} to {statement.named(end)} the mean rate of "
        f"{statement.profile} changes by {100 * step.size:+.1f} points [{low}, {high}], all steps together at 95 %"
    )


def _doubt(statement: Statement, group: Sequence[Result]) -> str:
    """Why the rates of a group say nothing about the claim, if so."""
    constant = [str(r.cell) for r in group if r.collapsed]
    if constant:
        return f"rests on constant classifiers: {'; '.join(constant)}"
    if statement.profile != "robustness":
        return ""
    masked = [str(r.cell) for r in group if r.verdict == "masked"]
    if masked:
        return f"rests on attacks that failed their checks: {'; '.join(masked)}"
    weak = [str(r.cell) for r in group if r.verdict == "weak" and floor_of(r.robustness) is None]
    if weak:
        return f"rests on weak attacks, and nothing says how much they missed: {'; '.join(weak)}"
    return ""
