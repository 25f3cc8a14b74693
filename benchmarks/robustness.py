"""Robustness over epsilon against a loop over torchattacks' PGD and against foolbox: same model, images and steps."""

import foolbox
import numpy as np
import torch
import torchattacks
from torch import Tensor, nn

from benchmarks.networks import EPSILONS, digits_networks
from benchmarks.timing import Setting, Table, compare
from invrob import robustness_profile
from invrob.empirical import data

FINE = tuple(np.linspace(0, 0.5, 41).tolist())
STEPS = 20


@torch.no_grad()
def classes(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model(part).argmax(1) for part in images.split(256)])


def torchattacks_loop(model: nn.Module, images: Tensor) -> np.ndarray:
    """1 - fooling rate at each epsilon by one PGD per epsilon, against the model's own predictions."""
    labels, rates = classes(model, images), [1.0]
    for epsilon in EPSILONS[1:]:
        attack = torchattacks.PGD(model, eps=epsilon, alpha=2.5 * epsilon / STEPS, steps=STEPS)
        perturbed = torch.cat([attack(x, y) for x, y in zip(images.split(256), labels.split(256), strict=True)])
        rates.append(float((classes(model, perturbed) == labels).double().mean()))
    return np.array(rates)


def foolbox_loop(model: nn.Module, images: Tensor) -> np.ndarray:
    """The same by foolbox, which takes all epsilons in one call and runs them one after the other."""
    labels = classes(model, images)
    attack = foolbox.attacks.LinfPGD(rel_stepsize=2.5 / STEPS, steps=STEPS)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
    fooled = [
        attack(wrapped, x, y, epsilons=list(EPSILONS[1:]))[2].double().sum(1)
        for x, y in zip(images.split(256), labels.split(256), strict=True)
    ]
    return np.array([1.0, *(1 - sum(fooled) / len(images)).tolist()])


def tables(setting: Setting) -> list[Table]:
    """Price, strength and 41 epsilons, for both networks."""
    images = data.load("mnist-mini").test.images[: setting.images].to(setting.device)
    networks = digits_networks(setting).items()
    return [table for name, model in networks for table in _network(name, model, images, setting)]


def _network(name: str, model: nn.Module, images: Tensor, setting: Setting) -> list[Table]:
    ours = robustness_profile(model, images, EPSILONS, audit=0)
    strengths: list[dict[str, str | float]] = [{"attack": "invrob", **_by_epsilon(ours.rate)}]
    prices: list[dict[str, str | float]] = []
    loop_price = float(STEPS * (len(EPSILONS) - 1))
    for peer, loop in (("torchattacks PGD", torchattacks_loop), ("foolbox LinfPGD", foolbox_loop)):
        rates: list[np.ndarray] = []
        clock = compare(
            lambda: robustness_profile(model, images, EPSILONS, audit=0),
            lambda loop=loop, rates=rates: rates.append(loop(model, images)),
            setting,
        )
        strengths.append({"attack": peer, **_by_epsilon(rates[0])})
        prices.append(_price(f"{peer}, {len(EPSILONS)} epsilons", ours.gradient_evaluations, loop_price, clock))
    fine = robustness_profile(model, images, FINE, audit=0)
    clock = compare(
        lambda: robustness_profile(model, images, EPSILONS, audit=0),
        lambda: robustness_profile(model, images, FINE, audit=0),
        setting,
    )
    prices.append(
        _price(f"invrob itself with {len(FINE)} epsilons", ours.gradient_evaluations, fine.gradient_evaluations, clock)
    )
    audited = robustness_profile(model, images, EPSILONS)
    note = (
        f"{len(images)} digits, {len(EPSILONS)} epsilons, {STEPS} steps of the peers at each. Ours is a search alone; "
        f"with an audit it takes {audited.gradient_evaluations:.1f} gradients per image, and says: {audited.verdict}."
    )
    return [
        Table(f"Price of robustness: {name}", note, prices),
        Table(f"Robustness found: {name}", "Per epsilon; lower is the stronger attack.", strengths),
    ]


def _price(rival: str, ours: float, theirs: float, clock: dict[str, str | float]) -> dict[str, str | float]:
    return {
        "rival": rival,
        "our gradients": ours,
        "their gradients": theirs,
        "gradients, ratio": theirs / ours,
        **clock,
    }


def _by_epsilon(rates: np.ndarray) -> dict[str, str | float]:
    return {f"{epsilon:g}": float(rate) for epsilon, rate in zip(EPSILONS, rates, strict=True)}
