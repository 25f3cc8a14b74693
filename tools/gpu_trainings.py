"""Networks trained as one stack against each trained alone: a step of `python -m tools.gpu_check`."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from invrob.empirical import data
from invrob.empirical.data import Split
from invrob.empirical.models import build
from invrob.empirical.training import Recipe, train, train_stack
from tools.gpu_speed import seconds_of
from tools.gpu_steps import Outcome, Setting, Table

AS_ROUNDING = 10.0  # times as far apart as a training ends that begins one rounding away: no sign of a mistake
CLOSE = 1e-3  # of the way that the weights have gone: never a sign of one
ONE_ROUNDING = 2.0**-23  # of float32, relative


@dataclass(frozen=True)
class Kind:
    """Networks of one architecture, which a stack can hold."""

    name: str
    width: float
    recipes: tuple[Recipe, ...]

    def networks(self, device: torch.device, seeds: Sequence[int]) -> list[nn.Module]:
        """Networks without dropout, whose masks in a stack are others."""
        return [build(self.name, seed=seed, width=self.width, dropout=0.0).to(device) for seed in seeds]


@contextmanager
def full_float32() -> Iterator[None]:
    """No TF32 inside the block."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def splits(small: bool, images: int) -> tuple[Split, Split]:
    """The first embedded digits, for training and for validation."""
    digits = data.load("mnist-mini")
    counts = (64, 16) if small else (images, 500)
    first, second = (
        Split(part.images[:n], part.labels[:n])
        for part, n in zip((digits.train, digits.validation), counts, strict=True)
    )
    return first, second


def kinds(small: bool) -> tuple[Kind, ...]:
    """Natural training of the paper's two networks, and adversarial training of Madry's."""
    width, steps = (0.2, 2) if small else (1.0, 5)
    many: dict[str, int] = {"epochs": 1, "batch_size": 16} if small else {"epochs": 3, "batch_size": 64}
    return (
        Kind("stdcnn", width, tuple(Recipe(rotation=a, **many) for a in (0, 60, 180))),
        Kind("gcnn", width, tuple(Recipe(rotation=a, **many) for a in (0, 60, 180))),
        Kind(
            "madry_lenet",
            0.25 * width,
            tuple(Recipe(epsilon=e, attack_steps=steps, **many, learning_rate=1e-3) for e in (0.1, 0.3)),
        ),
    )


def way(models: Sequence[nn.Module]) -> list[torch.Tensor]:
    """All weights of each network, as one vector each."""
    return [nn.utils.parameters_to_vector(model.parameters()).detach().double() for model in models]


def stacks(setting: Setting) -> Outcome:
    """Weights of stacked and of single training, and the time of both."""
    device = torch.device(setting.device)
    with full_float32():
        same = [_same(kind, device, setting.small) for kind in kinds(setting.small)]
    times = [row for kind in kinds(setting.small) for row in _times(kind, device, setting)]
    worst = max(row["stack against single"] for row in same)
    right = all(row["stack against single"] <= max(CLOSE, AS_ROUNDING * row["one rounding"]) for row in same)
    best = max(times, key=lambda row: row["single / stack"])
    said = (
        f"weights differ by at most {worst:.0e} of the way that training moved them"
        f"{'' if right else ', more than rounding explains'}; a stack of {best['networks']} {best['network']} takes "
        f"{1 / best['single / stack']:.2f} of the time of single trainings"
    )
    note = (
        "Distance of the weights over the way that they went, in float32 without TF32 and without dropout; the largest "
        "of the networks of a stack. One rounding: the same, for single trainings from weights that differ by a "
        "rounding; more than ten times as far would be a mistake."
    )
    timed = (
        "Seconds of an epoch, for each network; medians of three turns, with TF32 where it is on by default. Above 1, "
        "the stack is faster."
    )
    tables = (Table("Stacked against single training", note, same), Table("Time of stacks", timed, times))
    return Outcome("ok" if right else "failed", said, tables)


def _same(kind: Kind, device: torch.device, small: bool) -> dict[str, Any]:
    """How far stacked training ends from single training, and how far a rounding at the start leads."""
    few, seeds = splits(small, 1000), range(len(kind.recipes))
    before = way(kind.networks(device, seeds))
    stacked, alone, moved = (kind.networks(device, seeds) for _ in range(3))
    train_stack(stacked, *few, kind.recipes, seeds=seeds)
    with torch.no_grad():
        for parameter in (p for model in moved for p in model.parameters()):
            parameter.mul_(1 + ONE_ROUNDING)
    for models in (alone, moved):
        for model, recipe, seed in zip(models, kind.recipes, seeds, strict=True):
            train(model, *few, recipe, seed=seed)
    gone = [float((end - start).norm()) for end, start in zip(way(alone), before, strict=True)]

    def furthest(models: Sequence[nn.Module]) -> float:
        apart = [float((a - b).norm()) for a, b in zip(way(models), way(alone), strict=True)]
        return max(distance / length for distance, length in zip(apart, gone, strict=True))

    largest = max(float((a - b).abs().max()) for a, b in zip(way(stacked), way(alone), strict=True))
    return {
        "network": kind.name,
        "trained": "against attacks" if kind.recipes[0].epsilon else "with rotations",
        "networks": len(kind.recipes),
        "stack against single": furthest(stacked),
        "one rounding": furthest(moved),
        "largest difference of a weight": largest,
    }


def _times(kind: Kind, device: torch.device, setting: Setting) -> Iterator[dict[str, Any]]:
    """Seconds of an epoch in stacks of several sizes, against single training."""
    few = splits(setting.small, 1280)
    recipe = kind.recipes[-1].model_copy(update={"epochs": 1})

    def alone() -> None:
        train(kind.networks(device, [0])[0], *few, recipe, seed=0)

    def together(size: int) -> None:
        train_stack(kind.networks(device, range(size)), *few, [recipe] * size, seeds=range(size))

    seconds_of(alone, device)
    for size in (2,) if setting.small else (1, 4, 12, 24):
        if setting.left < 10:
            return
        seconds_of(lambda size=size: together(size), device)
        turns = [
            (seconds_of(alone, device), seconds_of(lambda size=size: together(size), device) / size)
            for _ in range(1 if setting.small else 3)
        ]
        single, stack = (statistics.median(column) for column in zip(*turns, strict=True))
        yield {
            "network": kind.name,
            "networks": size,
            "single, s": single,
            "in the stack, s": stack,
            "single / stack": statistics.median(a / b for a, b in turns),
        }
