"""Gradient attacks in pixel space: tensors in, an `Attack` out. Nothing here prints, saves, seeds or changes device.

Sources: Goodfellow et al. 2015 (arXiv 1412.6572), FGSM; Madry et al. 2018 (arXiv 1706.06083), section 2.1: PGD from a
random start. The loss is log(sum of the other classes' odds): cross-entropy is log(1 + exp(it)), so both have the same
gradient direction, but this one never vanishes, however sure the model is (no masking by float32 underflow)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from invrob.empirical.attacks.norms import Norm, norm_named
from invrob.empirical.inference.memory import in_pieces
from invrob.empirical.inference.model import (
    Model,
    all_logits,
    batches,
    checked_images,
    checked_labels,
    evaluating,
    logits,
    predict,
)
from invrob.errors import InputError


@dataclass(frozen=True)
class Attack:
    """What an attack found, image by image."""

    images: Tensor  # [N, C, H, W] inside the ball and [0, 1]; of all iterates the one nearest to fooling, or beyond
    fooled: Tensor  # [N] bool: the prediction is not the label
    stuck: Tensor  # [N] bool: not fooled, but met an all-zero or NaN gradient; says little about the model
    evaluations: int  # gradient evaluations, summed over the images


def odds_loss(outputs: Tensor, labels: Tensor, targets: Tensor | None = None, spread: float = 0.0) -> Tensor:
    """Log-odds [N] of the other classes against `labels`, or of `targets` alone (-1 for all); logits [N, K].

    Its gradient is that of the cross-entropy up to a positive factor per image, and never underflows. But where the
    logits lie close together (softmax outputs, a high temperature, adversarial training) all classes pull at once, and
    none is reached. With `spread` such logits are taken that far apart first, and the loss is scaled back: then the
    nearest class leads whatever the temperature."""
    outputs = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
    if spread:
        apart = (outputs.amax(1) - outputs.amin(1)).detach()
        factor = (spread / apart.clamp(min=spread * 1e-30)).clamp(min=1)
        return odds_loss(outputs * factor[:, None], labels, targets) / factor
    own = outputs.gather(1, labels[:, None])[:, 0]
    others = outputs.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    if targets is not None:
        aimed = outputs.gather(1, targets.clamp(min=0)[:, None])[:, 0]
        others = torch.where(targets >= 0, aimed, others)
    return others - own


def margins(outputs: Tensor, labels: Tensor) -> Tensor:
    """The largest other logit minus the label's own, [N]: above 0 the label has lost."""
    others = outputs.scatter(1, labels[:, None], -torch.inf).amax(1)
    return others - outputs.gather(1, labels[:, None])[:, 0]


def loss_and_gradient(
    model: Model, x: Tensor, labels: Tensor, targets: Tensor | None, spread: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Logits [N, K] at `x` and the gradient [N, C, H, W] of the odds loss; zero where the model gives none or a NaN.

    It takes as many images at once as fit into memory."""

    def loss(outputs: Tensor, piece: slice) -> Tensor:
        return odds_loss(outputs, labels[piece], None if targets is None else targets[piece], spread)

    outputs, _, gradient = value_and_gradient(model, x, loss)
    return outputs, gradient


def value_and_gradient(
    model: Model, x: Tensor, loss: Callable[[Tensor, slice], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [N, K] at `x`, the loss [N] and its gradient [N, C, H, W]; zero where the model gives none or a NaN.

    loss: logits of a slice of the images, and that slice -> the loss of each."""
    pieces = in_pieces(model, x, lambda piece: _value_and_gradient(model, x[piece], lambda z: loss(z, piece)))
    outputs, values, gradients = zip(*pieces, strict=True)
    return torch.cat(outputs), torch.cat(values), torch.cat(gradients)


def _value_and_gradient(model: Model, x: Tensor, loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        outputs = logits(model, x)
        values = loss(outputs)
        found: Sequence[Tensor | None] = (None,)
        if values.requires_grad:  # unless the model ignores its input, or detaches it
            found = torch.autograd.grad(values.sum(), x, allow_unused=True)
    gradient = torch.zeros_like(x) if found[0] is None else found[0].nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return outputs.detach(), values.detach(), gradient


def runner_up(outputs: Tensor, labels: Tensor, rank: int) -> Tensor:
    """The `rank`-th most likely class that is not the label (1 is the first), or -1 where there are not so many."""
    others = outputs.scatter(1, labels[:, None], -torch.inf)
    if rank > outputs.shape[1] - 1:
        return torch.full_like(labels, -1)
    return others.topk(rank, dim=1).indices[:, -1]


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
