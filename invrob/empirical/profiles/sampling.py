"""Which changes the images of an invariance profile get, and what their answers say about every theta at once.

The changes at theta are uniform in a box around 0 that grows with theta. A draw has a signed radius: its magnitude is
the volume of the smallest box around 0 that holds it, its sign the side. Of a uniform draw that volume is uniform, in
any dimension, so bands of volume serve all thetas: the box of theta is the union of the bands inside it. For a single
parameter, such as an angle, the volume is the size of the parameter itself. docs/how-to/transformations.md derives
what is used here."""

from dataclasses import dataclass

import numpy as np

from invrob.checks import Array
from invrob.empirical.profiles.rates import Bounds, ClassRates
from invrob.intervals import ENOUGH, share_bounds, widened

FEWEST = 32  # images for a part of a shared band, on average: fewer say too little, and can afford a draw in all parts


@dataclass(frozen=True, eq=False)
class Draws:
    """M draws for each of N images, and the S parts of volume that they lie in."""

    parts: Array  # [S, 2] the volumes where each part begins and ends; together they tile [0, largest volume]
    radii: Array  # [M, N] the signed radius of each draw
    part_of: Array  # [M, N] int64, the part that the draw lies in


def drawn(dimensions: int, step: float | None, volumes: Array, n: int, rng: np.random.Generator) -> Draws:
    """`draw` for a change with that many parameters; one without a box is made or not, and every image is asked."""
    if dimensions:
        return draw(volumes, step, n, rng)
    count = int(volumes.any())
    return Draws(np.tile([0.0, 1.0], (count, 1)), np.ones((count, n)), np.zeros((count, n), dtype=int))


def draw(volumes: Array, step: float | None, n: int, rng: np.random.Generator) -> Draws:
    """Draws for n images in bands of volume that reach to the largest of `volumes` [T], which increase.

    With `step` every theta ends a band, no band is wider than it, and each image is drawn in every band. Without, a
    band ends at up to twice the volume where it begins. A band that holds several thetas is split at them. Each part
    gets images in proportion to its volume. Which image draws where in a band is random: an order of the images, such
    as one by class, does no harm."""
    if step is not None:
        parts = parts_of(volumes, step)
        bands = [slice(part, part + 1) for part in range(len(parts))]
    else:
        # The volume below the first theta weighs in every rate: it is halved, and gets two draws.
        parts = parts_of(np.union1d(volumes, volumes[volumes > 0][:1] / 2), np.inf)
        bands = bands_of(parts, max(1, n // FEWEST))
    draws = [_split_band(parts, band, n, rng) for band in bands]
    radii, part_of = (np.array([pair[i] for pair in draws]).reshape(len(draws), n) for i in (0, 1))
    return Draws(parts, radii, part_of.astype(int))


def parts_of(volumes: Array, step: float) -> Array:
    """Parts [S, 2] that tile [0, largest volume], with an edge at each of `volumes`, none wider than `step`."""
    edges = [0.0]
    for volume in volumes[volumes > 0]:
        count = max(1, int(np.ceil((volume - edges[-1]) / step - 1e-9)))
        edges.extend([*np.linspace(edges[-1], volume, count + 1)[1:-1], volume])
    return np.column_stack([edges[:-1], edges[1:]])


def bands_of(parts: Array, most: int) -> list[slice]:
    """Bands of up to `most` parts that end at up to twice the volume where they begin.

    The rate at a theta inside such a band varies no more than if each image were drawn once from the whole box."""
    bands: list[slice] = []
    while (start := bands[-1].stop if bands else 0) < len(parts):
        reach = 2 * parts[start, 0] * (1 + 1e-9)
        stop = int(np.searchsorted(parts[:, 1], reach, side="right"))
        bands.append(slice(start, max(start + 1, min(stop, start + most))))
    return bands


def _split_band(parts: Array, band: slice, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The radius [n] and the part [n] of each image in this band; the images of a part fill it evenly."""
    edges = np.append(parts[band, 0], parts[band.stop - 1, 1])
    count = len(edges) - 1  # of parts: each gets an image for certain, and the other images by its volume
    ends = np.arange(count + 1) + np.rint((n - count) * (edges - edges[0]) / (edges[-1] - edges[0])).astype(int)
    rank = rng.permutation(n)
    part = np.searchsorted(ends, rank, side="right") - 1
    share = (rank - ends[part] + rng.random(n)) / np.diff(ends)[part]
    return _signed_radii(parts[band][part], 2 * share - 1), band.start + part


def _signed_radii(parts: Array, share: Array) -> Array:
    """Radii in `parts` [..., 2] from `share` in [-1, 1): its sign is the side, its magnitude how far out."""
    radii: Array = np.copysign(parts[..., 0] + np.abs(share) * (parts[..., 1] - parts[..., 0]), share)
    return radii


def rates_in_boxes(hits: Array, draws: Draws, volumes: Array) -> Array:
    """For each image the share of hits in the box of each theta [N, T]; their mean over the images is the rate.

    hits: bool [N, 1 + M], of the unchanged image and of each draw. An image without a draw in a part stands there for
    all images: so the mean is that of the draws, without bias, and the spread is that of the estimate."""
    hit, drawn = _in_parts(hits, draws)
    return _in_boxes(values_in_parts(hit, drawn), hits[:, 0], draws, volumes)


def rates_of_classes(
    hits: Array, draws: Draws, classes: Array, volumes: Array, confidence: float, bounds: Bounds
) -> tuple[ClassRates, ...]:
    """A row for each class of `classes` int [N]; hits as for `rates_in_boxes`, of predictions that stay.

    A class that was not drawn in a part borrows the rate of all images there, so the rate of a small class lies too
    close to that of all. Its interval does not believe in that: what was not drawn may be all or nothing. Where it has
    few draws in a part of the box, the interval is the wider one of `bounds` and Clopper-Pearson's."""
    hit, drawn = _in_parts(hits, draws)
    of_all_images = hit.sum(0) / np.maximum(drawn.sum(0), 1)
    inside = draws.parts[:, 1:] <= volumes
    rows = []
    for label in np.unique(classes):
        members = classes == label
        counts, kept, n = drawn[members].sum(0), hits[members, 0], int(members.sum())
        borrowed, least, most = (
            _in_boxes(values_in_parts(hit[members], drawn[members], otherwise), kept, draws, volumes)
            for otherwise in (of_all_images, 0.0, 1.0)
        )
        low, high = bounds(least, confidence)[0], bounds(most, confidence)[1]
        few = (inside & (counts < ENOUGH)[:, None]).any(0)
        if few.any():
            extremes = np.clip([least.mean(0), most.mean(0)], 0, 1)
            exact_low, exact_high = share_bounds(extremes, n, confidence)
            low, high = widened((low, high), (exact_low[0], exact_high[1]), few)
        low = np.where(volumes > 0, low, 1.0)  # where nothing changes every prediction stays for certain
        rows.append(ClassRates(int(label), n, borrowed.mean(0), low, high))
    return tuple(rows)


def _in_parts(hits: Array, draws: Draws) -> tuple[Array, Array]:
    """Whether each image hit, and whether it was drawn, in each part: both 0 or 1, float64 [N, S]."""
    rows = np.arange(len(hits))
    drawn, hit = np.zeros((2, len(hits), len(draws.parts)))
    for column, part in enumerate(draws.part_of, start=1):
        drawn[rows, part], hit[rows, part] = 1, hits[:, column]
    return hit, drawn


def _in_boxes(values: Array, unchanged: Array, draws: Draws, volumes: Array) -> Array:
    """Rates [N, T] in the boxes from those in the parts [N, S], and from those of the unchanged images [N]."""
    widths = np.diff(draws.parts, axis=1) * (draws.parts[:, 1:] <= volumes)  # a part is inside a box or outside
    weights = widths / np.maximum(widths.sum(0), 1e-300)  # [S, T]; columns sum to 1, to 0 where nothing changes
    # Rounded, so that an image that always stays has 1 and not 1 - 1e-16. einsum and not @: BLAS splits a sum among
    # threads as the load of the machine has it, which moves the last bits.
    shares = np.round(np.einsum("ns,st->nt", values, weights), 12)
    rates: Array = np.where(volumes > 0, shares, unchanged[:, None].astype(float))
    return rates


def values_in_parts(hit: Array, drawn: Array, otherwise: Array | float = 0.0) -> Array:
    """Values [N, S] for images, from their hits where they were drawn, both [N, S].

    Their mean is that of the hits, or `otherwise` [S] where no image was drawn, and the variance of their mean is that
    of the mean of the hits. Where all images were drawn, the values are the hits."""
    n, counts = len(hit), drawn.sum(0)
    mean = np.where(counts > 0, hit.sum(0) / np.maximum(counts, 1), otherwise)
    freedom = np.where(counts < n, counts / np.maximum(counts - 1, 1), 1.0)  # the mean is estimated too
    values: Array = mean + drawn * (hit - mean) * np.sqrt(freedom) * n / np.maximum(counts, 1)
    return values
