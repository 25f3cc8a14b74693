"""Training several small networks as one: their weights stacked, one vectorised step for all (torch.func).

A GPU is never filled by one MNIST network; a stack of them takes about the time of one. Each network sees the images in
its own order, with its own rotations and its own attack, from its own seed, as if it were trained alone: the results
are the same up to rounding, but for dropout, whose masks come from another stream."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from invrob.empirical.data import Split
from invrob.empirical.inference import evaluating, lent, set_training
from invrob.empirical.training import adversary
from invrob.empirical.training.augment import crop_and_flip, turned
from invrob.empirical.training.checkpoint import InProgress, Keeper
from invrob.empirical.training.course import Course, Epoch, Training
from invrob.empirical.training.draws import Draws
from invrob.empirical.training.loop import make_optimizer, make_schedule, on_device, precision, seeded, validate
from invrob.empirical.training.pieces import sum_over_pieces
from invrob.empirical.training.recipes import Recipe
from invrob.errors import InputError


def stackable(model: nn.Module, recipe: Recipe) -> bool:
    """Whether networks like `model` can be stacked: none with batch norm, whose statistics belong to one network, none
    with weights that stay as they are, since all weights of a stack are trained, and none trained with TRADES."""
    return (
        recipe.trades_beta == 0
        and all(parameter.requires_grad for parameter in model.parameters())
        and not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
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
        network = partial(functional_call, self.base)
        with precision(x.device, self.recipe):
            outputs: Tensor = vmap(network, randomness="different")(weights, self.by_network(lent(x)))
            return outputs.flatten(0, 1).float()

    def by_network(self, x: Tensor) -> Tensor:
        """[M N, ...] -> [M, N, ...]."""
        return x.view(len(self.models), -1, *x.shape[1:])

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
    keeper: Keeper | None = None,
) -> tuple[Training, ...]:
    """`train` for several networks of one architecture at once: each in place, left in eval mode with its best weights.

    recipes, seeds: one per network; the recipes may differ in rotation, epsilon and attack_step_size only, and either
    all or none have an epsilon above 0. keeper: keeps all of them together. Raises InputError otherwise, for networks
    with batch norm or TRADES, and as `train` does."""
    recipe = recipes[0]
    if len({alike(r) for r in recipes}) > 1 or not all(stackable(m, r) for m, r in zip(models, recipes, strict=True)):
        raise InputError(
            "these networks cannot be trained as one stack: their recipes may differ in rotation and epsilon only, and "
            "batch norm, fixed weights and trades_beta are not stacked; train them one by one"
        )
    device = next(models[0].parameters()).device
    (images, labels), held_out = on_device(training, device), Split(*on_device(validation, device))
    stack = Stack(models, recipe)
    optimizer = make_optimizer(stack.weights, recipe, stacked=True)
    schedule = make_schedule(optimizer, recipe, math.ceil(len(images) / recipe.batch_size) * recipe.epochs)
    draws, courses = [Draws(device, seed) for seed in seeds], [Course(recipe.epochs) for _ in models]
    with seeded(device, seeds[0]):
        changing = {**stack.weights, **{f"{name} of the base": value for name, value in stack.base.named_buffers()}}
        going = InProgress(changing, optimizer, schedule, draws, courses, len(images), recipe.batch_size, keeper)
        going.resume()
        while (number := going.epoch) < recipe.epochs:
            for parts in going.batches():
                x = _augmented(images, parts, recipes, draws, number / recipe.epochs)
                attack = _start_of_attack(x, recipes, draws, number / recipe.epochs)
                step = partial(_step, stack, x, labels[torch.cat(parts)], attack)
                batch_losses, going.size = sum_over_pieces(stack.base, optimizer, len(parts[0]), going.size, step)
                optimizer.step()
                for network_losses, loss in zip(going.losses, batch_losses, strict=True):
                    network_losses.add(loss, len(parts[0]))
                schedule.step()
            stack.unstack()
            with going.validating():
                epochs = tuple(
                    Epoch(network_losses.mean(), *validate(model, held_out, recipe, seed))
                    for model, network_losses, recipe, seed in zip(models, going.losses, recipes, seeds, strict=True)
                )
            for course, epoch, model in zip(courses, epochs, models, strict=True):
                course.add(epoch, model)
            going.next_epoch()
            if on_epoch is not None:
                on_epoch(number, epochs)
    return tuple(course.finish(model) for course, model in zip(courses, models, strict=True))


def _augmented(
    images: Tensor, parts: Sequence[Tensor], recipes: Sequence[Recipe], draws: Sequence[Draws], progress: float
) -> Tensor:
    """The batch of every network, with its own random changes: [M N, C, H, W]."""
    batches = []
    for part, recipe, draw in zip(parts, recipes, draws, strict=True):
        x = crop_and_flip(images[part], recipe.crop, recipe.flip, draw.device)
        batches.append(turned(x, recipe.at(progress)[0], draw.host))
    return torch.cat(batches)


def _start_of_attack(
    x: Tensor, recipes: Sequence[Recipe], draws: Sequence[Draws], progress: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Where the attacks begin, [M N, C, H, W], how far they may go and by which steps, float64 [M N]; None without."""
    epsilons = [recipe.at(progress)[1] for recipe in recipes]
    if max(epsilons) == 0:
        return None
    size = len(x) // len(recipes)
    ratios = torch.tensor([r.step_size / r.epsilon for r in recipes], dtype=torch.float64).to(x.device)
    radius = torch.tensor(epsilons, dtype=torch.float64).to(x.device).repeat_interleave(size)
    batches = zip(torch.split(x, size), torch.split(radius, size), draws, strict=True)
    start = torch.cat([adversary.uniform_start(images, r, draw.device) for images, r, draw in batches])
    return start, radius, radius * ratios.repeat_interleave(size)


def _step(stack: Stack, x: Tensor, labels: Tensor, attack: tuple[Tensor, Tensor, Tensor] | None, rows: slice) -> Tensor:
    """The part of some rows of every network in its mean loss, [M]; adds their gradients."""

    def of_rows(values: Tensor) -> Tensor:
        return stack.by_network(values)[:, rows].flatten(0, 1)

    images, truth = of_rows(x), of_rows(labels)
    if attack is not None:
        loss = adversary.against_labels(partial(stack, frozen=True), truth)
        start, radius, stride = map(of_rows, attack)
        with evaluating(stack.base, snapshot=False):
            images = adversary.ascended(loss, images, start, radius, stride, stack.recipe.attack_steps)
    set_training(stack.base, True)
    losses = stack.by_network(F.cross_entropy(stack(images), truth, reduction="none")).mean(1)
    losses = losses * (len(images) / len(x))
    losses.sum().backward()  # type: ignore[no-untyped-call]
    return losses.detach()
