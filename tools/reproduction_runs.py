"""The runs behind docs/reproduction: what is kept of a run directory, and how it is read without weights."""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from invrob.empirical.data import SOURCES
from invrob.empirical.experiments import (
    Cell,
    Experiment,
    Kept,
    ModelGrid,
    Result,
    Store,
    class_names,
    kept_in,
    read_measurement,
    with_what_was_measured,
    write_experiment,
)
from invrob.empirical.models import parameters_built
from invrob.empirical.profiles import Rates, format_epsilon

SMALL = 200_000  # bytes of the weights that are kept: those of StdCNN and GCNN, with which other attacks can be tried
LARGEST = 40_000_000  # bytes of all that is kept, which is committed
SEEDS = 3


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper, and what a whole run has of it."""

    number: int
    model: str
    shown: str  # the network, as people write it
    run: str  # the folder of runs that it is in
    data: str  # as people write it
    parameter: str  # of the recipe, along which the figure has its lines
    values: tuple[float, ...]
    epsilons: tuple[float, ...]  # at which the table has the robustness

    @property
    def name(self) -> str:
        return f"Figure {self.number}"

    @property
    def symbol(self) -> str:
        """What the parameter is called."""
        return "A" if self.parameter == "rotation" else "epsilon"

    def written(self, value: float) -> str:
        """A value of the parameter, as people read it."""
        return f"{value:g}" if self.parameter == "rotation" else format_epsilon(value)

    def value(self, result: Result) -> float:
        """What a result was trained with."""
        return float(getattr(result.cell.recipe, self.parameter))


def _levels(*values: int) -> tuple[float, ...]:
    return tuple(value / 255 for value in values)


ANGLES, FEWER = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0), (0.0, 60.0, 120.0, 180.0)
TENTHS = (0.1, 0.2, 0.3, 0.4)
FIGURES = (
    PaperFigure(1, "stdcnn", "StdCNN", "mnist", "MNIST", "rotation", ANGLES, TENTHS[:3]),
    PaperFigure(2, "vgg16", "VGG16", "cifar", "CIFAR-10", "rotation", FEWER, _levels(2, 4, 8)),
    PaperFigure(3, "gcnn", "GCNN", "mnist", "MNIST", "rotation", ANGLES, TENTHS[:3]),
    PaperFigure(4, "gcnn_vgg16", "GCNN-VGG16", "cifar", "CIFAR-10", "rotation", FEWER, _levels(2, 4, 8)),
    PaperFigure(5, "madry_lenet", "LeNet", "mnist", "MNIST", "epsilon", (0.0, *TENTHS), TENTHS),
    PaperFigure(6, "madry_resnet", "ResNet", "cifar", "CIFAR-10", "epsilon", _levels(0, 2, 4, 8), _levels(2, 4, 8)),
)
SHAPES = {"mnist": SOURCES["mnist"].shape[:2], "cifar": SOURCES["cifar10"].shape[:2]}  # channels and size
RUNS = tuple(SHAPES)


@dataclass(frozen=True)
class Run:
    """A run as it is kept: what was to be computed, and what was."""

    path: Path
    experiment: Experiment
    cells: tuple[Cell, ...]
    results: list[Result]

    @property
    def lossy(self) -> bool:
        """Whether its images went through JPEG."""
        return "jpeg" in self.experiment.dataset.lower()

    def trained(self, cell: Cell) -> dict[str, Any]:
        """What is known of a training: the epochs, which of them was kept, the SHA-256 of the weights."""
        return _body(self.path / "cells" / cell.key / "cell.json")

    def costs(self) -> Iterator[tuple[Result, str, dict[str, Any]]]:
        """Each stage of each cell, with its seconds, its device and its versions."""
        for result in self.results:
            for stage, cost in Store(self.path).read_costs(result.cell.key).items():
                yield result, stage, cost

    def date(self) -> str:
        """When it was kept last, such as 2026-11-29."""
        return str(json.loads((self.path / "kept.json").read_text("utf-8"))["date"])


def read_kept(path: Path) -> Run | None:
    """A run of `keep`, which has no weights of large networks; None where there is none."""
    kept = kept_in(path)
    if kept is None:
        return None
    run = Run(path, kept.experiment, kept.experiment.cells(kept.fingerprint), [])
    for cell in run.cells:
        read = {name: read_measurement(Store(path), cell, name) for name in cell.addresses}
        both = read.pop("profiles")
        if isinstance(both, tuple):
            beside = {name: rates for name, rates in read.items() if isinstance(rates, Rates)}
            parameters = parameters_built(cell.model, *_shape(run), cell.options)
            ended_constant = _ended_constant(run.trained(cell))
            run.results.append(Result(cell, both[0], both[1], beside, both[2], ended_constant, parameters))
    return run


def _shape(run: Run) -> tuple[int, int]:
    """Channels and size of its images."""
    source = SOURCES.get(run.experiment.dataset)
    return SHAPES[run.path.name] if source is None else source.shape[:2]


def keep(sources: Sequence[Path], target: Path, weights: bool = True) -> None:
    """Copy what is finished of one or several run directories of one data set: profiles and costs, and the weights of
    small networks where they are wanted. What was kept before and is in none of them goes."""
    kept = [(source, found) for source in sources if (found := kept_in(source)) is not None]
    if len(kept) < len(sources):
        sys.exit(f"no run is in one of {', '.join(map(str, sources))}: give folders that `invrob empirical run` wrote")
    experiment, fingerprint = kept[0][1].experiment, kept[0][1].fingerprint
    for _, other in kept[1:]:
        if other.fingerprint != fingerprint:
            sys.exit(f"the runs {', '.join(map(str, sources))} are of different data: keep one of them")
        experiment = joined(experiment, other.experiment)
    if target.resolve() in {source.resolve() for source in sources}:
        sys.exit(f"{target} is where runs are kept: give the folder that the run was computed in")
    _refuse_another(kept_in(target), target, experiment, fingerprint)
    date = _date_of(sources)
    shutil.rmtree(target / "cells", ignore_errors=True)
    for cell in experiment.cells(fingerprint):
        source = next((s for s in sources if isinstance(read_measurement(Store(s), cell, "profiles"), tuple)), None)
        if source is not None:
            _copy_cell(source / "cells" / cell.key, target / "cells" / cell.key, cell, SMALL if weights else 0)
    write_experiment(Store(target), experiment, fingerprint, class_names(sources[0]))
    (target / "kept.json").write_text(json.dumps({"date": date}) + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if size > LARGEST:
        sys.exit(f"{target} has {size / 1e6:.0f} MB, which is too much to commit: keep fewer of the runs")
    print(f"{target}: {len(list(target.glob('cells/*')))} cells, {size / 1e6:.1f} MB")


def _refuse_another(before: Kept | None, target: Path, experiment: Experiment, fingerprint: str) -> None:
    """A run in the place of a quite different one is a slip, which would delete what is kept there."""
    if before is None:
        return
    names = [sorted({grid.name for grid in one.models}) for one in (before.experiment, experiment)]
    way_out = f"give a run like it, or delete {target} first if it shall go"
    if before.fingerprint != fingerprint:
        sys.exit(f"{target} keeps a run on {before.experiment.dataset}, and this one is on other data: {way_out}")
    if not {*names[0]} & {*names[1]}:
        sys.exit(f"{target} keeps a run of {', '.join(names[0])}, and this one is of {', '.join(names[1])}: {way_out}")


def joined(first: Experiment, second: Experiment) -> Experiment:
    """All of two experiments on the same data, measured alike. Grids of one network and recipe become one where they
    differ in the angles alone or in the epsilons alone."""
    if first.profiling.address() != second.profiling.address():
        sys.exit("the runs were measured in different ways: their networks can't stand in one table")
    first = with_what_was_measured(first, Kept(second, ""))
    models = list(first.models)
    for grid in second.models:
        index = next((i for i, other in enumerate(models) if _united(other, grid) is not None), None)
        if index is None:
            models.append(grid)
        else:
            models[index] = _united(models[index], grid) or grid
    seeds = tuple(sorted({*first.seeds, *second.seeds}))
    return first.model_copy(update={"models": tuple(models), "seeds": seeds})


def _united(one: ModelGrid, other: ModelGrid) -> ModelGrid | None:
    spans = ("training_theta", "training_epsilon")
    for span, fixed in (spans, spans[::-1]):
        if one.model_copy(update={span: ()}) == other.model_copy(update={span: ()}):
            assert getattr(one, fixed) == getattr(other, fixed)
            return one.model_copy(update={span: tuple(sorted({*getattr(one, span), *getattr(other, span)}))})
    return None


def _copy_cell(source: Path, target: Path, cell: Cell, largest: int) -> None:
    """The JSON files of a cell, without the spaces, and its weights if they have no more bytes than `largest`."""
    target.mkdir(parents=True)
    names = ["cell.json", "costs.json", *(f"profiles-{address}.json" for address in cell.addresses.values())]
    for file in (source / name for name in names):
        if file.is_file():
            whole = json.loads(file.read_text("utf-8"))
            text = json.dumps(whole, allow_nan=False, separators=(",", ":"))
            (target / file.name).write_text(text + "\n", encoding="utf-8")
    weights = source / "weights.safetensors"
    if weights.is_file() and weights.stat().st_size <= largest:
        shutil.copy(weights, target / weights.name)


def _date_of(sources: Sequence[Path]) -> str:
    """The day of the last profile."""
    last = max((file.stat().st_mtime for s in sources for file in s.glob("cells/*/profiles-*.json")), default=0.0)
    return datetime.fromtimestamp(last, UTC).date().isoformat()


def _body(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(path.read_text("utf-8"))["body"]
    return body


def _ended_constant(training: dict[str, Any]) -> bool:
    return training["epochs"][training["best"]].get("constant", False) is True


def shown(network: str) -> str:
    """A network, as people write it: "GCNN (width 0.5)"."""
    for figure in FIGURES:
        network = re.sub(rf"(?<!\w){figure.model}(?!\w)", figure.shown, network)
    return network


def networks(figure: PaperFigure, run: Run | None) -> dict[str, list[Result]]:
    """The finished networks of a figure by name, those that were to be run with the most trainings first: the figure is
    of these, which are there even if none is finished."""
    planned = _by_network(figure, run)
    results = run.results if run is not None else []
    return {name: [result for result in results if result.network == name] for name in planned}


def own(figure: PaperFigure, run: Run | None) -> list[Result]:
    """The finished networks that the figure is drawn of."""
    return next(iter(networks(figure, run).values()), [])


def missing(figure: PaperFigure, run: Run | None) -> list[str]:
    """What a whole run of a figure has and this one has not, each in words; nothing where all is there."""
    finished = own(figure, run)
    if run is None or not finished:
        return ["all of it"]
    seeds = {value: {r.cell.seed for r in finished if _same(figure.value(r), value)} for value in figure.values}
    absent = [value for value, there in seeds.items() if not there]
    few = {value: SEEDS - len(there) for value, there in seeds.items() if 0 < len(there) < SEEDS}
    names = [f"{figure.symbol} = {', '.join(map(figure.written, absent))} altogether"] if absent else []
    names += [f"{count} of {SEEDS} seeds of {figure.symbol} = {figure.written(v)}" for v, count in few.items()]
    return [*names, *_unmeasured(run, finished), *_others(figure, run)]


def _unmeasured(run: Run, finished: Sequence[Result]) -> Iterator[str]:
    """What is measured beside the profiles, and not yet of all."""
    for name in run.experiment.profiling.beside:
        lack = sum(name not in result.beside for result in finished)
        if lack:
            yield f"`{name}` is not measured of {lack} of {len(finished)} networks"


def _others(figure: PaperFigure, run: Run) -> Iterator[str]:
    """Of the other networks of a figure, how many are not finished."""
    done = {result.cell.key for result in run.results}
    for network, cells in [*_by_network(figure, run).items()][1:]:
        lack = sum(cell.key not in done for cell in cells)
        if lack:
            yield f"{lack} of {len(cells)} networks of {shown(network)}"


def _by_network(figure: PaperFigure, run: Run | None) -> dict[str, list[Cell]]:
    """The cells of a figure, finished or not, by network."""
    found: dict[str, list[Cell]] = {}
    for cell in run.cells if run is not None else ():
        if cell.model == figure.model:
            found.setdefault(cell.network, []).append(cell)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def _same(one: float, other: float) -> bool:
    return abs(one - other) < 1e-9
