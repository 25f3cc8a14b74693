"""Training several small networks as one: their weights stacked, one vectorised step for all (torch.func).

A GPU is never filled by one MNIST network; a stack of them takes about the time of one. Each network sees the images in
its own order, with its own rotations and its own attack, from its own seed, as if it were trained alone: the results
are the same up to rounding, but for dropout, whose masks come from another stream."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from invrob.empirical.data import Split
from invrob.empirical.inference import evaluating
from invrob.empirical.training import adversary
from invrob.empirical.training.augment import crop_and_flip, turned
from invrob.empirical.training.loop import (
    Course,
    Draws,
    Epoch,
    Losses,
    Training,
    make_optimizer,
    make_schedule,
    precision,
    seeded,
    validate,
)
from invrob.empirical.training.recipes import Recipe
from invrob.errors import InputError

OWN = ("rotation", "epsilon", "attack_step_size")  # what the recipes of a stack may differ in


def stackable(model: nn.Module, recipe: Recipe) -> bool:
    """Whether networks like `model` can be stacked: none with batch norm, whose statistics belong to one network, and
    none trained with TRADES."""
    return recipe.trades_beta == 0 and not any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()
    )


def alike(recipe: Recipe) -> Recipe:
    """What the recipes of one stack must have in common: natural training does not wait for attacks."""
    return recipe.model_copy(update={"rotation": 0.0, "epsilon": float(recipe.epsilon > 0), "attack_step_size": None})


class Stack:
    """M networks of one architecture, whose weights are one set of tensors with an axis in front."""

    def __init__(self, models: Sequence[nn.Module], recipe: Recipe) -> None:
        self.models, self.recipe = models, recipe
        self.base = models[0]
        stacked, _ = stack_module_state(list(models))
        self.weights: dict[str, Tensor] = {k: v.detach().requires_grad_() for k, v in stacked.items()}

    def __call__(self, x: Tensor, *, frozen: bool = False) -> Tensor:
        """Images [M N, C, H, W], N for each network -> logits [M N, K]; frozen: no gradient for the weights."""
        weights = {k: v.detach() for k, v in self.weights.items()} if frozen else self.weights

        def one(own: dict[str, Tensor], images: Tensor) -> Tensor:
            outputs: Tensor = functional_call(self.base, own, (images,))
            return outputs

        with precision(x.device, self.recipe):
            each = x.view(len(self.models), -1, *x.shape[1:])
            outputs: Tensor = vmap(one, randomness="different")(weights, each)
            return outputs.flatten(0, 1).float()

    def unstack(self) -> None:
        """Hand the weights back to the networks."""
        with torch.no_grad():
            for index, model in enumerate(self.models):
                for name, parameter in model.named_parameters():
                    parameter.copy_(self.weights[name][index])


def train_stack(
    models: Sequence[nn.Module],
    training: Split,
    validation: Split,
    recipes: Sequence[Recipe],
    *,
    seeds: Sequence[int],
    on_epoch: Callable[[int, tuple[Epoch, ...]], object] | None = None,
) -> tuple[Training, ...]:
    """`train` for several networks of one architecture at once: each in place, left in eval mode with its best weights.

    recipes, seeds: one per network; the recipes may differ in rotation, epsilon and attack_step_size only, and either
    all or none have an epsilon above 0. Raises InputError otherwise, for networks with batch norm or TRADES, and as
    `train` does."""
    recipe = recipes[0]
    if len({alike(r) for r in recipes}) > 1 or not all(stackable(m, r) for m, r in zip(models, recipes, strict=True)):
        raise InputError(
            "these networks cannot be trained as one stack: their recipes may differ in rotation and epsilon only, and "
            "batch norm and trades_beta are not stacked; train them one by one"
        )
    device = next(models[0].parameters()).device
    images, labels = training.images.to(device), training.labels.to(device)
    held_out = Split(validation.images.to(device), validation.labels.to(device))
    stack = Stack(models, recipe)
    optimizer = make_optimizer(stack.weights, recipe, stacked=True)
    schedule = make_schedule(optimizer, recipe, math.ceil(len(images) / recipe.batch_size) * recipe.epochs)
    draws = [Draws(device, seed) for seed in seeds]
    courses = [Course(recipe.epochs) for _ in models]
    with seeded(device, seeds[0]):
        for number in range(recipe.epochs):
            losses = [Losses(number, len(images)) for _ in models]
            orders = [own.order(len(images), recipe.batch_size) for own in draws]
            for parts in zip(*orders, strict=True):
                x = _shown(images, parts, recipes, draws, number / recipe.epochs)
                y = labels[torch.cat(parts)]
                x = _attacked(stack, x, y, recipes, draws, number / recipe.epochs)
                for own, loss in zip(losses, _step(stack, x, y, optimizer), strict=True):
                    own.add(loss, len(parts[0]))
                schedule.step()
            stack.unstack()
            found = [_epoch(*each, held_out) for each in zip(models, losses, recipes, seeds, strict=True)]
            for course, epoch, model in zip(courses, found, models, strict=True):
                course.add(epoch, model)
            if on_epoch is not None:
                on_epoch(number, tuple(found))
    return tuple(course.finish(model) for course, model in zip(courses, models, strict=True))


def _epoch(model: nn.Module, losses: Losses, recipe: Recipe, seed: int, held_out: Split) -> Epoch:
    return Epoch(losses.mean(), *validate(model, held_out, recipe, seed))


def _shown(
    images: Tensor, parts: Sequence[Tensor], recipes: Sequence[Recipe], draws: Sequence[Draws], progress: float
) -> Tensor:
    """Each network's batch, augmented: [M N, C, H, W]."""
    batches = []
    for part, recipe, own in zip(parts, recipes, draws, strict=True):
        x = crop_and_flip(images[part], recipe.crop, recipe.flip, own.device)
        batches.append(turned(x, recipe.at(progress)[0], own.host))
    return torch.cat(batches)


def _attacked(
    stack: Stack, x: Tensor, labels: Tensor, recipes: Sequence[Recipe], draws: Sequence[Draws], progress: float
) -> Tensor:
    epsilons = [recipe.at(progress)[1] for recipe in recipes]
    if max(epsilons) == 0:
        return x
    size = len(x) // len(recipes)
    of_each = torch.tensor(epsilons, dtype=torch.float64).to(x.device)
    ratios = torch.tensor([r.step_size / r.epsilon for r in recipes], dtype=torch.float64).to(x.device)
    radius = of_each.repeat_interleave(size)
    pairs = zip(torch.split(x, size), torch.split(radius, size), draws, strict=True)
    start = torch.cat([adversary.uniform_start(own, r, d.device) for own, r, d in pairs])
    loss = adversary.against_labels(lambda images: stack(images, frozen=True), labels)
    with evaluating(stack.base):
        step = radius * ratios.repeat_interleave(size)
        return adversary.ascended(loss, x, start, radius, step, recipes[0].attack_steps)


def _step(stack: Stack, x: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer) -> Tensor:
    """One step of every network; their losses [M]."""
    stack.base.train()
    each = F.cross_entropy(stack(x), labels, reduction="none").view(len(stack.models), -1).mean(1)
    optimizer.zero_grad()
    each.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return each.detach()
