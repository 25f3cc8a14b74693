"""Gradient attacks in pixel space: tensors in, an `Attack` out. Nothing here prints, saves, seeds or changes device.

Sources: Goodfellow et al. 2015 (arXiv 1412.6572), FGSM; Madry et al. 2018 (arXiv 1706.06083), section 2.1: PGD from a
random start. The loss is log(sum of the other classes' odds): cross-entropy is log(1 + exp(it)), so both have the same
gradient direction, but this one never vanishes, however sure the model is (no masking by float32 underflow)."""

from collections.abc import Callable
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
    """What an attack came to, image by image."""

    images: Tensor  # [N, C, H, W] inside the ball and [0, 1]; of all iterates the nearest to fooling, or beyond
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
    """Look near each image for one that is not classified as its label, by steps along the gradient.

    The model runs in eval mode with frozen parameters and gets both back.

    Args:
        model: images [N, C, H, W] in [0, 1] -> logits [N, K >= 2].
        images: float32 or float64 [N, C, H, W] in [0, 1], N >= 1.
        epsilon: radius of the ball around each image, >= 0 in pixel units (<= 1 for "linf").
        labels: int [N]; by default the model's own predictions (then `fooled` is a change of prediction).
        norm: "linf" or "l2".
        steps: gradient steps of a start, >= 1.
        step_size: > 0 in pixel units, by default 2.5 epsilon / steps (Madry's rule).
        restarts: random starts, >= 1. From the second on they aim at the next most likely class while there is one.
            The first ones stay the same when there are more.
        seed: of the random starts.

    Returns:
        An `Attack`.

    Raises:
        InputError: outside these ranges, and for a model that returns NaN.

    Example:
        >>> import torch
        >>> from invrob.empirical.attacks import pgd
        >>> image = torch.tensor([0.4, 0.6]).reshape(1, 1, 1, 2)
        >>> pgd(lambda x: x.flatten(1), image, 0.2).fooled
        tensor([True])
    """
    if not (isinstance(steps, (int, np.integer)) and steps >= 1):
        raise InputError(
            f"steps = {steps} must be an integer of at least 1: for the clean predictions call the model itself"
        )
    if step_size is not None and not 0 < step_size < float("inf"):
        raise InputError(f"step_size = {step_size} must be positive: leave it out for 2.5 epsilon / steps")
    if not (isinstance(restarts, (int, np.integer)) and restarts >= 1):
        raise InputError(f"restarts = {restarts} must be an integer of at least 1: 1 is a single attack")

    def attack(x: Tensor, labels: Tensor, radius: Tensor, norm: Norm, start: int) -> Attack:
        stride = 2.5 * radius / steps if step_size is None else torch.full_like(radius, step_size)
        generator = torch.Generator(x.device).manual_seed(int(seed) + start)  # whatever came before it
        return attack_batch(
            model, x, labels, radius, norm, steps=steps, stride=stride, restarts=restarts, generator=generator
        )

    return _by_batches(model, images, epsilon, labels, norm, attack)


def fgsm(model: Model, images: Tensor, epsilon: float, *, labels: Tensor | None = None, norm: str = "linf") -> Attack:
    """Take a single gradient step of size `epsilon` from each image itself, kept in [0, 1].

    The model runs in eval mode with frozen parameters and gets both back.

    Args:
        model, images, epsilon, labels, norm: as those of `pgd`.

    Returns:
        An `Attack`.

    Raises:
        InputError: outside these ranges, and for a model that returns NaN.

    Example:
        >>> import torch
        >>> from invrob.empirical.attacks import fgsm
        >>> image = torch.tensor([0.4, 0.6]).reshape(1, 1, 1, 2)
        >>> fgsm(lambda x: x.flatten(1), image, 0.05).fooled
        tensor([False])
    """

    def step(x: Tensor, labels: Tensor, radius: Tensor, norm: Norm, start: int) -> Attack:
        _, gradient = loss_and_gradient(model, x, labels, None)
        moved = norm.move(x, x, radius, norm.ascent(gradient), radius)
        fooled = predict(model, moved) != labels
        return Attack(moved, fooled, (gradient == 0).flatten(1).all(1) & ~fooled, len(x))

    return _by_batches(model, images, epsilon, labels, norm, step)


def _by_batches(
    model: Model,
    images: Tensor,
    epsilon: float,
    labels: Tensor | None,
    norm: str,
    attack: Callable[[Tensor, Tensor, Tensor, Norm, int], Attack],
) -> Attack:
    """`attack` on one batch after the other: images, labels, radius [n], norm, index of the first image -> `Attack`."""
    images, ball = checked_images(images), norm_named(norm)
    if not 0 <= epsilon <= ball.largest or epsilon == float("inf"):
        limits = f"[0, {ball.largest:g}]" if ball.largest < float("inf") else "[0, inf)"
        raise InputError(f"epsilon = {epsilon} is outside {limits}: pixels are in [0, 1], so write 8 / 255, not 8")
    radius = torch.full((len(images),), float(epsilon), device=images.device, dtype=torch.float64)
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        labels = predict(model, images) if labels is None else labels
        parts = batches(len(images), images.device)
        attacks = [attack(images[part], labels[part], radius[part], ball, part.start) for part in parts]
    x, fooled, stuck = (torch.cat([getattr(a, name) for a in attacks]) for name in ("images", "fooled", "stuck"))
    return Attack(x, fooled, stuck, sum(a.evaluations for a in attacks))


def attack_batch(
    model: Model,
    images: Tensor,
    labels: Tensor,
    epsilon: Tensor,
    norm: Norm,
    *,
    steps: int,
    stride: Tensor,
    restarts: int,
    generator: torch.Generator,
) -> Attack:
    """`pgd` on a batch of any size with an epsilon and a stride [N] per image (float64), unchecked; call it inside
    `evaluating(model)`.

    Only the survivors go on, and every image keeps its best iterate over all restarts."""
    fooled = torch.zeros_like(labels, dtype=torch.bool)
    if not len(images):
        return Attack(images, fooled, fooled, 0)
    outputs = all_logits(model, images)
    best, score, stuck, evaluations = images.clone(), margins(outputs, labels), fooled.clone(), 0
    fooled = outputs.argmax(1) != labels
    for restart in range(restarts):
        noise = norm.draw(images, generator)  # for all, so that the draws do not depend on who survived
        alive = (~fooled & (epsilon > 0)).nonzero()[:, 0]
        targets = runner_up(outputs, labels, restart)
        x = norm.move(images, images, epsilon, noise, epsilon)[alive]
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
                x = norm.move(images[alive], x, stride[alive], norm.ascent(gradient), epsilon[alive])
            alive, x = alive[~won], x[~won]
    return Attack(best, fooled, stuck & ~fooled, evaluations)
