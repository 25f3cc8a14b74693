"""Gradient attacks in pixel space: tensors in, an `Attack` out. Nothing here prints, saves, seeds or changes device.

Sources: Goodfellow et al. 2015 (arXiv 1412.6572), FGSM; Madry et al. 2018 (arXiv 1706.06083), section 2.1: PGD from a
random start. The loss is log(sum of the other classes' odds): cross-entropy is log(1 + exp(it)), so both have the same
gradient direction, but this one never vanishes, however sure the model is (no masking by float32 underflow)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from invrob.empirical.attacks.gradients import loss_and_gradient, margins, runner_up
from invrob.empirical.attacks.norms import Norm, norm_named
from invrob.empirical.inference import Model, all_logits, batches, checked_images, checked_labels, evaluating, predict
from invrob.errors import InputError


@dataclass(frozen=True)
class Attack:
    """What an attack found, image by image."""

    images: Tensor  # [N, C, H, W] inside the ball and [0, 1]; of all iterates the one nearest to fooling, or beyond
    fooled: Tensor  # [N] bool: the prediction is not the label
    stuck: Tensor  # [N] bool: not fooled, but met an all-zero or NaN gradient; says little about the model
    evaluations: int  # gradient evaluations, summed over the images


def pgd(
    model: Model,
    images: Tensor,
    epsilon: float,
    *,
    labels: Tensor | None = None,
    norm: str = "linf",
    steps: int = 20,
    step_size: float | None = None,
    restarts: int = 1,
    seed: int = 0,
) -> Attack:
    """Look in the ball of radius `epsilon` around each image, inside [0, 1], for one that is not classified as its
    label.

    images: float32 or float64 [N, C, H, W] in [0, 1]. epsilon: >= 0 in pixel units (<= 1 for linf). labels: int [N], by
    default the model's own predictions (then `fooled` is a change of prediction). steps: >= 1, each of `step_size`
    (default 2.5 epsilon / steps, Madry's rule). restarts: >= 1 random starts; from the second on, each aims at the next
    most likely class while there is one. The first ones stay the same when there are more. The model runs in eval mode
    with frozen parameters and gets both back.
    Raises InputError outside these ranges and for NaN logits."""
    images = checked_images(images)
    measure = norm_named(norm)
    _check(epsilon, measure, steps, step_size, restarts)
    radius = torch.full((len(images),), float(epsilon), device=images.device, dtype=torch.float64)
    stride = None if step_size is None else torch.full_like(radius, step_size)
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        labels = predict(model, images) if labels is None else labels
        found = [
            attack_batch(
                model,
                images[part],
                labels[part],
                radius[part],
                measure,
                steps=steps,
                generator=torch.Generator(images.device).manual_seed(int(seed) + part.start),  # whatever came before it
                step_size=None if stride is None else stride[part],
                restarts=restarts,
            )
            for part in batches(len(images), images.device)
        ]
    return Attack(
        torch.cat([a.images for a in found]),
        torch.cat([a.fooled for a in found]),
        torch.cat([a.stuck for a in found]),
        sum(a.evaluations for a in found),
    )


def fgsm(model: Model, images: Tensor, epsilon: float, *, labels: Tensor | None = None, norm: str = "linf") -> Attack:
    """One step of size `epsilon` from the image itself, kept in [0, 1]; arguments and errors as for `pgd`."""
    images = checked_images(images)
    measure = norm_named(norm)
    _check(epsilon, measure, 1, None, 1)
    radius = torch.full((len(images),), float(epsilon), device=images.device, dtype=torch.float64)
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        labels = predict(model, images) if labels is None else labels
        parts = list(batches(len(images), images.device))
        gradient = torch.cat([loss_and_gradient(model, images[part], labels[part], None)[1] for part in parts])
        x = measure.project(images, images + epsilon * measure.ascent(gradient), radius)
        fooled = predict(model, x) != labels
    stuck = (gradient == 0).flatten(1).all(1) & ~fooled
    return Attack(x, fooled, stuck, len(images))


def _check(epsilon: float, norm: Norm, steps: int, step_size: float | None, restarts: int) -> None:
    if not 0 <= epsilon <= norm.largest or epsilon == float("inf"):
        limits = f"[0, {norm.largest:g}]" if norm.largest < float("inf") else "[0, inf)"
        raise InputError(f"epsilon = {epsilon} is outside {limits}: pixels are in [0, 1], so write 8 / 255, not 8")
    if not (isinstance(steps, (int, np.integer)) and steps >= 1):
        raise InputError(
            f"steps = {steps} must be an integer of at least 1: for the clean predictions call the model itself"
        )
    if step_size is not None and not 0 < step_size < float("inf"):
        raise InputError(f"step_size = {step_size} must be positive: leave it out for 2.5 epsilon / steps")
    if not (isinstance(restarts, (int, np.integer)) and restarts >= 1):
        raise InputError(f"restarts = {restarts} must be an integer of at least 1: 1 is a single attack")


def attack_batch(
    model: Model,
    images: Tensor,
    labels: Tensor,
    epsilon: Tensor,
    norm: Norm,
    *,
    steps: int,
    generator: torch.Generator,
    step_size: Tensor | None = None,
    restarts: int = 1,
) -> Attack:
    """`pgd` on one batch with an epsilon [N] per image (float64), unchecked; call it inside `evaluating(model)`.

    Only the survivors go on, and each keeps its best iterate over all restarts."""
    outputs = all_logits(model, images)
    best, score = images.clone(), margins(outputs, labels)
    fooled = outputs.argmax(1) != labels
    stuck = torch.zeros_like(fooled)
    stride = _rows((2.5 * epsilon / steps if step_size is None else step_size).to(images.dtype))
    evaluations = 0
    for restart in range(restarts):
        noise = norm.draw(images, generator)  # for all, so that the draws do not depend on who survived
        alive = (~fooled & (epsilon > 0)).nonzero()[:, 0]
        targets = runner_up(outputs, labels, restart) if restart else torch.full_like(labels, -1)
        x = norm.project(images, images + _rows(epsilon.to(images.dtype)) * noise, epsilon)[alive]
        for step in range(steps + 1):
            if not len(alive):
                break
            if step < steps:
                z, gradient = loss_and_gradient(model, x, labels[alive], targets[alive])
                evaluations += len(alive)
                stuck[alive] |= (gradient == 0).flatten(1).all(1)
            else:
                z = all_logits(model, x)
            margin, won = margins(z, labels[alive]), z.argmax(1) != labels[alive]
            better = won | (margin > score[alive])
            best[alive[better]], score[alive[better]] = x[better], margin[better]
            fooled[alive[won]] = True
            if step < steps:
                x = norm.project(images[alive], x + stride[alive] * norm.ascent(gradient), epsilon[alive])
            alive, x = alive[~won], x[~won]
    return Attack(best, fooled, stuck & ~fooled, evaluations)


def _rows(values: Tensor) -> Tensor:
    return values[:, None, None, None]
