"""Both profiles of one model on one card."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from invrob.empirical.inference import Model, images_fingerprint
from invrob.empirical.profiles.black_box import BlackBoxProfile
from invrob.empirical.profiles.grids import usual_epsilons
from invrob.empirical.profiles.invariance import InvarianceProfile, invariance_profile
from invrob.empirical.profiles.measured_on import MeasuredOn
from invrob.empirical.profiles.robustness import RobustnessProfile, robustness_profile
from invrob.empirical.profiles.settings import PGD, Auto, Over, Square, Weak, attack_of, change_of
from invrob.empirical.profiles.work import counting, work_of_attack, work_of_change
from invrob.errors import InputError
from invrob.progress import Progress
from invrob.shown import Shown, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Card(Shown):
    """What rate of invariance and what adversarial robustness a model has, measured on the same images.

    Example:
        >>> import torch, invrob
        >>> card = invrob.tradeoff(lambda x: x.flatten(1), torch.rand(4, 1, 2, 2), epsilons=[0, 0.1], thetas=[0, 90])
        >>> invrob.Card.from_dict(card.to_dict()) == card
        True
    """

    invariance: InvarianceProfile
    robustness: RobustnessProfile | BlackBoxProfile
    measured_on: MeasuredOn | None = None  # None where nobody kept which images they were

    @property
    def verdict(self) -> str:
        """'sound', 'masked' when the robustness half cannot be believed (`robustness.sanity.reasons` say why), or
        'black-box' where it is but an upper bound."""
        return self.robustness.verdict

    def summary(self) -> Summary:
        invariance, robustness = self.invariance, self.robustness
        images = f"{robustness.images:,} images" if robustness.images == invariance.images else "images"
        tables = (
            robustness.table(f"Robustness, 1 - fooling rate ({robustness.about})"),
            invariance.table(f"Rate of invariance ({invariance.about})"),
        )
        title = f"{images}; verdict on the attack: {self.verdict}"
        return Summary(title, tables, (*robustness.remarks(), *invariance.remarks(), robustness.legend))

    def records(self) -> list[dict[str, Any]]:
        """A row for each value of both axes, as the profiles have them; `axis` tells them apart."""
        return [*self.robustness.records(), *self.invariance.records()]

    def plot(self, ax: "Iterable[Axes] | None" = None) -> "Figure":
        """The card in the paper's layout: robustness on the left, rate of invariance on the right, with their bands.

        Args:
            ax: a pair of axes of a figure of your own to draw into, the first for the robustness, such as
                `plt.subplots(1, 2)` gives; their figure is returned.

        Returns:
            A figure of matplotlib, which a notebook shows as the value of a cell.

        Raises:
            InputError: for an `ax` that is no pair of axes.
        """
        from invrob.empirical.profiles.plots import card_figure

        return card_figure(self.robustness, self.invariance, ax)


def tradeoff(
    model: Model,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    epsilons: Iterable[float] | None = None,
    thetas: Iterable[float] | None = None,
    norm: str = "linf",
    attack: str | Auto | PGD | Square = "auto",
    over: Over = "rotation",
    seed: int = 0,
    progress: Progress = False,
) -> Card:
    """What invariance and what robustness a model has, measured on the same images and put on one card.

    Args:
        model, images, labels, norm, seed: as for `robustness_profile`.
        epsilons: of the robustness; the usual ones of the norm and the channels where left out, as on the command line.
        thetas: of the invariance; the usual ones of the change where left out.
        attack: "auto" or `Auto(limit)`, "pgd" or `PGD(steps, restarts)`. "square" or `Square(queries)` for a model
            without gradients, whose robustness is an upper bound.
        over: what changes the images, as for `invariance_profile`.
        progress: True for a bar over both, as for `robustness_profile`.

    Returns:
        A `Card` with `invariance`, `robustness` and `verdict`; `plot()` draws it and `to_json()` writes it.

    Raises:
        InputError: as the two profile functions.

    Example:
        >>> import torch, invrob
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> card = invrob.tradeoff(model, torch.rand(20, 1, 8, 8))
        >>> card.invariance.axis, card.robustness.axis
        ('theta', 'epsilon')
    """
    chosen, change = attack_of(attack), change_of(over)
    thetas = change.family.values if thetas is None else thetas
    # Images that are none are refused by the profiles.
    count, channels = images.shape[:2] if isinstance(images, Tensor) and images.ndim == 4 else (0, 1)
    epsilons = usual_epsilons(norm, channels) if epsilons is None else epsilons
    if isinstance(chosen, Weak):
        raise InputError(f"attack = {attack!r} flatters the model, and has no place on a card: use 'auto' or 'square'")
    thetas = change.family.checked(thetas)
    works = {"invariance": work_of_change(change, tuple(thetas.tolist()), None), "robustness": work_of_attack(chosen)}
    with counting(model, progress, works, count) as (model, begins):
        begins("invariance")
        invariance = invariance_profile(model, images, thetas, labels, over=change, seed=seed)
        begins("robustness")
        robustness = robustness_profile(model, images, epsilons, labels, norm=norm, attack=chosen, seed=seed)
    return Card(invariance, robustness, MeasuredOn(len(images), images_fingerprint(images)))
