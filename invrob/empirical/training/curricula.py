"""The order in which a training shows rotations and attacks: stages, each with its share of both, and names for some.

How the shares were chosen. `cusp` has the stages of the authors' follow-up (Kamath et al. 2021): 74, 89 and 120 epochs
of 120, with 120, 150 and 180 degrees and 2, 4 and 8 / 255. The next three leave something out at first and then show
all of both. They have the simplest shares: `warm` a quarter of the training, so that a network can tell classes apart
before anything is made harder, and most of the training is still about both; `rotations-first` and `attacks-first` a
half, so that the two orders differ in nothing but the order. `ramp` has no jump: a p4 network that had learned its
rotations for a half forgot everything when epsilon went from 0 to 0.2 at once, and kept it when epsilon grew by fifths
within four tenths of the training, the first of them after a third and the last before a quarter of it was left."""

from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field

from invrob.errors import did_you_mean


class Stage(BaseModel):
    """A part of a curriculum: until then, that share of the recipe's rotation range and of its epsilon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    until: float = Field(gt=0, le=1, description="as a share of the training")
    rotation: float = Field(1.0, ge=0, le=1)
    epsilon: float = Field(1.0, ge=0, le=1)


Curriculum = tuple[Stage, ...]  # of the whole training, the last until 1; none means all of both from the beginning

CURRICULA: dict[str, Curriculum] = {
    "none": (),
    "cusp": (
        Stage(until=74 / 120, rotation=2 / 3, epsilon=1 / 4),
        Stage(until=89 / 120, rotation=5 / 6, epsilon=1 / 2),
        Stage(until=1),
    ),
    "warm": (Stage(until=1 / 4, rotation=0, epsilon=0), Stage(until=1)),
    "rotations-first": (Stage(until=1 / 2, epsilon=0), Stage(until=1)),
    "attacks-first": (Stage(until=1 / 2, rotation=0), Stage(until=1)),
    "ramp": (
        Stage(until=0.35, epsilon=0),
        Stage(until=0.45, epsilon=0.2),
        Stage(until=0.55, epsilon=0.4),
        Stage(until=0.65, epsilon=0.6),
        Stage(until=0.75, epsilon=0.8),
        Stage(until=1),
    ),
}


def curriculum_named(name: str) -> Curriculum:
    """The stages of the curriculum called `name` in CURRICULA. Raises ValueError for an unknown name."""
    if name not in CURRICULA:
        near = did_you_mean(name, CURRICULA)
        raise ValueError(f"is unknown{near}: one of {', '.join(CURRICULA)}, or a list of stages of your own")
    return CURRICULA[name]


def curriculum_in_words(stages: Curriculum) -> str:
    """What people read of a curriculum: its name where it has one, else a few words about its stages.

    Args:
        stages: as `Recipe.curriculum` has them.

    Returns:
        Such as "cusp", or "2 stages from 50 % of A and 0 % of epsilon".

    Example:
        >>> from invrob.empirical.training import Stage, curriculum_in_words
        >>> curriculum_in_words((Stage(until=0.5, rotation=0.5, epsilon=0), Stage(until=1)))
        '2 stages from 50 % of A and 0 % of epsilon'
    """
    known = next((name for name, named in CURRICULA.items() if named == stages), None)
    if known is not None:
        return known
    count = "1 stage" if len(stages) == 1 else f"{len(stages)} stages"
    return f"{count} from {100 * stages[0].rotation:.3g} % of A and {100 * stages[0].epsilon:.3g} % of epsilon"


def check_curriculum(stages: Curriculum) -> None:
    """Raise ValueError where stages do not follow one another to the end of the training."""
    ends = [stage.until for stage in stages]
    if ends and (ends[-1] != 1 or any(b <= a for a, b in pairwise(ends))):
        raise ValueError(f"curriculum ends its stages at {ends}: they must increase, and the last must be 1")
