"""The statement (v): an equivariant network is more robust than a plain one that is trained alike.

Wang et al. (NeurIPS 2025) argue it for CIFAR with FGSM and PGD; `equivariant_pairs` has which networks are compared.
The effect is the mean robustness over the grid of epsilons of the equivariant network minus that of the plain one,
averaged over the trainings that both have. Images are paired, and seeds by their number. What a seed moves it moves for
all trainings of a network much alike, so it does not average out over them: the error of training is the spread of the
seeds' averages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from invrob.checks import Array
from invrob.empirical.analysis.claim import Claim, Unjudged
from invrob.empirical.analysis.equivariant_pairs import Couple, Pair, pairs_of
from invrob.empirical.analysis.evidence import MEASURE_AGAIN, doubt, missed, right_for_all, seed_sd, span
from invrob.empirical.analysis.statistics import LEVEL, floor_of
from invrob.empirical.analysis.trends import Effect, among
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import format_epsilon

ALIKE = "an equivariant network is more robust than a plain one that is trained alike"
TEXTS = {
    "parameters": f"{ALIKE} and has as many parameters",
    "accuracy": f"{ALIKE}, on the images that both get right",
}


@dataclass(frozen=True)
class Compared:
    """T trainings of two networks, each with S seeds."""

    ours: Array  # [T, S, N] the robustness of each image, averaged over the grid, of the equivariant networks
    theirs: Array  # [T, S, N] of the plain ones; [T, S, N'] where they saw other images
    seed_sd: Array  # [2, T] what training again is expected to move the mean robustness of either by
    missed: Array  # [2, T] how far below its interval the mean of either may lie, because the attack found too little

    def at(self, training: int) -> "Compared":
        """One training alone."""
        one = slice(training, training + 1)
        return Compared(self.ours[one], self.theirs[one], self.seed_sd[:, one], self.missed[:, one])

    def right(self, seen: Array) -> "Compared":
        """On the images alone that are seen, bool [T, S, N]. All that attacks missed may be among these."""
        of_all = seen.shape[-1] / seen.sum(-1).min(1)
        return Compared(among(self.ours, seen), among(self.theirs, seen), self.seed_sd, self.missed * of_all)


def equivariance_claims(results: Sequence[Result]) -> list[Claim | Unjudged]:
    """The statement for every equivariant network of a run that has a plain one to be compared with: at as many
    parameters, and, where both were measured on the same images, on those that both get right."""
    pairs = pairs_of(results)
    asked = [(control, pair) for control in TEXTS for pair in pairs if control == "parameters" or pair.same_images]
    return [_claim(control, pair) for control, pair in asked]


def difference_of(compared: Compared) -> Effect:
    """The mean robustness of the equivariant networks minus that of the plain ones, with its error.

    The part of training is the spread of the seeds' differences, with S - 1 degrees of freedom. With one seed it is
    what is expected of either network, as if a seed moved all its trainings alike, and the two independently."""
    ours, theirs = compared.ours, compared.theirs
    means = ours.mean((0, 2)) - theirs.mean((0, 2))  # of each seed
    paired = ours.shape == theirs.shape
    of_images = [(ours - theirs).mean((0, 1))] if paired else [rates.mean((0, 1)) for rates in (ours, theirs)]
    parts = [(float(rates.var(ddof=1)) / len(rates), len(rates) - 1.0) for rates in of_images]
    if len(means) > 1:
        parts.append((float(means.var(ddof=1)) / len(means), len(means) - 1.0))
    else:
        parts.append((float((compared.seed_sd.mean(1) ** 2).sum()), np.inf))
    down, up = compared.missed.mean(1).tolist()
    return Effect(float(means.mean()), parts, down, up)


def _claim(control: str, pair: Pair) -> Claim | Unjudged:
    """The comparison of two networks under one control; or why there is none."""
    claim = Claim("v", TEXTS[control], pair.names, "undecided", control=control)
    couples = pair.couples()
    if not couples:
        return replace(claim, note="no seed has all trainings of both: let the run finish")
    compared, about, lacking = _compared(control, pair, couples)
    reasons = [*pair.unlike(), *(pair.unequal() if control == "parameters" else []), *filter(None, [lacking])]
    if compared is None:
        return replace(claim, note="; ".join(reasons))
    effect, seeds = difference_of(compared), len(couples[0])
    (low, high), (floor_low, floor_high) = effect.interval(), effect.interval_with_missed()
    claim = replace(claim, effect=effect.size, low=low, high=high, p_value=effect.p_value, seeds=seeds)
    results = [result for of_training in couples for couple in of_training for result in couple]
    if all(floor_of(result.robustness) is not None for result in results):
        claim = replace(claim, floor_low=floor_low, floor_high=floor_high)
    remarks = (_rests_on(about, compared), pair.in_words())
    doubtful = doubt(results, under_attack=True)
    if reasons:
        return replace(claim, p_value=None, note="; ".join([*reasons, *filter(None, [doubtful]), *remarks]))
    return Unjudged.of(claim, effect, 1, doubtful or _other_way(pair, compared, effect), remarks)


def _compared(control: str, pair: Pair, couples: Sequence[Sequence[Couple]]) -> tuple[Compared | None, str, str]:
    """What is compared, on which images, in words; or nothing, and why, where the pair itself does not say it."""
    if not pair.same_attack:
        return None, "", ""
    profiles = [[[r.robustness for r in couple] for couple in of_training] for of_training in couples]
    ours, theirs = (np.array([[both[k].per_image for both in row] for row in profiles]) for k in (0, 1))
    compared = Compared(
        ours,
        theirs,
        np.array([[np.mean([seed_sd(both[k]) for both in row]) for row in profiles] for k in (0, 1)]),
        np.array([[np.mean([missed(both[k]) for both in row]) for row in profiles] for k in (0, 1)]),
    )
    counts = list(dict.fromkeys((ours.shape[-1], theirs.shape[-1])))
    if min(counts) < 2:
        return None, "", "a single test image shows no spread"
    if control == "parameters":
        return compared, f"{' and '.join(map(str, counts))} images", ""
    seen = right_for_all([couple for of_training in couples for couple in of_training])
    if seen is None:
        return None, "", MEASURE_AGAIN
    seen = seen.reshape(ours.shape)
    if seen.sum(-1).min() < 2:
        return None, "", "there are hardly any images that both get right"
    return compared.right(seen), f"the {span(seen.sum(-1))} of {counts[0]} images that both get right", ""


def _rests_on(about: str, compared: Compared) -> str:
    """How many images and seeds there are; and what stands in for the seeds where there is one."""
    seeds = compared.ours.shape[1]
    if seeds > 1:
        return f"over {seeds} seeds and {about}"
    points = span(100 * compared.seed_sd.mean(1), 1)
    return (
        f"over {about}; one seed: the interval assumes that training again moves the mean robustness of either by "
        f"{points} points (standard deviation), for all of its trainings alike"
    )


def _other_way(pair: Pair, compared: Compared, effect: Effect) -> str:
    """The training that says the contrary for certain, if there is one."""
    trainings = pair.trainings()
    confidence = 1 - LEVEL / len(trainings)
    against = []
    for number, (rotation, epsilon) in enumerate(trainings):
        alone = difference_of(compared.at(number))
        low, high = alone.interval_with_missed(confidence)
        if (low > 0 or high < 0) and alone.size * effect.size <= 0:
            against.append((rotation, epsilon, alone))
    if not against:
        return ""
    rotation, epsilon, alone = max(against, key=lambda found: abs(found[2].size))
    bounds = ", ".join(f"{100 * bound:+.1f}" for bound in alone.interval(confidence))
    at = f"A = {rotation:g}" + (f", epsilon = {format_epsilon(epsilon)}" if epsilon else "")
    return f"the other way at {at}: {100 * alone.size:+.1f} points [{bounds}], all trainings together at 95 %"
