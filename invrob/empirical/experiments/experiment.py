"""What an experiment is: a validated grid of cells (model, training rotation, training epsilon, seed) on one data set.

presets.py has the paper's figures at several sizes; a TOML file holds any other grid."""

import re
import tomllib
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from invrob.empirical.experiments.cells import Cell
from invrob.empirical.experiments.model_card import ModelCard
from invrob.empirical.experiments.profiling import Degrees, Epsilon, Profiling
from invrob.empirical.models import MODELS, is_own
from invrob.empirical.training import RECIPES, Recipe
from invrob.errors import InputError, did_you_mean


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


SPANNED = ("rotation", "epsilon")  # fields of a recipe that a grid spans
Argument = str | bool | int | float | None  # of a builder
OPTIONS = ("dropout", "head", "normalization")  # of the paper's networks, beside the width


class ModelGrid(_Strict):
    """One network, trained with every pair of a rotation range and an epsilon.

    In a table, the fields of a recipe stand beside the others: `recipe = "cusp"` names where they start from."""

    name: str = Field(description=f"one of {', '.join(MODELS)}, or mynet:build for a builder of your own")
    training_theta: tuple[Degrees, ...] = Field((0.0, 60.0, 180.0), min_length=1)
    training_epsilon: tuple[Epsilon, ...] = Field((0.0,), min_length=1)
    training: Recipe = RECIPES["fast"]  # all of it but rotation and epsilon
    width: float = Field(1.0, gt=0, le=16, description="multiplies the channels; 1 is the paper's network")
    dropout: float | None = Field(None, ge=0, lt=1, description="the paper's when left out")
    head: Literal["flatten", "invariant"] | None = Field(None, description="of the p4 networks; flatten when left out")
    normalization: Literal["none", "image", "mnist", "cifar10"] | None = Field(
        None, description="the first layer of the network; its usual one when left out"
    )
    images: int | None = Field(None, ge=1, description="test images for its profiles; the experiment's when left out")
    arguments: dict[str, Argument | list[Argument]] = Field({}, description="of a builder of your own")
    source: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="SHA-256 of a builder's code, which the run command fills in"
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in MODELS and not is_own(name):
            near = did_you_mean(name, MODELS)
            raise ValueError(f"is unknown{near}: one of {', '.join(MODELS)}, or mynet:build for a builder of your own")
        return name

    @model_validator(mode="before")
    @classmethod
    def _recipe_beside(cls, table: Any) -> Any:
        """Gathers the fields of the recipe, which a table holds side by side with the others."""
        if not isinstance(table, Mapping) or "training" in table:
            return table
        beside = {key: value for key, value in table.items() if key in RECIPE_KEYS}
        name = beside.pop("recipe", "fast")
        if not isinstance(name, str) or name not in RECIPES:
            raise ValueError(
                f"recipe = {str(name)[:200]!r}{did_you_mean(str(name), RECIPES)}: one of {', '.join(RECIPES)}"
            )
        rest = {key: value for key, value in table.items() if key not in RECIPE_KEYS}
        start = {key: value for key, value in RECIPES[name].model_dump().items() if key not in SPANNED}
        return {**rest, "training": {**start, **beside}}

    @model_validator(mode="after")
    def _options_fit(self) -> "ModelGrid":
        if is_own(self.name):
            of_paper = {"width": self.width != 1, **{name: getattr(self, name) is not None for name in OPTIONS}}
            for option in (name for name, given in of_paper.items() if given):
                raise ValueError(f"{option} is an option of {', '.join(MODELS)}: write arguments = {{{option} = ...}}")
            return self
        if self.arguments:
            raise ValueError(f"arguments are for a builder of your own, such as mynet:build, not for {self.name}")
        usual = signature(MODELS[self.name]).parameters
        for option in OPTIONS:
            if getattr(self, option) is not None and option not in usual:
                owners = ", ".join(name for name in MODELS if option in signature(MODELS[name]).parameters)
                raise ValueError(f"{option} = {getattr(self, option)!r} is an option of {owners}, not of {self.name}")
        return self

    def recipe(self, theta: float, epsilon: float) -> Recipe:
        """The recipe of one pair."""
        return self.training.model_copy(update={"rotation": theta, "epsilon": epsilon})

    def options(self) -> dict[str, Any]:
        """What `models.build` gets beside the name, only what differs from its defaults; or a builder's arguments."""
        if is_own(self.name):
            return dict(self.arguments)
        chosen = {name: getattr(self, name) for name in ("width", *OPTIONS)}
        usual = signature(MODELS[self.name]).parameters
        return {name: value for name, value in chosen.items() if value is not None and value != usual[name].default}


RECIPE_KEYS = {"recipe", *Recipe.model_fields} - set(SPANNED)
GRID_KEYS = [name for name in ModelGrid.model_fields if name != "training"] + sorted(RECIPE_KEYS)  # of a table


class Experiment(_Strict):
    """A grid of cells on one data set."""

    dataset: str = Field(description="mnist-mini, mnist, cifar10 or npz:PATH, as in `invrob data`")
    models: tuple[ModelGrid, ...] = Field(min_length=1, description='such as models = ["stdcnn", "gcnn"]')
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field((0,), min_length=1)
    profiling: Profiling = Profiling()
    card: ModelCard | None = Field(None, description="what you say about the models; it stands in the report")

    def __eq__(self, other: object) -> bool:
        """Whether both say that the same is run. The card is about the models, and changes nothing of a run."""
        return isinstance(other, Experiment) and self._run == other._run

    def __hash__(self) -> int:
        return hash(self.dataset)

    @property
    def _run(self) -> tuple[Any, ...]:
        return self.dataset, self.models, self.seeds, self.profiling

    @field_validator("models", mode="before")
    @classmethod
    def _named(cls, models: Any) -> Any:
        """A model may be written as its name alone: models = ["stdcnn"]; a table [models.stdcnn] names it by its key; a
        single one needs no list."""
        if isinstance(models, str) or (isinstance(models, Mapping) and isinstance(models.get("name"), str)):
            models = [models]
        if isinstance(models, Mapping):
            return [{"name": name, **rest} if isinstance(rest, Mapping) else rest for name, rest in models.items()]
        if not isinstance(models, (list, tuple)):
            return models
        return [{"name": entry} if isinstance(entry, str) else entry for entry in models]

    @property
    def builders(self) -> tuple[str, ...]:
        """The specs of builders of one's own among its models."""
        return tuple(dict.fromkeys(grid.name for grid in self.models if is_own(grid.name)))

    def built_by(self, sources: Mapping[str, str]) -> "Experiment":
        """This experiment with the code of its builders, by the SHA-256 of each. Raises InputError where the experiment
        itself names another one."""
        grids = []
        for grid in self.models:
            source = sources.get(grid.name)
            if grid.source is not None and source != grid.source:
                raise InputError(f"the code of {grid.name} is not that which the experiment names by its source")
            grids.append(grid.model_copy(update={"source": source}))
        return self.model_copy(update={"models": tuple(grids)})

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
                source=grid.source,
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
    except (ValueError, RecursionError) as error:  # also of bytes that are no text, and of numbers without end
        raise InputError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return Experiment.model_validate(table)
    except ValidationError as error:
        raise InputError(f"{path}: {explained(error)}") from None


def explained(error: ValidationError) -> str:
    """What is wrong with an experiment, in words: the key, the fault and the nearest known key; five faults at most."""
    listed = error.errors()
    faults = [fault for fault in listed if not _follows(fault, listed)]
    more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    return "; ".join(map(_explained, faults[:5])) + more


def _follows(fault: ErrorDetails, faults: list[ErrorDetails]) -> bool:
    """Whether it only says that a list is too short, whose entries have faults of their own."""
    if fault["type"] != "too_short":
        return False
    deeper = [other["loc"] for other in faults if other["loc"][: len(fault["loc"])] == fault["loc"]]
    return len(deeper) > 1


def _explained(error: ErrorDetails) -> str:
    """One fault in words: where, what, and for an unknown key the nearest one of its table."""
    location = [part for part in error["loc"] if part != "training"]  # a recipe's fields stand beside the others
    where, key = ".".join(map(str, location)), str(location[-1])
    inside = {
        "models": GRID_KEYS,
        "profiling": list(Profiling.model_fields),
        "card": list(ModelCard.model_fields),
    }
    known = (
        inside.get(str(location[0]), list(Experiment.model_fields)) if len(location) > 1 else Experiment.model_fields
    )
    if error["type"] == "extra_forbidden":
        return f"{where} is unknown{did_you_mean(key, known)} (known here: {', '.join(known)})"
    if error["type"] == "missing":
        fields = ModelGrid.model_fields if len(location) > 1 else Experiment.model_fields
        return f"{where} is missing" + (f": {fields[key].description}" if key in fields else "")
    message = error["msg"].removeprefix("Value error, ").replace("tuple", "list").replace("Tuple", "List")
    value = repr(error["input"])
    value, message = value if len(value) <= 200 else f"{value[:200]}...", message[:1000]
    return f"{where} = {value}: {re.sub('valid dictionary or instance of .*', 'table', message)}"
