"""The rate of invariance over theta, on average over random changes of the images or in the worst case of several.

Definition: Kamath, Deshpande and Subrahmanyam 2020, sections 1.1 and 2. The prediction on the changed image is compared
with the model's own prediction on the clean one."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from invrob.checks import Array, check_settings
from invrob.empirical.inference import Model, checked_images, checked_labels, evaluating, predict
from invrob.empirical.profiles import sampling
from invrob.empirical.profiles.rates import Bounds, RatesOverTheta, binomial_bounds, rates_per_image
from invrob.empirical.profiles.settings import (
    Against,
    Change,
    Grid,
    Over,
    Rotation,
    WorstOf,
    adversary_of,
    change_of,
)
from invrob.empirical.profiles.work import counting, work_of_change
from invrob.empirical.profiles.worst_case import WorstCaseProfile, in_the_worst_case
from invrob.empirical.transforms import Interpolation, in_disc, on_canvas
from invrob.errors import InputError
from invrob.intervals import mean_bounds
from invrob.progress import Progress


@dataclass(frozen=True, eq=False, repr=False)
class InvarianceProfile(RatesOverTheta):
    """The rate of invariance: the share of predictions that stay under a change drawn at random.

    Rotations are drawn by an angle uniform in [-theta, theta]."""

    evaluations: float  # model evaluations per image
    border: str
    path: str
    transformation: str

    @property
    def about(self) -> str:
        border = "" if self.border == "zero" else f", border {self.border!r}"
        path = "" if self.path == "there" else f", path {self.path!r}"
        return self.transformation + border + path


@overload
def invariance_profile(
    model: Model,
    images: Tensor,
    thetas: Iterable[float],
    labels: Tensor | None = None,
    *,
    over: Over = "rotation",
    against: Literal["average"] = "average",
    interpolation: Interpolation = "bilinear",
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = False,
) -> InvarianceProfile: ...


@overload
def invariance_profile(
    model: Model,
    images: Tensor,
    thetas: Iterable[float],
    labels: Tensor | None = None,
    *,
    over: Over = "rotation",
    against: WorstOf | Grid,
    interpolation: Interpolation = "bilinear",
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = False,
) -> WorstCaseProfile: ...


@overload
def invariance_profile(
    model: Model,
    images: Tensor,
    thetas: Iterable[float],
    labels: Tensor | None = None,
    *,
    over: Over = "rotation",
    against: Against,
    interpolation: Interpolation = "bilinear",
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = False,
) -> InvarianceProfile | WorstCaseProfile: ...


def invariance_profile(
    model: Model,
    images: Tensor,
    thetas: Iterable[float],
    labels: Tensor | None = None,
    *,
    over: Over = "rotation",
    against: Against = "average",
    interpolation: Interpolation = "bilinear",
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = False,
) -> InvarianceProfile | WorstCaseProfile:
    """How often the prediction of a model stays when the image is changed, by how far it may be changed.

    A single sweep serves all thetas: an image is changed once in each of a few bands of the parameters, and a rate is
    the mean over the bands inside its box, without bias for all images together; a class with few images borrows from
    the others (docs/how-to/transformations.md derives it).

    Args:
        model: any callable, images [N, C, H, W] in [0, 1] -> logits [N, K >= 2]. An nn.Module runs in eval mode with
            frozen parameters, and gets both back.
        images: float32 or float64 [N >= 1, C, H, W] in [0, 1].
        thetas: [T >= 1] increasing, how far a change may go: degrees in [0, 180] for rotations, pixels for
            translations, and so on, as `transforms.TRANSFORMATIONS` has them.
        labels: int [N], the true classes, for the accuracy under the same changes.
        over: what changes the images: `Rotation(...)`, `Change("translation")`, or the name alone for its defaults.
        against: "average" for changes drawn at random; `WorstOf(10)` or `Grid()`, or their names "worst-of-10" and
            "grid", for an adversary that tries several changes of an image and keeps the worst.
        interpolation: "bilinear" or "nearest", between pixels.
        seed: of the draws, in [0, 2^63).
        confidence: level of the intervals, in (0, 1). They are over the images and their changes: Agresti and Coull's
            rule for means; exact binomial for flips, in the worst case, and for the accuracy of unchanged images.
        progress: True for a bar with the time left, of tqdm, a widget in a notebook; or a callable that is called in
            its place with what is at work, the work done and all the work. The numbers are the same.

    Returns:
        An `InvarianceProfile`, or a `WorstCaseProfile` for an adversary: rates [T] in [0, 1], with intervals, the
        accuracy, and a row for each class. A worst-case rate is an upper bound, as good as its adversary; that of a
        grid never rises with theta.

    Raises:
        InputError: outside these ranges, for a grid of more than a million points, and for a model that returns NaN or
            takes channels last, [N, H, W, C].

    Example:
        >>> import torch, invrob
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> profile = invrob.invariance_profile(model, images, thetas=[0, 90, 180])
        >>> profile.rate.shape, float(profile.rate[0])
        ((3,), 1.0)
        >>> invrob.invariance_profile(model, images, [0, 90, 180], against=invrob.WorstOf(3)).adversary
        'worst-of-3'
    """
    images = checked_images(images)
    change, adversary = change_of(over), adversary_of(against)
    grid = change.family.checked(thetas)
    check_settings(confidence=confidence, seed=seed)
    if adversary is not None and change.step is not None:
        raise InputError(f"step = {change.step} is made for against = 'average': leave it out for {adversary.name}")
    images = on_canvas(images, change.fill) if change.border == "canvas" else images
    work = {f"invariance to {change.name}": work_of_change(change, tuple(grid.tolist()), adversary)}
    with counting(model, progress, work, len(images)) as (model, begins), evaluating(model):
        begins(next(iter(work)))
        labels = checked_labels(labels, images, model)
        truth = None if labels is None else labels.cpu().numpy()

        def ask(chosen: Tensor, parameters: Array) -> Array:
            answers: Array = predict(model, changed_images(chosen, parameters, change, interpolation)).cpu().numpy()
            return answers

        if adversary is not None:
            ask_rows = lambda rows, parameters: ask(images[torch.from_numpy(rows)], parameters)  # noqa: E731
            return in_the_worst_case(ask_rows, len(images), truth, change.family, grid, adversary, seed, confidence)
        rng = np.random.default_rng(seed)
        volumes = change.family.volumes(grid)
        draws = sampling.drawn(change.family.dimensions, change.step, volumes, len(images), rng)
        parameters = change.family.parameters(draws.radii, rng)
        unchanged = np.zeros((1, parameters.shape[-1]))
        predictions = np.stack([ask(images, values) for values in (unchanged, *parameters)], 1)  # [N, 1 + M]
    fields = rates_of_answers(
        predictions,
        truth,
        draws,
        volumes,
        confidence=confidence,
        seed=seed,
        bounds=mean_bounds if change.family.dimensions else binomial_bounds,
    )
    return InvarianceProfile(
        **fields,
        thetas=grid,
        evaluations=1.0 + len(draws.radii),
        border=change.border,
        path=change.path,
        transformation=change.name,
    )


def worst_case_profile(
    model: Model,
    images: Tensor,
    thetas: Iterable[float],
    labels: Tensor | None = None,
    *,
    over: Over = "rotation",
    against: Against = WorstOf(10),
    interpolation: Interpolation = "bilinear",
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = False,
) -> WorstCaseProfile:
    """How often the prediction of a model stays under all changes that an adversary tries.

    It is `invariance_profile` with `against=WorstOf(10)`, under another name.

    Args:
        model, images, thetas, labels, over, interpolation, seed, confidence, progress: as for `invariance_profile`.
        against: `WorstOf(k)` or `Grid(finer)`, or their names "worst-of-10" and "grid".

    Returns:
        A `WorstCaseProfile`.

    Raises:
        InputError: as `invariance_profile`, and for the average.

    Example:
        >>> import torch, invrob
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> invrob.worst_case_profile(model, torch.rand(4, 1, 8, 8), [0, 30], against=invrob.Grid()).adversary
        'grid'
    """
    adversary = adversary_of(against)
    if adversary is None:
        raise InputError(f"against = {against!r} is no adversary: use 'grid', or 'worst-of-10' for ten random changes")
    return invariance_profile(
        model,
        images,
        thetas,
        labels,
        over=over,
        against=adversary,
        interpolation=interpolation,
        seed=seed,
        confidence=confidence,
        progress=progress,
    )


def rates_of_answers(
    predictions: Array,
    truth: Array | None,
    draws: sampling.Draws,
    volumes: Array,
    *,
    confidence: float,
    seed: int,
    bounds: Bounds = mean_bounds,
) -> dict[str, Any]:
    """The fields of `Rates` from what a model answered, for boxes of `volumes` [T].

    predictions: int [N, 1 + M], for the unchanged images and for each of the `draws`. truth: int [N], the true classes.
    bounds: as for `rates_per_image`."""
    clean = predictions[:, 0]
    stays = predictions == clean[:, None]
    right = None if truth is None else sampling.rates_in_boxes(predictions == truth[:, None], draws, volumes)
    classes = clean if truth is None else truth
    return rates_per_image(
        sampling.rates_in_boxes(stays, draws, volumes),
        clean,
        truth,
        volumes == 0,
        confidence=confidence,
        seed=seed,
        correct=right,
        bounds=bounds,
        rows=sampling.rates_of_classes(stays, draws, classes, volumes, confidence, bounds),
    )


def changed_images(
    images: Tensor, parameters: Array, change: Rotation | Change, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """What the model sees at these parameters, [N or 1, d]; at 0 it is what its answers are compared with."""
    apply = partial(change.family.apply, interpolation=interpolation, fill=change.fill)
    changed = apply(images, parameters)
    if change.path == "there-and-back":
        changed = apply(changed, -parameters)
    return in_disc(changed, change.fill) if change.border == "disc" else changed
