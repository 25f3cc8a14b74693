"""Where a trade-off plane is cut: at a theta and an epsilon that every model of it was measured at."""

from collections.abc import Mapping, Sequence
from math import isclose

from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Card, Rates, format_epsilon, table_epsilons
from invrob.errors import InputError

Models = Mapping[str, Sequence[Result | Card]]  # by name: the seeds of a training of a run, or the card of one model
SHOWN = 3  # names of models in an error, at most


class NotMeasuredError(InputError):
    """Some of the models were not measured at a theta or an epsilon that was asked for.

    Args:
        name: "theta" or "epsilon".
        value: what was asked for.
        lacking: by name of each model that lacks it, the values that it was measured at.
        shared: the values that all models were measured at.

    Example:
        >>> from invrob.empirical.analysis import NotMeasuredError
        >>> print(NotMeasuredError("theta", 45, {"a": [0, 90]}, [90]))
        theta = 45 was not measured for a, which has 0, 90: choose one of 90, which all have, or measure a there
    """

    def __init__(self, name: str, value: float, lacking: Mapping[str, Sequence[float]], shared: Sequence[float]):
        self.name, self.value, self.lacking, self.shared = name, value, dict(lacking), list(shared)
        who = names_of(list(lacking))
        grids = {listed(name, grid) for grid in lacking.values()}
        have = f"{'have' if len(lacking) > 1 else 'has'} {grids.pop()}" if len(grids) == 1 else ""
        told = f"{who}, which {have}" if have else "; ".join(f"{m} (has {listed(name, g)})" for m, g in lacking.items())
        super().__init__(
            f"{name} = {shown(name, value)} was not measured for {told}: choose one of {listed(name, shared)}, which "
            f"all have, or measure {who} there"
        )


def place_of(models: Models, theta: float | None, epsilon: float | None) -> tuple[float, float]:
    """Where a plane is to be cut: the theta and the epsilon that were measured, for the ones asked for to three digits.
    None stands for the largest theta, and the first epsilon that tables show.

    Raises InputError for values that no model was measured at, and `NotMeasuredError` where some were."""
    thetas, epsilons = shared_grids(models)
    over_theta, over_epsilon = _grids(models)
    return (
        thetas[-1] if theta is None else _on_grid("theta", theta, over_theta, thetas),
        table_epsilons(epsilons)[0] if epsilon is None else _on_grid("epsilon", epsilon, over_epsilon, epsilons),
    )


def shared_grids(models: Models) -> tuple[list[float], list[float]]:
    """The thetas and the epsilons that every model was measured at. Raises InputError where there are none."""
    settings_of(models)
    over_theta, over_epsilon = _grids(models)
    return _shared("theta", over_theta), _shared("epsilon", over_epsilon)


def settings_of(models: Models) -> tuple[str, str]:
    """The norm and the transformation that the models were measured with. Raises InputError where there are two."""
    measured = [(name, model) for name, seeds in models.items() for model in seeds]
    if not measured:
        raise InputError("models = {} holds nothing: a plane takes at least one model")
    both = [(name, profile) for name, model in measured for profile in (model.invariance, model.robustness)]
    for setting, values in (
        ("norm", [(name, model.robustness.norm) for name, model in measured]),
        ("transformation", [(name, model.invariance.transformation) for name, model in measured]),
        ("border", [(name, model.invariance.border) for name, model in measured]),
        ("path", [(name, model.invariance.path) for name, model in measured]),
        ("confidence", [(name, f"{profile.confidence:g}") for name, profile in both]),
    ):
        kinds = sorted({value for _, value in values})
        if len(kinds) > 1:
            who = {kind: list(dict.fromkeys(name for name, value in values if value == kind)) for kind in kinds}
            told = "; ".join(f"{kind}: {names_of(names)}" for kind, names in who.items())
            raise InputError(
                f"models were measured with {setting} = {' and '.join(kinds)}: plot one at a time ({told})"
            )
    _, first = measured[0]
    return first.robustness.norm, first.invariance.transformation


def names_of(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are, in words."""
    if len(names) > SHOWN:
        return f"{', '.join(names[:SHOWN])} and {len(names) - SHOWN} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def shown(name: str, value: float) -> str:
    """A value of "theta" or "epsilon" as people write it."""
    return format_epsilon(value) if name == "epsilon" else f"{value:g}"


def listed(name: str, values: Sequence[float]) -> str:
    """Values of "theta" or "epsilon", in words."""
    return ", ".join(shown(name, value) for value in values)


def _grids(models: Models) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """The thetas and the epsilons of each model."""
    return (
        {name: _common([model.invariance for model in seeds]) for name, seeds in models.items()},
        {name: _common([model.robustness for model in seeds]) for name, seeds in models.items()},
    )


def _common(profiles: Sequence[Rates]) -> list[float]:
    """The values that all of some profiles were measured at."""
    grids = [profile.values.tolist() for profile in profiles]
    return [value for value in grids[0] if all(value in grid for grid in grids)]


def _shared(name: str, grids: Mapping[str, list[float]]) -> list[float]:
    first, *others = grids.values()
    shared = [value for value in first if all(value in grid for grid in others)]
    if not shared:
        has = [f"{model} has {listed(name, grid)}" for model, grid in grids.items()][: SHOWN + 1]
        raise InputError(f"models share none of their {name}s: measure them on the same ones ({'; '.join(has)})")
    return shared


def _on_grid(name: str, value: float, grids: Mapping[str, list[float]], shared: Sequence[float]) -> float:
    """The value of the shared grid that is meant."""
    near = _near(value, shared)
    if near:
        return min(near, key=lambda known: abs(known - value))
    lacking = {model: grid for model, grid in grids.items() if not _near(value, grid)}
    if 0 < len(lacking) < len(grids):
        raise NotMeasuredError(name, value, lacking, shared)
    raise InputError(f"{name} = {value:g} was not measured: choose one of {listed(name, shared)}")


def _near(value: float, grid: Sequence[float]) -> list[float]:
    return [known for known in grid if isclose(known, value, rel_tol=1e-3, abs_tol=1e-9)]
