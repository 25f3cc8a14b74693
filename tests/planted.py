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
    names = ("zero_gradient", "black_box", "unfooled_at_largest", "changed_prediction")
    probes = dict.fromkeys(names, 0.0)
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


def robustness(rate=(1.0, 0.7, 0.2), epsilons=EPSILONS, judged=None, missed=None, shortfall="", **fields):
    """A profile with these rates; judged: a verdict by `sanity`, else the model defeats no gradient. missed: how far
    the floor lies below the interval, where there was an audit; shortfall: why it found the attack weak."""
    whole = rates(rate, **fields)
    how = {"gradient_evaluations": 9.0, "levels": np.ones(whole["images"], int), "norm": "linf"}
    how |= {"steps": 20, "restarts": 1, "sanity": sanity() if judged is None else judged}
    bounds = dict.fromkeys(("gap", "gap_high", "floor", "missed"))
    if missed is not None:
        floor, gap = np.maximum(whole["low"] - missed, 0), np.minimum(missed / 2, whole["rate"])
        bounds = {"floor": floor, "gap": gap, "gap_high": 2 * gap, "missed": (32 * gap).astype(int)}
    told = {"audited": 0 if missed is None else 32, "strength": "" if missed is None else "planted"}
    return RobustnessProfile(**whole, epsilons=np.array(epsilons), **how, **bounds, **told, shortfall=shortfall)


def result(**changes):
    """A result of these profiles in the place of the planted ones, of a cell with these changes."""
    profiles = {kind: changes.pop(kind) for kind in ("invariance", "robustness") if kind in changes}
    return Result(cell(**changes), **{"invariance": invariance(), "robustness": robustness(), **profiles})
