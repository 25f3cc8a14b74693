"""The statement (vi): both can be had, invariance and robustness. Among the trainings of a network with rotations and
attacks, some dominate the frontier of its trainings with one of them.

The rule, at the theta and the epsilon where the plane of the run is cut, for each network of the run by itself.
*Single* are its trainings with A = 0 or epsilon = 0 or both; *both* are those with A > 0 and epsilon > 0, whatever
their curriculum and loss. The frontier is what one can have of the single ones, mixtures included, as in `dominance`.

- `holds`: for certain some training with both dominates a point of the frontier: it lies beyond all mixtures of single
  ones, and is not merely more of what one end of the frontier has most of. The smallest p-value of all trainings with
  both counts, times their number (Bonferroni).
- `fails`: for certain every training with both lies short of the frontier: a single one, or a mixture of two, is better
  in both rates. The largest p-value of all trainings with both counts.
- The p-value of the statement is twice the smaller one of the two, and Holm's adjustment in `check_claims` comes on
  top.

Trainings that ended as constant classifiers, masked attacks, and weak ones without a floor take no part, and are named;
while the true place of a training is unknown for its attack, neither verdict is given that it could turn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from invrob.empirical.analysis.both_words import finding, remarks
from invrob.empirical.analysis.claim import Claim, Unjudged
from invrob.empirical.analysis.dominance import Rivals, evidence, margin, trainings_at
from invrob.empirical.analysis.place import place_of
from invrob.empirical.analysis.plane import plane
from invrob.empirical.analysis.statistics import floor_of
from invrob.empirical.analysis.trainings import by_training, grouped
from invrob.empirical.experiments import Result
from invrob.errors import InputError

TEXT = (
    "both can be had: among trainings with rotations and attacks, some dominate the frontier of those with one of them"
)


def both_claims(results: Sequence[Result]) -> list[Claim | Unjudged]:
    """The statement for every network of a run that was trained with one of rotations and attacks, and with both."""
    try:
        theta, epsilon = place_of(by_training(results), None, None)
    except InputError:
        return []  # there is no place that all were measured at, and so no plane
    groups = grouped(results, lambda result: (result.network, result.cell.profile_key))
    asked = [(network, group) for (network, _), group in groups.items() if _asks(group)]
    return [_claim(Claim("vi", TEXT, network, "undecided"), group, theta, epsilon) for network, group in asked]


def _claim(claim: Claim, group: Sequence[Result], theta: float, epsilon: float) -> Claim | Unjudged:
    rivals = rivals_of(claim.network, group, theta, epsilon)
    return replace(claim, note=rivals) if isinstance(rivals, str) else _tested(claim, rivals)


def rivals_of(network: str, group: Sequence[Result], theta: float, epsilon: float) -> Rivals | str:
    """The trainings of a network that are compared; or why none are, in words."""
    named = {name.removeprefix(f"{network}, "): seeds for name, seeds in by_training(group).items()}
    points = zip(named, plane(named, theta, epsilon, mixed=True), strict=True)
    left_out = {name: point.verdict for name, point in points if not point.believed}
    kept = {name: seeds for name, seeds in named.items() if name not in left_out}
    if not _asks([result for seeds in kept.values() for result in seeds]):
        return f"nothing is left to compare; {_told(left_out)}"
    common = set.intersection(*({result.cell.seed for result in seeds} for seeds in kept.values()))
    if not common:
        return "no seed has all trainings: let the run finish"
    whole = {name: [result for result in seeds if result.cell.seed in common] for name, seeds in kept.items()}
    rows = tuple(tuple(sorted(seeds, key=lambda result: result.cell.seed)) for seeds in whole.values())
    if rows[0][0].robustness.images < 2:
        return "a single test image shows no spread"
    both = tuple(number for number, row in enumerate(rows) if _with_both(row[0]))
    single = tuple(number for number in range(len(rows)) if number not in both)
    unknown = {name: verdict for name, verdict in left_out.items() if verdict != "constant"}
    doubts = [[name for name in unknown if _with_both(named[name][0]) == with_both] for with_both in (False, True)]
    at = trainings_at(rows, theta, epsilon)
    return Rivals(theta, epsilon, tuple(whole), rows, at, both, single, _told(left_out), *map(_unknown, doubts))


def _with_both(result: Result) -> bool:
    return result.cell.recipe.rotation > 0 and result.cell.recipe.epsilon > 0


def _asks(group: Sequence[Result]) -> bool:
    """Whether there is something to compare: trainings with both, and with one of both."""
    recipes = [result.cell.recipe for result in group if not _with_both(result)]
    return any(map(_with_both, group)) and any(recipe.rotation or recipe.epsilon for recipe in recipes)


def _told(left_out: Mapping[str, str]) -> str:
    """Which trainings take no part, and why; "" where all do."""
    why = {"constant": "one class for everything", "masked": "a masked attack"}
    told = "; ".join(f"{name} ({why.get(verdict, f'a {verdict} attack')})" for name, verdict in left_out.items())
    return f"left out: {told}" if told else ""


def _unknown(names: Sequence[str]) -> str:
    return f"attacks say too little about trainings that may decide it: {'; '.join(names)}" if names else ""


def _tested(claim: Claim, rivals: Rivals) -> Unjudged:
    holds, fails, certain = evidence(rivals.trainings, rivals.both, rivals.single)
    margins = {one: margin(rivals.trainings, one, rivals.single) for one in rivals.both}
    shown = max(certain or rivals.both, key=lambda one: margins[one][0].size)
    effect, weight = margins[shown]
    (low, high), supports = effect.interval(), bool(holds[0] <= fails[0])
    p_value, p_with_missed = np.minimum(2 * (holds if supports else fails), 1.0).tolist()
    claim = replace(
        claim, effect=effect.size, low=low, high=high, p_value=p_value, seeds=len(rivals.seeds[0]),
        finding=finding(rivals, shown, certain),
    )  # fmt: skip
    if all(floor_of(result.robustness) is not None for row in rivals.seeds for result in row):
        floor_low, floor_high = effect.interval_with_missed()
        claim = replace(claim, floor_low=floor_low, floor_high=floor_high)
    doubt = rivals.doubt_of_single if supports else rivals.doubt_of_both
    within = "would turn within `floor`, with all that the attacks may have missed"
    said = tuple(filter(None, remarks(rivals, certain, weight)))
    return Unjudged(claim, p_value, max(p_value, p_with_missed), supports, doubt, within, said)
