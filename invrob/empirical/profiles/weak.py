"""Evaluations that flatter: attacks as they were commonly run, beside the strong one, to show what a claim rests on.

Sources: Madry et al. 2018 (arXiv 1706.06083) and their challenges, a fixed step and number of steps, made for one
epsilon; Carlini et al. 2019 (arXiv 1902.06705), softmax outputs fed to a cross-entropy that takes logits, few steps;
the paper, which says "PGD attack" and none of loss, step size, steps or restarts, and shows networks that end in a
softmax."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from invrob.checks import check_settings, checked_grid
from invrob.empirical.attacks import NORMS
from invrob.empirical.inference import Model, batches, checked_images, checked_labels, evaluating, logits, predict
from invrob.empirical.profiles.rates import RatesOverEpsilon, binomial_bounds, rates_per_image
from invrob.errors import InputError, did_you_mean

LINF = NORMS["linf"]


@dataclass(frozen=True)
class WeakAttack:
    """PGD with a random start, the last iterate alone, and at least one weakness."""

    text: str
    steps: int = 40
    step_size: float | None = None  # pixel units; 2.5 epsilon / steps where None
    softmax: bool = False  # the cross-entropy gets probabilities instead of logits
    half: bool = False  # and is computed in float16


WEAK = {
    "paper": WeakAttack(
        "softmax outputs in the cross-entropy, a fixed step of 0.01 (2/255 for colour)", step_size=0.01, softmax=True
    ),
    "softmax": WeakAttack("softmax outputs in the cross-entropy", softmax=True),
    "fixed-step": WeakAttack("a fixed step of 0.01 (2/255 for colour)", step_size=0.01),
    "few-steps": WeakAttack("5 steps", steps=5),
    "one-step": WeakAttack("a single step", steps=1),
    "noise": WeakAttack("no step: the random start alone, as where the gradient vanishes", steps=0),
    "half": WeakAttack("the loss in float16, whose gradient vanishes where the model is sure", half=True),
}
COLOUR = (10, 2 / 255)  # steps and their size: Madry's for CIFAR-10, in the place of a fixed step


@dataclass(frozen=True, eq=False)
class WeakProfile(RatesOverEpsilon):
    """1 - fooling rate as a weak attack reports it, run anew for each epsilon: the curve may rise."""

    attack: str  # a name of WEAK

    @property
    def verdict(self) -> str:
        """'weak': a rate to be distrusted, whatever it is."""
        return "weak"


def weak_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    attack: str = "paper",
    seed: int = 0,
    *,
    confidence: float = 0.95,
) -> WeakProfile:
    """What a weak evaluation says of `model`: not to be believed, but to be set beside `robustness_profile`.

    attack: a name of WEAK. The other arguments, and the errors, are those of `robustness_profile`; the norm is L-inf.
    Intervals are Clopper-Pearson over the images."""
    images = checked_images(images)
    grid = checked_grid("epsilons", epsilons, LINF.largest, "pixels are in [0, 1], so write 8 / 255, not 8")
    check_settings(confidence=confidence, seed=seed)
    if attack not in WEAK:
        raise InputError(f"attack {attack!r} is unknown{did_you_mean(attack, WEAK)}; choose one of {', '.join(WEAK)}")
    generator = torch.Generator(images.device).manual_seed(int(seed))
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        own = predict(model, images)
        kept = torch.ones((len(images), len(grid)), dtype=torch.bool, device=images.device)
        for column in np.flatnonzero(grid > 0):
            for part in batches(len(images), images.device):
                x = _attacked(model, images[part], own[part], float(grid[column]), WEAK[attack], generator)
                kept[part, column] = predict(model, x) == own[part]
    stayed, predictions = kept.cpu().numpy(), own.cpu().numpy()
    truth = None if labels is None else labels.cpu().numpy()
    correct = None if truth is None else stayed & (predictions == truth)[:, None]
    bounds = partial(binomial_bounds, confidence=confidence)
    return WeakProfile(
        **rates_per_image(stayed, correct, predictions, truth, grid == 0, bounds, confidence=confidence, seed=seed),
        epsilons=grid,
        attack=attack,
    )


def _attacked(
    model: Model, images: Tensor, labels: Tensor, epsilon: float, attack: WeakAttack, generator: torch.Generator
) -> Tensor:
    """The last iterate, inside the ball and [0, 1]."""
    steps, step_size = attack.steps, attack.step_size
    if step_size is not None and images.shape[1] == 3:
        steps, step_size = COLOUR
    stride = 2.5 * epsilon / max(steps, 1) if step_size is None else step_size
    radius = torch.full((len(images),), epsilon, device=images.device, dtype=torch.float64)
    x = LINF.project(images, images + epsilon * LINF.draw(images, generator), radius)
    for _ in range(steps):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            outputs = logits(model, x)
            if not outputs.requires_grad:  # a model that detaches its input leads nowhere
                break
            scores = outputs.softmax(1) if attack.softmax else outputs
            loss = F.cross_entropy(scores.half() if attack.half else scores, labels, reduction="sum")
            found: Sequence[Tensor | None] = torch.autograd.grad(loss, x, allow_unused=True)
        gradient = found[0]
        if gradient is None:
            break
        x = LINF.project(images, x.detach() + stride * gradient.nan_to_num().sign(), radius)
    return x.detach()
