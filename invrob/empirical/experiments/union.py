"""The one experiment that several runs are parts of: the same networks with other seeds, other networks, or the same.

What the parts agree on stays; what they have beside one another is put together. Nothing is asked for that none of them
asked for: where the grid would have further cells, there is no such experiment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invrob.empirical.experiments.cells import Cell
from invrob.empirical.experiments.continuing import SPANS, Kept, difference, new_cells
from invrob.empirical.experiments.experiment import Experiment, ModelGrid
from invrob.empirical.experiments.profiling import BESIDE, Profiling
from invrob.errors import InputError, command

Named = tuple[Path, Kept]  # a run directory, and what it was made for


def union_of(runs: Sequence[Named]) -> Experiment:
    """The experiment whose cells are those of all the runs, at least one, with all that is measured in any of them.

    Raises InputError where two of them say different things about the same network, its measurements or the data, and
    where their cells make no grid; it names both."""
    first, *others = runs
    merged = first[1].experiment
    for path, kept in others:
        merged = _joined(merged, first, path, kept)
    asked = {cell.key: cell for _, kept in runs for cell in kept.experiment.cells(kept.fingerprint)}
    more = [cell for cell in merged.cells(first[1].fingerprint) if cell.key not in asked]
    if more:
        raise InputError(_no_grid(runs, len(asked), more))
    for path, kept in runs:
        if new_cells(merged, kept, kept.fingerprint) is None:  # a measurement of one name is at other values
            raise InputError(_apart(path, first[0], difference(merged, kept, kept.fingerprint)))
    return merged


def _joined(merged: Experiment, first: Named, path: Path, kept: Kept) -> Experiment:
    """The experiment with what another run has beside it; first: the run that is named beside that one in an error."""
    one, other = merged, kept.experiment
    if first[1].fingerprint != kept.fingerprint:
        raise InputError(_apart(path, first[0], difference(other, first[1], kept.fingerprint)))
    profiling = _measured(one.profiling, other.profiling)
    if profiling != _measured(other.profiling, one.profiling).model_copy(update=_beside(profiling)):
        alike: dict[str, Any] = {"models": one.models, "seeds": one.seeds, "dataset": one.dataset}
        _refuse(path, first, one, other.model_copy(update=alike))
    models = list(one.models)
    for grid in other.models:
        rivals = [there for there in models if (there.name, there.options()) == (grid.name, grid.options())]
        match = next((there for there in rivals if _spanning(there, grid) == grid), None)
        if rivals and match is None:
            alike = {"profiling": one.profiling, "seeds": one.seeds, "dataset": one.dataset}
            spans = {span: getattr(grid, span) for span in SPANS if hasattr(grid, span)}
            there = one.model_copy(update={"models": (rivals[0].model_copy(update=spans),)})
            _refuse(path, first, there, other.model_copy(update={**alike, "models": (grid,)}))
        wider = None if match is None else _wider(match, grid)
        if match is None or wider is None:
            models.append(grid)
        else:
            models[models.index(match)] = wider
    changes: dict[str, Any] = {"models": tuple(models), "seeds": _together(one.seeds, other.seeds)}
    return one.model_copy(update={**changes, "profiling": profiling, "card": one.card or other.card})


def _measured(one: Profiling, other: Profiling) -> Profiling:
    """The first, with what the other measures beside it."""
    values = {**other.values, **one.values}
    beside = {name: tuple(dict.fromkeys([*getattr(one, name), *getattr(other, name)])) for name in BESIDE}
    return one.model_copy(update={**beside, "values": values})


def _beside(profiling: Profiling) -> dict[str, Any]:
    return {name: getattr(profiling, name) for name in BESIDE}


def _spanning(one: ModelGrid, other: ModelGrid) -> ModelGrid:
    """The first, over what the other spans."""
    spans = {span: getattr(other, span) for span in SPANS if hasattr(other, span)}
    return one.model_copy(update=spans)


def _wider(one: ModelGrid, other: ModelGrid) -> ModelGrid | None:
    """One grid of both, which differ in what they span alone; None where it would have pairs that neither has."""
    thetas = _together(one.training_theta, other.training_theta)
    epsilons = _together(one.training_epsilon, other.training_epsilon)
    pairs = {
        (theta, epsilon) for grid in (one, other) for theta in grid.training_theta for epsilon in grid.training_epsilon
    }
    if len(pairs) < len(set(thetas)) * len(set(epsilons)):
        return None
    return one.model_copy(update={"training_theta": thetas, "training_epsilon": epsilons})


def _together(one: Sequence[Any], other: Sequence[Any]) -> tuple[Any, ...]:
    """All values, in the order of one that has all of them, else sorted: it does not matter which is named first."""
    for whole, part in ((one, other), (other, one)):
        if set(part) <= set(whole):
            return tuple(whole)
    return tuple(sorted({*one, *other}))


def _refuse(path: Path, first: Named, there: Experiment, here: Experiment) -> None:
    raise InputError(_apart(path, first[0], difference(here, Kept(there, first[1].fingerprint), first[1].fingerprint)))


def _apart(path: Path, first: Path, different: str) -> str:
    side = command("report", first, path)
    return f"{path} holds another experiment than {first} ({different}): leave it out; `{side}` shows both on one page"


def _no_grid(runs: Sequence[Named], asked: int, more: Sequence[Cell]) -> str:
    paths = [path for path, _ in runs]
    shown = f"{', '.join(map(str, paths[:3]))}{' and others' if len(paths) > 3 else ''}"
    return (
        f"{shown} are no parts of one experiment: its grid would have {len(more)} cell{'s' * (len(more) > 1)} beside "
        f"their {asked}, such as {more[0]}; `{command('report', *paths[:3])}` shows them on one page"
    )
