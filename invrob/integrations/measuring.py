"""The profile functions as they are called from inside a training loop, and the names of their numbers there."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invrob.checks import check_settings, checked_grid
from invrob.empirical.attacks import norm_named
from invrob.empirical.inference import Model
from invrob.empirical.profiles import (
    PGD,
    Auto,
    BlackBoxProfile,
    InvarianceProfile,
    Rates,
    RobustnessProfile,
    Rotation,
    Square,
    Weak,
    attack_of,
    audit_of,
    change_of,
    format_epsilon,
    invariance_profile,
    robustness_profile,
    usual_epsilons,
)
from invrob.errors import InputError
from invrob.integrations.pixels import Behind, Normalised, device_of, normalisation

ByGradients = str | Auto | PGD | Square
Audited = Literal["auto"] | int


@dataclass(frozen=True, eq=False)
class Held:
    """A network that nn.Module does not register as a part of whoever holds it."""

    model: Model


@dataclass(frozen=True)
class Invariance:
    """How the rate of invariance to rotations is measured; thetas of None are the usual ones."""

    thetas: tuple[float, ...]
    over: Rotation
    seed: int = 0
    confidence: float = 0.95

    @classmethod
    def checked(
        cls, thetas: Iterable[float] | None, over: str | Rotation, seed: int = 0, confidence: float = 0.95
    ) -> "Invariance":
        """These settings. Raises InputError for those that `invariance_profile` refuses, and for no rotations."""
        check_settings(confidence=confidence, seed=seed)
        change = change_of(over)
        if not isinstance(change, Rotation):
            raise InputError(f"over = {over!r} is no rotation: use invrob.invariance_profile for other changes")
        grid = change.family.checked(change.family.values if thetas is None else thetas)
        return cls(tuple(grid.tolist()), change, seed, confidence)

    def measure(
        self, model: Model, images: Tensor, labels: Tensor | None, normalised: Normalised | None
    ) -> InvarianceProfile:
        """Measure it as outside of a training loop; images and labels follow the network to its device."""
        network, images, labels = _together(model, images, labels, normalised)
        with _as_outside(images.device):
            return invariance_profile(
                network, images, self.thetas, labels, over=self.over, seed=self.seed, confidence=self.confidence
            )


@dataclass(frozen=True)
class Robustness:
    """How the robustness is measured; epsilons of None are the usual ones of the norm and the channels."""

    epsilons: tuple[float, ...] | None
    norm: str
    attack: Auto | PGD | Square
    audit: Audited
    seed: int = 0
    confidence: float = 0.95

    @classmethod
    def checked(
        cls,
        epsilons: Iterable[float] | None,
        norm: str,
        attack: ByGradients,
        audit: Audited,
        seed: int = 0,
        confidence: float = 0.95,
    ) -> "Robustness":
        """These settings. Raises InputError for those that `robustness_profile` refuses, and for weak attacks."""
        check_settings(confidence=confidence, seed=seed)
        audit_of(audit)
        chosen, largest = attack_of(attack), norm_named(norm).largest
        if isinstance(chosen, Weak):
            raise InputError(f"attack = {attack!r} flatters the model, and is no measure of it: use 'auto' or 'square'")
        if epsilons is not None:
            why = "pixels are in [0, 1], so write 8 / 255, not 8"
            epsilons = tuple(checked_grid("epsilons", epsilons, largest, why).tolist())
        return cls(epsilons, norm, chosen, audit, seed, confidence)

    def measure(
        self, model: Model, images: Tensor, labels: Tensor | None, normalised: Normalised | None
    ) -> RobustnessProfile | BlackBoxProfile:
        """Measure it as outside of a training loop; images and labels follow the network to its device."""
        network, images, labels = _together(model, images, labels, normalised)
        epsilons = usual_epsilons(self.norm, images.shape[1]) if self.epsilons is None else self.epsilons
        with _as_outside(images.device):
            profile = robustness_profile(
                network,
                images,
                epsilons,
                labels,
                norm=self.norm,
                attack=self.attack,
                seed=self.seed,
                confidence=self.confidence,
                audit=self.audit,
            )
        assert isinstance(profile, RobustnessProfile | BlackBoxProfile)
        return profile


def named_rates(profile: Rates, before: str) -> dict[str, float]:
    """Every rate of a profile with its interval and, where there are labels, the accuracy; the names begin with
    `before` and the value of the axis: "BEFORE_90", "BEFORE_90_low". An epsilon of 8/255 is written 8_255."""
    named: dict[str, float] = {}
    for place, value in enumerate(profile.values.tolist()):
        label = format_epsilon(value).replace("/", "_") if profile.axis == "epsilon" else f"{value:g}"
        for what, rates in (("", profile.rate), ("_low", profile.low), ("_high", profile.high)):
            named[f"{before}_{label}{what}"] = float(rates[place])
        if profile.accuracy is not None:
            named[f"{before}_{label}_accuracy"] = float(profile.accuracy[place])
    return named


def _together(
    model: Model, images: Tensor, labels: Tensor | None, normalised: Normalised | None
) -> tuple[Model, Tensor, Tensor | None]:
    """The network behind the normalisation of its images, and images and labels on its device."""
    device = device_of(model, images.device)
    with torch.inference_mode(False):  # gradients are to pass a layer that is made here
        layer = normalisation(normalised)
        network = model if layer is None else Behind(layer, model, device)
        return network, images.to(device), None if labels is None else labels.to(device)


@contextmanager
def _as_outside(device: torch.device) -> Iterator[None]:
    """Gradients and full precision inside the block, as outside of a training loop: Lightning validates under
    `inference_mode`, and autocast rounds away what an attack needs."""
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        yield
