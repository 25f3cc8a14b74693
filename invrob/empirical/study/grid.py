"""The grid of an experiment from Python: what its arguments say, checked, and told apart by their names."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError
from torch import Tensor

from invrob.empirical.experiments import Experiment, explained
from invrob.empirical.training import RECIPES
from invrob.errors import InputError, did_you_mean

ELSEWHERE = {  # what a table of a model holds beside the fields of its recipe -> where it is said here
    **{name: f", and write {name} = ... beside it" for name in ("training_theta", "training_epsilon", "recipe")},
    "rotation": ", and write training_theta = ... beside it",
    "epsilon": ", and write training_epsilon = ... beside it",
    **dict.fromkeys(("name", "training", "source", "arguments"), ""),
}
OF_TABLE = "known here: name, training_theta, training_epsilon, "
EXAMPLES = {
    "training_theta": "a list of numbers in [0, 180], such as [0, 60, 180]",
    "training_epsilon": "a list of numbers in [0, 1], such as [0, 0.1]",
    "seeds": "a list of integers in [0, 2^31), such as [0, 1]",
    "training": 'a dict of fields of the recipe, such as {"epochs": 4}',
    "profiling": 'a dict of fields of what is measured, such as {"images": 200}',
}


def planned(dataset: str, names: Sequence[str], given: Mapping[str, Any]) -> Experiment:
    """The experiment that trains and measures each of the networks.

    given: "training_theta", "training_epsilon", "seeds", "recipe", "training" and "profiling", as `experiment` takes
    them. Raises InputError with the argument, what is wrong with it, and the way out."""
    plain = {name: _plain(value) for name, value in given.items()}
    for name in ("training_theta", "training_epsilon", "seeds"):
        _check_numbers(name, plain[name], integers=name == "seeds")
    fields, profiling = (_table(name, plain[name]) for name in ("training", "profiling"))
    for name in (name for name in ELSEWHERE if name in fields):
        raise InputError(f"training holds {name!r}: leave it out{ELSEWHERE[name]}")
    if not isinstance(plain["recipe"], str) or plain["recipe"] not in RECIPES:
        near = did_you_mean(str(plain["recipe"]), RECIPES)
        raise InputError(f"recipe = {plain['recipe']!r} is unknown{near}; choose one of {', '.join(RECIPES)}")
    grid = {name: plain[name] for name in ("training_theta", "training_epsilon", "recipe")}
    tables = [{"name": name, **grid, **fields} for name in names]
    described = {"dataset": dataset, "seeds": plain["seeds"], "profiling": profiling}
    try:
        Experiment.model_validate({**described, "models": tables[:1]})  # so that what is wrong in all is said once
        experiment = Experiment.model_validate({**described, "models": tables})
    except ValidationError as error:
        raise InputError(_by_argument(explained(error))) from None
    for grids in experiment.models:
        _check_kinds("training", fields, grids)
    _check_kinds("profiling", profiling, experiment.profiling)
    return experiment


def _plain(value: Any) -> Any:
    """The same in lists, dicts, and numbers of Python."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | range):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value


def _check_numbers(name: str, values: Any, *, integers: bool) -> None:
    allowed = (int,) if integers else (int, float)
    if not isinstance(values, list) or not values or any(type(value) not in allowed for value in values):
        raise InputError(f"{name} = {_short(values)} must be {EXAMPLES[name]}")


def _table(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{name} = {_short(value)} must be {EXAMPLES[name]}")
    return value


def _check_kinds(where: str, given: Any, read: Any) -> None:
    """Raises InputError where text was given, or True, and a number was read from it."""
    if isinstance(given, dict) and isinstance(read, BaseModel | dict):
        for key, part in given.items():
            _check_kinds(f"{where}.{key}", part, _part(read, key))
    elif isinstance(given, list) and isinstance(read, list | tuple):
        for place, (part, of_read) in enumerate(zip(given, read, strict=False)):
            _check_kinds(f"{where}.{place}", part, of_read)
    elif isinstance(given, str | bool) and isinstance(read, int | float) and type(read) is not type(given):
        raise InputError(f"{where} = {given!r} is {'text' if isinstance(given, str) else 'no number'}: write {read}")


def _part(read: BaseModel | dict[str, Any], key: str) -> Any:
    """What was read of a field; those of a recipe are in a table of their own."""
    if isinstance(read, dict):
        return read.get(key)
    return getattr(read, key, getattr(getattr(read, "training", None), key, None))


def _by_argument(text: str) -> str:
    """Faults of an experiment by the arguments that they are about: `models.0.epochs` is a field in `training`."""
    text = re.sub(r"\bmodels\.\d+\.name = ", "models = ", text)
    text = re.sub(r"\bmodels\.\d+\.(?=training_theta|training_epsilon|recipe)", "", text)
    text = re.sub(r"\bmodels\.\d+ = .*?(?:\}|\.\.\.): (?=\w)", "training: ", text)  # without the whole table
    text = re.sub(r"write arguments = \{.*?\}", "give what your own callable takes by functools.partial", text)
    return re.sub(r"\bmodels\.\d+\b", "training", text).replace(OF_TABLE, "known here: ")


def _short(value: Any) -> str:
    return text if len(text := repr(value)) <= 200 else f"{text[:200]}..."
