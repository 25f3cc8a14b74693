"""Training with rotations in [-A, A] and against perturbations of size epsilon: a model and data in, a history out.

Sources: rotation augmentation as in the paper, a fresh uniform angle per image and epoch; adversarial training of
Madry et al. 2018 on adversarial examples only, or with TRADES' loss (Zhang et al. 2019). recipes.py has what can be
chosen, adversary.py the attack inside."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invrob.empirical.data import Split
from invrob.empirical.inference import batches, called, evaluating, in_pieces, logits, set_training
from invrob.empirical.training import adversary
from invrob.empirical.training.augment import crop_and_flip, turned
from invrob.empirical.training.checkpoint import InProgress, Keeper
from invrob.empirical.training.course import Course, Epoch, Training
from invrob.empirical.training.draws import Draws
from invrob.empirical.training.pieces import sum_over_pieces
from invrob.empirical.training.recipes import Recipe
from invrob.errors import InputError

VALIDATION_STEPS = 3


def train(
    model: nn.Module,
    training: Split,
    validation: Split,
    recipe: Recipe,
    *,
    seed: int,
    on_epoch: Callable[[int, Epoch], object] | None = None,
    keeper: Keeper | None = None,
) -> Training:
    """Train `model` in place, on the device of its parameters, and leave it in eval mode with its best weights.

    Same seed, same bits on one CPU thread. The caller's random state is left as it was. A batch that the memory does
    not hold is taken in pieces, whose gradients are added: the same up to rounding, but for batch norm, which sees the
    statistics of a piece (then the logger "invrob" says so).

    Args:
        model: images [N, C, H, W] -> logits [N, K].
        training: images float32 [N, C, H, W] in [0, 1] and labels int64 [N], N >= 1; moved to the device once.
        validation: the same, other images; the epoch that does best on them under the recipe's rotations and attack
            gives the weights.
        recipe: rotations, attack, optimizer and epochs.
        seed: of the order of the images, of augmentation, attacks and dropout; >= 0.
        on_epoch: is called with the number of each epoch, from 0, and what it came to.
        keeper: keeps the training while it goes on; what it has of this training already is not done again.

    Returns:
        What every epoch came to, and which of them gave the weights.

    Raises:
        InputError: for no images, when the loss becomes NaN or infinite (then a smaller learning_rate is the way out),
            and where a single image does not fit into memory.

    Example:
        >>> import torch
        >>> from invrob.empirical.data import Split
        >>> data = Split(torch.rand(8, 1, 4, 4), torch.arange(8) % 2)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> len(train(model, data, data, Recipe(rotation=30, epochs=2), seed=0).epochs)
        2
    """
    device = next(model.parameters()).device
    (images, labels), held_out = on_device(training, device), Split(*on_device(validation, device))
    optimizer = make_optimizer(dict(model.named_parameters()), recipe)
    per_epoch = math.ceil(len(images) / recipe.batch_size)
    schedule = make_schedule(optimizer, recipe, per_epoch * recipe.epochs)
    draws, course = Draws(device, seed), Course(recipe.epochs)
    with seeded(device, seed), channels_last(model):
        going = InProgress(
            _changing(model), optimizer, schedule, [draws], [course], len(images), recipe.batch_size, keeper
        )
        going.resume()
        while (number := going.epoch) < recipe.epochs:
            rotation, epsilon = recipe.at(number / recipe.epochs)
            for (part,) in going.batches():
                x = turned(crop_and_flip(images[part], recipe.crop, recipe.flip, draws.device), rotation, draws.host)
                start = start_of_attack(x, recipe, epsilon, draws.device)
                step = partial(_step, model, x, start, labels[part], recipe, epsilon)
                loss, going.size = sum_over_pieces(model, optimizer, len(part), going.size, step)
                optimizer.step()
                going.losses[0].add(loss, len(part))
                schedule.step()
            with going.validating():
                epoch = Epoch(going.losses[0].mean(), *validate(model, held_out, recipe, seed))
            course.add(epoch, model)
            going.next_epoch()
            if on_epoch is not None:
                on_epoch(number, epoch)
    return course.finish(model)


def _changing(model: nn.Module) -> dict[str, Tensor]:
    """All that the steps of a training may change, by name."""
    parameters, buffers = model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
    return {**dict(parameters), **dict(buffers)}


def on_device(split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images and labels on `device`. Raises InputError where there are none."""
    if not len(split.images):
        raise InputError("there are no images to train on, or none to validate on: give at least one of both")
    return split.images.to(device), split.labels.to(device)


def make_optimizer(parameters: dict[str, Tensor], recipe: Recipe, stacked: bool = False) -> torch.optim.Optimizer:
    """The optimizer of the recipe; stacked: every parameter has one more axis in front, for the models of a stack."""
    weights = [p for p in parameters.values() if p.ndim - stacked > 1]
    others = [p for p in parameters.values() if p.ndim - stacked <= 1]
    decay = recipe.weight_decay
    groups = [
        {"params": weights, "weight_decay": decay},
        {"params": others, "weight_decay": decay if recipe.decayed == "all" else 0.0},
    ]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate over `steps` optimizer steps."""
    if recipe.schedule == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps, cycle_momentum=False
        )
    factors: dict[str, Callable[[int], float]] = {
        "constant": lambda step: 1.0,
        "cosine": lambda step: (1 + math.cos(math.pi * min(step / steps, 1))) / 2,
        "step": lambda step: 0.1 ** sum(step >= milestone * steps for milestone in recipe.milestones),
    }
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factors[recipe.schedule])


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Dropout has no generator of its own, so the global one of `device` starts from `seed` inside the block.

    No other is touched: torch.manual_seed would also seed the GPUs of a caller who trains on the CPU."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def channels_last(model: nn.Module) -> Iterator[None]:
    """Plain convolutions compute with the channels last inside the block, which is faster on GPUs and CPUs alike; the
    layout of their weights comes back as it was, also after an exception."""
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    layouts = [(p, p.stride()) for m in convolutions for p in m.parameters(recurse=False)]
    try:
        for module in convolutions:
            module.to(memory_format=torch.channels_last)
        yield
    finally:
        for parameter, layout in layouts:
            if parameter.stride() != layout:
                values = parameter.detach()
                parameter.data = values.new_empty_strided(values.shape, layout).copy_(values)


def precision(device: torch.device, recipe: Recipe) -> torch.autocast:
    """The arithmetic of the recipe inside the block."""
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16")


def _step(
    model: nn.Module, x: Tensor, start: Tensor, labels: Tensor, recipe: Recipe, epsilon: float, rows: slice
) -> Tensor:
    """The part of some rows in the mean loss of the batch `x`, whose attack begins at `start`; adds its gradients."""
    images, labels = x[rows], labels[rows]
    attacked = attack(model, images, labels, recipe, epsilon, start[rows])
    set_training(model, True)
    loss = _loss(model, images, attacked, labels, recipe) * (len(images) / len(x))
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def _loss(model: nn.Module, x: Tensor, attacked: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    with precision(x.device, recipe):
        outputs: Tensor = called(model, x if recipe.trades_beta else attacked).float()
        loss = F.cross_entropy(outputs, labels)
        if not recipe.trades_beta:
            return loss
        moved = called(model, attacked).float().log_softmax(1)
        return loss + recipe.trades_beta * F.kl_div(moved, outputs.softmax(1), reduction="batchmean")


def attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    epsilon: float,
    start: Tensor,
    steps: int | None = None,
) -> Tensor:
    """The images as the recipe's adversary hands them to the network, beginning at `start` of `start_of_attack`; as
    they are where epsilon is 0."""
    if epsilon == 0:
        return images

    def forward(x: Tensor) -> Tensor:
        with precision(x.device, recipe):
            outputs: Tensor = called(model, x)
            return outputs

    radius = torch.full((len(images),), epsilon, device=images.device, dtype=torch.float64)
    stride = radius * (recipe.step_size / recipe.epsilon if steps is None else 2.5 / steps)
    as_trained = steps is None and recipe.batch_norm_in_attack == "train"
    if as_trained:
        set_training(model, True)
    with nullcontext() if as_trained else evaluating(model, snapshot=False):  # a copy at each step would be dear
        if recipe.trades_beta:
            loss = adversary.against_itself(forward, images)
        else:
            loss = adversary.against_labels(forward, labels)
        return adversary.ascended(loss, images, start, radius, stride, steps or recipe.attack_steps)


def start_of_attack(images: Tensor, recipe: Recipe, epsilon: float, generator: torch.Generator) -> Tensor:
    """Where the recipe's adversary begins, drawn for each image; the images themselves where epsilon is 0."""
    if epsilon == 0:
        return images
    if recipe.trades_beta:
        return adversary.trades_start(images, generator)
    radius = torch.full((len(images),), epsilon, device=images.device, dtype=torch.float64)
    return adversary.uniform_start(images, radius, generator)


def validate(model: nn.Module, data: Split, recipe: Recipe, seed: int) -> tuple[float, float, bool]:
    """Accuracy on the images as they are, and under the recipe's rotations and a short attack, by the same draws each
    time; and whether all images as they are got one class, although they have several.

    Several steps because single-step training can overfit to its own attack, and then only other attacks show it."""
    draws = Draws(data.images.device, seed)
    clean, hard, predicted = 0, 0, set[int]()
    with evaluating(model):
        for part in batches(len(data.images), data.images.device):
            x = turned(data.images[part], recipe.rotation, draws.host)
            start = start_of_attack(x, recipe, recipe.epsilon, draws.device)
            right = partial(_right, model, data.images[part], x, start, data.labels[part], recipe)
            for of_images, of_attacked, classes in in_pieces(model, x, right):
                clean, hard, predicted = clean + of_images, hard + of_attacked, predicted | classes
    constant = len(predicted) == 1 < len(set(data.labels.tolist()))
    return clean / len(data.images), hard / len(data.images), constant


def _right(
    model: nn.Module, images: Tensor, x: Tensor, start: Tensor, labels: Tensor, recipe: Recipe, rows: slice
) -> tuple[int, int, set[int]]:
    """How many of some rows are right as they are, and how many under a short attack on `x` that begins at `start`; and
    which classes they get as they are."""
    truth = labels[rows]
    attacked = attack(model, x[rows], truth, recipe, recipe.epsilon, start[rows], steps=VALIDATION_STEPS)
    with torch.no_grad():
        clean, hard = (logits(model, z).argmax(1) for z in (images[rows], attacked))
    return int((clean == truth).sum()), int((hard == truth).sum()), set(clean.tolist())
