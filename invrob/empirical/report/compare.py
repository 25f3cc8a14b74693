"""Runs side by side: in what their configurations differ, and their rates where both have the same cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t

from invrob.empirical.experiments import Result, grid_of
from invrob.empirical.report.gather import Run, cell_name
from invrob.intervals import Estimate


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
    found = []
    for later in runs[1:]:
        ours, theirs = _places(runs[0]), _places(later)
        for place in sorted(ours.keys() & theirs.keys()):
            a, b = ours[place], theirs[place]
            rates: list[Estimate | None] = [None, None]
            if runs[0].fingerprint == later.fingerprint:
                rates = [_difference(a.invariance, b.invariance), _difference(a.robustness, b.robustness)]
            paired = a.robustness["images"] == b.robustness["images"]
            found.append(
                Difference(cell_name(a.cell), runs[0].label, later.label, a.cell.key == b.cell.key, paired, *rates)
            )
    return found


Place = tuple[str, float, float, int]


def _places(run: Run) -> dict[Place, Result]:
    """The results by network, A, epsilon and seed, where that says which one is meant."""
    places: dict[Place, list[Result]] = {}
    for result in run.results:
        recipe = result.cell.recipe
        places.setdefault((result.network, recipe.rotation, recipe.epsilon, result.cell.seed), []).append(result)
    return {place: each[0] for place, each in places.items() if len(each) == 1}


def _difference(first: dict[str, Any], second: dict[str, Any]) -> Estimate | None:
    """Of the mean rates, image by image where both are of the same ones, else as of independent samples (Welch), which
    errs on the wide side; None where they are not at the same values under the same change."""
    same = all(first.get(name) == second.get(name) for name in ("norm", "transformation", "border", "path"))
    if not same or grid_of(first) != grid_of(second) or min(first["images"], second["images"]) < 2:
        return None
    a, b = np.array(first["per_image"]), np.array(second["per_image"])
    mean = float(b.mean() - a.mean())
    each = [b - a] if len(a) == len(b) else [a, b]
    parts = [(float(values.var(ddof=1)) / len(values), len(values) - 1) for values in each]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts) if variance else np.inf
    half = float(t.ppf(0.975, freedom)) * variance**0.5
    return Estimate(mean, mean - half, mean + half)


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
