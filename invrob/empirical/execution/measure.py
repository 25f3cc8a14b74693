"""Each measurement of a trained cell by name: the two profiles, and what `Profiling.beside` lists."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from invrob.empirical.experiments import Cell
from invrob.empirical.models import P4_MODELS
from invrob.empirical.profiles import (
    invariance_profile,
    quarter_turn_consistency,
    robustness_profile,
    weak_profile,
    worst_case_profile,
)
from invrob.empirical.transforms import TRANSFORMATIONS

PROFILE_SEED = 0  # the same angles and random starts for every cell, so that the curves are paired

CONFOUNDS: dict[str, dict[str, Any]] = {
    "canvas": {"border": "canvas"},
    "disc": {"border": "disc"},
    "there-and-back": {"path": "there-and-back"},
}


def measured(name: str, model: nn.Module, images: Tensor, labels: Tensor, cell: Cell) -> dict[str, Any]:
    """The measurement `name` of `cell.measurements`, in plain lists and numbers: what the run directory keeps.

    model: the trained network. images, labels: of the test set, on the device of the model."""
    how = cell.profiling
    if name.startswith("weak:"):
        attack = name.removeprefix("weak:")
        return weak_profile(model, images, how.epsilons, labels, attack=attack, seed=PROFILE_SEED).to_dict()
    attacked = partial(robustness_profile, steps=how.steps, restarts=how.restarts, seed=PROFILE_SEED)
    if name in how.norms:
        return attacked(model, images, how.values_of(name), labels, norm=name).to_dict()
    transformation, _, adversary = name.partition(":")
    changed: dict[str, Any] = {"seed": PROFILE_SEED, "transformation": transformation}
    if adversary:
        values = how.values_of(name)
        return worst_case_profile(model, images, values, labels, adversary=adversary, **changed).to_dict()
    if name in TRANSFORMATIONS:
        return invariance_profile(model, images, how.values_of(name), labels, **changed).to_dict()
    turned = invariance_profile(
        model, images, how.thetas, labels, seed=PROFILE_SEED, step=how.angle_step, **CONFOUNDS.get(name, {})
    )
    if name in CONFOUNDS:
        return turned.to_dict()
    both = {"invariance": turned.to_dict(), "robustness": attacked(model, images, how.epsilons, labels).to_dict()}
    if cell.model in P4_MODELS:
        both["quarter_turns"] = quarter_turn_consistency(model, images).to_dict()
    return both
