"""What networks that differ in one parameter of their training say about it: a line through their mean rates, how far
they lie off it, and steps that go the other way.

Each of these is a contrast, a weighted sum of the mean rates whose weights sum to 0. All networks see the same images,
so an image has a contrast of its own, and the spread of these over the images is one part of the error. The other part
is training: what another seed would give. Both are combined after Banerjee, as in `half_width`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np

from invrob.checks import Array
from invrob.empirical.analysis.statistics import LEVEL, Parts, half_width, p_value

Place = TypeVar("Place")


@dataclass(frozen=True)
class Networks:
    """V values of a parameter, a network for each of S seeds at each value, and N images that all of them saw."""

    values: tuple[float, ...]  # [V] increasing
    rates: Array  # [V, S, N] of each image, averaged over the axis of the profile
    seed_sd: Array  # [V] what training again is expected to move a mean rate by, as a standard deviation
    missed: Array  # [V] how far below its interval a mean rate may lie, because the attack found too little; >= 0


@dataclass(frozen=True)
class Effect:
    """A contrast of mean rates with the parts of its error."""

    size: float
    parts: Parts  # of images and of training
    down: float = 0.0  # how much smaller it is at most, if attacks missed something; >= 0
    up: float = 0.0  # how much larger

    def interval(self, confidence: float = 1 - LEVEL) -> tuple[float, float]:
        """Its low and high at a level of confidence, for the rates as they were measured."""
        half = half_width(self.parts, confidence)
        return self.size - half, self.size + half

    def interval_with_missed(self, confidence: float = 1 - LEVEL) -> tuple[float, float]:
        """The same, for rates that lie anywhere between what was measured and what attacks may have missed."""
        low, high = self.interval(confidence)
        return low - self.down, high + self.up

    @property
    def p_value(self) -> float:
        """Two-sided, of no effect on the rates as they were measured."""
        return p_value(self.size, self.parts)

    @property
    def p_with_missed(self) -> float:
        """The same where the attacks missed what speaks most against the effect: at least as large."""
        left = max(self.size - self.down, 0.0) if self.size > 0 else min(self.size + self.up, 0.0)
        return p_value(left, self.parts)


def line(networks: Networks) -> Effect:
    """The change of the mean rate from the smallest to the largest value, along a straight line through all."""
    values = np.array(networks.values)
    centred = values - values.mean()
    return effect_of(networks, centred / (centred**2).sum() * (values[-1] - values[0]))


def deviation(networks: Networks) -> tuple[float, float, Effect] | None:
    """The value whose mean rate lies off the straight line most clearly, and how clearly.

    Returns:
        The p-value of a straight line, after Bonferroni over the values; the value; and how far its mean rate lies
        above the line. None with two values, through which a line always goes.
    """
    values, count = np.array(networks.values), len(networks.values)
    if count < 3:
        return None
    design = np.stack([np.ones(count), values - values.mean()], axis=1)
    off = np.eye(count) - design @ np.linalg.pinv(design)
    clearest = _clearest([(value, effect_of(networks, row)) for value, row in zip(networks.values, off, strict=True)])
    tests = 1 if count == 3 else count  # three values deviate in one way only
    return min(1.0, tests * clearest[1].p_value), *clearest


def steps(networks: Networks) -> list[tuple[float, float, Effect]]:
    """The clearest fall and the clearest rise of the mean rate between any two values, where there are such steps.

    A step counts where its interval holds no 0, whatever the attacks may have missed. The intervals hold for all pairs
    of values together, by `steps_confidence`: where there is no effect at all, a step is found in 5 % of the cases at
    most.

    Returns:
        For each: the smaller value, the larger one, and the change between them. At most two of them.
    """
    count = len(networks.values)
    confidence, found = steps_confidence(networks), []
    for i, j in combinations(range(count), 2):
        contrast = np.zeros(count)
        contrast[[i, j]] = -1, 1
        effect = effect_of(networks, contrast)
        low, high = effect.interval_with_missed(confidence)
        if low > 0 or high < 0:
            found.append(((networks.values[i], networks.values[j]), effect))
    sides = ([step for step in found if step[1].size < 0], [step for step in found if step[1].size > 0])
    return [(*pair, effect) for pair, effect in map(_clearest, filter(None, sides))]


def steps_confidence(networks: Networks) -> float:
    """The level of each interval of a step at which those between all pairs of values hold together, in 95 %."""
    count = len(networks.values)
    return 1 - LEVEL / (count * (count - 1) / 2)


def effect_of(networks: Networks, contrast: Array) -> Effect:
    """The contrast [V] of the networks, with its error."""
    images = networks.rates.shape[2]
    of_images = np.einsum("v,vsn->n", contrast, networks.rates) / networks.rates.shape[1]
    parts = [(float(of_images.var(ddof=1)) / images, images - 1.0), _of_training(networks, contrast)]
    most = contrast * networks.missed
    return Effect(float(of_images.mean()), parts, float(most[most > 0].sum()), float(-most[most < 0].sum()))


def among(rates: Array, seen: Array) -> Array:
    """The rates of some of the images, as rates of all, so that means and their errors are those of these images alone.

    Every network may have images of its own, as where only those count that it gets right. Each of its images counts as
    many times as all images are more than these, from the mean of these on; the others count as that mean. So the mean
    over all is the mean over these, and the spread of the sum of several networks over the images is the error of a sum
    of such means, to first order. With one choice for all networks it is what these images alone would give.

    Args:
        rates: [..., N].
        seen: bool, of a shape that broadcasts to that; at least one image of each row.

    Returns:
        [..., M] for the M images that are seen in some row.
    """
    seen = np.broadcast_to(seen, rates.shape)
    some = seen.any(axis=tuple(range(seen.ndim - 1)))
    rates, seen = rates[..., some], seen[..., some]
    counts = seen.sum(-1, keepdims=True)
    means = np.where(seen, rates, 0.0).sum(-1, keepdims=True) / counts
    return np.asarray(means + np.where(seen, rates - means, 0.0) * (seen.shape[-1] / counts))


def _of_training(networks: Networks, contrast: Array) -> tuple[float, float]:
    """The variance of a contrast over trainings, and its degrees of freedom; with one seed the one that is expected.

    With several seeds it is what is left when each value's mean and each seed's mean are taken away: (V - 1)(S - 1)
    degrees of freedom, of all values together. What a seed does to all its networks alike cancels in any contrast, and
    costs nothing. Networks may vary unequally. So the pooled variance is scaled up where the contrast rests on values
    that are expected to vary more than the others, with the degrees of freedom of unequal variances; and from three
    seeds on, of which the contrasts say something by themselves, it is never less than what they show."""
    means = networks.rates.mean(2)
    count, seeds = means.shape
    if seeds == 1:
        return float((contrast**2 * networks.seed_sd**2).sum()), np.inf
    rest = means - means.mean(1, keepdims=True) - means.mean(0) + means.mean()
    pooled = float((rest**2).sum()) / ((count - 1) * (seeds - 1)) * float((contrast**2).sum())
    expected = np.maximum(networks.seed_sd, max(networks.seed_sd.max() / 3, 1e-9)) ** 2  # no network is without spread
    centring = (np.eye(count) - 1 / count) * expected
    share = float((contrast**2 * expected).sum()) / float((contrast**2).sum()) * (count - 1) / np.trace(centring)
    degrees = (seeds - 1) * float(np.trace(centring)) ** 2 / float(np.trace(centring @ centring))
    own = float((contrast @ means).var(ddof=1)) if seeds > 2 else 0.0
    return max(pooled * max(share, 1.0), own) / seeds, degrees


def _clearest(found: Sequence[tuple[Place, Effect]]) -> tuple[Place, Effect]:
    """The effect that is the largest in terms of its own interval."""
    return max(found, key=lambda pair: abs(pair[1].size) / max(half_width(pair[1].parts), 1e-300))
