"""The rate of invariance over theta, for any model: how often its prediction stays when the image turns.

Definition: Kamath, Deshpande and Subrahmanyam 2020, sections 1.1 and 2. The prediction is compared with the model's own
prediction on the clean image, so a constant classifier has 100 %: the accuracy stands beside each rate."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from invrob.empirical.inference import Model, batches, checked_images, checked_labels, evaluating, logits, predict
from invrob.empirical.rates import Array, Rates, check_settings, checked_grid, rates_per_image
from invrob.empirical.transforms import Interpolation, in_disc, on_canvas, rotate
from invrob.errors import InputError, did_you_mean
from invrob.intervals import bootstrap_bounds, share_bounds

Border = Literal["zero", "canvas", "disc"]
Path = Literal["there", "there-and-back"]
Turn = Callable[[Tensor, float], Tensor]  # images [N, C, H, W], degrees -> what the model is shown

GROUPS = 8  # of images; each draws its own angle in every band, so that together they fill it evenly


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
    step: float = 7.5,
    interpolation: Interpolation = "bilinear",
    fill: float = 0.0,
    border: Border = "zero",
    path: Path = "there",
    confidence: float = 0.95,
) -> InvarianceProfile:
    """The share of predictions that stay under a random rotation, averaged over angles uniform in [-theta, theta].

    model, images, labels: as for `robustness_profile`. thetas: degrees in [0, 180], increasing. step: the widest
    band of angles, in degrees. Each image gets one angle in each band between two thetas, drawn uniformly from both
    sides, so that one sweep serves all thetas and the estimate has no bias. interpolation, fill: of
    `transforms.rotate`.

    What is compared: the prediction on the turned image with that on the reference, which is also what
    `clean_accuracy` is of. border: "zero": x turned on its own canvas, where corners leave and fill comes in, with x.
    "canvas": the same, for x set small on a larger canvas of `fill`, both scaled to the size of x, so that nothing
    leaves in any turn (square images only). "disc": x turned, with x, both with `fill` outside the inscribed disc, so
    that no corner tells the angle. path: "there": turned by the angle. "there-and-back": turned by the angle and then
    by minus the angle, so that what changes, changes by interpolation and border alone.

    Intervals are a bootstrap over the images. Raises InputError for anything outside these ranges, and for a model that
    returns NaN."""
    images = checked_images(images)
    grid = checked_grid("thetas", thetas, 180.0, "degrees to either side, so 180 is every rotation")
    check_settings(confidence=confidence, seed=seed)
    if not 0 < step <= 180:
        raise InputError(f"step = {step} is outside (0, 180] degrees: 7.5 is the default, smaller is finer")
    _check_name("border", border, get_args(Border))
    _check_name("path", path, get_args(Path))
    rng = np.random.default_rng(seed)
    bands = _bands(grid, step)
    turn = partial(_turned, interpolation=interpolation, fill=fill, border=border, path=path)
    images = on_canvas(images, fill) if border == "canvas" else images
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        clean = predict(model, turn(images, 0.0)).cpu().numpy()
        turned = _turned_predictions(model, images, _angles(bands, rng), turn)
    truth = None if labels is None else labels.cpu().numpy()
    average = partial(_averaged, bands=bands, thetas=grid)
    kept = average(turned == clean[:, None], np.ones(len(clean)))
    correct = None if truth is None else average(turned == truth[:, None], clean == truth)
    bounds = partial(bootstrap_bounds, rng=rng, confidence=confidence)
    return InvarianceProfile(
        **rates_per_image(kept, correct, clean, truth, grid == 0, bounds, confidence=confidence, seed=seed),
        thetas=grid,
        evaluations=1.0 + len(bands),
        border=border,
        path=path,
    )


def _check_name(argument: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(f"{argument} = {name!r} is unknown{did_you_mean(str(name), known)}: use {', '.join(known)}")


def _turned(
    images: Tensor, degrees: float, *, interpolation: Interpolation, fill: float, border: Border, path: Path
) -> Tensor:
    """What the model is shown at this angle; at 0 degrees the reference."""
    turned = rotate(images, degrees, interpolation=interpolation, fill=fill)
    if path == "there-and-back":
        turned = rotate(turned, -degrees, interpolation=interpolation, fill=fill)
    return in_disc(turned, fill) if border == "disc" else turned


def _bands(thetas: Array, step: float) -> Array:
    """Intervals of the size of the angle [M, 2] that tile [0, max], with an edge at every theta, none wider than
    `step`."""
    edges = [0.0]
    for theta in thetas[thetas > 0]:
        parts = max(1, int(np.ceil((theta - edges[-1]) / step - 1e-9)))
        edges.extend([*np.linspace(edges[-1], theta, parts + 1)[1:-1], theta])
    return np.column_stack([edges[:-1], edges[1:]])


def _angles(bands: Array, rng: np.random.Generator) -> Array:
    """One angle per band and group of images, [M, GROUPS]: the groups share out both sides of the band in random
    order."""
    order = np.argsort(rng.random((len(bands), GROUPS)), axis=1)
    where = 2 * (order + rng.random((len(bands), GROUPS))) / GROUPS - 1  # in [-1, 1): the side, and how far out
    angles: Array = np.copysign(bands[:, :1] + np.abs(where) * np.diff(bands, axis=1), where)
    return angles


def _turned_predictions(model: Model, images: Tensor, angles: Array, turn: Turn) -> Array:
    """The predictions [N, M] after a turn by each image's angle in each of M bands; image i is in group i mod
    GROUPS."""
    turned = torch.empty((len(images), len(angles)), dtype=torch.int64, device="cpu")
    for group in range(min(GROUPS, len(images))):
        members = images[group::GROUPS]
        for column, angle in enumerate(angles[:, group]):  # one angle for all: the same taps serve every image
            turned[group::GROUPS, column] = predict(model, turn(members, float(angle))).cpu()
    return turned.numpy()


def _averaged(hits: Array, unturned: Array, bands: Array, thetas: Array) -> Array:
    """The share of the angles up to each theta [N, T] at which an image hits, from its hit in each band [N, M] and, for
    theta = 0, unturned [N]."""
    widths = np.diff(bands, axis=1) * (bands[:, 1:] <= thetas)  # a band is inside or outside
    weights = widths / np.maximum(widths.sum(0), 1e-300)  # [M, T]; columns sum to 1, to 0 for theta = 0
    # Rounded, so that an image that always stays has 1: of 1 - 1e-16 its interval would say that it can vary.
    shares = np.round(np.einsum("nm,mt->nt", hits.astype(float), weights), 12)
    averages: Array = np.where(thetas > 0, shares, unturned[:, None].astype(float))
    return averages


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
