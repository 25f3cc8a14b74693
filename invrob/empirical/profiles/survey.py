"""Everything that `invrob profile` measures of one model: profiles by name, as plain lists and numbers.

The names: "invariance" and "robustness" are the card; beside them stand "robustness l2", "translation", "worst-of-10
rotation" and the like. Nothing here depends on the clock, so the same settings give the same bytes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from invrob.empirical.inference import Model
from invrob.empirical.profiles.black_box import BlackBoxProfile, black_box_profile
from invrob.empirical.profiles.invariance import InvarianceProfile, invariance_profile
from invrob.empirical.profiles.robustness import RobustnessProfile, robustness_profile
from invrob.empirical.profiles.worst_case import WorstCaseProfile, most_evaluations, worst_case_profile

GRADIENT = 3.0  # the work of a gradient, in forward passes
EVALUATIONS = 30.0  # gradients per image that a robustness profile takes, more or less; docs/profiles.md

Profile = InvarianceProfile | WorstCaseProfile | RobustnessProfile | BlackBoxProfile


@dataclass(frozen=True)
class Settings:
    """What is measured, and how."""

    epsilons: Mapping[str, tuple[float, ...]]  # by norm; the first one is on the card
    thetas: Mapping[str, tuple[float, ...]]  # by transformation, as well
    adversaries: tuple[str, ...] = ("average",)  # of every transformation; "average" is the mean over random changes
    attack: str = "gradient"  # or "black-box"
    steps: int = 20
    restarts: int = 1
    queries: int = 500  # of a black-box attack, per image and epsilon
    seed: int = 0


@dataclass(frozen=True)
class Stage:
    """One profile that is to be measured."""

    name: str
    work: float  # forward passes per image, more or less
    measure: Callable[[Model, Tensor, Tensor | None], Profile]


def stages(settings: Settings) -> Iterator[Stage]:
    """What is to be measured, in this order: the card first, then the other norms, transformations, adversaries."""
    first_norm, first_transformation = next(iter(settings.epsilons)), next(iter(settings.thetas))
    yield _invariance("invariance", first_transformation, settings)
    for norm in settings.epsilons:
        yield _robustness("robustness" if norm == first_norm else f"robustness {norm}", norm, settings)
    for transformation in settings.thetas:
        if transformation != first_transformation:
            yield _invariance(transformation, transformation, settings)
        for adversary in settings.adversaries:
            if adversary != "average":
                yield _worst_case(f"{adversary} {transformation}", transformation, adversary, settings)


def _invariance(name: str, transformation: str, settings: Settings) -> Stage:
    thetas = settings.thetas[transformation]
    return Stage(
        name,
        2.0 + len(thetas) / 2,
        lambda model, images, labels: invariance_profile(
            model, images, thetas, labels, transformation=transformation, seed=settings.seed
        ),
    )


def _worst_case(name: str, transformation: str, adversary: str, settings: Settings) -> Stage:
    thetas = settings.thetas[transformation]
    return Stage(
        name,
        most_evaluations(transformation, thetas, adversary),
        lambda model, images, labels: worst_case_profile(
            model, images, thetas, labels, transformation=transformation, adversary=adversary, seed=settings.seed
        ),
    )


def _robustness(name: str, norm: str, settings: Settings) -> Stage:
    epsilons = settings.epsilons[norm]
    if settings.attack == "black-box":
        return Stage(
            name,
            3.0 * settings.queries,
            lambda model, images, labels: black_box_profile(
                model, images, epsilons, labels, norm, settings.queries, settings.seed
            ),
        )
    return Stage(
        name,
        GRADIENT * EVALUATIONS * settings.restarts * max(1.0, settings.steps / 20),
        lambda model, images, labels: robustness_profile(
            model, images, epsilons, labels, norm, settings.steps, settings.restarts, settings.seed
        ),
    )


class Counted(nn.Module):
    """`model`, and `told` about the work of each call of it: forward passes of an image."""

    def __init__(self, model: Model, told: Callable[[float], None]) -> None:
        super().__init__()
        self.model, self.told = model, told

    def forward(self, images: Tensor) -> Tensor:
        self.told(len(images) * (GRADIENT if images.requires_grad else 1.0))
        return self.model(images)
