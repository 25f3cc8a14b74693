"""An experiment as the TOML that `invrob empirical run --config` reads."""

from typing import Any

import tomli_w

from invrob.empirical.experiments.experiment import Experiment, ModelGrid
from invrob.empirical.training import CURRICULA, Recipe, curriculum_in_words


def to_toml(experiment: Experiment) -> str:
    """Text from which `read_experiment` makes an experiment of the same cells."""
    profiling = experiment.profiling.model_dump(mode="json", exclude_none=True)
    document = {
        "dataset": experiment.dataset,
        "seeds": list(experiment.seeds),
        "models": [_plain(grid) for grid in experiment.models],
        "profiling": {name: value for name, value in profiling.items() if value not in ([], {})},
    }
    if experiment.card is not None:
        document["card"] = experiment.card.model_dump(exclude_none=True)
    return tomli_w.dumps(document)


def _plain(grid: ModelGrid) -> dict[str, Any]:
    """The fields of a model, and of its recipe those that differ from "fast" and that the grid does not span."""
    fields = grid.model_dump(mode="json", exclude={"training"}, exclude_none=True)
    recipe = grid.training.model_dump(mode="json", exclude={"rotation", "epsilon"}, exclude_none=True)
    name = curriculum_in_words(grid.training.curriculum)
    recipe["curriculum"] = name if name in CURRICULA else recipe["curriculum"]
    usual = Recipe().model_dump(mode="json") | {"curriculum": "none"}
    said = {name: value for name, value in fields.items() if value != {}}
    return said | {name: value for name, value in recipe.items() if value != usual[name]}
