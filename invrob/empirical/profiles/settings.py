"""How a profile is measured, as values: what the images are changed by, against whom, and with which attack.

A plain string stands for the default value of its kind, so `over="rotation"` is `over=Rotation()`."""

from dataclasses import dataclass
from typing import Literal, get_args

from invrob.checks import check_counts
from invrob.empirical.transforms import TRANSFORMATIONS, Transformation, check_fill, transformation_named
from invrob.errors import InputError, did_you_mean
from invrob.names import AVERAGE, GRID, check_adversary

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
class Auto:
    """The search by gradients, and as many more attacks on the images nearest to falling as the network needs.

    Args:
        steps: gradient steps of an attack at one epsilon, >= 1.
        limit: gradient evaluations per image that the further attacks may take on average, >= 1; the search before
            them takes 15 to 30, and the audit has a price of its own. Without an audit they take 8 at most.

    Raises:
        InputError: for a number that is no integer of at least 1.

    Example:
        >>> import invrob
        >>> invrob.Auto(limit=400)
        Auto(steps=20, limit=400)
    """

    steps: int = 20
    limit: int = 50

    restarts = 1  # of the search at each level; what comes after it starts at random

    def __post_init__(self) -> None:
        check_counts(steps=self.steps, limit=self.limit)


@dataclass(frozen=True)
class PGD:
    """The search by gradients with a fixed effort for each image and level.

    Args:
        steps: gradient steps of a full attack at one epsilon, >= 1.
        restarts: full attacks at one epsilon, each from another random start, >= 1.

    Raises:
        InputError: for a number that is no integer of at least 1.

    Example:
        >>> import invrob
        >>> invrob.PGD(steps=100, restarts=5)
        PGD(steps=100, restarts=5)
    """

    steps: int = 20
    restarts: int = 1

    def __post_init__(self) -> None:
        check_counts(steps=self.steps, restarts=self.restarts)


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
Attack = str | Auto | PGD | Square | Weak

Audit = Literal["auto"] | int

ATTACKS: dict[str, Auto | PGD | Square | Weak] = {"auto": Auto(), "pgd": PGD(), "square": Square(), "weak": Weak()}


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
    check_adversary(against, asked_as)
    if against in (AVERAGE, GRID):
        return Grid() if against == GRID else None
    return WorstOf(int(against.rpartition("-")[2]))


def attack_of(attack: Attack) -> Auto | PGD | Square | Weak:
    """The value that `attack` stands for. Raises InputError for an unknown name."""
    if isinstance(attack, (Auto, PGD, Square, Weak)):
        return attack
    if attack not in ATTACKS:
        near = did_you_mean(str(attack), ATTACKS)
        raise InputError(
            f"attack = {attack!r} is unknown{near}: use {', '.join(ATTACKS)}, or a value such as PGD(steps=100)"
        )
    return ATTACKS[attack]


def audit_of(audit: Audit) -> int | None:
    """How many images are to be audited, None for as many as the price of the search allows.

    Raises InputError for anything else than "auto" and an integer of at least 0."""
    if audit == "auto":
        return None
    if isinstance(audit, (bool, str)) or not hasattr(audit, "__index__") or int(audit) < 0:
        raise InputError(f"audit = {audit!r} must be 'auto', a number of images, or 0 for none")
    return int(audit)
