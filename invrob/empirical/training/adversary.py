"""The adversary inside training: cheap, a whole batch at a time, last iterate. attacks.py has the one that measures.

Sources: Madry et al. 2018 (arXiv 1706.06083), several steps from a random start; Wong et al. 2020 (arXiv 2001.03994), a
single step of 1.25 epsilon from a random start; Zhang et al. 2019 (arXiv 1901.08573), TRADES: steps away from the
prediction of the clean image instead of the label."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from invrob.empirical.attacks import NORMS, odds_loss, per_image

LINF = NORMS["linf"]
TRADES_START = 0.001  # standard deviation of the noise that TRADES starts from, pixel units


def ascended(
    loss: Callable[[Tensor], Tensor], images: Tensor, start: Tensor, epsilon: Tensor, step: Tensor, steps: int
) -> Tensor:
    """`steps` signed gradient steps up `loss` (images -> a scalar) from `start`, in the balls and in [0, 1].

    images, start: [N, C, H, W]; epsilon, step: float64 [N]. Every image takes all its steps, as in the sources: one
    that fools early goes on to a worse place."""
    stride = per_image(step.to(images.dtype))
    x = LINF.project(images, start, epsilon)
    for _ in range(steps):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            gradient = torch.autograd.grad(loss(x), x)[0]
        x = LINF.project(images, x.detach() + stride * gradient.sign(), epsilon)
    return x


def against_labels(forward: Callable[[Tensor], Tensor], labels: Tensor) -> Callable[[Tensor], Tensor]:
    """The loss of Madry's adversary: the log-odds against the labels, whose gradient is that of the cross-entropy."""
    return lambda x: odds_loss(forward(x), labels).sum()


def against_itself(forward: Callable[[Tensor], Tensor], images: Tensor) -> Callable[[Tensor], Tensor]:
    """The loss of TRADES' adversary: how far the prediction moves from that of the clean images."""
    with torch.no_grad():
        clean = forward(images).float().softmax(-1)
    return lambda x: F.kl_div(forward(x).float().log_softmax(-1), clean, reduction="sum")


def uniform_start(images: Tensor, epsilon: Tensor, generator: torch.Generator) -> Tensor:
    """A uniform draw from each ball, not yet cut to [0, 1]."""
    return images + per_image(epsilon.to(images.dtype)) * LINF.draw(images, generator)


def trades_start(images: Tensor, generator: torch.Generator) -> Tensor:
    """A little noise: at the clean image itself the gradient of TRADES' loss is zero."""
    noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return images + TRADES_START * noise
