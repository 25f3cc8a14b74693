"""Both profiles of one model on one card."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from invrob.empirical.inference import Model
from invrob.empirical.profiles.black_box import BlackBoxProfile, black_box_profile
from invrob.empirical.profiles.grids import EPSILONS, L2_EPSILONS
from invrob.empirical.profiles.invariance import InvarianceProfile, invariance_profile
from invrob.empirical.profiles.robustness import RobustnessProfile, robustness_profile
from invrob.empirical.transforms import transformation_named
from invrob.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ATTACKS: dict[str, Callable[..., RobustnessProfile | BlackBoxProfile]] = {
    "gradient": robustness_profile,
    "black-box": black_box_profile,
}


@dataclass(frozen=True, eq=False)
class Card:
    """What invariance and adversarial robustness this model has, on the same images."""

    invariance: InvarianceProfile
    robustness: RobustnessProfile | BlackBoxProfile

    @property
    def verdict(self) -> str:
        """'sound', 'masked' when the robustness half cannot be believed (`robustness.sanity.reasons` say why), or
        'black-box' where it is but an upper bound."""
        return self.robustness.verdict

    def to_json(self) -> str:
        """One JSON object with the two profiles, `verdict` included; no NaN or infinity in it."""
        both: dict[str, Any] = {"invariance": self.invariance.to_dict(), "robustness": self.robustness.to_dict()}
        return json.dumps(both, allow_nan=False)

    def plot(self) -> "Figure":
        """The card in the paper's layout: robustness on the left, rate of invariance on the right, bands of 95 %."""
        from invrob.empirical.profiles.plots import card_figure

        return card_figure(self.robustness, self.invariance)


def tradeoff(
    model: Model,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    epsilons: Iterable[float] | None = None,
    thetas: Iterable[float] | None = None,
    norm: str = "linf",
    attack: Literal["gradient", "black-box"] = "gradient",
    transformation: str = "rotation",
    seed: int = 0,
) -> Card:
    """Both profiles of `model` on the same images; arguments and errors as for the two profile functions.

    attack: "black-box" for a model without gradients; its robustness is an upper bound, see `black_box_profile`.
    epsilons, thetas: EPSILONS or L2_EPSILONS, by the norm, and the usual values of the transformation where left out.

    `card = invrob.tradeoff(model, images, labels); card.plot().savefig("card.png"); print(card.to_json())`"""
    thetas = transformation_named(transformation).values if thetas is None else thetas
    if epsilons is None:
        epsilons = L2_EPSILONS if norm == "l2" else EPSILONS
    if attack not in ATTACKS:
        near = did_you_mean(str(attack), ATTACKS)
        raise InputError(f"attack = {attack!r} is unknown{near}: use {' or '.join(ATTACKS)}")
    return Card(
        invariance_profile(model, images, thetas, labels, seed=seed, transformation=transformation),
        ATTACKS[attack](model, images, epsilons, labels, norm, seed=seed),
    )
