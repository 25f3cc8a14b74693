"""An experiment as the TOML that `invrob empirical run --config` reads."""

import json
from collections.abc import Mapping
from typing import Any

from invrob.empirical.experiments import Experiment, ModelGrid
from invrob.empirical.training import Recipe

OWN = ("rotation", "epsilon")  # fields of a recipe that the grid of a model spans


def to_toml(experiment: Experiment) -> str:
    """Text from which `read_experiment` makes an experiment of the same cells."""
    top = {"dataset": experiment.dataset, "seeds": list(experiment.seeds)}
    models = [f"[[models]]\n{_table(_model(grid))}" for grid in experiment.models]
    asked = experiment.profiling.model_dump(mode="json", exclude_none=True)
    profiling = {name: value for name, value in asked.items() if value not in ([], {})}
    return "\n".join([_table(top), *models, f"[profiling]\n{_table(profiling)}"])


def _model(grid: ModelGrid) -> dict[str, Any]:
    """The fields of a model, and beside them those of its recipe that are not the ones of "fast"."""
    fields = grid.model_dump(mode="json", exclude={"training"}, exclude_none=True)
    usual = Recipe().model_dump(mode="json")
    recipe = grid.training.model_dump(mode="json", exclude=set(OWN), exclude_none=True)
    return fields | {name: value for name, value in recipe.items() if value != usual[name]}


def _table(fields: Mapping[str, Any]) -> str:
    return "".join(f"{name} = {_value(value)}\n" for name, value in fields.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_value(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's strings, numbers and booleans
