"""The smallest piece of work of an experiment: one network that is trained once and measured."""

from functools import lru_cache
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from invrob.empirical import data
from invrob.empirical.experiments.profiling import Profiling
from invrob.empirical.experiments.store import key_of
from invrob.empirical.models import build
from invrob.empirical.training import RECIPE_VERSION, Recipe
from invrob.errors import InputError

PROFILE_VERSION = 3  # raise it when the same profile would give other numbers: finished ones are then measured again


class Cell(BaseModel):
    """One network to train and to profile: the smallest piece of work, and the unit of what is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
        """The address of the card within the cell."""
        return self.addresses["profiles"]

    @property
    def addresses(self) -> dict[str, str]:
        """The address within the cell of all that is measured of it, by name; the card, in one file, is "profiles"."""
        how = self.profiling
        settings = {"profiles": how.address(), **{name: how.address(part) for name, part in how.beside.items()}}
        return {name: key_of({**plain, "version": PROFILE_VERSION}) for name, plain in settings.items()}

    @property
    def network(self) -> str:
        """The model and what is not the paper's about it, such as 'gcnn (width 0.6)'."""
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{self.model} ({options})" if options else self.model

    def __str__(self) -> str:
        trained = f"A = {self.recipe.rotation:g}"
        if self.recipe.epsilon:
            trained += f", epsilon = {self.recipe.epsilon:g}"
        return f"{self.model} {trained}, seed {self.seed}"


@lru_cache(maxsize=1)
def dataset_of(spec: str) -> data.Dataset:
    """The data set, loaded once per process."""
    return data.load(spec)


def model_of(cell: Cell, dataset: data.Dataset) -> nn.Module:
    """The untrained network of a cell, built for the images of the data set. Raises InputError where they do not
    fit."""
    channels, height, width = dataset.train.images.shape[1:]
    if height != width:
        raise InputError(f"{cell.dataset} has images of {height} x {width}: rotations and models need square ones")
    return build(
        cell.model, seed=cell.seed, in_channels=channels, size=height, classes=len(dataset.classes), **cell.options
    )


def profiled(test: data.Split, images: int) -> tuple[Tensor, Tensor]:
    """`images` of the test images and their labels, the same choice every time: a prefix could be a single class."""
    order = torch.randperm(len(test.images), generator=torch.Generator().manual_seed(0))[:images].sort().values
    return test.images[order], test.labels[order]
