"""A black-box attack by random search: windows of the image pushed to the edge of the ball, kept where they help.

Source: Andriushchenko et al. 2020 (arXiv 1912.00049), Square Attack; a short one, because its only task here is to give
away a gradient attack that lost its way: it sees logits and no gradient, so it must not find what the other missed."""

import torch
from torch import Tensor

from invrob.empirical.attacks.gradients import margins
from invrob.empirical.attacks.norms import Norm
from invrob.empirical.inference import Model, all_logits


@torch.no_grad()
def square(
    model: Model,
    images: Tensor,
    labels: Tensor,
    radius: Tensor,
    norm: Norm,
    *,
    queries: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Look in the balls of `radius` [N] around `images` [N, C, H, W] in [0, 1] for what is not classified as `labels`
    [N].

    queries: model evaluations per image, >= 1. Returns the best images [N, C, H, W], inside the balls and [0, 1], and
    bool [N] which of them fool the model. Call it inside `evaluating(model)`."""
    n, channels, height, width = images.shape

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=images.device)

    def pushed(x: Tensor, pattern: Tensor) -> Tensor:
        reach = 2 * radius.to(images.dtype)[:, None, None, None]  # from one edge of the ball to the other
        return norm.project(images, x + reach * norm.ascent(pattern.to(images.dtype)), radius)

    best = pushed(images, (random(n, channels, 1, width) < 0.5).expand_as(images) * 2.0 - 1)  # vertical stripes
    score = margins(all_logits(model, best), labels)
    for query in range(1, queries):
        share = 0.8 * (1 - query / queries) ** 2  # of the image's area; shrinks as in the paper
        side = max(1, min(height, width, round((share * height * width) ** 0.5)))
        top, left = (random(n) * (height - side + 1)).long(), (random(n) * (width - side + 1)).long()
        row, column = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
        rows = (row >= top[:, None]) & (row < top[:, None] + side)
        columns = (column >= left[:, None]) & (column < left[:, None] + side)
        sign = (random(n, channels, 1, 1) < 0.5) * 2.0 - 1
        candidate = pushed(best, sign * (rows[:, None, :, None] & columns[:, None, None, :]))
        margin = margins(all_logits(model, candidate), labels)
        better = (margin > score) & (score <= 0)
        best[better], score[better] = candidate[better], margin[better]
    return best, all_logits(model, best).argmax(1) != labels
