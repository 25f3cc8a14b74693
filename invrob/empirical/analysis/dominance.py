"""Whether one training of a network dominates another one at a place of the trade-off plane, as tests with p-values.

A difference of two rates has two parts of error, as in `trends`: other images, and training again. Robustness is paired
by image. A profile keeps no invariance of an image at one theta alone, so nothing is assumed about how the invariances
of two trainings go together: their errors over the images are added, which holds for any dependence. The spread of
training is pooled over all trainings of the network. One training dominates another for certain where both differences
are larger than 0: an intersection-union test, whose p-value is the larger of the two one-sided ones (Berger 1982)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from invrob.checks import Array
from invrob.empirical.analysis.evidence import SEED_FLIPS, SEED_SHIFT
from invrob.empirical.analysis.statistics import floor_of, half_width, p_value
from invrob.empirical.analysis.trends import Effect, Networks, effect_of
from invrob.empirical.experiments import Result

DIRECTIONS = tuple(tenths / 10 for tenths in range(1, 10))  # weights of invariance against robustness: for mixtures


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


def gain(trainings: Trainings, one: int, other: int, weight: float) -> Effect:
    """How much larger a weighted mean of both rates is for one training than for another.

    Args:
        trainings: of `trainings_at`.
        one, other: their numbers.
        weight: of the rate of invariance, in [0, 1]; the rest is that of robustness. 1 and 0 are the rates alone.

    Returns:
        The difference, with both parts of its error, and with what attacks may have missed.
    """
    count, _, images = trainings.robust.shape
    contrast = np.zeros(count)
    contrast[[one, other]] = 1, -1
    withstood = trainings.robust.mean(1)
    of_robustness = float((withstood[one] - withstood[other]).std(ddof=1)) / images**0.5
    of_invariance = float(trainings.of_images[one] + trainings.of_images[other])
    means = weight * trainings.invariance + (1 - weight) * trainings.robust.mean(2)
    doubtful = 4 * trainings.rates * (1 - trainings.rates)
    seed_sd = weight * SEED_FLIPS * doubtful[:, 0] ** 0.5 + (1 - weight) * SEED_SHIFT * doubtful[:, 1]
    still = Networks(tuple(map(float, range(count))), np.repeat(means[..., None], 2, axis=2), seed_sd, np.zeros(count))
    effect = effect_of(still, contrast)  # of images that move nothing: the part of training alone is left
    both = weight * of_invariance + (1 - weight) * of_robustness
    missed = (1 - weight) * trainings.missed
    return Effect(
        effect.size, [(both**2, images - 1.0), effect.parts[1]], down=float(missed[one]), up=float(missed[other])
    )


def dominates(trainings: Trainings, one: int, other: int) -> Array:
    """The p-values [2] of the test that one training is better than another in both rates: as measured, and where the
    attacks missed what speaks most against it."""
    effects = [gain(trainings, one, other, weight) for weight in (1.0, 0.0)]
    tests: Array = np.max([[_above(effect), _above(effect, effect.down)] for effect in effects], axis=0)
    return tests


def falls_short(trainings: Trainings, one: int, other: int) -> Array:
    """The same of the test that one training is worse than another in one rate at least: of either rate, times two
    (Bonferroni), so that they may exceed 1."""
    effects = [gain(trainings, other, one, weight) for weight in (1.0, 0.0)]
    tests: Array = np.min([[_above(effect), _above(effect, effect.down)] for effect in effects], axis=0)
    return 2 * tests


def beyond_mixtures(trainings: Trainings, one: int, others: Sequence[int], level: float) -> bool:
    """Whether a training lies for certain beyond all mixtures of others: who draws one of several networks for each
    image by chance has rates on the line between theirs, or in the convex hull of all.

    It does where there is a weight of both rates for which it is better than each of the others, for the best of some
    mixtures is then one of them. Nine weights are tried; all together err in `level` of the cases at most."""
    one_sided = 1 - 2 * level / len(DIRECTIONS)
    return any(
        all(gain(trainings, one, other, weight).interval_with_missed(one_sided)[0] > 0 for other in others)
        for weight in DIRECTIONS
    )


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
    frontier: dict[int, tuple[int, ...]]  # of the single ones: each member, with all that may dominate it and itself
    left_out: str  # trainings that take no part, and why, in words
    doubt_of_single: str = ""  # why nothing can be said for the statement, if so
    doubt_of_both: str = ""  # why nothing can be said against it, if so

    def surpassed(self, one: int, member: int) -> Array:
        """The p-values [2] of the test that a training with both dominates a member of the frontier."""
        tests: Array = np.max([dominates(self.trainings, one, other) for other in self.frontier[member]], axis=0)
        return tests


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
