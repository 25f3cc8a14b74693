"""How a profile is measured, as values: what the images are changed by, against whom, and with which attack.

A plain string stands for the default value of its kind, so `over="rotation"` is `over=Rotation()`."""

from dataclasses import dataclass
from typing import Literal, get_args

from invrob.checks import check_counts
from invrob.empirical.transforms import TRANSFORMATIONS, Transformation, check_fill, transformation_named
from invrob.errors import InputError, did_you_mean

Border = Literal["zero", "canvas", "disc"]
Path = Literal["there", "there-and-back"]


@dataclass(frozen=True)
class Change:
    """A family of changes of the images, by the name that `transforms.TRANSFORMATIONS` has for it.

    Args:
        name: such as "translation"; for "rotation" see `Rotation`, which has more settings.
        fill: the finite value of the pixels that come in from outside the image.

    Raises:
        InputError: for an unknown name, and a fill that is not finite.

    Example:
        >>> from invrob.empirical.profiles import Change
        >>> Change("translation", fill=0.5)
        Change(name='translation', fill=0.5)
    """

    name: str
    fill: float = 0.0

    border, path, step = "zero", "there", None  # settings of rotations alone

    def __post_init__(self) -> None:
        transformation_named(self.name, "name =")
        check_fill(self.fill)

    @property
    def family(self) -> Transformation:
        """The transformation that the images are changed by."""
        return transformation_named(self.name)


@dataclass(frozen=True)
class Rotation:
    """Rotations about the centre of the image, and what is done at its border.

    Args:
        border: "zero" turns the image on its own canvas: corners leave it, and `fill` comes in. "canvas" does the same
            with the image set small on a larger canvas, so that nothing leaves it. "disc" hides all that lies outside
            the inscribed disc, before and after the turn, so that no corner tells the angle.
        path: "there" turns by the angle; "there-and-back" turns by the angle and back again, so that what changes,
            changes by interpolation and border alone.
        step: the widest band of angles in degrees, in (0, 180]: smaller is finer and dearer. None takes as few bands
            as the grid of thetas allows.
        fill: the finite value of the pixels that come in from outside the image.

    Raises:
        InputError: outside these ranges.

    Example:
        >>> import invrob
        >>> invrob.Rotation(border="disc").path
        'there'
    """

    border: Border = "zero"
    path: Path = "there"
    step: float | None = None
    fill: float = 0.0

    name, family = "rotation", TRANSFORMATIONS["rotation"]

    def __post_init__(self) -> None:
        for argument, known in (("border", get_args(Border)), ("path", get_args(Path))):
            name = getattr(self, argument)
            if name not in known:
                near = did_you_mean(str(name), known)
                raise InputError(f"{argument} = {name!r} is unknown{near}: use {', '.join(known)}")
        if not (self.step is None or 0 < self.step <= 180):
            raise InputError(
                f"step = {self.step} is outside (0, 180] degrees: smaller is finer, and None asks the model least"
            )
        check_fill(self.fill)


@dataclass(frozen=True)
class WorstOf:
    """The worst of `draws` >= 1 independent random changes of each image.

    Example:
        >>> import invrob
        >>> invrob.WorstOf(10).name
        'worst-of-10'
    """

    draws: int = 10

    def __post_init__(self) -> None:
        check_counts(draws=self.draws)

    @property
    def name(self) -> str:
        """As tables and files name it."""
        return f"worst-of-{self.draws}"


@dataclass(frozen=True)
class Grid:
    """The worst of all points of a fixed grid, whose gaps are those of the transformation divided by `finer` >= 1.

    Example:
        >>> import invrob
        >>> invrob.Grid(finer=2).name
        'grid'
    """

    finer: int = 1

    name = "grid"

    def __post_init__(self) -> None:
        check_counts(finer=self.finer)


@dataclass(frozen=True)
class PGD:
    """The search by gradients for the smallest epsilon that fools each image, and the probes that judge it.

    Args:
        steps: gradient steps of a full attack at one epsilon, >= 1.
        restarts: full attacks at one epsilon, each from another random start, >= 1.
        probes: images that the checks of the attack look at, >= 1.

    Raises:
        InputError: for a number that is no integer of at least 1.

    Example:
        >>> import invrob
        >>> invrob.PGD(steps=100, restarts=5)
        PGD(steps=100, restarts=5, probes=32)
    """

    steps: int = 20
    restarts: int = 1
    probes: int = 32

    def __post_init__(self) -> None:
        check_counts(steps=self.steps, restarts=self.restarts, probes=self.probes)


@dataclass(frozen=True)
class Square:
    """A random search that sees logits and no gradients (Andriushchenko et al. 2020): an upper bound of the robustness.

    Args:
        queries: model evaluations per image at one epsilon, >= 1.

    Raises:
        InputError: for a number that is no integer of at least 1.

    Example:
        >>> import invrob
        >>> invrob.Square(queries=1000)
        Square(queries=1000)
    """

    queries: int = 500

    def __post_init__(self) -> None:
        check_counts(queries=self.queries)


@dataclass(frozen=True)
class Weak:
    """An attack that flatters the model, as such attacks were commonly run: to be set beside the strong one.

    Args:
        name: one of `profiles.WEAK`, such as "paper" or "few-steps".

    Raises:
        InputError: when it is used, for an unknown name.

    Example:
        >>> import invrob
        >>> invrob.Weak("few-steps")
        Weak(name='few-steps')
    """

    name: str = "paper"


Over = str | Rotation | Change
Against = str | WorstOf | Grid
Attack = str | PGD | Square | Weak

AVERAGE = "average"
ATTACKS: dict[str, PGD | Square | Weak] = {"pgd": PGD(), "square": Square(), "weak": Weak()}


def change_of(over: Over) -> Rotation | Change:
    """The value that `over` stands for. Raises InputError for an unknown name."""
    if isinstance(over, (Rotation, Change)):
        return over
    transformation_named(over, "over =")
    return Rotation() if over == Rotation.name else Change(over)


def adversary_of(against: Against, asked_as: str = "against =") -> WorstOf | Grid | None:
    """The value that `against` stands for: "average" (None), "grid", or "worst-of-10" with any number of draws.

    Raises InputError for anything else; asked_as: where its text says that the name comes from."""
    if isinstance(against, (WorstOf, Grid)):
        return against
    if against == AVERAGE:
        return None
    if against == Grid.name:
        return Grid()
    before, _, draws = str(against).rpartition("-")
    if before == "worst-of" and draws.isdecimal() and 1 <= int(draws) < 10**6:
        return WorstOf(int(draws))
    raise InputError(
        f"{asked_as} {against!r} is unknown: use 'average', 'grid', or 'worst-of-10' for ten random changes"
    )


def attack_of(attack: Attack) -> PGD | Square | Weak:
    """The value that `attack` stands for. Raises InputError for an unknown name."""
    if isinstance(attack, (PGD, Square, Weak)):
        return attack
    if attack not in ATTACKS:
        near = did_you_mean(str(attack), ATTACKS)
        raise InputError(
            f"attack = {attack!r} is unknown{near}: use {', '.join(ATTACKS)}, or a value such as PGD(steps=100)"
        )
    return ATTACKS[attack]
