"""What is measured of a model, as one value that experiments, plans, figures and the profile of one model share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from invrob.empirical.inference import Model
from invrob.empirical.profiles.black_box import BlackBoxProfile
from invrob.empirical.profiles.invariance import InvarianceProfile, invariance_profile
from invrob.empirical.profiles.rates import Rates
from invrob.empirical.profiles.robustness import RobustnessProfile, robustness_profile
from invrob.empirical.profiles.settings import PGD, Audit, Auto, Change, Grid, Rotation, Square, Weak, WorstOf
from invrob.empirical.profiles.weak import WeakProfile
from invrob.empirical.profiles.work import Work, work_of_attack, work_of_change
from invrob.empirical.profiles.worst_case import WorstCaseProfile

NORMS = {"linf": "", "l2": " in L2"}  # in titles
BORDERS = {"zero": "", "canvas": ", on a larger black canvas", "disc": ", inside the disc only"}


@dataclass(frozen=True)
class Measurement:
    """One set of rates that is to be measured of a model.

    It runs over theta where `over` says how the images are changed, and over epsilon where `attack` says who attacks.

    Args:
        name: what files and tables call it, such as "invariance" or "weak:paper".
        values: the thetas or epsilons, increasing.
        over: the change of the images. Exactly one of `over` and `attack` is given.
        against: the adversary that chooses the change; None averages over random changes.
        attack: the attack on the prediction, in the ball of `norm` ("linf" or "l2").
        seed: of random changes and random starts.
        audit: images of the audit, as for `robustness_profile`.

    Example:
        >>> from invrob.empirical.profiles import Measurement, Rotation, WorstOf
        >>> worst = Measurement("rotation:worst-of-3", (0.0, 30.0, 60.0), over=Rotation(), against=WorstOf(3))
        >>> worst.axis, worst.title
        ('theta', 'Rate of invariance, worst-of-3: rotation')
    """

    name: str
    values: tuple[float, ...]
    over: Rotation | Change | None = None
    against: WorstOf | Grid | None = None
    norm: str = "linf"
    attack: Auto | PGD | Square | Weak | None = None
    seed: int = 0
    audit: Audit = "auto"

    def __post_init__(self) -> None:
        assert (self.over is None) != (self.attack is None), "rates run over theta or over epsilon"

    @property
    def axis(self) -> Literal["theta", "epsilon"]:
        """What its values are."""
        return "theta" if self.attack is None else "epsilon"

    @property
    def on_card_axis(self) -> bool:
        """Whether its rates stand beside those of the card value by value: other borders, and weak attacks."""
        plain = isinstance(self.over, Rotation) and self.against is None
        return plain or isinstance(self.attack, Weak)

    @property
    def title(self) -> str:
        """What it is, for a person."""
        if isinstance(self.attack, Weak):
            return f"Weak attack ({self.attack.name}): to be distrusted"
        if self.over is None:
            bound = ", an upper bound" if isinstance(self.attack, Square) else ""
            return f"Robustness{NORMS[self.norm]}: 1 - fooling rate{bound}"
        if self.against is not None:
            return f"Rate of invariance, {self.against.name}: {self.over.name}"
        if isinstance(self.over, Change):
            return f"Rate of invariance: {self.over.name}"
        if self.over.path == "there-and-back":
            return "Turned there and back: interpolation alone"
        return f"Rate of invariance{BORDERS[self.over.border]}"

    @property
    def work(self) -> Work:
        """What it asks of the model per image: typical for searches; of a worst case, where no prediction moves."""
        if self.over is None:
            assert self.attack is not None
            return work_of_attack(self.attack, len(self.values))
        return work_of_change(self.over, self.values, self.against)

    def measure(self, model: Model, images: Tensor, labels: Tensor | None = None) -> Rates:
        """Measure it; arguments and errors are those of `invariance_profile` and `robustness_profile`."""
        if self.over is None:
            assert self.attack is not None
            return robustness_profile(
                model, images, self.values, labels, norm=self.norm, attack=self.attack, seed=self.seed, audit=self.audit
            )
        against = "average" if self.against is None else self.against
        return invariance_profile(model, images, self.values, labels, over=self.over, against=against, seed=self.seed)

    def read(self, plain: Mapping[str, Any]) -> Rates:
        """The rates that `measure(...).to_dict()` gave. Raises InputError where they are of another kind."""
        kinds: dict[type | None, type[Rates]] = {
            Auto: RobustnessProfile,
            PGD: RobustnessProfile,
            Square: BlackBoxProfile,
            Weak: WeakProfile,
            WorstOf: WorstCaseProfile,
            Grid: WorstCaseProfile,
            type(None): InvarianceProfile,
        }
        return kinds[type(self.attack or self.against)].from_dict(plain)
