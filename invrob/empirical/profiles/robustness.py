"""The robustness over epsilon, for any model: 1 - fooling rate.

Definition: Kamath, Deshpande and Subrahmanyam 2020, sections 1.1 and 2. The prediction is compared with the model's own
prediction on the clean image, so a constant classifier has 100 %: the accuracy stands beside each rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invrob.checks import check_settings, checked_grid
from invrob.empirical.attacks import Sanity, judge, norm_named
from invrob.empirical.attacks import search as searching
from invrob.empirical.inference import Model, all_logits, batches, checked_images, checked_labels, evaluating
from invrob.empirical.profiles.invariance import (
    InvarianceProfile as InvarianceProfile,  # its home before it had its own
)
from invrob.empirical.profiles.invariance import invariance_profile as invariance_profile
from invrob.empirical.profiles.rates import Numbers, RatesOverEpsilon, binomial_bounds, rates_per_image

WORTH_IT = 0.1  # of the probed images: where a step towards other classes fools more, every image is attacked so


@dataclass(frozen=True, eq=False)
class RobustnessProfile(RatesOverEpsilon):
    """1 - fooling rate: the share of predictions that no perturbation of size at most epsilon was found to change."""

    gradient_evaluations: float  # per image, those of the sanity probes included
    levels: Numbers  # [N] int64, the index of the smallest epsilon that fooled the image; T where none did
    norm: str
    steps: int
    restarts: int
    sanity: Sanity

    @property
    def verdict(self) -> str:
        """'sound' when the attack can be believed, 'masked' when a sanity probe says that it cannot."""
        return self.sanity.verdict

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "verdict": self.verdict}


def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    norm: str = "linf",
    steps: int = 20,
    restarts: int = 1,
    seed: int = 0,
    *,
    probes: int = 32,
    confidence: float = 0.95,
) -> RobustnessProfile:
    """The share of predictions that survive an attack of size epsilon, for all epsilons at about the price of one.

    model: images [N, C, H, W] in [0, 1] -> logits [N, K >= 2]; an nn.Module runs in eval mode with frozen parameters
    and gets both back. images: float32 or float64 [N, C, H, W] in [0, 1]. epsilons: increasing, >= 0, in pixel units
    (<= 1 for "linf"). labels: int [N], the true classes, for the accuracy under attack; the attack itself changes
    predictions. norm: "linf" or "l2". steps, restarts: of a full attack. probes: how many images the checks of the
    attack look at.

    The rates never rise with epsilon: one level per image holds them all. Intervals are Clopper-Pearson over the
    images. Raises InputError for anything outside these ranges, and for a model that returns NaN."""
    images = checked_images(images)
    grid = checked_grid("epsilons", epsilons, norm_named(norm).largest, "pixels are in [0, 1], so write 8 / 255, not 8")
    check_settings(confidence=confidence, seed=seed, steps=steps, restarts=restarts, probes=probes)
    positive = torch.tensor(grid[grid > 0], dtype=torch.float64, device=images.device)
    generator = torch.Generator(images.device).manual_seed(int(seed))
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        search = searching.begin(images, all_logits(model, images), positive)
        sanity = _searched(search, model, norm, steps, restarts, probes, generator)
    levels = search.fooled.cpu().numpy() + (len(grid) - len(positive))  # epsilon 0 is the identity: it fools nobody
    kept = levels[:, None] > np.arange(len(grid))
    predictions, truth = search.labels.cpu().numpy(), None if labels is None else labels.cpu().numpy()
    correct = None if truth is None else kept & (predictions == truth)[:, None]
    bounds = partial(binomial_bounds, confidence=confidence)
    return RobustnessProfile(
        **rates_per_image(kept, correct, predictions, truth, grid == 0, bounds, confidence=confidence, seed=seed),
        epsilons=grid,
        gradient_evaluations=search.evaluations / len(images),
        levels=levels,
        norm=norm,
        steps=steps,
        restarts=restarts,
        sanity=sanity,
    )


def _searched(
    search: searching.Search,
    model: Model,
    name: str,
    steps: int,
    restarts: int,
    probes: int,
    generator: torch.Generator,
) -> Sanity:
    """Search every image, probe some; what works on those is then done to all, so that the probes mend what they
    find."""
    norm, device, n = norm_named(name), search.images.device, len(search.images)
    batch = next(batches(n, device)).stop

    def run() -> None:
        searching.run(search, model, norm, steps=steps, restarts=restarts, generator=generator, batch=batch)

    def aim(who: Tensor) -> int:
        """Aim at the other classes until that fools nobody any more; how many images it ever fooled."""
        ever = torch.zeros(n, dtype=torch.bool, device=device)
        for part in torch.split(who, batch):
            while len(part := searching.aim_at_others(search, model, norm, part)):
                ever[part] = True
                run()
        return int(ever.sum())

    run()
    aim(searching.promising(search, model, norm))
    shuffler = torch.Generator("cpu").manual_seed(generator.initial_seed())  # the same images on every device
    chosen = torch.randperm(n, generator=shuffler, device="cpu")[:probes].to(device)
    gained = aim(chosen)
    if gained > WORTH_IT * len(chosen):  # a level of a fine grid here and there is not worth nine gradients per image
        aim(torch.ones(n, device=device).index_fill(0, chosen, 0).nonzero()[:, 0])
    sanity = judge(search, model, norm, name, chosen, gained / len(chosen), steps, generator)
    run()  # what the probes fooled may fall at a smaller level, too
    return sanity
