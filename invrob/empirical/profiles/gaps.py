"""How far a rate may be too high, from the images that a much stronger attack was tried on: the audit.

The audited images are a simple random choice, made before anything is known of them. Among the images that withstood
the search at an epsilon, those that were audited are such a choice as well: so the number of misses among them is
hypergeometric, and its exact bound says how many misses the others may hold. docs/profiles.md tells it in words."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, hypergeom

from invrob.checks import Array
from invrob.intervals import share_bounds

TOLERATED = 0.02  # the largest gap of a sound profile, by estimate


@dataclass(frozen=True, eq=False)
class Gaps:
    """What an audit says at each of T epsilons."""

    missed: Array  # [T] int64, the audited images that the audit alone fooled
    gap: Array  # [T] the estimated share of all images that it would fool, had it been tried on all
    gap_high: Array  # [T] an upper bound of that share
    floor: Array  # [T] a lower bound of the population's rate under the audit's attack

    @property
    def too_wide(self) -> Array:
        """Bool [T], where the search fell short; a single audited image may be chance."""
        wide: Array = (self.gap > TOLERATED) & (self.missed > 1)
        return wide


def gaps_of(before: Array, after: Array, audited: Array, identity: Array, confidence: float) -> Gaps:
    """What the audit of some images says of all of them.

    before, after: int [N], the index of the smallest epsilon that fooled each image, before and after the audit.
    audited: bool [N]. identity: bool [T], the epsilons of 0, where nobody can be fooled. confidence: of each bound."""
    n, columns = len(before), np.arange(len(identity))
    stood, stands = before[:, None] > columns, after[:, None] > columns
    missed, looked = (stood & ~stands)[audited].sum(0), stood[audited].sum(0)
    withstood, rest = stood.sum(0), stood[~audited].sum(0)
    gap = missed / np.maximum(looked, 1) * rest / n
    counts = zip(missed.tolist(), looked.tolist(), withstood.tolist(), strict=True)
    most = np.array([_most_missed(*count, confidence) for count in counts])
    gap_high = np.where(identity, 0.0, np.maximum(np.minimum((most - missed) / n, rest / n), gap))
    # The rate of the population is a product: what withstands the search, and what of that withstands the audit. Each
    # bound has half of the error that is allowed.
    low, _ = share_bounds(stood.mean(0), n, confidence)
    final_low, _ = share_bounds(stands.mean(0), n, confidence)
    falls = np.where(missed < looked, beta.ppf((1 + confidence) / 2, missed + 1, np.maximum(looked - missed, 1)), 1.0)
    floor = final_low if audited.all() else np.minimum(low * (1 - falls), final_low)
    return Gaps(missed, gap, gap_high, np.minimum.accumulate(np.where(identity, 1.0, floor)))


def _most_missed(missed: int, looked: int, withstood: int, confidence: float) -> int:
    """The largest number of misses among `withstood` images, of which `looked` were audited and `missed` found, that is
    not refuted at `confidence`."""
    if looked == withstood:
        return missed
    numbers = np.arange(missed, withstood - looked + missed + 1)
    possible = hypergeom.cdf(missed, withstood, numbers, looked) >= 1 - confidence
    return int(numbers[possible].max())
