"""What a report is made of: the runs, and their trainings, each with its place among the lines and points."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invrob.empirical.analysis import Claim, by_training, check_claims, verdict_of
from invrob.empirical.experiments import Cell, Experiment, Result, Store, read_run
from invrob.errors import InputError


@dataclass(frozen=True)
class Run:
    """A run directory with at least one finished cell."""

    label: str  # tells it from the other runs of the report
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


@dataclass(frozen=True)
class Training:
    """The cells of one run that differ by their seed alone: one line, one point."""

    name: str  # tells it from all others of the report
    short: str  # from those of its group
    group: str  # its network, and its run where there are several
    run: Run
    seeds: tuple[Result, ...]

    @property
    def verdict(self) -> str:
        """As `verdict_of` says."""
        return verdict_of(self.seeds)


def read_runs(paths: Sequence[Path]) -> tuple[Run, ...]:
    """The runs in their order. Raises InputError for a folder that holds no run or no finished cell, and for one that
    is named twice."""
    twice = [path for number, path in enumerate(paths) if path.resolve() in [p.resolve() for p in paths[:number]]]
    if twice:
        raise InputError(f"{twice[0]} is named twice: a run has nothing to be compared with in itself")
    return tuple(_read(path, label) for path, label in zip(paths, _labels(paths), strict=True))


def trainings_of(runs: Sequence[Run]) -> tuple[Training, ...]:
    """All trainings of the runs, in the order of their tables."""
    trainings = []
    for run in runs:
        before = f"{run.label}: " if len(runs) > 1 else ""
        for name, seeds in by_training(run.results).items():
            network = seeds[0].network
            short = name.removeprefix(f"{network}, ")
            trainings.append(Training(before + name, short, before + network, run, tuple(seeds)))
    return tuple(trainings)


def cell_name(cell: Cell) -> str:
    """The cell in words, with what is not the paper's about its network."""
    return str(cell).replace(cell.model, cell.network, 1)


def _read(path: Path, label: str) -> Run:
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


def _labels(paths: Sequence[Path]) -> list[str]:
    """The names of the folders, where they differ; else the paths."""
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
