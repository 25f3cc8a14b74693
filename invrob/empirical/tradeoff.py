"""Both profiles of one model on one card."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from invrob.empirical.inference import Model
from invrob.empirical.invariance import InvarianceProfile, invariance_profile
from invrob.empirical.profiles import RobustnessProfile, robustness_profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPSILONS = (
    0.0,
    0.02,
    0.05,
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.4,
    0.5,
)  # the paper's range for MNIST, as far as it can matter
THETAS = tuple(range(0, 181, 15))


@dataclass(frozen=True, eq=False)
class Card:
    """What rotation invariance and adversarial robustness this model has, on the same images."""

    invariance: InvarianceProfile
    robustness: RobustnessProfile

    @property
    def verdict(self) -> str:
        """'sound', or 'masked' when the robustness half cannot be believed (`robustness.sanity.reasons` say why)."""
        return self.robustness.verdict

    def to_json(self) -> str:
        """One JSON object with the two profiles, `verdict` included; no NaN or infinity in it."""
        both: dict[str, Any] = {"invariance": self.invariance.to_dict(), "robustness": self.robustness.to_dict()}
        return json.dumps(both, allow_nan=False)

    def plot(self) -> "Figure":
        """The card in the paper's layout: robustness on the left, rate of invariance on the right, bands of 95 %."""
        from invrob.empirical.figures import card_figure

        return card_figure(self.robustness, self.invariance)


def tradeoff(
    model: Model,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    epsilons: Iterable[float] = EPSILONS,
    thetas: Iterable[float] = THETAS,
    norm: str = "linf",
    seed: int = 0,
) -> Card:
    """Both profiles of `model` on the same images; arguments and errors as for the two profile functions.

    `card = invrob.tradeoff(model, images, labels); card.plot().savefig("card.png"); print(card.to_json())`"""
    return Card(
        invariance_profile(model, images, thetas, labels, seed=seed),
        robustness_profile(model, images, epsilons, labels, norm=norm, seed=seed),
    )
