"""Auto-PGD: gradient steps that are halved where they stop helping, on two losses.

Source: Croce and Hein 2020 (arXiv 2003.01690), algorithm 1 with its constants; APGD-CE and APGD-DLR are half of their
AutoAttack. The cross-entropy is climbed by way of `odds_loss`, a monotone function of it that does not underflow."""

from itertools import pairwise
from math import ceil

import torch
from torch import Tensor

from invrob.empirical.attacks.gradients import odds_loss, value_and_gradient
from invrob.empirical.attacks.norms import Norm, per_image
from invrob.empirical.attacks.pgd import Attack
from invrob.empirical.inference import Model, predict

MOMENTUM = 0.75  # share of a step that the gradient makes; the rest is the last move
RISES = 0.75  # share of the steps since the last checkpoint that must have raised the loss, or else steps are halved


def dlr_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """The difference of logits ratio [N]: the margin over the gap between the first and the third class, so that
    neither scale nor shift of the logits [N, K >= 3] matters."""
    ranked = outputs.sort(1, descending=True).values
    of_label = outputs.gather(1, labels[:, None])[:, 0]
    other = torch.where(ranked[:, 0] == of_label, ranked[:, 1], ranked[:, 0])
    return (other - of_label) / (ranked[:, 0] - ranked[:, 2] + 1e-12)


LOSSES = {"ce": odds_loss, "dlr": dlr_loss}


def checkpoints(steps: int) -> list[int]:
    """The steps after which the size of the steps is looked at, increasing."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return sorted({ceil(round(share * steps, 9)) for share in shares if share < 1})


def apgd(
    model: Model,
    images: Tensor,
    labels: Tensor,
    epsilon: Tensor,
    norm: Norm,
    *,
    loss: str,
    steps: int,
    generator: torch.Generator,
) -> Attack:
    """Look near each image for one that is not classified as its label: one run of Auto-PGD from a random start.

    Images that are fooled are left alone from then on. Call it inside `evaluating(model)`; nothing is checked.

    Args:
        model: images [N, C, H, W] in [0, 1] -> logits [N, K].
        images: float [N, C, H, W] in [0, 1], N >= 0.
        labels: int64 [N], which the attack leads away from.
        epsilon: float64 [N], the radius of the ball around each image, in pixel units.
        norm: of the balls.
        loss: "ce", or "dlr" for at least 3 classes.
        steps: gradient evaluations per image, >= 1.
        generator: of the random start; on the device of `images`.

    Returns:
        An `Attack`; its images are those of the highest loss.

    Raises:
        InputError: for a model that returns NaN.

    Example:
        >>> import torch
        >>> from invrob.empirical.attacks import apgd, norm_named
        >>> image, generator = torch.tensor([0.4, 0.6]).reshape(1, 1, 1, 2), torch.Generator().manual_seed(0)
        >>> case = image, torch.tensor([1]), torch.tensor([0.2], dtype=torch.float64), norm_named("linf")
        >>> apgd(lambda x: x.flatten(1), *case, loss="ce", steps=5, generator=generator).fooled
        tensor([True])
    """
    x = norm.move(images, images, epsilon, norm.draw(images, generator), epsilon)
    before, best, best_gradient = x.clone(), x.clone(), torch.zeros_like(x)
    highest = torch.full(labels.shape, -torch.inf, device=images.device, dtype=torch.float64)
    at_checkpoint, rises = highest.clone(), torch.zeros_like(labels)
    last = -highest  # nothing comes before the start, so that it is no rise
    fooled, stuck = torch.zeros_like(labels, dtype=torch.bool), torch.zeros_like(labels, dtype=torch.bool)
    stride, halved = 2 * epsilon, ~fooled
    evaluations, window_starts = 0, {end: start for start, end in pairwise(checkpoints(steps))}
    for step in range(steps):
        who = (~fooled).nonzero()[:, 0]
        if not len(who):
            break
        outputs, value, gradient = value_and_gradient(model, x[who], LOSSES[loss], labels[who])
        value = value.double()
        evaluations += len(who)
        won = outputs.argmax(1) != labels[who]
        fooled[who] = won
        stuck[who] |= ~won & (gradient == 0).flatten(1).all(1)
        rises[who] += value > last[who]
        last[who], higher = value, won | (value > highest[who])
        best[who[higher]], best_gradient[who[higher]] = x[who[higher]], gradient[higher]
        highest[who] = torch.maximum(highest[who], value)
        slopes = torch.zeros_like(x).index_copy(0, who, gradient)
        if step in window_starts:
            few = rises < RISES * (step - window_starts[step])
            now_halved = few | (~halved & (highest <= at_checkpoint))
            stride = torch.where(now_halved, stride / 2, stride)
            back = per_image(now_halved)
            x, slopes = torch.where(back, best, x), torch.where(back, best_gradient, slopes)
            halved, at_checkpoint, rises = now_halved, highest.clone(), torch.zeros_like(rises)
        share = MOMENTUM if step else 1.0
        ahead = norm.move(images, x, stride, norm.ascent(slopes), epsilon)
        moved = norm.project(images, x + share * (ahead - x) + (1 - share) * (x - before), epsilon)
        before, x = x, torch.where(per_image(fooled), x, moved)
    if len(left := (~fooled).nonzero()[:, 0]):
        won = left[predict(model, x[left]) != labels[left]]
        best[won], fooled[won] = x[won], True
    return Attack(best, fooled, stuck & ~fooled, evaluations)
