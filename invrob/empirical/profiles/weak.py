"""Evaluations that flatter: attacks as they were commonly run, beside the strong one, to show what a claim rests on.

Sources: Madry et al. 2018 (arXiv 1706.06083) and their challenges, a fixed step and number of steps, made for one
epsilon; Carlini et al. 2019 (arXiv 1902.06705), softmax outputs fed to a cross-entropy that takes logits, few steps;
the paper, which says "PGD attack" and none of loss, step size, steps or restarts, and shows networks that end in a
softmax."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from invrob.checks import Array
from invrob.empirical.attacks import Norm
from invrob.empirical.inference import Model, batches, logits, predict
from invrob.empirical.profiles.rates import RatesOverEpsilon
from invrob.empirical.profiles.settings import Weak
from invrob.errors import InputError, did_you_mean


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


@dataclass(frozen=True, eq=False, repr=False)
class WeakProfile(RatesOverEpsilon):
    """The share of predictions that a weak attack, run anew for each epsilon, did not change: the curve may rise."""

    attack: str  # a name of WEAK

    @property
    def verdict(self) -> str:
        """'weak': a rate to be distrusted, whatever it is."""
        return "weak"

    @property
    def about(self) -> str:
        return f"L-inf, weak attack {self.attack!r}"

    def remarks(self) -> tuple[str, ...]:
        weakness = f" ({WEAK[self.attack].text})" if self.attack in WEAK else ""
        return (f"An attack that flatters the model{weakness}: the rates are to be distrusted.",)


def attack_weakly(
    model: Model, images: Tensor, epsilons: Array, attack: Weak, norm: Norm, generator: torch.Generator
) -> tuple[Array, Array]:
    """Which predictions stay under a weak attack, run anew at each epsilon, bool [N, T]; and the predictions int64 [N].

    Call it inside `evaluating(model)`. Raises InputError for an attack that is none of WEAK, and for another norm than
    L-inf."""
    if attack.name not in WEAK:
        near = did_you_mean(str(attack.name), WEAK)
        raise InputError(f"attack = {attack} is unknown{near}: use Weak(name) with one of {', '.join(WEAK)}")
    if norm.name != "linf":
        raise InputError(f"norm = {norm.name!r} is not what weak attacks are made for: use 'linf'")
    predictions = predict(model, images)
    kept = torch.ones((len(images), len(epsilons)), dtype=torch.bool, device=images.device)
    for column in np.flatnonzero(epsilons > 0):
        for part in batches(len(images), images.device):
            arguments = (images[part], predictions[part], float(epsilons[column]), WEAK[attack.name])
            x = last_iterate(model, *arguments, norm, generator)
            kept[part, column] = predict(model, x) == predictions[part]
    return kept.cpu().numpy(), predictions.cpu().numpy()


def last_iterate(
    model: Model,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    attack: WeakAttack,
    norm: Norm,
    generator: torch.Generator,
) -> Tensor:
    """The perturbed images that a weak attack ends with, inside the ball and [0, 1]."""
    steps, step_size = attack.steps, attack.step_size
    if step_size is not None and images.shape[1] == 3:
        steps, step_size = COLOUR
    stride = 2.5 * epsilon / max(steps, 1) if step_size is None else step_size
    radius = torch.full((len(images),), epsilon, device=images.device, dtype=torch.float64)
    x = norm.project(images, images + epsilon * norm.draw(images, generator), radius)
    for _ in range(steps):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            outputs = logits(model, x)
            if not outputs.requires_grad:  # a model that detaches its input leads nowhere
                break
            scores = outputs.softmax(1) if attack.softmax else outputs
            loss = F.cross_entropy(scores.half() if attack.half else scores, labels, reduction="sum")
            gradients: Sequence[Tensor | None] = torch.autograd.grad(loss, x, allow_unused=True)
        gradient = gradients[0]
        if gradient is None:
            break
        x = norm.project(images, x.detach() + stride * gradient.nan_to_num().sign(), radius)
    return x.detach()
