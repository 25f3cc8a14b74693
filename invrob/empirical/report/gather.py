"""What a report is made of: runs and profiles of single models, and their trainings, each with its place among the
lines and points."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invrob.empirical.analysis import Claim, by_training, check_claims, verdict_of
from invrob.empirical.experiments import Cell, Experiment, Result, Store, read_card, read_run
from invrob.empirical.profiles import (
    BlackBoxProfile,
    Card,
    InvarianceProfile,
    Rates,
    RobustnessProfile,
    WeakProfile,
    WorstCaseProfile,
)
from invrob.errors import InputError

KINDS: tuple[tuple[str, type[Rates]], ...] = (  # a field that only this kind of profile has
    ("adversary", WorstCaseProfile),
    ("thetas", InvarianceProfile),
    ("queries", BlackBoxProfile),
    ("sanity", RobustnessProfile),
    ("epsilons", WeakProfile),
)


@dataclass(frozen=True)
class Run:
    """A run directory with at least one finished cell."""

    label: str  # tells it from all others of the report
    path: Path
    experiment: Experiment
    fingerprint: str  # of the data set
    results: tuple[Result, ...]
    absent: tuple[Cell, ...]  # cells of the experiment that are missing or damaged
    partial: tuple[Cell, ...]  # finished cells of which something was asked that is not measured
    claims: tuple[Claim, ...]

    @property
    def store(self) -> Store:
        return Store(self.path)


@dataclass(frozen=True, eq=False)
class Profiled:
    """A folder of `invrob profile`: one model, whose weights it does not keep."""

    label: str  # tells it from all others of the report
    path: Path
    card: Card
    beside: Mapping[str, Rates]  # what else was measured, by name
    document: Mapping[str, Any]  # all that the folder says about the model, the data and the settings


Source = Run | Profiled


@dataclass(frozen=True, eq=False)
class Training:
    """The cells of one run that differ by their seed alone, or one model of one's own: one line, one point."""

    name: str  # tells it from all others of the report
    short: str  # from those of its group
    group: str  # its network, and its run where there are several; a model of one's own is a group by itself
    source: Source
    seeds: tuple[Result | Card, ...]
    beside: tuple[Mapping[str, Rates], ...] = field(default=())  # of each seed, what else was measured

    @property
    def verdict(self) -> str:
        """As `verdict_of` says."""
        return verdict_of(self.seeds)

    @property
    def results(self) -> tuple[Result, ...]:
        """The seeds of a run; nothing for a model of one's own."""
        return tuple(seed for seed in self.seeds if isinstance(seed, Result))


def read_sources(paths: Sequence[Path]) -> tuple[Source, ...]:
    """The runs and profiles in their order. Raises InputError for a folder that holds neither, for a run without a
    finished cell, and for a folder that is named twice."""
    twice = [path for number, path in enumerate(paths) if path.resolve() in [p.resolve() for p in paths[:number]]]
    if twice:
        raise InputError(f"{twice[0]} is named twice: it has nothing to be compared with in itself; leave one out")
    if not paths:
        raise InputError("paths = [] names no folder: a report takes a run or a folder of `invrob profile` at least")
    return tuple(_read(path, label) for path, label in zip(paths, _labels(paths), strict=True))


def read_runs(paths: Sequence[Path]) -> tuple[Run, ...]:
    """Those of `read_sources` that are runs."""
    return tuple(source for source in read_sources(paths) if isinstance(source, Run))


def runs_of(sources: Sequence[Source]) -> tuple[Run, ...]:
    """The runs among them."""
    return tuple(source for source in sources if isinstance(source, Run))


def profiles_of(sources: Sequence[Source]) -> tuple[Profiled, ...]:
    """The profiles of single models among them."""
    return tuple(source for source in sources if isinstance(source, Profiled))


def trainings_of(sources: Sequence[Source]) -> tuple[Training, ...]:
    """All trainings of the runs, and the models of the profiles, in the order of their tables."""
    trainings = []
    for source in sources:
        if isinstance(source, Profiled):
            one = Training(source.label, source.label, source.label, source, (source.card,), (source.beside,))
            trainings.append(one)
            continue
        before = f"{source.label}: " if len(sources) > 1 else ""
        for name, seeds in by_training(source.results).items():
            network = seeds[0].network
            short = name.removeprefix(f"{network}, ")
            beside = tuple(result.beside for result in seeds)
            trainings.append(Training(before + name, short, before + network, source, tuple(seeds), beside))
    return tuple(trainings)


def cell_name(cell: Cell) -> str:
    """The cell in words, with what is not the paper's about its network."""
    return str(cell).replace(cell.model, cell.network, 1)


def _read(path: Path, label: str) -> Source:
    if (path / "profile.json").exists():
        return _read_profile(path, label)
    if not (path / "experiment.json").exists():
        raise InputError(
            f"{path} holds no run and no profile: it has neither an experiment.json of `invrob empirical run` nor a "
            "profile.json of `invrob profile`; name a folder that one of these two commands has made"
        )
    experiment, results, _ = read_run(path)
    fingerprint = results[0].cell.fingerprint
    keys = {result.cell.key for result in results}
    return Run(
        label,
        path,
        experiment,
        fingerprint,
        tuple(results),
        absent=tuple(cell for cell in experiment.cells(fingerprint) if cell.key not in keys),
        partial=tuple(result.cell for result in results if not result.complete),
        claims=check_claims(results),
    )


def _read_profile(path: Path, label: str) -> Profiled:
    """A table that is missing or of another kind, as in a file that was edited, counts as empty."""
    card = read_card(path)
    document = json.loads((path / "profile.json").read_text(encoding="utf-8"))
    tables = {name: _table(document.get(name)) for name in ("model", "data", "settings", "versions")}
    beside = {}
    for name, plain in _table(document.get("beside")).items():
        kind = next((kind for mark, kind in KINDS if mark in _table(plain)), None)
        if kind is None:
            raise InputError(f"{path}: {name} of its profile.json is no profile that this version of invrob writes")
        beside[name] = kind.from_dict(plain)
    return Profiled(label, path, card, beside, tables)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _labels(paths: Sequence[Path]) -> list[str]:
    """The names of the folders, without the beginning that `invrob profile` gives them, where they differ; else the
    paths."""
    names = [path.resolve().name.removeprefix("profile-") or path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
