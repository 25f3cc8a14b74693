"""The rate of invariance over theta, for any model: how often its prediction stays when the image turns.

Definition: Kamath, Deshpande and Subrahmanyam 2020, sections 1.1 and 2. The prediction is compared with the model's own
prediction on the clean image, so a constant classifier has 100 %: the accuracy stands beside each rate."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from invrob.empirical.inference import Model, batches, checked_images, checked_labels, evaluating, logits, predict
from invrob.empirical.rates import Array, Rates, check_settings, checked_grid, rates_per_image
from invrob.empirical.transforms import Interpolation, in_disc, on_canvas, rotate
from invrob.errors import InputError, did_you_mean
from invrob.intervals import bootstrap_bounds, share_bounds

Border = Literal["zero", "canvas", "disc"]
Path = Literal["there", "there-and-back"]
Turn = Callable[[Tensor, Tensor], Tensor]  # images [N, C, H, W], degrees, one or [N] -> what the model is shown

GROUPS = 8  # of images that share an angle where `step` is given: finished profiles rest on those angles
LEAST = 32  # images per interval of a shared band: fewer tell too little about it, and can afford a draw in each


@dataclass(frozen=True, eq=False)
class InvarianceProfile(Rates):
    """The rate of invariance: the share of predictions that stay under a rotation by an angle uniform in [-theta,
    theta]."""

    thetas: Array  # [T] degrees, increasing
    evaluations: float  # model evaluations per image
    border: str
    path: str


def invariance_profile(
    model: Model,
    images: Tensor,
    thetas: Iterable[float],
    labels: Tensor | None = None,
    seed: int = 0,
    *,
    step: float | None = None,
    interpolation: Interpolation = "bilinear",
    fill: float = 0.0,
    border: Border = "zero",
    path: Path = "there",
    confidence: float = 0.95,
) -> InvarianceProfile:
    """The share of predictions that stay under a random rotation, averaged over angles uniform in [-theta, theta].

    model, images, labels: as for `robustness_profile`. thetas: degrees in [0, 180], increasing. Each image gets one
    angle, from either side, in each of some bands of angles, so that one sweep serves all thetas. step: the widest
    band, in degrees; each theta then ends a band, and the finer, the smaller is the error. None: as few bands as need
    be, 6 for 15, 30, ..., 180. A band then ends at up to twice the angle that it begins at. Where it spans several
    thetas, an equal share of the images for each degree, chosen at random, draws between two of them, at least 32, and
    the rate at a theta inside the band rests on those within.

    There is no bias, but that a class without an angle in an interval borrows the rate of all images there.
    `per_image` has the rate as its mean, and the spread that its error comes from; in shared bands single values may
    leave [0, 1]. Intervals are a bootstrap over the images; with step = None they are normal ones, or those of
    Clopper-Pearson where these are wider, close to 0 and 1.

    interpolation, fill: of `transforms.rotate`.

    What is compared: the prediction on the turned image with that on the reference, which is also what
    `clean_accuracy` is of. border: "zero": x turned on its own canvas, where corners leave and fill comes in, with x.
    "canvas": the same, for x set small on a larger canvas of `fill`, both scaled to the size of x, so that nothing
    leaves in any turn (square images only). "disc": x turned, with x, both with `fill` outside the inscribed disc, so
    that no corner tells the angle. path: "there": turned by the angle. "there-and-back": turned by the angle and then
    by minus the angle, so that what changes, changes by interpolation and border alone.

    Raises InputError for anything outside these ranges, and for a model that returns NaN."""
    images = checked_images(images)
    grid = checked_grid("thetas", thetas, 180.0, "degrees to either side, so 180 is every rotation")
    check_settings(confidence=confidence, seed=seed)
    if not (step is None or 0 < step <= 180):
        raise InputError(f"step = {step} is outside (0, 180] degrees: smaller is finer, and None asks the model least")
    _check_name("border", border, get_args(Border))
    _check_name("path", path, get_args(Path))
    rng = np.random.default_rng(seed)
    intervals, angles, where = _sweep(grid, step, len(images), rng)
    turn = partial(_turned, interpolation=interpolation, fill=fill, border=border, path=path)
    images = on_canvas(images, fill) if border == "canvas" else images
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        clean = predict(model, turn(images, torch.zeros(()))).cpu().numpy()
        turned = [predict(model, turn(images, torch.from_numpy(angle))).cpu().numpy() for angle in angles]
    truth = None if labels is None else labels.cpu().numpy()
    asked = np.stack([clean, *turned], 1)  # [N, 1 + M]
    average = partial(
        _averaged, where=where, classes=clean if truth is None else truth, intervals=intervals, thetas=grid
    )
    kept = average(asked == clean[:, None])
    correct = None if truth is None else average(asked == truth[:, None])
    bounds = (
        partial(_normal_bounds, confidence=confidence)
        if step is None
        else partial(bootstrap_bounds, rng=rng, confidence=confidence)
    )
    return InvarianceProfile(
        **rates_per_image(kept, correct, clean, truth, grid == 0, bounds, confidence=confidence, seed=seed),
        thetas=grid,
        evaluations=1.0 + len(angles),
        border=border,
        path=path,
    )


def _check_name(argument: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(f"{argument} = {name!r} is unknown{did_you_mean(str(name), known)}: use {', '.join(known)}")


def _turned(
    images: Tensor, degrees: Tensor, *, interpolation: Interpolation, fill: float, border: Border, path: Path
) -> Tensor:
    """What the model is shown at this angle; at 0 degrees the reference."""
    turned = rotate(images, degrees, interpolation=interpolation, fill=fill)
    if path == "there-and-back":
        turned = rotate(turned, -degrees, interpolation=interpolation, fill=fill)
    return in_disc(turned, fill) if border == "disc" else turned


def _intervals(thetas: Array, step: float) -> Array:
    """Intervals of the size of the angle [S, 2] that tile [0, max], with an edge at every theta, none wider than
    `step`."""
    edges = [0.0]
    for theta in thetas[thetas > 0]:
        parts = max(1, int(np.ceil((theta - edges[-1]) / step - 1e-9)))
        edges.extend([*np.linspace(edges[-1], theta, parts + 1)[1:-1], theta])
    return np.column_stack([edges[:-1], edges[1:]])


def _sweep(thetas: Array, step: float | None, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Intervals of the size of the angle [S, 2], the angle of each of n images in each of M bands, and the interval
    that it is in, both [M, n]."""
    if step is None:  # the angles up to the first theta weigh in every rate: they get two draws
        intervals = _intervals(np.union1d(thetas, thetas[thetas > 0][:1] / 2), 180.0)
        drawn = [_shared_out(intervals, band, n, rng) for band in _bands(intervals, max(1, n // LEAST))]
        angles, where = (np.array([each[part] for each in drawn]).reshape(-1, n) for part in (0, 1))
        return intervals, angles, where.astype(int)
    intervals = _intervals(thetas, step)
    where = np.repeat(np.arange(len(intervals))[:, None], n, axis=1)
    return intervals, _angles(intervals, rng)[:, np.arange(n) % GROUPS], where


def _bands(intervals: Array, most: int) -> list[slice]:
    """Runs of up to `most` intervals that end at up to twice the angle they begin at.

    So a band that is cut by a theta is not wider than theta, and the rate there varies no more than with one draw
    from all of [-theta, theta] for each of as many images chosen at random."""
    bands: list[slice] = []
    while (start := bands[-1].stop if bands else 0) < len(intervals):
        reach = 2 * intervals[start, 0] * (1 + 1e-9)
        stop = int(np.searchsorted(intervals[:, 1], reach, side="right"))
        bands.append(slice(start, max(start + 1, min(stop, start + most))))
    return bands


def _shared_out(intervals: Array, band: slice, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The angle [n] of each image in this band, and its interval [n]: the images of an interval fill it evenly."""
    edges = np.append(intervals[band, 0], intervals[band.stop - 1, 1])
    parts = len(edges) - 1  # each gets one image for certain, and the others by its width
    ends = np.arange(parts + 1) + np.rint((n - parts) * (edges - edges[0]) / (edges[-1] - edges[0])).astype(int)
    rank = rng.permutation(n)
    part = np.searchsorted(ends, rank, side="right") - 1
    place = (rank - ends[part] + rng.random(n)) / np.diff(ends)[part]
    return _sided(intervals[band][part], 2 * place - 1), band.start + part


def _angles(intervals: Array, rng: np.random.Generator) -> Array:
    """One angle per interval and group of images, [S, GROUPS]: the groups share out both sides of the interval in
    random order."""
    order = np.argsort(rng.random((len(intervals), GROUPS)), axis=1)
    place = (order + rng.random((len(intervals), GROUPS))) / GROUPS
    return _sided(intervals[:, None], 2 * place - 1)


def _sided(intervals: Array, where: Array) -> Array:
    """Angles in `intervals` [..., 2] from `where` in [-1, 1): the side, and how far out."""
    angles: Array = np.copysign(intervals[..., 0] + np.abs(where) * (intervals[..., 1] - intervals[..., 0]), where)
    return angles


def _averaged(hits: Array, where: Array, classes: Array, intervals: Array, thetas: Array) -> Array:
    """What each image says about the share of the angles up to each theta at which it hits, [N, T].

    hits: bool [N, 1 + M], unturned and in each band; where: [M, N], the interval of that draw. An image without a draw
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
    widths = np.diff(intervals, axis=1) * (intervals[:, 1:] <= thetas)  # an interval is inside or outside
    weights = widths / np.maximum(widths.sum(0), 1e-300)  # [S, T]; columns sum to 1, to 0 for theta = 0
    # Rounded, so that an image that always stays has 1: of 1 - 1e-16 its interval would say that it can vary.
    shares = np.round(np.einsum("ns,st->nt", values, weights), 12)
    averages: Array = np.where(thetas > 0, shares, hits[:, :1].astype(float))
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


def _normal_bounds(values: Array, confidence: float) -> tuple[Array, Array]:
    """Normal bounds for the means of `values` [N, T] over the images, or those of Clopper-Pearson where they are wider
    and fewer than ten images make the difference to 0 or 1."""
    n, mean = len(values), values.mean(0)
    reach = float(norm.ppf((1 + confidence) / 2)) * values.std(0) / np.sqrt(n)
    sure_low, sure_high = share_bounds(np.clip(mean, 0, 1), n, confidence)
    few = n * np.minimum(mean, 1 - mean) < 10
    low = np.where(few, np.minimum(mean - reach, sure_low), mean - reach)
    high = np.where(few, np.maximum(mean + reach, sure_high), mean + reach)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


@dataclass(frozen=True, eq=False)
class QuarterTurns:
    """How a model takes exact quarter turns, where no pixel is interpolated and none is lost."""

    degrees: Array  # [3]: 90, 180, 270
    rate: Array  # [3] the share of predictions that stay
    low: Array
    high: Array
    deviation: Array  # [3] the largest difference of a logit from the unturned one, over the spread of all logits
    images: int
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """All of it in lists and numbers, ready for `json.dumps(..., allow_nan=False)`."""
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(self).items()}


def quarter_turn_consistency(model: Model, images: Tensor, *, confidence: float = 0.95) -> QuarterTurns:
    """Whether the predictions stay when the images are turned by 90, 180 and 270 degrees, and how much the logits move.

    model, images: as for `robustness_profile`; images must be square. deviation: max |f(rot x) - f(x)| over images and
    classes, divided by the standard deviation of the logits (of unturned and turned images); 0 for a model that is
    invariant, up to rounding. Intervals are Clopper-Pearson over the images. Raises InputError for anything else."""
    images = checked_images(images)
    check_settings(confidence=confidence, seed=0)
    if images.shape[2] != images.shape[3]:
        raise InputError(
            f"images are {images.shape[2]} x {images.shape[3]}, but a quarter turn keeps all pixels of a square image "
            "only: crop or pad them to a square"
        )
    with evaluating(model), torch.no_grad():
        outputs = torch.stack([_turned_logits(model, images, 90 * k) for k in range(4)])  # [4, N, K]
    classes = outputs.argmax(2)
    kept = (classes[1:] == classes[0]).double().mean(1).cpu().numpy()
    finite = outputs.double().clamp(-1e38, 1e38)  # log-probabilities may be -inf
    moved = (finite[1:] - finite[0]).abs().amax((1, 2))
    spread = finite.std(correction=0).clamp(min=1e-300)  # where all logits are equal none has moved
    low, high = share_bounds(kept, len(images), confidence)
    deviation = (moved / spread).cpu().numpy()
    return QuarterTurns(np.array([90.0, 180.0, 270.0]), kept, low, high, deviation, len(images), confidence)


def _turned_logits(model: Model, images: Tensor, degrees: float) -> Tensor:
    parts = batches(len(images), images.device)
    return torch.cat([logits(model, rotate(images[part], degrees)) for part in parts])
