"""An experiment from Python: networks by name or by the callable that builds them, trained, measured and judged."""

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from torch import nn

from invrob.empirical.analysis import Claim, check_claims
from invrob.empirical.execution import Execution, Failure, run
from invrob.empirical.experiments import (
    Cell,
    Experiment,
    Result,
    Store,
    dataset_of,
    explained,
    model_of,
    read_result,
    unfinished,
    write_experiment,
)
from invrob.empirical.inference import chosen_device
from invrob.empirical.models import Named, is_own, lent, sum_of
from invrob.errors import InputError
from invrob.files import expanded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Builder = Callable[..., nn.Module]


@dataclass(frozen=True)
class Study:
    """What an experiment came to."""

    results: tuple[Result, ...]  # of each finished cell, in the order of the grid
    claims: tuple[Claim, ...]  # the paper's claims, tested on these results
    failures: tuple[Failure, ...]  # cells that could not be finished, and why

    def figures(self) -> "dict[str, Figure]":
        """The paper's figure of each network, by the name of the network."""
        from invrob.empirical.figures import network_figure

        networks = dict.fromkeys(result.network for result in self.results)
        return {name: network_figure([r for r in self.results if r.network == name]) for name in networks}


def experiment(
    models: str | Builder | Sequence[str] | Mapping[str, Builder],
    data: str = "mnist-mini",
    *,
    training_theta: Sequence[float] = (0.0, 60.0, 180.0),
    training_epsilon: Sequence[float] = (0.0,),
    seeds: Sequence[int] = (0,),
    recipe: str = "fast",
    training: Mapping[str, Any] | None = None,
    profiling: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
) -> Study:
    """What training with rotations, or against perturbations, makes of networks: each is trained and measured.

    It is `invrob empirical run` from Python, in this process: one cell after the other, on a GPU where there is one.

    Args:
        models: names of the paper's networks, or the callable that builds a network of your own, or several of them by
            name. A callable gets the number of classes, channels and the size of the images where it has arguments for
            them, such as num_classes, in_channels and image_size; the images are float [N, C, S, S] in [0, 1], and the
            network returns logits [N, K].
        data: a data set, as for `load`: "mnist-mini", "mnist", "cifar10", "npz:PATH" or "folder:PATH".
        training_theta: each A of a training with rotations in [-A, A], in degrees in [0, 180].
        training_epsilon: each epsilon of a training against perturbations, in [0, 1]; 0 is none.
        seeds: one training with each.
        recipe: the name of a recipe of `RECIPES`.
        training: fields of the recipe that are to be others, such as {"epochs": 4}.
        profiling: fields of what is measured, as in the table [profiling] of a file, such as {"images": 200}.
        out: the run directory. What it holds is not computed again, so that an experiment goes on where it was stopped.
            None: nothing is kept.

    Returns:
        Study: the results, the paper's claims, and what failed.

    Raises:
        InputError: for values outside these ranges, and for a network that does not fit the data.

    Example:
        >>> import invrob
        >>> from torch import nn
        >>> def build(num_classes):
        ...     return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))
        >>> few = {"images": 8, "epsilons": [0, 0.1], "thetas": [0, 90], "audit": 0}
        >>> study = invrob.experiment(build, training_theta=[0, 90], training={"epochs": 1}, profiling=few)
        >>> [result.cell.recipe.rotation for result in study.results]
        [0.0, 90.0]
    """
    builders = _builders(models)
    grid = {"training_theta": training_theta, "training_epsilon": training_epsilon, "recipe": recipe}
    described = {
        "dataset": data,
        "models": [{"name": name, **grid, **(training or {})} for name in _names(models)],
        "seeds": seeds,
        "profiling": dict(profiling or {}),
    }
    try:
        planned = Experiment.model_validate(described)
    except ValidationError as error:
        raise InputError(explained(error)) from None
    with lent(builders), _folder(out) as path:
        return _computed(planned.built_by({name: named.source for name, named in builders.items()}), path)


class _Silent:
    """An observer that tells nobody."""

    def started(self, cell: Cell) -> None: ...

    def advanced(self, cell: Cell, fraction: float) -> None: ...

    def finished(self, cell: Cell) -> None: ...

    def failed(self, cell: Cell, reason: str) -> None: ...


def _computed(planned: Experiment, path: Path) -> Study:
    dataset, store = dataset_of(planned.dataset), Store(path)
    cells = planned.cells(dataset.fingerprint)
    for cell in {cell.network: cell for cell in cells}.values():
        model_of(cell, dataset)  # what does not fit is refused before anything is written
    with store.locked():
        write_experiment(store, planned, dataset.fingerprint, dataset.classes)
        failures = run(unfinished(cells, store), path, Execution(device=chosen_device("auto")), _Silent())
        results = tuple(result for cell in cells if (result := read_result(store, cell)) is not None)
    return Study(results, check_claims(list(results)) if results else (), failures)


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    if out is not None:
        yield expanded(out)
        return
    with tempfile.TemporaryDirectory(prefix="invrob-") as folder:
        yield Path(folder)


def _names(models: str | Builder | Sequence[str] | Mapping[str, Builder]) -> list[str]:
    if isinstance(models, str):
        return [models]
    if isinstance(models, Mapping):
        return [_spec(name, builder) for name, builder in models.items()]
    if callable(models):
        return [_spec(getattr(models, "__module__", "own"), models)]
    return list(models)


def _builders(models: str | Builder | Sequence[str] | Mapping[str, Builder]) -> dict[str, Named]:
    """The callables by the spec that stands for each in tables and files."""
    given = models.values() if isinstance(models, Mapping) else [models]
    if not isinstance(models, Mapping) and not callable(models):
        own = [name for name in ([models] if isinstance(models, str) else models) if is_own(str(name))]
        if own:
            raise InputError(f"models names {own[0]!r}: import it, and hand the callable over")
        return {}
    named = {}
    for spec, builder in zip(_names(models), given, strict=True):
        if not callable(builder):
            raise InputError(f"models: {spec} is a {type(builder).__name__}, not a callable that returns a network")
        named[spec] = Named(spec, builder, {"": sum_of(builder)})
    return named


def _spec(name: str, builder: Any) -> str:
    inner = builder.func if isinstance(builder, functools.partial) else builder
    return name if ":" in name else f"{name}:{getattr(inner, '__name__', type(inner).__name__)}"
