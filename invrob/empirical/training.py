"""Training with rotations in [-A, A] and against perturbations of size epsilon: a model and data in, a history out.

Sources: rotation augmentation as in the paper, a fresh uniform angle per image and epoch; adversarial training of
Madry et al. 2018 on adversarial examples only; its single-step form with a random start, Wong et al. 2020 (arXiv
2001.03994)."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from invrob.empirical.attacks import attack_batch, loss_and_gradient
from invrob.empirical.data import Split
from invrob.empirical.inference import batches, evaluating, logits
from invrob.empirical.norms import NORMS, Norm
from invrob.empirical.transforms import rotate
from invrob.errors import InputError

RECIPE_VERSION = 1  # raise it when the same recipe would give other weights: finished cells are then computed again

LINF = NORMS["linf"]
VALIDATION_STEPS = 3


class Recipe(BaseModel):
    """How a model is trained; part of the identity of what comes out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation: float = Field(
        0.0, ge=0, le=180, description="A: training images are rotated by angles in [-A, A] degrees"
    )
    epsilon: float = Field(0.0, ge=0, le=1, description="of the attack trained against, L-inf, pixel units; 0 is none")
    attack_steps: int = Field(1, ge=1, le=1000, description="of that attack; 1 is a single step from a random start")
    epochs: int = Field(8, ge=1, le=10_000)
    batch_size: int = Field(64, ge=1, le=1_000_000)
    learning_rate: float = Field(2e-3, gt=0, le=1, description="the peak of a one-cycle schedule, for Adam")


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    loss: float  # mean over the training images as they were seen: rotated and attacked
    clean_accuracy: float  # on the validation images as they are
    validation_accuracy: float  # on the validation images under the recipe's rotations and attack: it picks the weights


@dataclass(frozen=True)
class Training:
    """The whole course, and which epoch's weights the model was left with."""

    epochs: tuple[Epoch, ...]
    best: int  # index into `epochs`, the first one of the highest validation accuracy


def train(
    model: nn.Module,
    training: Split,
    validation: Split,
    recipe: Recipe,
    *,
    seed: int,
    on_epoch: Callable[[int, Epoch], object] | None = None,
) -> Training:
    """Train `model` in place, on the device of its parameters, and leave it in eval mode with its best weights.

    training, validation: images float32 [N, C, H, W] in [0, 1], labels int64 [N]; they are moved to the device once.
    Same seed, same bits on one CPU thread. The caller's random state is left as it was. Raises InputError when the loss
    becomes NaN or infinite (then a smaller learning_rate is the way out)."""
    device = next(model.parameters()).device
    images, labels = training.images.to(device), training.labels.to(device)
    held_out = Split(validation.images.to(device), validation.labels.to(device))
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    per_epoch = math.ceil(len(images) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=per_epoch * recipe.epochs, cycle_momentum=False
    )
    generator = torch.Generator(device).manual_seed(seed)
    epochs: list[Epoch] = []
    best, weights = -1, {}
    with _seeded(device, seed):
        for number in range(recipe.epochs):
            loss = 0.0
            for part in torch.split(torch.randperm(len(images), generator=generator, device=device), recipe.batch_size):
                x = _prepared(model, images[part], labels[part], recipe, generator)
                loss += _step(model, x, labels[part], optimizer, number) * len(part)
                schedule.step()
            epoch = Epoch(loss / len(images), *_validate(model, held_out, recipe, seed))
            epochs.append(epoch)
            if best < 0 or epoch.validation_accuracy > epochs[best].validation_accuracy:
                best, weights = number, {k: v.detach().clone() for k, v in model.state_dict().items()}
            if on_epoch is not None:
                on_epoch(number, epoch)
    model.load_state_dict(weights)
    model.eval()
    return Training(tuple(epochs), best)


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Dropout has no generator of its own, so the global one of `device` starts from `seed` inside the block.

    No other is touched: torch.manual_seed would also seed the GPUs of a caller who trains on the CPU."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)
        yield


def _step(model: nn.Module, x: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer, epoch: int) -> float:
    model.train()
    loss = F.cross_entropy(model(x), labels)
    value = loss.item()
    if not math.isfinite(value):
        raise InputError(f"the training loss became {value} in epoch {epoch + 1}: take a smaller learning_rate")
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return value


def _prepared(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    steps: int | None = None,
) -> Tensor:
    """The images as the recipe shows them to the network: rotated by fresh angles, then attacked around that."""
    if recipe.rotation > 0:
        uniform = torch.rand(len(images), generator=generator, device=images.device, dtype=torch.float64)
        images = rotate(images, (2 * uniform - 1) * recipe.rotation)
    if recipe.epsilon == 0:
        return images
    with evaluating(model):
        if steps is None and recipe.attack_steps == 1:
            return _single_step(model, images, labels, recipe.epsilon, LINF, generator)
        radius = torch.full((len(images),), recipe.epsilon, device=images.device, dtype=torch.float64)
        chosen = recipe.attack_steps if steps is None else steps
        return attack_batch(model, images, labels, radius, LINF, steps=chosen, generator=generator).images


def _single_step(
    model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, norm: Norm, generator: torch.Generator
) -> Tensor:
    """One step of 1.25 epsilon from a random start (Wong et al. 2020); nothing is looked at afterwards."""
    radius = torch.full((len(images),), epsilon, device=images.device, dtype=torch.float64)
    x = norm.project(images, images + epsilon * norm.draw(images, generator), radius)
    _, gradient = loss_and_gradient(model, x, labels, None)
    return norm.project(images, x + 1.25 * epsilon * norm.ascent(gradient), radius)


def _validate(model: nn.Module, data: Split, recipe: Recipe, seed: int) -> tuple[float, float]:
    """Accuracy on the images as they are, and under the recipe's rotations and a short attack; same draws each
    time.

    Several steps because single-step training can overfit to its own attack, and then only other attacks show it."""
    generator = torch.Generator(data.images.device).manual_seed(seed)
    clean = hard = 0
    with evaluating(model):
        for part in batches(len(data.images), data.images.device):
            images, labels = data.images[part], data.labels[part]
            prepared = _prepared(model, images, labels, recipe, generator, steps=VALIDATION_STEPS)
            with torch.no_grad():
                clean += int((logits(model, images).argmax(1) == labels).sum())
                hard += int((logits(model, prepared).argmax(1) == labels).sum())
    return clean / len(data.images), hard / len(data.images)
