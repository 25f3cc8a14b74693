"""What an experiment is: a validated grid of cells (model, training rotation, training epsilon, seed) on one data set.

The presets are the paper's Figures 1, 3 and 5 at three sizes; a TOML file holds any other grid."""

import re
import tomllib
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from invrob.empirical.models import MODELS
from invrob.empirical.store import key_of
from invrob.empirical.training import RECIPE_VERSION, Recipe
from invrob.errors import InputError, did_you_mean

PROFILE_VERSION = (
    1  # raise it when the same profile would give other numbers: finished profiles are then measured again
)

Degrees = Annotated[float, Field(ge=0, le=180)]
Epsilon = Annotated[float, Field(ge=0, le=1)]
THETAS = tuple(float(theta) for theta in range(0, 181, 15))
EPSILONS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelGrid(_Strict):
    """One network, trained with every pair of a rotation range and an epsilon."""

    name: Literal["stdcnn", "gcnn", "madry_lenet"] = Field(description="stdcnn, gcnn or madry_lenet")
    training_theta: tuple[Degrees, ...] = Field((0.0, 60.0, 180.0), min_length=1)
    training_epsilon: tuple[Epsilon, ...] = Field((0.0,), min_length=1)
    attack_steps: int = Recipe.model_fields["attack_steps"].default
    epochs: int = Recipe.model_fields["epochs"].default
    batch_size: int = Recipe.model_fields["batch_size"].default
    learning_rate: float = Recipe.model_fields["learning_rate"].default
    width: float = Field(1.0, gt=0, le=16, description="multiplies the channels; 1 is the paper's network")
    dropout: float | None = Field(None, ge=0, lt=1, description="the paper's when left out")
    head: Literal["flatten", "invariant"] | None = Field(None, description="of gcnn; flatten when left out")
    images: int | None = Field(None, ge=1, description="test images for its profiles; the experiment's when left out")

    @model_validator(mode="after")
    def _recipes_are_valid(self) -> "ModelGrid":
        self.recipe(self.training_theta[0], self.training_epsilon[0])
        if self.head is not None and self.name != "gcnn":
            raise ValueError(f"head = {self.head!r} is an option of gcnn, not of {self.name}")
        return self

    def recipe(self, theta: float, epsilon: float) -> Recipe:
        """The recipe of one pair."""
        shared = {name: getattr(self, name) for name in ("attack_steps", "epochs", "batch_size", "learning_rate")}
        return Recipe(rotation=theta, epsilon=epsilon, **shared)

    def options(self) -> dict[str, Any]:
        """What `models.build` gets beside the name; only what differs from its defaults."""
        chosen = {"width": self.width, "dropout": self.dropout, "head": self.head}
        usual = signature(MODELS[self.name]).parameters
        return {name: value for name, value in chosen.items() if value is not None and value != usual[name].default}


class Profiling(_Strict):
    """How the profiles of every cell are measured."""

    thetas: tuple[Degrees, ...] = THETAS
    epsilons: tuple[Epsilon, ...] = EPSILONS
    steps: int = Field(20, ge=1, le=10_000, description="of a full attack")
    restarts: int = Field(1, ge=1, le=1000)
    angle_step: float = Field(7.5, gt=0, le=180, description="the widest stratum of angles, in degrees")
    images: int = Field(1000, ge=2, description="test images, chosen once for all cells")

    @field_validator("thetas", "epsilons")
    @classmethod
    def _increasing(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values or list(values) != sorted(set(values)):
            raise ValueError("must be at least one number, each larger than the one before: sort them")
        return values


class Cell(_Strict):
    """One network to train and to profile: the smallest piece of work, and the unit of what is kept."""

    dataset: str
    fingerprint: str  # of the data set's content
    model: str
    options: dict[str, Any]
    recipe: Recipe
    seed: int
    profiling: Profiling

    @property
    def key(self) -> str:
        """The address of the training: the same wherever the data lie, and whatever is measured afterwards."""
        trained = self.model_dump(mode="json", exclude={"dataset", "profiling"})
        return key_of({**trained, "version": RECIPE_VERSION})

    @property
    def profile_key(self) -> str:
        """The address of the profiles within the cell."""
        return key_of({**self.profiling.model_dump(mode="json"), "version": PROFILE_VERSION})

    def __str__(self) -> str:
        trained = f"A = {self.recipe.rotation:g}"
        if self.recipe.epsilon:
            trained += f", epsilon = {self.recipe.epsilon:g}"
        return f"{self.model} {trained}, seed {self.seed}"


class Experiment(_Strict):
    """A grid of cells on one data set."""

    dataset: str = Field(description="mnist-mini, mnist or npz:PATH, as in `invrob data`")
    models: tuple[ModelGrid, ...] = Field(min_length=1, description='such as models = ["stdcnn", "gcnn"]')
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field((0,), min_length=1)
    profiling: Profiling = Profiling()

    @field_validator("models", mode="before")
    @classmethod
    def _named(cls, models: Any) -> Any:
        """A model may be written as its name alone: models = ["stdcnn"]; a table [models.stdcnn] names it by its key; a
        single one needs no list."""
        if isinstance(models, str) or (isinstance(models, Mapping) and isinstance(models.get("name"), str)):
            models = [models]
        if isinstance(models, Mapping):
            return [{"name": name, **own} if isinstance(own, Mapping) else own for name, own in models.items()]
        if not isinstance(models, (list, tuple)):
            return models
        return [{"name": entry} if isinstance(entry, str) else entry for entry in models]

    def cells(self, fingerprint: str) -> tuple[Cell, ...]:
        """Every cell of the grid once, in the order of the tables and figures; `fingerprint`: of the data set.

        Raises InputError when two entries of `models` are one training that is to be profiled in two ways."""
        cells = (
            Cell(
                dataset=self.dataset,
                fingerprint=fingerprint,
                model=grid.name,
                options=grid.options(),
                recipe=grid.recipe(theta, epsilon),
                seed=seed,
                profiling=self.profiling.model_copy(update={"images": grid.images or self.profiling.images}),
            )
            for grid in self.models
            for theta in grid.training_theta
            for epsilon in grid.training_epsilon
            for seed in self.seeds
        )
        distinct: dict[str, Cell] = {}
        for cell in cells:
            counts = distinct.setdefault(cell.key, cell).profiling.images, cell.profiling.images
            if counts[0] != counts[1]:
                raise InputError(
                    f"models lists {cell} twice, for profiles on {counts[0]} and on {counts[1]} images: leave one out"
                )
        return tuple(distinct.values())


def read_experiment(path: Path) -> Experiment:
    """The experiment in a TOML file. Raises InputError with the key, what is wrong and the nearest known key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return Experiment.model_validate(table)
    except ValidationError as error:
        faults = [fault for fault in error.errors() if not _follows(fault, error.errors())]
        raise InputError(f"{path}: " + "; ".join(map(_explained, faults))) from None


def _follows(fault: ErrorDetails, faults: list[ErrorDetails]) -> bool:
    """A list is called too short where its entries failed: what is wrong stands at the entry."""
    deeper = [other["loc"] for other in faults if other["loc"][: len(fault["loc"])] == fault["loc"]]
    return fault["type"] == "too_short" and len(deeper) > 1


def _explained(error: ErrorDetails) -> str:
    """One fault in words: where, what, and for an unknown key the nearest one of its table."""
    where, key = ".".join(map(str, error["loc"])), str(error["loc"][-1])
    inside: dict[int | str, type[_Strict]] = {"models": ModelGrid, "profiling": Profiling}
    fields = (inside.get(error["loc"][0], Experiment) if len(error["loc"]) > 1 else Experiment).model_fields
    if error["type"] == "extra_forbidden":
        return f"{where} is unknown{did_you_mean(key, fields)} (known here: {', '.join(fields)})"
    if error["type"] == "missing":
        return f"{where} is missing: {fields[key].description}"
    message = error["msg"].removeprefix("Value error, ").replace("tuple", "list").replace("Tuple", "List")
    return f"{where} = {error['input']!r}: {re.sub('valid dictionary or instance of .*', 'table', message)}"


def _paper() -> tuple[ModelGrid, ...]:
    angles = tuple(float(a) for a in range(0, 181, 30))
    return (
        ModelGrid(name="stdcnn", training_theta=angles, epochs=20),
        ModelGrid(name="gcnn", training_theta=angles, epochs=15),
        ModelGrid(
            name="madry_lenet",
            training_theta=(0.0,),
            training_epsilon=(0.0, 0.1, 0.2, 0.3, 0.4),
            attack_steps=10,
            epochs=20,
            learning_rate=1e-3,
        ),
    )


PRESETS: dict[str, Experiment] = {
    "smoke": Experiment(
        dataset="mnist-mini",
        models=(
            ModelGrid(name="stdcnn", training_theta=(0, 60, 180), epochs=3, learning_rate=4e-3),
            ModelGrid(
                name="madry_lenet",
                training_theta=(0,),
                training_epsilon=(0, 0.1),
                epochs=3,
                learning_rate=4e-3,
                width=0.25,
            ),
        ),
        profiling=Profiling(images=200, angle_step=15),
    ),
    "mini": Experiment(
        dataset="mnist-mini",
        models=(
            ModelGrid(name="stdcnn", training_theta=(0, 30, 60, 90, 180), epochs=8, learning_rate=6e-3),
            ModelGrid(name="gcnn", training_theta=(0, 60, 180), epochs=5, learning_rate=4e-3, width=0.6, images=300),
            ModelGrid(
                name="madry_lenet",
                training_theta=(0,),
                training_epsilon=(0, 0.1, 0.2, 0.3),
                epochs=10,
                learning_rate=6e-3,
                width=0.25,
            ),
        ),
        profiling=Profiling(images=600, angle_step=15),
    ),
    "paper-mnist": Experiment(
        dataset="mnist", models=_paper(), seeds=(0, 1, 2), profiling=Profiling(images=10_000, restarts=2)
    ),
}
