"""Results that were never computed: cells and profiles with planted rates, as `to_dict` would have written them."""

import numpy as np

from invrob.empirical.experiments.cells import Cell
from invrob.empirical.experiments.experiment import Profiling
from invrob.empirical.experiments.results import Result
from invrob.empirical.training.loop import Recipe
from invrob.intervals import share_bounds

THETAS = [0.0, 90.0, 180.0]
EPSILONS = [0.0, 0.1, 0.3]


def cell(**changes):
    """A cell of StdCNN; rotation, epsilon, epochs and the like go into its recipe."""
    recipe = {name: changes.pop(name) for name in Recipe.model_fields if name in changes}
    plain = {"dataset": "mnist-mini", "fingerprint": "f", "model": "stdcnn", "options": {}, "seed": 0}
    how = Profiling(thetas=THETAS, epsilons=EPSILONS)
    return Cell(**{**plain, "recipe": Recipe(**recipe), "profiling": how, **changes})


def profile(axis, grid, rate, images, per_image):
    low, high = share_bounds(np.array(rate), images)
    rates = {"rate": list(rate), "low": low.tolist(), "high": high.tolist()}
    accuracy = {
        "accuracy": [0.9 * r for r in rate],
        "accuracy_low": [0.0] * len(rate),
        "accuracy_high": [1.0] * len(rate),
    }
    per_image = [float(np.mean(rate))] * images if per_image is None else per_image
    return {axis: grid, **rates, **accuracy, "clean_accuracy": 0.9, "images": images, "per_image": per_image}


def result(
    *,
    invariance=(1.0, 0.8, 0.5),
    robustness=(1.0, 0.7, 0.2),
    images=100,
    invariance_per_image=None,
    robustness_per_image=None,
    verdict="sound",
    constant=False,
    **changes,
):
    """A result with these rates on THETAS and EPSILONS; the images share them unless each has its own."""
    sanity = {"verdict": verdict, "sanity": {"constant": constant, "reasons": ["planted"] * (verdict == "masked")}}
    return Result(
        cell(**changes),
        profile("thetas", THETAS, invariance, images, invariance_per_image),
        profile("epsilons", EPSILONS, robustness, images, robustness_per_image) | sanity,
    )
