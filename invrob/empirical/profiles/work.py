"""What a measurement asks of a model, as far as it can be foreseen, and how far it has come."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

from torch import Tensor, nn

from invrob.empirical.inference import Model, called
from invrob.empirical.profiles.settings import PGD, Attack, Auto, Change, Grid, Rotation, Square, WorstOf
from invrob.empirical.profiles.worst_case import most_evaluations
from invrob.progress import Progress, WorkProgress, reported

SEARCH = 30  # gradients per image of a search and its audit, beside the steps of a full attack: measured
AUTO = 60  # gradients per image where the effort is what the network needs: measured, the audit included
WEAK_STEPS = 40  # of a weak attack, for each epsilon
BLACK_BOX = 3.0  # an image is asked about that many times the queries of one epsilon


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


def work_of_attack(attack: Attack, epsilons: int = 1) -> Work:
    """What an attack asks per image: typical for searches. epsilons: their number, which matters for weak ones."""
    match attack:
        case Auto():
            return Work(attack=AUTO)
        case PGD(steps, restarts):
            return Work(attack=SEARCH + steps * restarts)
        case Square(queries):
            return Work(forward=BLACK_BOX * queries)
    return Work(attack=WEAK_STEPS * epsilons)


def work_of_change(over: Rotation | Change, values: tuple[float, ...], against: WorstOf | Grid | None) -> Work:
    """What changes of the images ask per image; of a worst case, where no prediction moves."""
    if against is not None:
        return Work(forward=most_evaluations(over.family, values, against))
    if isinstance(over, Rotation) and over.step is not None:
        return Work(forward=1 + ceil(values[-1] / over.step))
    return Work(forward=2 + len(values) / 2)


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


@contextmanager
def counting(
    model: Model, progress: Progress, works: Mapping[str, Work], images: int
) -> Iterator[tuple[Model, Callable[[str], None]]]:
    """The model as it is to be asked inside the block, so that `progress` shows how far all the works have come; and
    what is called with the name of each as it begins.

    works: per image, by name. The model is the same one where nothing is shown."""
    if not progress:
        yield model, lambda name: None
        return
    with reported(progress, next(iter(works))) as show:
        told = WorkProgress(show, {name: work.passes * images for name, work in works.items()})
        yield Counted(model, told.advanced), told.begins
        told.ends()
