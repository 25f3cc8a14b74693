"""The robustness over epsilon, for any model: 1 - fooling rate.

Definition: Kamath, Deshpande and Subrahmanyam 2020, sections 1.1 and 2. The prediction is compared with the model's own
prediction on the clean image, so a constant classifier has 100 %: the accuracy stands beside each rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from invrob.checks import check_settings, checked_grid
from invrob.empirical.attacks import Sanity, judge, norm_named
from invrob.empirical.attacks import search as searching
from invrob.empirical.inference import Model, batches, checked_images, checked_labels, evaluating
from invrob.empirical.profiles.black_box import BlackBoxProfile, search_by_queries
from invrob.empirical.profiles.rates import Levels, RatesOverEpsilon, rates_per_image
from invrob.empirical.profiles.settings import PGD, Attack, Square, Weak, attack_of
from invrob.empirical.profiles.weak import WeakProfile, attack_weakly

WORTH_IT = 0.1  # of the probed images: where a step towards other classes fools more, every image is attacked so


@dataclass(frozen=True, eq=False)
class RobustnessProfile(RatesOverEpsilon):
    """The share of predictions that an attack by gradients could not change, for each size epsilon: 1 - fooling rate.

    Example:
        >>> import invrob
        >>> profile = invrob.robustness_profile(lambda x: x.flatten(1), torch.eye(2).reshape(2, 1, 1, 2), [0, 0.4, 0.6])
        >>> profile.rate_at(0.6).estimate, RobustnessProfile.from_dict(profile.to_dict()) == profile
        (0.0, True)
    """

    gradient_evaluations: float  # per image, those of the sanity probes included
    levels: Levels  # [N] int64, the index of the smallest epsilon that fooled the image; T where none did
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


@overload
def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: PGD | Literal["pgd"] = "pgd",
    seed: int = 0,
    confidence: float = 0.95,
) -> RobustnessProfile: ...


@overload
def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: Square,
    seed: int = 0,
    confidence: float = 0.95,
) -> BlackBoxProfile: ...


@overload
def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: Attack,
    seed: int = 0,
    confidence: float = 0.95,
) -> RobustnessProfile | BlackBoxProfile | WeakProfile: ...


def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: Attack = "pgd",
    seed: int = 0,
    confidence: float = 0.95,
) -> RobustnessProfile | BlackBoxProfile | WeakProfile:
    """How often the prediction of a model survives an attack, for all sizes epsilon at about the price of one.

    A search finds for each image the smallest epsilon of the grid that fools it, and probes judge whether the search
    can be believed (see docs/profiles.md). The rates never rise with epsilon.

    Args:
        model: any callable, images [N, C, H, W] in [0, 1] -> logits [N, K >= 2]. An nn.Module runs in eval mode with
            frozen parameters, and gets both back.
        images: float32 or float64 [N >= 1, C, H, W] in [0, 1].
        epsilons: increasing sizes of the perturbation, >= 0, in pixel units; at most 1 in "linf".
        labels: int [N], the true classes, for the accuracy under attack. The attack itself changes predictions.
        norm: "linf" or "l2", of the perturbation.
        attack: `PGD(steps, restarts)`, by gradients. `Square(queries)` for a model without gradients. `Weak(name)` for
            an attack that flatters, in "linf" alone. Or the name "pgd", "square" or "weak" for its defaults.
        seed: of random starts and of the choice of the probed images, in [0, 2^63).
        confidence: level of the intervals, in (0, 1). They are Clopper-Pearson's, over the images.

    Returns:
        A `RobustnessProfile`, a `BlackBoxProfile` for `Square`, a `WeakProfile` for `Weak`: rates [T] in [0, 1], with
        intervals, the accuracy, a row for each class, and the verdict on the attack. A rate is an upper bound, as good
        as the attack; for a linear model that of PGD in "linf" is exact.

    Raises:
        InputError: outside these ranges, and for a model that returns NaN.

    Example:
        >>> import torch, invrob
        >>> images = torch.tensor([[0.2, 0.8], [0.45, 0.55]]).reshape(2, 1, 1, 2)  # the margins are 0.6 and 0.1
        >>> profile = invrob.robustness_profile(lambda x: x.flatten(1), images, epsilons=[0, 0.1, 0.4])
        >>> profile.rate.tolist(), profile.levels.tolist(), profile.verdict
        ([1.0, 0.5, 0.0], [2, 1], 'sound')
        >>> invrob.robustness_profile(lambda x: x.flatten(1), images, [0, 0.4], attack=invrob.Square(50)).verdict
        'black-box'
    """
    images = checked_images(images)
    chosen, measure = attack_of(attack), norm_named(norm)
    grid = checked_grid("epsilons", epsilons, measure.largest, "pixels are in [0, 1], so write 8 / 255, not 8")
    check_settings(confidence=confidence, seed=seed)
    generator = torch.Generator(images.device).manual_seed(int(seed))
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        truth = None if labels is None else labels.cpu().numpy()
        rates = partial(rates_per_image, labels=truth, identity=grid == 0, confidence=confidence, seed=seed)
        if isinstance(chosen, Weak):
            kept, predictions = attack_weakly(model, images, grid, chosen, measure, generator)
            return WeakProfile(**rates(kept, predictions), epsilons=grid, attack=chosen.name)
        positive = torch.tensor(grid[grid > 0], dtype=torch.float64, device=images.device)
        search = searching.begin(model, images, positive, measure)
        if isinstance(chosen, Square):
            caution = search_by_queries(search, chosen.queries, generator)
        else:
            sanity = _search_and_probe(search, chosen, generator)
    levels = search.fooled.cpu().numpy() + (len(grid) - len(positive))  # epsilon 0 is the identity: it fools nobody
    kept = levels[:, None] > np.arange(len(grid))
    fields = {**rates(kept, search.labels.cpu().numpy()), "epsilons": grid, "levels": levels, "norm": norm}
    per_image = search.evaluations / len(images)
    if isinstance(chosen, Square):
        return BlackBoxProfile(**fields, queries=chosen.queries, queries_per_image=per_image, sanity=caution)
    return RobustnessProfile(
        **fields, gradient_evaluations=per_image, steps=chosen.steps, restarts=chosen.restarts, sanity=sanity
    )


def black_box_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: Square = Square(),
    seed: int = 0,
    confidence: float = 0.95,
) -> BlackBoxProfile:
    """How often the prediction of a model survives a search by queries, for a model that gives no gradients.

    It is `robustness_profile` with `attack=Square()`, under a name of its own.

    Args:
        model, images, epsilons, labels, norm, seed, confidence: as for `robustness_profile`.
        attack: `Square(queries)`.

    Returns:
        A `BlackBoxProfile`: upper bounds that are looser than those of gradients, and looser still in "l2".

    Raises:
        InputError: as `robustness_profile`.

    Example:
        >>> import torch, invrob
        >>> image = torch.tensor([0.2, 0.8]).reshape(1, 1, 1, 2)
        >>> invrob.black_box_profile(lambda x: x.flatten(1), image, [0, 0.1, 0.9], attack=invrob.Square(50)).rate
        array([1., 1., 0.])
    """
    return robustness_profile(
        model, images, epsilons, labels, norm=norm, attack=attack, seed=seed, confidence=confidence
    )


def _search_and_probe(search: searching.Search, attack: PGD, generator: torch.Generator) -> Sanity:
    """Search every image and probe some. What works on those is then done to all: the probes mend what they find."""
    device, n = search.images.device, len(search.images)

    def run() -> None:
        searching.run(search, steps=attack.steps, restarts=attack.restarts, generator=generator)

    def aim(who: Tensor) -> int:
        """Aim at the other classes until that fools nobody any more; how many images it ever fooled."""
        ever = torch.zeros(n, dtype=torch.bool, device=device)
        for batch in batches(len(who), device):
            part = who[batch]
            while len(part := searching.aim_at_others(search, part)):
                ever[part] = True
                run()
        return int(ever.sum())

    run()
    aim(searching.promising(search))
    shuffler = torch.Generator("cpu").manual_seed(generator.initial_seed())  # the same images on every device
    probed = torch.randperm(n, generator=shuffler, device="cpu")[: attack.probes].to(device)
    gained = aim(probed)
    if gained > WORTH_IT * len(probed):  # a level of a fine grid here and there is not worth nine gradients per image
        aim(torch.ones(n, device=device).index_fill(0, probed, 0).nonzero()[:, 0])
    sanity = judge(search, probed, gained / len(probed), attack.steps, generator)
    run()  # what the probes fooled may fall at a smaller level, too
    return sanity
