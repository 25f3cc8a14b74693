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
    """Look near each image for one that is not classified as its label, by random search that sees logits alone.

    Call it inside `evaluating(model)`; nothing is checked.

    Args:
        model, images, labels, norm, generator: as those of `apgd`.
        radius: float64 [N], of the ball around each image, in pixel units.
        queries: model evaluations per image, >= 1; one more checks the result.

    Returns:
        The best images [N, C, H, W], inside the balls and [0, 1], and bool [N]: which of them fool the model.

    Raises:
        InputError: for a model that returns NaN.

    Example:
        >>> import torch
        >>> from invrob.empirical.attacks import norm_named, square
        >>> image, generator = torch.tensor([0.4, 0.6]).reshape(1, 1, 1, 2), torch.Generator().manual_seed(0)
        >>> label, radius = torch.tensor([1]), torch.tensor([0.2], dtype=torch.float64)
        >>> square(lambda x: x.flatten(1), image, label, radius, norm_named("linf"), queries=9, generator=generator)[1]
        tensor([True])
    """
    n, channels, height, width = images.shape
    if not n:
        return images, torch.zeros_like(labels, dtype=torch.bool)
    row, column = torch.arange(height, device=images.device), torch.arange(width, device=images.device)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=images.device)

    def pushed(x: Tensor, pattern: Tensor) -> Tensor:  # from one edge of the ball to the other
        return norm.move(images, x, 2 * radius, norm.ascent(pattern.to(images.dtype)), radius)

    best = pushed(images, (random(n, channels, 1, width) < 0.5).expand_as(images) * 2.0 - 1)  # vertical stripes
    score = margins(all_logits(model, best), labels)
    for query in range(1, queries):
        share = 0.8 * (1 - query / queries) ** 2  # of the image's area; shrinks as in the paper
        side = max(1, min(height, width, round((share * height * width) ** 0.5)))
        top, left = (random(n) * (height - side + 1)).long(), (random(n) * (width - side + 1)).long()
        rows = (row >= top[:, None]) & (row < top[:, None] + side)
        columns = (column >= left[:, None]) & (column < left[:, None] + side)
        sign = (random(n, channels, 1, 1) < 0.5) * 2.0 - 1
        candidate = pushed(best, sign * (rows[:, None, :, None] & columns[:, None, None, :]))
        margin = margins(all_logits(model, candidate), labels)
        better = (margin > score) & (score <= 0)
        best[better], score[better] = candidate[better], margin[better]
    return best, all_logits(model, best).argmax(1) != labels
