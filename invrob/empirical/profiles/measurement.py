"""What is measured of a model, as one value that experiments, plans, figures and the profile of one model share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from torch import Tensor, nn

from invrob.empirical.inference import Model, called
from invrob.empirical.profiles.black_box import BlackBoxProfile
from invrob.empirical.profiles.invariance import InvarianceProfile, invariance_profile
from invrob.empirical.profiles.rates import Rates
from invrob.empirical.profiles.robustness import RobustnessProfile, robustness_profile
from invrob.empirical.profiles.settings import PGD, Audit, Auto, Change, Grid, Rotation, Square, Weak, WorstOf
from invrob.empirical.profiles.weak import WeakProfile
from invrob.empirical.profiles.worst_case import WorstCaseProfile, most_evaluations

SEARCH = 30  # gradients per image of a search and its audit, beside the steps of a full attack: measured
AUTO = 60  # gradients per image where the effort is what the network needs: measured, the audit included
WEAK_STEPS = 40  # of a weak attack, for each epsilon
BLACK_BOX = 3.0  # an image is asked about that many times the queries of one epsilon

NORMS = {"linf": "", "l2": " in L2"}  # in titles
BORDERS = {"zero": "", "canvas": ", on a larger black canvas", "disc": ", inside the disc only"}


@dataclass(frozen=True)
class Work:
    """Images that a network is asked about, counted by what is computed of them."""

    forward: float = 0.0  # logits only
    attack: float = 0.0  # and the gradient for the image: twice the arithmetic
    training: float = 0.0  # and the gradient for the weights: three times

    def __add__(self, other: "Work") -> "Work":
        return Work(self.forward + other.forward, self.attack + other.attack, self.training + other.training)

    def __mul__(self, images: float) -> "Work":
        return Work(images * self.forward, images * self.attack, images * self.training)

    @property
    def evaluations(self) -> float:
        """How many images the network is asked about."""
        return self.forward + self.attack + self.training

    @property
    def passes(self) -> float:
        """The forward passes of one image that take as much arithmetic."""
        return self.forward + 2 * self.attack + 3 * self.training


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
        match self.attack:
            case Auto():
                return Work(attack=AUTO)
            case PGD(steps, restarts):
                return Work(attack=SEARCH + steps * restarts)
            case Square(queries):
                return Work(forward=BLACK_BOX * queries)
            case Weak():
                return Work(attack=WEAK_STEPS * len(self.values))
        assert self.over is not None
        if self.against is not None:
            return Work(forward=most_evaluations(self.over.family, self.values, self.against))
        if isinstance(self.over, Rotation) and self.over.step is not None:
            return Work(forward=1 + ceil(self.values[-1] / self.over.step))
        return Work(forward=2 + len(self.values) / 2)

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


class Counted(nn.Module):
    """`model`, and `advanced` called with the forward passes that each call of it takes."""

    def __init__(self, model: Model, advanced: Callable[[float], None]) -> None:
        super().__init__()
        self.model, self.advanced = model, advanced

    def forward(self, images: Tensor) -> Tensor:
        n = len(images)
        self.advanced((Work(attack=n) if images.requires_grad else Work(forward=n)).passes)
        outputs: Tensor = called(self.model, images)
        return outputs
