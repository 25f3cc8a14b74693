"""Runs side by side: in what their configurations differ, and their rates where both have the same cell."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from invrob.empirical.analysis import grouped
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Rates
from invrob.empirical.report.gather import Run, cell_name
from invrob.intervals import Estimate

SETTINGS = ("norm", "transformation", "border", "path")  # of a profile: rates under different ones do not compare


@dataclass(frozen=True)
class Difference:
    """The later run's mean rates minus the first one's, for a cell that both have; None where they do not compare."""

    cell: str
    first: str
    second: str
    same_training: bool
    paired: bool  # both measured on the same images
    invariance: Estimate | None  # in [-1, 1]; the interval covers the choice of images, not the training
    robustness: Estimate | None


def configuration_differences(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """(setting, its value in each run) for all in which the runs differ."""
    flat = [_flat({**run.experiment.model_dump(mode="json"), "fingerprint": run.fingerprint[:16]}) for run in runs]
    names = dict.fromkeys(name for settings in flat for name in settings)
    rows = [(name, [settings.get(name, "-") for settings in flat]) for name in names]
    models = {name.removesuffix(".name") for name, values in rows if name.endswith(".name") and "-" in values}
    inside = tuple(f"{model}." for model in models)  # of a network that only some runs have, its name says enough
    return [
        (name, values)
        for name, values in rows
        if len(set(values)) > 1 and (name.endswith(".name") or not name.startswith(inside))
    ]


def differences(runs: Sequence[Run]) -> list[Difference]:
    """Each later run against the first, for the cells of the same network, A, epsilon and seed."""
    listed = []
    for later in runs[1:]:
        ours, theirs = _places(runs[0]), _places(later)
        same_data = runs[0].fingerprint == later.fingerprint
        for place in sorted(ours.keys() & theirs.keys()):
            a, b = ours[place], theirs[place]
            listed.append(
                Difference(
                    cell_name(a.cell),
                    runs[0].label,
                    later.label,
                    same_training=a.cell.key == b.cell.key,
                    paired=a.robustness.images == b.robustness.images,
                    invariance=mean_difference(a.invariance, b.invariance) if same_data else None,
                    robustness=mean_difference(a.robustness, b.robustness) if same_data else None,
                )
            )
    return listed


def _places(run: Run) -> dict[tuple[str, float, float, int], Result]:
    """The results by network, A, epsilon and seed, where that says which cell is meant."""
    places = grouped(run.results, lambda r: (r.network, r.cell.recipe.rotation, r.cell.recipe.epsilon, r.cell.seed))
    return {place: results[0] for place, results in places.items() if len(results) == 1}


def mean_difference(first: Rates, second: Rates) -> Estimate | None:
    """How much the mean rate of `second` is above that of `first`.

    Image by image where both are of the same images, else as of independent samples (Welch), which errs on the wide
    side.

    Args:
        first, second: two profiles of the same kind.

    Returns:
        The difference in [-1, 1] with its 95 % interval over the choice of images; None where the two are not at the
        same values under the same change or norm, or one rests on a single image.
    """
    same = all(getattr(first, name, "") == getattr(second, name, "") for name in SETTINGS)
    if not same or not np.array_equal(first.values, second.values) or min(first.images, second.images) < 2:
        return None
    a, b = first.per_image, second.per_image
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of rates that all images share: exact all the same
        test = stats.ttest_rel(b, a) if len(a) == len(b) else stats.ttest_ind(b, a, equal_var=False)
        interval = test.confidence_interval(0.95)
    return Estimate(float(b.mean() - a.mean()), float(interval.low), float(interval.high))


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Nested settings as "models.stdcnn.epochs" -> "8"."""
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        keys = [str(entry.get("name", number)) for number, entry in enumerate(value)]
        named = enumerate(zip(keys, value, strict=True))
        parts = {k if keys.count(k) == 1 else f"{k} {n + 1}": v for n, (k, v) in named}.items()
    else:
        return {name: ", ".join(map(_plain, value)) if isinstance(value, list) else _plain(value)}
    return {k: v for key, inner in parts for k, v in _flat(inner, f"{name}.{key}".lstrip(".")).items()}


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "-" if value is None else str(value)
