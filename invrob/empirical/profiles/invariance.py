"""The rate of invariance over theta, for any model: how often its prediction stays when the image is changed.

Definition: Kamath, Deshpande and Subrahmanyam 2020, sections 1.1 and 2, for rotations; transformations.py has the
others. The prediction is compared with the model's own prediction on the clean image, so a constant classifier has
100 %: the accuracy stands beside each rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from invrob.checks import Array, check_settings
from invrob.empirical.inference import Model, checked_images, checked_labels, evaluating, predict
from invrob.empirical.profiles import sampling as bands
from invrob.empirical.profiles.rates import RatesOverTheta, binomial_bounds, rates_per_image
from invrob.empirical.transforms import Interpolation, Transformation, in_disc, on_canvas, transformation_named
from invrob.errors import InputError, did_you_mean
from invrob.intervals import bootstrap_bounds

Border = Literal["zero", "canvas", "disc"]
Path = Literal["there", "there-and-back"]


@dataclass(frozen=True, eq=False)
class InvarianceProfile(RatesOverTheta):
    """The rate of invariance: the share of predictions that stay under a change drawn at random, such as a rotation by
    an angle uniform in [-theta, theta]."""

    evaluations: float  # model evaluations per image
    border: str
    path: str
    transformation: str


def invariance_profile(
    model: Model,
    images: Tensor,
    thetas: Iterable[float],
    labels: Tensor | None = None,
    seed: int = 0,
    *,
    transformation: str = "rotation",
    step: float | None = None,
    interpolation: Interpolation = "bilinear",
    fill: float = 0.0,
    border: Border = "zero",
    path: Path = "there",
    confidence: float = 0.95,
) -> InvarianceProfile:
    """The share of predictions that stay under a random change, averaged over the box of parameters of each theta: for
    rotations over angles uniform in [-theta, theta].

    model, images, labels: as for `robustness_profile`. transformation: of `transformations.TRANSFORMATIONS`. thetas:
    its values, increasing: degrees in [0, 180] for "rotation" and "rotation+translation" (theta / 10 pixels), in
    [0, 80] for "shear"; pixels for "translation"; the largest factor, from 1 to 100, for "scaling"; 0 and 1 for
    "horizontal-flip" and "vertical-flip". Each image gets one change in each of some bands of them, so that one sweep
    serves all thetas. step: the widest band, in degrees (rotations only); each theta then ends a band, and the finer,
    the smaller is the error. None: as few bands as need be, 6 for rotations by 15, 30, ..., 180. A band then ends at up
    to twice the volume of the box that it begins at. Where it spans several thetas, an equal share of the images for
    each unit of volume, chosen at random, draws between two of them, at least 32, and the rate at a theta inside the
    band rests on those within.

    There is no bias, but that a class without a draw in an interval borrows the rate of all images there.
    `per_image` has the rate as its mean, and the spread that its error comes from; in shared bands single values may
    leave [0, 1]. Intervals are a bootstrap over the images; with step = None they are normal ones, or those of
    Clopper-Pearson where these are wider, close to 0 and 1, and for flips.

    interpolation, fill: of `affine.affine`.

    What is compared: the prediction on the changed image with that on the reference, which is also what
    `clean_accuracy` is of. border: "zero": x changed on its own canvas, where corners leave and fill comes in, with x.
    Rotations alone have two more. "canvas": the same, for x set small on a larger canvas of `fill`, both scaled to the
    size of x, so that nothing leaves in any turn (square images only). "disc": x turned, with x, both with `fill`
    outside the inscribed disc, so that no corner tells the angle. path: "there": turned by the angle. "there-and-back"
    (rotations only): turned by the angle and then by minus the angle, so that what changes, changes by interpolation
    and border alone.

    Raises InputError for anything outside these ranges, and for a model that returns NaN."""
    images = checked_images(images)
    change = transformation_named(transformation)
    grid = change.checked(thetas)
    check_settings(confidence=confidence, seed=seed)
    _check_options(transformation, step, border, path)
    rng = np.random.default_rng(seed)
    volumes = change.volumes(grid)
    intervals, places, where = _drawn(change, volumes, step, len(images), rng)
    parameters = change.parameters(places, rng)
    shown = partial(_shown, change=change, interpolation=interpolation, fill=fill, border=border, path=path)
    images = on_canvas(images, fill) if border == "canvas" else images
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        clean = predict(model, shown(images, np.zeros((1, parameters.shape[-1])))).cpu().numpy()
        changed = [predict(model, shown(images, each)).cpu().numpy() for each in parameters]
    truth = None if labels is None else labels.cpu().numpy()
    asked = np.stack([clean, *changed], 1)  # [N, 1 + M]
    average = partial(
        bands.averaged, where=where, classes=clean if truth is None else truth, intervals=intervals, volumes=volumes
    )
    kept = average(asked == clean[:, None])
    correct = None if truth is None else average(asked == truth[:, None])
    bounds = partial(bands.normal_bounds if change.dimensions else binomial_bounds, confidence=confidence)
    if step is not None:
        bounds = partial(bootstrap_bounds, rng=rng, confidence=confidence)
    return InvarianceProfile(
        **rates_per_image(kept, correct, clean, truth, volumes == 0, bounds, confidence=confidence, seed=seed),
        thetas=grid,
        evaluations=1.0 + len(places),
        border=border,
        path=path,
        transformation=transformation,
    )


def _check_options(transformation: str, step: float | None, border: str, path: str) -> None:
    if not (step is None or 0 < step <= 180):
        raise InputError(f"step = {step} is outside (0, 180] degrees: smaller is finer, and None asks the model least")
    _check_name("border", border, get_args(Border))
    _check_name("path", path, get_args(Path))
    for argument, value, usual in (("step", step, None), ("border", border, "zero"), ("path", path, "there")):
        if transformation != "rotation" and value != usual:
            raise InputError(f"{argument} = {value!r} is made for rotations: leave it out for {transformation}")


def _check_name(argument: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(f"{argument} = {name!r} is unknown{did_you_mean(str(name), known)}: use {', '.join(known)}")


def _drawn(
    change: Transformation, volumes: Array, step: float | None, n: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """As `bands.sweep`; a change without a box has one place other than the identity, and every image is shown it."""
    if change.dimensions:
        return bands.sweep(volumes, step, n, rng)
    count = int(volumes.any())
    return np.tile([0.0, 1.0], (count, 1)), np.ones((count, n)), np.zeros((count, n), dtype=int)


def _shown(
    images: Tensor,
    parameters: Array,
    *,
    change: Transformation,
    interpolation: Interpolation,
    fill: float,
    border: Border,
    path: Path,
) -> Tensor:
    """What the model is shown at these parameters; where they are 0, the reference."""
    shown = change.apply(images, parameters, interpolation, fill)
    if path == "there-and-back":
        shown = change.apply(shown, -parameters, interpolation, fill)
    return in_disc(shown, fill) if border == "disc" else shown
