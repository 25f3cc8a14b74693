"""A black-box attack by random search: windows of the perturbation are drawn anew, and kept where they help.

Source: Andriushchenko et al. 2020 (arXiv 1912.00049), Square Attack. It sees logits and no gradient, so it gives away a
gradient attack that lost its way. `windows` says what is drawn in each norm."""

import torch
from torch import Tensor

from invrob.empirical.attacks.gradients import margins
from invrob.empirical.attacks.norms import Norm
from invrob.empirical.attacks.windows import WINDOWS
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
        model, images, labels, norm, generator: as those of `apgd`. The generator moves on by as much whoever is fooled.
        radius: float64 [N], of the ball around each image, in pixel units.
        queries: the most model evaluations per image, >= 1; an image that is fooled gets no more. One more of each
            image checks the result.

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
    if not len(images):
        return images, torch.zeros_like(labels, dtype=torch.bool)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=images.device)

    windows = WINDOWS[norm.name]
    best = windows.start(images, radius, norm, random)
    score = margins(all_logits(model, best), labels)
    for query in range(1, queries):
        side = windows.side(query, queries, *images.shape[2:])
        drawn = windows.draw(images.shape, side, random)  # for all, so that no draw depends on who was fooled before
        who = (score <= 0).nonzero()[:, 0]
        if not len(who):
            continue
        candidate = windows.change(images[who], best[who], radius[who], norm, side, *(part[who] for part in drawn))
        margin = margins(all_logits(model, candidate), labels[who])
        better = margin > score[who]
        best[who[better]], score[who[better]] = candidate[better], margin[better]
    return best, all_logits(model, best).argmax(1) != labels
