"""What each image of an invariance profile is shown, and what its answers say about every value at once.

All of it is told in volumes of the box that a change is drawn from: for a draw from the box the volume of the smallest
box that holds it is uniform, in any dimension. Of one dimension the volume is the size itself, as that of an angle. A
place is a volume with a sign: the side of the box."""

import numpy as np
from scipy.stats import norm

from invrob.checks import Array
from invrob.intervals import share_bounds

GROUPS = 8  # of images that share a place where `step` is given: finished profiles rest on those angles
LEAST = 32  # images per interval of a shared band: fewer tell too little about it, and can afford a draw in each


def sweep(volumes: Array, step: float | None, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Intervals of volume [S, 2], the place of each of n images in each of M bands, and the interval that it is in, the
    latter both [M, n].

    volumes: of the values of the profile, increasing. step: the widest band, each then ends at one of `volumes`; None:
    as few bands as need be."""
    if step is None:  # what lies below the first value weighs in every rate: it gets two draws
        intervals = _intervals(np.union1d(volumes, volumes[volumes > 0][:1] / 2), np.inf)
        drawn = [_shared_out(intervals, band, n, rng) for band in _bands(intervals, max(1, n // LEAST))]
        places, where = (np.array([each[part] for each in drawn]).reshape(-1, n) for part in (0, 1))
        return intervals, places, where.astype(int)
    intervals = _intervals(volumes, step)
    where = np.repeat(np.arange(len(intervals))[:, None], n, axis=1)
    return intervals, _grouped(intervals, rng)[:, np.arange(n) % GROUPS], where


def _intervals(volumes: Array, step: float) -> Array:
    """Intervals [S, 2] that tile [0, max], with an edge at each of `volumes`, none wider than `step`."""
    edges = [0.0]
    for volume in volumes[volumes > 0]:
        parts = max(1, int(np.ceil((volume - edges[-1]) / step - 1e-9)))
        edges.extend([*np.linspace(edges[-1], volume, parts + 1)[1:-1], volume])
    return np.column_stack([edges[:-1], edges[1:]])


def _bands(intervals: Array, most: int) -> list[slice]:
    """Runs of up to `most` intervals that end at up to twice the volume they begin at.

    So a band that is cut by a value has no more volume than the box of that value, and the rate there varies no more
    than with one draw from all of the box for each of as many images chosen at random."""
    bands: list[slice] = []
    while (start := bands[-1].stop if bands else 0) < len(intervals):
        reach = 2 * intervals[start, 0] * (1 + 1e-9)
        stop = int(np.searchsorted(intervals[:, 1], reach, side="right"))
        bands.append(slice(start, max(start + 1, min(stop, start + most))))
    return bands


def _shared_out(intervals: Array, band: slice, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The place [n] of each image in this band, and its interval [n]: the images of an interval fill it evenly."""
    edges = np.append(intervals[band, 0], intervals[band.stop - 1, 1])
    parts = len(edges) - 1  # each gets one image for certain, and the others by its width
    ends = np.arange(parts + 1) + np.rint((n - parts) * (edges - edges[0]) / (edges[-1] - edges[0])).astype(int)
    rank = rng.permutation(n)
    part = np.searchsorted(ends, rank, side="right") - 1
    place = (rank - ends[part] + rng.random(n)) / np.diff(ends)[part]
    return _sided(intervals[band][part], 2 * place - 1), band.start + part


def _grouped(intervals: Array, rng: np.random.Generator) -> Array:
    """One place per interval and group of images, [S, GROUPS]: the groups share out both sides of the interval in
    random order."""
    order = np.argsort(rng.random((len(intervals), GROUPS)), axis=1)
    place = (order + rng.random((len(intervals), GROUPS))) / GROUPS
    return _sided(intervals[:, None], 2 * place - 1)


def _sided(intervals: Array, where: Array) -> Array:
    """Places in `intervals` [..., 2] from `where` in [-1, 1): the side, and how far out."""
    places: Array = np.copysign(intervals[..., 0] + np.abs(where) * (intervals[..., 1] - intervals[..., 0]), where)
    return places


def averaged(hits: Array, where: Array, classes: Array, intervals: Array, volumes: Array) -> Array:
    """What each image says about the share of each box in which it hits, [N, T].

    hits: bool [N, 1 + M], unchanged and in each band; where: [M, N], the interval of that draw. An image without a draw
    in an interval says what its class does there. So the mean over a class is the mean of its intervals, and the spread
    is that of the estimate."""
    rows = np.arange(len(hits))
    seen, hit = np.zeros((2, len(hits), len(intervals)))
    for column, place in enumerate(where, start=1):
        seen[rows, place], hit[rows, place] = 1, hits[:, column]
    values, everyone = np.empty_like(hit), hit.sum(0) / seen.sum(0)
    for label in np.unique(classes):
        own = classes == label
        values[own] = _spread_out(hit[own], seen[own], everyone)
    widths = np.diff(intervals, axis=1) * (intervals[:, 1:] <= volumes)  # an interval is inside or outside
    weights = widths / np.maximum(widths.sum(0), 1e-300)  # [S, T]; columns sum to 1, to 0 where nothing changes
    # Rounded, so that an image that always stays has 1: of 1 - 1e-16 its interval would say that it can vary.
    shares = np.round(np.einsum("ns,st->nt", values, weights), 12)
    averages: Array = np.where(volumes > 0, shares, hits[:, :1].astype(float))
    return averages


def _spread_out(hit: Array, seen: Array, everyone: Array) -> Array:
    """Values [N, S] for the images of one class, from their hits where they are seen, both [N, S].

    Their mean is that of the hits that are seen, or `everyone`'s [S] where none is; the variance of their mean is
    that of the mean of the hits that are seen. Where all are, they are the hits."""
    n, counts = len(hit), seen.sum(0)
    mean = np.where(counts > 0, hit.sum(0) / np.maximum(counts, 1), everyone)
    freedom = np.where(counts < n, counts / np.maximum(counts - 1, 1), 1.0)  # the mean is estimated too
    values: Array = mean + seen * (hit - mean) * np.sqrt(freedom) * n / np.maximum(counts, 1)
    return values


def normal_bounds(values: Array, confidence: float) -> tuple[Array, Array]:
    """Normal bounds for the means of `values` [N, T] over the images, or those of Clopper-Pearson where they are wider
    and fewer than ten images make the difference to 0 or 1."""
    n, mean = len(values), values.mean(0)
    reach = float(norm.ppf((1 + confidence) / 2)) * values.std(0) / np.sqrt(n)
    sure_low, sure_high = share_bounds(np.clip(mean, 0, 1), n, confidence)
    few = n * np.minimum(mean, 1 - mean) < 10
    low = np.where(few, np.minimum(mean - reach, sure_low), mean - reach)
    high = np.where(few, np.maximum(mean + reach, sure_high), mean + reach)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)
