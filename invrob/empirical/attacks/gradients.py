"""Losses of an attack and their gradients for the images."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from invrob.empirical.inference import Model, in_pieces, logits


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
    of_label = outputs.gather(1, labels[:, None])[:, 0]
    others = outputs.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    if targets is not None:
        aimed = outputs.gather(1, targets.clamp(min=0)[:, None])[:, 0]
        others = torch.where(targets >= 0, aimed, others)
    return others - of_label


def margins(outputs: Tensor, labels: Tensor) -> Tensor:
    """The largest other logit minus that of the label, [N]: above 0 the label has lost."""
    others = outputs.scatter(1, labels[:, None], -torch.inf).amax(1)
    return others - outputs.gather(1, labels[:, None])[:, 0]


def loss_and_gradient(
    model: Model, x: Tensor, labels: Tensor, targets: Tensor | None, spread: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Logits [N, K] at `x` and the gradient [N, C, H, W] of the odds loss; zero where the model gives none or a NaN."""
    rows = (labels,) if targets is None else (labels, targets)
    outputs, _, gradient = value_and_gradient(model, x, partial(odds_loss, spread=spread), *rows)
    return outputs, gradient


def feasible(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient without what would lead out of [0, 1], both [N, C, H, W]: a black pixel cannot get darker."""
    return gradient * (((x > 0) | (gradient > 0)) & ((x < 1) | (gradient < 0)))


def value_and_gradient(
    model: Model, x: Tensor, loss: Callable[..., Tensor], *rows: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [N, K] at `x`, the loss [N] and its gradient [N, C, H, W]; zero where the model gives none or a NaN.

    loss: logits [n, K] of some of the images, and what `rows` ([N] each) holds for those -> [n]. As many images are
    asked about at once as fit into memory."""

    def ask(piece: slice) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            z = x[piece].detach().requires_grad_()
            outputs = logits(model, z)
            values = loss(outputs, *(row[piece] for row in rows))
            slopes: tuple[Tensor | None, ...] = (None,)
            if values.requires_grad:  # unless the model ignores its input, or detaches it
                slopes = torch.autograd.grad(values.sum(), z, allow_unused=True)
        gradient = torch.zeros_like(z) if slopes[0] is None else slopes[0].nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        return outputs.detach(), values.detach(), gradient

    outputs, values, gradients = zip(*in_pieces(model, x, ask), strict=True)
    return torch.cat(outputs), torch.cat(values), torch.cat(gradients)


def runner_up(outputs: Tensor, labels: Tensor, rank: int | Tensor) -> Tensor:
    """The `rank`-th most likely class that is not the label (1 is the first), or -1 where there are not so many, and
    for rank 0. rank: one for all, or int64 [n]."""
    order = outputs.scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)
    ranks = torch.as_tensor(rank, device=labels.device).expand_as(labels)
    known = (ranks > 0) & (ranks < outputs.shape[1])
    return torch.where(known, order.gather(1, (ranks - 1).clamp(0, outputs.shape[1] - 1)[:, None])[:, 0], -1)
