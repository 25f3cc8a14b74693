"""The course of a training: its epochs, their losses, and the weights of the best one."""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from invrob.empirical.inference import set_training
from invrob.errors import InputError


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    loss: float  # mean over the training images as they were seen: rotated and attacked
    clean_accuracy: float  # on the validation images as they are
    validation_accuracy: float  # on the validation images under the recipe's rotations and attack: it picks the weights
    constant: bool = False  # whether every validation image got the same class: the training has collapsed


@dataclass(frozen=True)
class Training:
    """The whole course, and which epoch's weights the model was left with."""

    epochs: tuple[Epoch, ...]
    best: int  # index into `epochs`, the first one of the highest validation accuracy


AGAINST_COLLAPSE = (  # on a GCNN at A = 180 and epsilon = 0.2: stages helped, a sixth of the learning rate did not
    'its rates of 100 % would say nothing. Train in stages that begin with easier images: curriculum = "cusp"; or take '
    "another learning_rate"
)
CHECK_EVERY = 50  # steps between looks at the loss: each one waits for the GPU


class Losses:
    """The mean loss of an epoch, looked at now and then."""

    def __init__(self, epoch: int, images: int) -> None:
        self.epoch, self.images = epoch, images
        self.sum: Tensor | float = 0.0
        self.count = 0

    def add(self, loss: Tensor, images: int) -> None:
        self.sum = self.sum + loss.detach().double() * images
        self.count += 1
        if self.count % CHECK_EVERY == 0:
            self.mean()

    def mean(self) -> float:
        """Raises InputError where the sum is not finite."""
        value = float(self.sum)
        if not math.isfinite(value):
            raise InputError(
                f"the training loss became {value} in epoch {self.epoch + 1}: take a smaller learning_rate"
            )
        return value / self.images


class Course:
    """The epochs so far and the weights of the best one."""

    def __init__(self, epochs: int) -> None:
        self.epochs: list[Epoch] = []
        self.best, self.weights = -1, dict[str, Tensor]()

    def add(self, epoch: Epoch, model: nn.Module) -> None:
        self.epochs.append(epoch)
        if self.best < 0 or epoch.validation_accuracy > self.epochs[self.best].validation_accuracy:
            self.best = len(self.epochs) - 1
            self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def finish(self, model: nn.Module) -> Training:
        """Leave the best weights in the model, which is in eval mode then."""
        model.load_state_dict(self.weights)
        set_training(model, False)
        return Training(tuple(self.epochs), self.best)
