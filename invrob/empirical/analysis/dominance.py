"""Whether a training of a network lies beyond the frontier of others in the trade-off plane, as tests with p-values.

The frontier of some trainings is what one can have of them: their points, and those of their mixtures. Who draws one of
several networks by chance for each image gets rates on the line between theirs, so the frontier is the upper right
side of their convex hull. A point lies beyond it exactly where some weighted mean of its two rates is larger than that
of each training, for the best mixture in a weighted mean is one of the trainings.

A difference of two rates has two parts of error, as in `trends`: other images, and training again. Robustness is paired
by image. A profile keeps no invariance of an image at one theta alone, so nothing is assumed about how the invariances
of two trainings go together: their errors over the images are added, which holds for any dependence. The spread of
training is pooled over all trainings of the network. Where several things must hold at once, the largest of their
one-sided p-values counts (an intersection-union test, Berger 1982)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import ndtri

from invrob.checks import Array
from invrob.empirical.analysis.evidence import SEED_FLIPS, SEED_SHIFT
from invrob.empirical.analysis.statistics import LEVEL, floor_of, half_width, p_value
from invrob.empirical.analysis.trends import Effect, Networks, effect_of
from invrob.empirical.experiments import Result

DIRECTIONS = tuple(tenths / 10 for tenths in range(1, 10))  # weights of invariance against robustness, and of mixtures


@dataclass(frozen=True)
class Trainings:
    """V trainings of one network at one theta and one epsilon, each with S seeds, and N images that all of them saw."""

    invariance: Array  # [V, S] the rate at theta
    of_images: Array  # [V] what other images are expected to move its mean over the seeds by, as a standard deviation
    robust: Array  # [V, S, N] 1 where the image withstood the attack at epsilon
    missed: Array  # [V] how far below its interval the robustness may lie, because the attack found too little; >= 0

    @property
    def rates(self) -> Array:
        """Both rates of each training, [V, 2]: means over the seeds."""
        return np.stack([self.invariance.mean(1), self.robust.mean((1, 2))], axis=1)


def trainings_at(trainings: Sequence[Sequence[Result]], theta: float, epsilon: float) -> Trainings:
    """The trainings at a place that all of them were measured at.

    Args:
        trainings: the results of each, one for each seed, with the same seeds in the same order.
        theta, epsilon: as of `place_of`.
    """
    rows = [[result.invariance.rate_at(theta) for result in seeds] for seeds in trainings]
    widest = np.array([[max(rate.estimate - rate.low, rate.high - rate.estimate) for rate in row] for row in rows])
    normal = ndtri((1 + trainings[0][0].invariance.confidence) / 2)  # of a normal interval, which these are close to
    return Trainings(
        np.array([[rate.estimate for rate in row] for row in rows]),
        np.sqrt((widest**2).mean(1)) / normal,
        np.array([[_withstood(result, epsilon) for result in seeds] for seeds in trainings]),
        np.array([np.mean([_missed_at(result, epsilon) for result in seeds]) for seeds in trainings]),
    )


def alone(trainings: Trainings, number: int) -> Array:
    """A training by itself, as shares of a mixture, [V]."""
    shares: Array = np.eye(len(trainings.of_images))[number]
    return shares


def gain(trainings: Trainings, one: Array, other: Array, weight: float) -> Effect:
    """How much larger a weighted mean of both rates is for one mixture of trainings than for another.

    Args:
        trainings: of `trainings_at`.
        one, other: [V] the share of each training; a single one is `alone`.
        weight: of the rate of invariance, in [0, 1]; the rest is that of robustness. 1 and 0 are the rates alone.

    Returns:
        The difference, with both parts of its error, and with what attacks may have missed.
    """
    count, _, images = trainings.robust.shape
    contrast = one - other
    of_robustness = float((contrast @ trainings.robust.mean(1)).std(ddof=1)) / images**0.5
    of_invariance = float(np.abs(contrast) @ trainings.of_images)
    means = weight * trainings.invariance + (1 - weight) * trainings.robust.mean(2)
    doubtful = 4 * trainings.rates * (1 - trainings.rates)
    seed_sd = weight * SEED_FLIPS * doubtful[:, 0] ** 0.5 + (1 - weight) * SEED_SHIFT * doubtful[:, 1]
    still = Networks(tuple(map(float, range(count))), np.repeat(means[..., None], 2, axis=2), seed_sd, np.zeros(count))
    effect = effect_of(still, contrast)  # of images that move nothing: the part of training alone is left
    both = weight * of_invariance + (1 - weight) * of_robustness
    down, up = (float((1 - weight) * shares @ trainings.missed) for shares in (one, other))
    return Effect(effect.size, [(both**2, images - 1.0), effect.parts[1]], down=down, up=up)


def better(trainings: Trainings, one: Array, other: Array, weights: Sequence[float] = (1.0, 0.0)) -> Array:
    """The p-values [2] of the test that one mixture is better than another for all of these weights, which are those of
    either rate alone unless given: as measured, and where the attacks missed what speaks most against it."""
    effects = [gain(trainings, one, other, weight) for weight in weights]
    tests: Array = np.max([[_above(effect), _above(effect, effect.down)] for effect in effects], axis=0)
    return tests


def ends(trainings: Trainings, others: Sequence[int]) -> tuple[int, int]:
    """Where a frontier ends: the number of the most invariant training, and of the most robust one."""
    places = trainings.rates[list(others)]
    most_invariant, most_robust = places.argmax(axis=0)
    return others[most_invariant], others[most_robust]


def beyond(trainings: Trainings, one: int, others: Sequence[int]) -> Array:
    """The p-values [2] of the test that a training dominates a point of the frontier of others.

    It is better than each of them in some weighted mean of both rates, of which nine are tried (Bonferroni, so that a
    p-value may exceed 1). It must also be more robust than the most invariant of them, and more invariant than the most
    robust one: more of one rate where there is nothing of the other to gain is no gain in both."""
    shares = alone(trainings, one)
    tests = [
        np.max([better(trainings, shares, alone(trainings, other), (weight,)) for other in others], axis=0)
        for weight in DIRECTIONS
    ]
    most_invariant, most_robust = ends(trainings, others)
    inner = [
        better(trainings, shares, alone(trainings, end), (weight,))
        for end, weight in ((most_invariant, 0.0), (most_robust, 1.0))
    ]
    found: Array = np.max([len(DIRECTIONS) * np.min(tests, axis=0), *inner], axis=0)
    return found


def margin(trainings: Trainings, one: int, others: Sequence[int]) -> tuple[Effect, float]:
    """By how much a training lies beyond the frontier of others, or short of it, and the weight of invariance in that.

    It is the least gain over the others, in the weighted mean in which that is largest."""
    gains = {
        weight: min(
            (gain(trainings, alone(trainings, one), alone(trainings, other), weight) for other in others),
            key=lambda effect: effect.size,
        )
        for weight in DIRECTIONS
    }
    weight = max(gains, key=lambda weight: gains[weight].size)
    return gains[weight], weight


def short_of(trainings: Trainings, one: int, others: Sequence[int]) -> Array:
    """The p-values [2] of the test that a training lies short of the frontier of others: one of them, or a mixture of
    two in tenths, is better in both rates. Times the number of these (Bonferroni), so that they may exceed 1."""
    mixtures = [alone(trainings, other) for other in others]
    mixtures += [share * a + (1 - share) * b for a, b in combinations(mixtures, 2) for share in DIRECTIONS]
    promising = [m for m in mixtures if (m @ trainings.rates > trainings.rates[one]).all()]
    tests = [better(trainings, m, alone(trainings, one)) for m in promising]
    found: Array = len(mixtures) * np.min(tests, axis=0) if tests else np.ones(2)
    return found


def evidence(trainings: Trainings, both: Sequence[int], single: Sequence[int]) -> tuple[Array, Array, list[int]]:
    """What speaks for the statement (vi) and against it.

    Returns:
        The p-values [2] that some training with both lies beyond the frontier of the single ones, those that each lies
        short of it, and the numbers of the trainings with both that lie beyond it for certain.
    """
    further = {one: len(both) * beyond(trainings, one, single) for one in both}
    shorter = np.max([short_of(trainings, one, single) for one in both], axis=0)
    certain = [one for one, p in further.items() if p[1] < LEVEL]
    return np.minimum(np.min(list(further.values()), axis=0), 1.0), np.minimum(shorter, 1.0), certain


@dataclass(frozen=True)
class Rivals:
    """The trainings of one network at a place of the plane, those with both beside those with one or neither."""

    theta: float
    epsilon: float
    names: tuple[str, ...]  # of the trainings, without the network
    seeds: tuple[tuple[Result, ...], ...]  # of each training
    trainings: Trainings
    both: tuple[int, ...]  # numbers of the trainings with rotations and attacks
    single: tuple[int, ...]  # of the others
    left_out: str  # trainings that take no part, and why, in words
    doubt_of_single: str = ""  # why nothing can be said for the statement, if so
    doubt_of_both: str = ""  # why nothing can be said against it, if so


def accuracy_gain(one: Sequence[Result], other: Sequence[Result]) -> tuple[float, float, float] | None:
    """How much more accurate one training is than another on unchanged images, with its interval of 95 %.

    Paired by image where the profiles say which images are right. With one seed training again is expected to move an
    accuracy as it moves a rate of invariance.

    Returns:
        The difference, its low and its high; None where the images have no labels.
    """
    profiles = [[result.robustness for result in seeds] for seeds in (one, other)]
    if any(profile.clean_accuracy is None for row in profiles for profile in row):
        return None
    accuracies = np.array([[float(profile.clean_accuracy or 0) for profile in row] for row in profiles])
    images = profiles[0][0].images
    right = [[profile.right for profile in row] for row in profiles]
    if all(entry is not None for row in right for entry in row):
        of_image = np.array(right, dtype=float).mean(1)
        of_images = float((of_image[0] - of_image[1]).std(ddof=1)) / images**0.5
    else:
        of_images = float(((accuracies * (1 - accuracies) / images).mean(1) ** 0.5).sum())
    shares = accuracies.mean(1)
    expected = SEED_FLIPS * (4 * shares * (1 - shares)) ** 0.5
    still = Networks((0.0, 1.0), np.repeat(accuracies[..., None], 2, axis=2), expected, np.zeros(2))
    size = float(shares[0] - shares[1])
    of_training = effect_of(still, np.array([1.0, -1.0])).parts[1]
    half = half_width([(of_images**2, max(images - 1.0, 1.0)), of_training])
    return size, size - half, size + half


def _above(effect: Effect, missed: float = 0.0) -> float:
    """One-sided, that an effect is larger than 0, when it is smaller by what was missed."""
    left = effect.size - missed
    half = p_value(left, effect.parts) / 2
    return half if left > 0 else 1 - half


def _withstood(result: Result, epsilon: float) -> Array:
    """1 for each image whose prediction no attack up to epsilon has changed."""
    robustness = result.robustness
    return (np.asarray(robustness.levels) > _index(result, epsilon)).astype(float)


def _missed_at(result: Result, epsilon: float) -> float:
    floor, at = floor_of(result.robustness), _index(result, epsilon)
    return 0.0 if floor is None else max(float(result.robustness.low[at] - floor[at]), 0.0)


def _index(result: Result, epsilon: float) -> int:
    return int(np.abs(result.robustness.values - epsilon).argmin())
