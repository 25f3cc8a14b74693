"""How a network is trained, as validated values: part of the identity of the weights that come out.

Sources of the named recipes: `paper` and `paper-mnist`, the code of the paper's authors and of the p4 experiments that
their network comes from; `madry` and `madry-mnist`, Madry et al. 2018 (arXiv 1706.06083) and its two challenges;
`trades`, Zhang et al. 2019 (arXiv 1901.08573); `cusp`, the curriculum of the authors' follow-up (Kamath et al. 2021).
`fast` and `fast-cifar` are ours: one cycle of Adam or SGD (Smith 2018), as good in a fraction of the epochs."""

from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from invrob.empirical.training.curricula import (
    CURRICULA,
    Curriculum,
    Stage,
    check_curriculum,
    curriculum_in_words,
    curriculum_named,
)
from invrob.errors import InputError, did_you_mean

RECIPE_VERSION = 2  # raise it when the same recipe would give other weights: finished cells are then computed again


class Recipe(BaseModel):
    """How a model is trained; part of the identity of what comes out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation: float = Field(
        0.0, ge=0, le=180, description="A: training images are rotated by angles in [-A, A] degrees"
    )
    epsilon: float = Field(0.0, ge=0, le=1, description="of the attack trained against, L-inf, pixel units; 0 is none")
    attack_steps: int = Field(1, ge=1, le=1000, description="of that attack; 1 is a single step from a random start")
    attack_step_size: float | None = Field(
        None, gt=0, le=1, description="2.5 epsilon / attack_steps when left out, 1.25 epsilon for a single step"
    )
    batch_norm_in_attack: Literal["eval", "train"] = Field(
        "eval", description="train: attacks see, and move, the statistics of batch norm, as in Madry's code"
    )
    trades_beta: float = Field(0.0, ge=0, description="weight of TRADES' second term; 0 trains on attacked images only")
    curriculum: Curriculum = Field((), description="stages of rotation and epsilon, or a name of CURRICULA for them")
    crop: int = Field(0, ge=0, le=64, description="pixels by which images are shifted at random, zeros moving in")
    flip: bool = Field(False, description="mirror half of the images left to right")
    epochs: int = Field(8, ge=1, le=10_000)
    batch_size: int = Field(64, ge=1, le=1_000_000)
    learning_rate: float = Field(2e-3, gt=0, le=1, description="at its peak")
    schedule: Literal["one-cycle", "cosine", "step", "constant"] = "one-cycle"
    milestones: tuple[float, ...] = Field(
        (0.5, 0.75), description="where the step schedule divides the learning rate by 10, as shares of the training"
    )
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.0, ge=0, lt=1)
    decayed: Literal["all", "weights"] = Field(
        "all", description="weights: of convolutions and linear layers only, not biases and batch norm"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the network's arithmetic in training; profiles are always measured in float32"
    )

    @field_validator("milestones")
    @classmethod
    def _increasing(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < value < 1 for value in values) or any(b <= a for a, b in pairwise(values)):
            raise ValueError("must be shares of the training in (0, 1), each larger than the one before")
        return values

    @field_validator("curriculum", mode="before")
    @classmethod
    def _by_name(cls, stages: Any) -> Any:
        """A name is resolved here: the stages are kept, so that a result says how it was trained by itself."""
        return curriculum_named(stages) if isinstance(stages, str) else stages

    @model_validator(mode="after")
    def _stages_fill_the_training(self) -> "Recipe":
        check_curriculum(self.curriculum)
        return self

    def at(self, progress: float) -> tuple[float, float]:
        """(rotation range in degrees, epsilon) at `progress` in [0, 1) of the training."""
        stage = next((s for s in self.curriculum if progress < s.until), Stage(until=1))
        return self.rotation * stage.rotation, self.epsilon * stage.epsilon

    @property
    def step_size(self) -> float:
        """Of the attack trained against at the full epsilon, in pixel units."""
        if self.attack_step_size is not None:
            return self.attack_step_size
        return (1.25 if self.attack_steps == 1 else 2.5 / self.attack_steps) * self.epsilon

    def formatted(self, name: str) -> str:
        """The value of a field as people read it."""
        value = getattr(self, name)
        if name == "curriculum":
            return curriculum_in_words(self.curriculum)
        return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


_CIFAR = Recipe(
    optimizer="sgd",
    learning_rate=0.1,
    batch_size=128,
    epochs=120,
    schedule="step",
    weight_decay=5e-4,
    crop=4,
    flip=True,
)
_AGAINST_8 = {"epsilon": 8 / 255, "attack_steps": 10, "attack_step_size": 2 / 255}

RECIPES: dict[str, Recipe] = {
    "fast": Recipe(),
    "fast-cifar": _CIFAR.model_copy(
        update={"epochs": 20, "schedule": "one-cycle", "decayed": "weights", "precision": "bfloat16"}
    ),
    "paper-mnist": Recipe(optimizer="sgd", momentum=0.5, learning_rate=0.01, schedule="constant", epochs=10),
    "paper": _CIFAR.model_copy(update={"milestones": (50 / 120, 100 / 120)}),
    "madry-mnist": Recipe(
        epsilon=0.3,
        attack_steps=40,
        attack_step_size=0.01,
        learning_rate=1e-4,
        schedule="constant",
        batch_size=50,
        epochs=91,
    ),
    "madry": _CIFAR.model_copy(
        update={**_AGAINST_8, "epochs": 205, "weight_decay": 2e-4, "decayed": "weights", "crop": 2}
    ),
    "trades": _CIFAR.model_copy(
        update={
            **_AGAINST_8,
            "attack_step_size": 0.007,
            "trades_beta": 6.0,
            "weight_decay": 2e-4,
            "milestones": (74 / 120, 89 / 120, 99 / 120),
        }
    ),
    "cusp": _CIFAR.model_copy(
        update={
            **_AGAINST_8,
            "rotation": 180.0,
            "milestones": (74 / 120, 89 / 120, 99 / 120),
            "curriculum": CURRICULA["cusp"],
        }
    ),
}


def recipe_named(name: str, **changes: Any) -> Recipe:
    """The recipe called `name` in RECIPES, with `changes` to its fields. Raises InputError for an unknown name, and
    pydantic's ValidationError for values outside the fields' ranges."""
    if name not in RECIPES:
        raise InputError(f"recipe {name!r} is unknown{did_you_mean(name, RECIPES)}; choose one of {', '.join(RECIPES)}")
    return Recipe.model_validate({**RECIPES[name].model_dump(), **changes})
