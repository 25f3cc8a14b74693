"""Results that were never computed: cells and profiles with planted rates."""

import numpy as np

from invrob.empirical.attacks import Sanity
from invrob.empirical.experiments import Cell, Profiling, Result
from invrob.empirical.profiles import InvarianceProfile, RobustnessProfile
from invrob.empirical.training import Recipe
from invrob.intervals import share_bounds

THETAS = [0.0, 90.0, 180.0]
EPSILONS = [0.0, 0.1, 0.3]


def cell(**changes):
    """A cell of StdCNN; rotation, epsilon, epochs and the like go into its recipe."""
    recipe = {name: changes.pop(name) for name in Recipe.model_fields if name in changes}
    plain = {"dataset": "mnist-mini", "fingerprint": "f", "model": "stdcnn", "options": {}, "seed": 0}
    how = Profiling(thetas=THETAS, epsilons=EPSILONS)
    return Cell(**{**plain, "recipe": Recipe(**recipe), "profiling": how, **changes})


def sanity(*reasons, constant=False, **shares):
    """What the judge says of an attack; the shares are 0 unless given."""
    names = ("zero_gradient", "more_steps", "apgd_ce", "apgd_dlr", "other_classes", "black_box")
    probes = dict.fromkeys((*names, "unfooled_at_largest", "changed_prediction"), 0.0)
    return Sanity(**{"probed": 32, **probes, **shares}, constant=constant, reasons=reasons)


def rates(rate, images=100, per_image=None, classes=()):
    """The fields of any profile with these rates; images share them unless each has its own."""
    low, high = share_bounds(np.array(rate), images)
    return {
        "rate": np.array(rate),
        "low": low,
        "high": high,
        "accuracy": 0.9 * np.array(rate),
        "accuracy_low": np.zeros(len(rate)),
        "accuracy_high": np.ones(len(rate)),
        "clean_accuracy": 0.9,
        "images": images,
        "per_image": np.full(images, np.mean(rate)) if per_image is None else np.array(per_image),
        "classes": tuple(classes),
        "confidence": 0.95,
        "seed": 0,
    }


def invariance(rate=(1.0, 0.8, 0.5), thetas=THETAS, border="zero", **fields):
    """A profile with these rates of invariance; `fields` as in `rates`."""
    how = {"evaluations": 1.0, "border": border, "path": "there", "transformation": "rotation"}
    return InvarianceProfile(**rates(rate, **fields), thetas=np.array(thetas), **how)


def robustness(rate=(1.0, 0.7, 0.2), epsilons=EPSILONS, judged=None, missed=None, **fields):
    """A profile with these rates; judged: a verdict by `sanity`, else the attack is sound. missed: how far the floor
    lies below the interval, where there was an audit."""
    whole = rates(rate, **fields)
    how = {"gradient_evaluations": 9.0, "levels": np.ones(whole["images"], int), "norm": "linf"}
    judged = sanity() if judged is None else judged
    profile = RobustnessProfile(**whole, epsilons=np.array(epsilons), **how, steps=20, restarts=1, sanity=judged)
    if missed is not None:
        object.__setattr__(profile, "floor", np.maximum(profile.low - missed, 0))
    return profile


def result(**changes):
    """A result of these profiles in the place of the planted ones, of a cell with these changes."""
    profiles = {kind: changes.pop(kind) for kind in ("invariance", "robustness") if kind in changes}
    return Result(cell(**changes), **{"invariance": invariance(), "robustness": robustness(), **profiles})
