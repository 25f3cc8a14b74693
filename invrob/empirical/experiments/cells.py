"""The smallest piece of work of an experiment: one network that is trained once and measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from invrob.empirical import data
from invrob.empirical.experiments.profiling import Profiling
from invrob.empirical.experiments.store import key_of
from invrob.empirical.inference import called, set_training
from invrob.empirical.models import build, build_own, is_own
from invrob.empirical.training import RECIPE_VERSION, Recipe
from invrob.errors import InputError

PROFILE_VERSION = 3  # raise it when the same profile would give other numbers: finished ones are then measured again


class Cell(BaseModel):
    """One network to train and to profile: the smallest piece of work, and the unit of what is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    fingerprint: str  # of the data set's content
    model: str  # a name of the paper's networks, or the spec of a builder of one's own
    options: dict[str, Any]
    recipe: Recipe
    seed: int
    profiling: Profiling
    source: str | None = None  # SHA-256 of a builder's code; None for the paper's networks

    @property
    def key(self) -> str:
        """The address of the training: the same wherever the data lie, and whatever is measured afterwards."""
        absent = {"source"} if self.source is None else set[str]()  # cells of before have none, and keep their keys
        trained = self.model_dump(mode="json", exclude={"dataset", "profiling", *absent})
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
        if self.recipe.trades_beta:
            trained += f", trades_beta {self.recipe.trades_beta:g}"
        if self.recipe.curriculum:
            trained += f", curriculum {self.recipe.formatted('curriculum')}"
        return f"{self.model} {trained}, seed {self.seed}"


_lent: dict[str, data.Dataset] = {}  # by their names: in memory, and nowhere else


@lru_cache(maxsize=1)
def dataset_of(spec: str) -> data.Dataset:
    """The data set, loaded once per process. Raises InputError where there is nothing to train on, or no test set."""
    dataset = _lent.get(spec) or data.load(spec)
    for split in ("train", "validation", "test"):
        dataset.split(split)
    return dataset


@contextmanager
def lent_data(dataset: data.Dataset) -> Iterator[None]:
    """Inside the block the cells of this process find this data set under its name."""
    before = dict(_lent)
    _lent[dataset.name] = dataset
    dataset_of.cache_clear()
    try:
        yield
    finally:
        _lent.clear()
        _lent.update(before)
        dataset_of.cache_clear()


def model_of(cell: Cell, dataset: data.Dataset) -> nn.Module:
    """The untrained network of a cell, built for the images of the data set. Raises InputError where they do not
    fit."""
    given = given_to(dataset)
    if not is_own(cell.model):
        shape = {"in_channels": given["channels"], "size": given["size"], "classes": given["classes"]}
        return build(cell.model, seed=cell.seed, **shape, **cell.options)
    network = build_own(cell.model, cell.source, given, cell.options, cell.seed)
    _check_trainable(network, cell, dataset)
    return network


def given_to(dataset: data.Dataset) -> dict[str, int]:
    """What the data say of a network: the number of "classes" and of "channels", and the "size" of the square images.

    Raises InputError where the images are not square."""
    channels, height, width = dataset.train.images.shape[1:]
    if height != width:
        raise InputError(f"{dataset.name} has images of {height} x {width}: rotations and models need square ones")
    return {"classes": len(dataset.classes), "channels": channels, "size": height}


def _check_trainable(network: nn.Module, cell: Cell, dataset: data.Dataset) -> None:
    """Ask the network about two images, which also gives lazy layers their shapes.

    Raises InputError where it does not return a logit for each class, or has nothing to train."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(cell.seed)
        set_training(network, False)
        outputs = called(network, dataset.train.images[:2])
        set_training(network, True)
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        got = [*outputs.shape] if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(f"{cell.model} returns {got} for 2 images: it must return logits [N, {len(dataset.classes)}]")
    count = outputs.shape[1]
    if count != len(dataset.classes):
        raise InputError(
            f"{cell.model} returns {count} logits, but {dataset.name} has {len(dataset.classes)} classes: let the "
            "builder take `num_classes`"
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InputError(f"{cell.model} has no parameter that can be trained: let the builder return one that has")


def profiled(test: data.Split, images: int) -> tuple[Tensor, Tensor]:
    """`images` of the test images and their labels, the same choice every time: a prefix could be a single class."""
    return data.chosen(test, images)
