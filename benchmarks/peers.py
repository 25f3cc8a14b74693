"""Attacks of adv-lib, foolbox, torchattacks and pyautoattack that give a whole curve, all asked in the same way.

Each gets images that the model has named itself and comes back with the size of the smallest perturbation that it found
for each. `Counted` counts what all of them ask of the model, ours included, in the same way."""

import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ORDER = {"linf": math.inf, "l2": 2.0}
BATCH = 100
FMN_STRIDE = {"linf": 1.0, "l2": 0.1}  # the first stride, tried from 0.03 to 10 on four networks
CLOSE = 1e-6  # a perturbation of that much more than epsilon still counts: the peers round where they project


class Counted(nn.Module):
    """The same function, with the images counted: how many went forward, and of how many a gradient went backward."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.forwards, self.gradients = inner, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        logits = self.inner(x)
        if logits.requires_grad:
            logits.register_hook(self._count)  # at every way back, also at the second through the same logits
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.gradients += len(gradient)


@dataclass(frozen=True, eq=False)
class Case:
    """One curve to be found: a network in eval mode with frozen weights, images in [0, 1], the norm, its epsilons."""

    model: nn.Module
    images: Tensor  # [N, C, H, W]
    epsilons: tuple[float, ...]  # increasing, the first of them 0
    norm: str  # "linf" or "l2"

    @cached_property
    def labels(self) -> Tensor:
        """The model's own predictions, int64 [N]: an attack changes these."""
        with torch.no_grad():
            return torch.cat([self.model(part).argmax(1) for part in self.images.split(BATCH)])

    def sizes(self, perturbed: Tensor) -> np.ndarray:
        """The sizes [N] of perturbations that change the prediction; infinite for one that does not, or leaves [0, 1].

        The model is asked again, at nobody's cost: no attack is believed on its word."""
        x = perturbed.detach()
        fooled = Case(self.model, x, self.epsilons, self.norm).labels != self.labels
        inside = ((x >= 0) & (x <= 1)).flatten(1).all(1)
        size = torch.linalg.vector_norm((x.double() - self.images.double()).flatten(1), ord=ORDER[self.norm], dim=1)
        return torch.where(fooled & inside, size, torch.inf).cpu().numpy()


Attack = Callable[[nn.Module, Case], np.ndarray]  # the counted model -> the smallest size [N] found for each image


@dataclass(frozen=True)
class Rival:
    """An attack with its settings."""

    family: str
    settings: str
    peer: str  # the package that it comes from
    price: int  # about how many gradients per image it will take: those too dear for a network are left out
    attack: Attack

    @property
    def name(self) -> str:
        return f"{self.family}, {self.settings}"


def adv_lib() -> ModuleType:
    """adv-lib's attacks. It imports visdom to draw with it; nothing is drawn here, so an empty module serves."""
    sys.modules.setdefault("visdom", ModuleType("visdom"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks distutils for versions
        import adv_lib.attacks.auto_pgd  # noqa: F401 - no face of adv-lib names `minimal_apgd`
        from adv_lib import attacks
    return attacks


def at_once(attack: Callable[..., Tensor], **settings: Any) -> Attack:
    """A minimum-norm attack: (model, images, labels, ...) -> images with the smallest perturbation found."""

    def run(model: nn.Module, case: Case) -> np.ndarray:
        parts = zip(case.images.split(BATCH), case.labels.split(BATCH), strict=True)
        return case.sizes(torch.cat([attack(model, x, y, **settings) for x, y in parts]))

    return run


def epsilon_by_epsilon(attack: Callable[..., Tensor]) -> Attack:
    """A loop over an attack of a given size: (model, images, labels, epsilon) -> perturbed images."""

    def run(model: nn.Module, case: Case) -> np.ndarray:
        found = [at_once(attack, epsilon=epsilon)(model, case) for epsilon in case.epsilons if epsilon > 0]
        return np.min(found, axis=0)

    return run


def adv_lib_rivals(case: Case) -> list[Rival]:
    """FMN, PDPGD, DDN, ALMA and APGD in a bisection; where a default does badly here, with the best of a few others."""
    library, order, largest = adv_lib(), ORDER[case.norm], case.epsilons[-1]
    fmn = partial(library.fmn, norm=order, α_init=FMN_STRIDE[case.norm])
    rows = [("FMN", f"{steps} steps", steps, partial(fmn, steps=steps)) for steps in (50, 100, 300)]
    rate = min(1.0, largest) if largest > 0.1 else largest / 20
    rows += [("PDPGD", "200 steps", 200, partial(library.pdpgd, norm=order, num_steps=200, primal_lr=rate))]
    if case.norm == "l2":
        rows += [
            ("DDN", f"{steps} steps", steps, partial(library.ddn, steps=steps, levels=None)) for steps in (50, 200)
        ]
        alma = partial(library.alma, num_steps=200, distance="l2", init_lr_distance=largest / 10)
        rows += [("ALMA", "200 steps", 200, alma)]
    for steps, halvings in ((20, 8), (100, 12)):
        bisection = partial(
            library.auto_pgd.minimal_apgd,
            norm=order,
            max_eps=largest,
            n_iter=steps,
            binary_search_steps=halvings,
        )
        rows += [("minimal APGD", f"{steps} steps x {halvings}", (steps + 1) * halvings, bisection)]
    return [Rival(family, settings, "adv-lib", price, at_once(attack)) for family, settings, price, attack in rows]


def foolbox_rivals(case: Case) -> list[Rival]:
    """foolbox's own FMN."""
    import foolbox

    attack = {"linf": foolbox.attacks.LInfFMNAttack, "l2": foolbox.attacks.L2FMNAttack}[case.norm](
        steps=100, max_stepsize=FMN_STRIDE[case.norm]
    )

    def run(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return attack(foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device), x, y, epsilons=None)[0]

    return [Rival("FMN (foolbox)", "100 steps", "foolbox", 100, at_once(run))]


def torchattacks_rivals(case: Case) -> list[Rival]:
    """A PGD for every epsilon."""
    import torchattacks

    steps = 20
    kind = {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}[case.norm]

    def run(model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Tensor:
        return kind(model, eps=epsilon, alpha=2.5 * epsilon / steps, steps=steps)(x, y)

    price = steps * (len(case.epsilons) - 1)
    return [Rival("PGD loop", f"{steps} steps each", "torchattacks", price, epsilon_by_epsilon(run))]


def pyautoattack_rivals(case: Case) -> list[Rival]:
    """AutoAttack (standard) at every epsilon."""
    from pyautoattack import AutoAttack

    def run(model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Tensor:
        norm = {"linf": "Linf", "l2": "L2"}[case.norm]
        attack = AutoAttack(model, norm=norm, eps=epsilon, seed=0, device=x.device)
        return attack.run_standard_evaluation(x, y, batch_size=BATCH)[0]

    price = 1900 * (len(case.epsilons) - 1) // 2  # where half of the images stand, and not counting 5,000 queries each
    return [Rival("AutoAttack loop", "standard", "pyautoattack", price, epsilon_by_epsilon(run))]


PEERS: dict[str, Callable[[Case], list[Rival]]] = {
    "adv-lib": adv_lib_rivals,
    "foolbox": foolbox_rivals,
    "torchattacks": torchattacks_rivals,
    "pyautoattack": pyautoattack_rivals,
}


def rivals(case: Case, most: float = math.inf) -> tuple[list[Rival], list[str]]:
    """The attacks for this norm that are installed and take about `most` gradients per image; and what is missing."""
    found: list[Rival] = []
    missing: list[str] = []
    for peer, of_peer in PEERS.items():
        try:
            some = of_peer(case)
        except ImportError as error:
            missing.append(f"{peer} ({error})")
        else:
            found += [rival for rival in some if rival.price <= most]
            missing += [f"{rival.name} (its price)" for rival in some if rival.price > most]
    return found, missing
