"""Run directories put together into one, which is what a single run would have left.

What is copied is read, checked against its checksums and compared before anything is written. The weights of a cell go
first and cell.json after them, as in a run, so that a merge that was killed leaves a run directory, and the same merge
goes on with it."""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from invrob.empirical.experiments.cells import Cell
from invrob.empirical.experiments.continuing import Kept, going_on, kept_in, no_run
from invrob.empirical.experiments.experiment import Experiment
from invrob.empirical.experiments.halfway import remove_halfway
from invrob.empirical.experiments.results import class_names, read_measurement, write_experiment
from invrob.empirical.experiments.store import Store, write_json
from invrob.empirical.experiments.union import union_of
from invrob.errors import InputError
from invrob.files import check_writable, write_atomically
from invrob.progress import Show

TRAINED = ("weights.safetensors", "cell.json")  # of a cell, in the order in which they are written
NAMED = 3  # cells in an error


@dataclass(frozen=True)
class Merged:
    """What a merge came to.

    runs: the directories that were read; copied: how many cells were copied from them, wholly or in part; there: how
    many had nothing to be copied; damaged: files that were left out, and of which cell they are; first: cells that
    another run has with other numbers, which were left out; missing: cells of the experiment that are not wholly
    measured."""

    experiment: Experiment
    runs: tuple[Path, ...]
    copied: int
    there: int
    damaged: tuple[tuple[Path, Cell], ...]
    first: tuple[Cell, ...]
    missing: tuple[Cell, ...]


@dataclass
class _Found:
    """What a run directory has of a cell: the SHA-256 of its whole files, by name."""

    run: Path
    folder: Path
    trained: dict[str, str] = field(default_factory=dict)  # none of them, or all of TRAINED
    measured: dict[str, str] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)  # names of files by stages, as costs.json has them
    damaged: list[Path] = field(default_factory=list)


@dataclass
class _Work:
    """What is to be done for a cell: whose training it gets, and whose measurements by the names of the files."""

    cell: Cell
    training: _Found | None = None
    measured: dict[str, _Found] = field(default_factory=dict)
    clashes: list[tuple[Path, Path]] = field(default_factory=list)  # two runs that differ
    damaged: list[Path] = field(default_factory=list)

    def copied(self, out: Path) -> bool:
        """Whether something of it is in another run than `out`."""
        return any(found.run != out for found in (*filter(None, [self.training]), *self.measured.values()))

    @property
    def missing(self) -> bool:
        """Whether it is not wholly measured."""
        return self.training is None or len(self.measured) < len(self.cell.addresses)


def merge_runs(runs: Sequence[Path], out: Path, force: bool = False, progress: Show = lambda *_: None) -> Merged:
    """Put run directories into one; they stay as they are.

    Args:
        runs: the directories, of one experiment or of parts of one; `out` among them is no fault.
        out: the directory of the whole; what it holds already stays, and counts as the first.
        force: where two runs have a cell with other numbers, take that of the first.
        progress: called with what is at work, how much is done and how much there is.

    Raises:
        InputError: where one is no run, where they are no parts of one experiment, where `out` lies inside of one, and,
            without `force`, where two have a cell with other numbers; then nothing is written.
        OSError: where a file cannot be written; what was copied stays, and the same call goes on.
    """
    check_writable([out / ".lock"], "choose another folder", named=out)
    named = _read(runs, out)
    with ExitStack() as held:
        there = out.is_dir()
        if there:  # nobody else changes what is compared with
            held.enter_context(Store(out).locked())
        before = kept_in(out)
        if before is None and (out / "cells").is_dir():
            raise InputError(no_run(out))
        experiment = union_of([*([(out, before)] if before else []), *named])
        work = _planned(experiment.cells(named[0][1].fingerprint), [out, *(path for path, _ in named)], progress)
        _check(named, work, out, force)
        if not there:
            held.enter_context(Store(out).locked())
            if kept_in(out) is not None:
                raise InputError(f"{out} was begun by another command at this moment: the same command goes on")
        _write(out, named, experiment, work, progress)
    return _told(experiment, named, work, out)


def _planned(cells: Sequence[Cell], places: Sequence[Path], progress: Show) -> list[_Work]:
    work = list[_Work]()
    for number, cell in enumerate(cells):
        progress(f"reading {cell}", number, 2 * len(cells))
        work.append(_chosen(cell, [_found(path, cell) for path in places]))
    return work


def _write(
    out: Path, named: Sequence[tuple[Path, Kept]], experiment: Experiment, work: Sequence[_Work], progress: Show
) -> None:
    names = next((found for path in [out, *(path for path, _ in named)] if (found := class_names(path))), ())
    write_experiment(Store(out), experiment, named[0][1].fingerprint, names)
    for number, one in enumerate(work):
        progress(f"copying {one.cell}", len(work) + number, 2 * len(work))
        _copy(one, out)


def _told(experiment: Experiment, named: Sequence[tuple[Path, Kept]], work: Sequence[_Work], out: Path) -> Merged:
    copied = sum(one.copied(out) for one in work)
    there = sum(one.training is not None for one in work) - copied
    damaged = [(file, one) for one in work for file in one.damaged]
    return Merged(
        experiment,
        tuple(path for path, _ in named),
        copied,
        there,
        # what was damaged in `out` was replaced, where another run has it
        tuple((file, one.cell) for file, one in damaged if one.missing or out not in file.parents),
        tuple(one.cell for one in work if one.clashes),
        tuple(one.cell for one in work if one.missing),
    )


def _read(runs: Sequence[Path], out: Path) -> list[tuple[Path, Kept]]:
    """The runs with what they were made for, each once and without `out`. Raises InputError for one that is no run."""
    named: dict[Path, tuple[Path, Kept]] = {}
    for path in runs:
        kept, place = kept_in(path), path.resolve()
        if kept is None:
            raise InputError(no_run(path))
        if place in out.resolve().parents:
            raise InputError(f"{out} lies inside of {path}, which stays as it is: choose another folder with --out")
        _check_version(path, kept)
        named.setdefault(place, (path, kept))
    others = [one for place, one in named.items() if place != out.resolve()]
    return others or list(named.values())


def _check_version(path: Path, kept: Kept) -> None:
    keys = {cell.key for cell in kept.experiment.cells(kept.fingerprint)}
    there = {file.parent.name for file in path.glob("cells/*/cell.json")}
    if there and not there & keys:
        again = going_on(path, kept.experiment)
        raise InputError(
            f"{path} holds {len(there)} trainings, but none that this version of invrob would make of its experiment: "
            f"merge it with the version that computed them, or `{again}` computes them anew"
        )


def _found(run: Path, cell: Cell) -> _Found:
    """What a run has of a cell, each file checked."""
    store, folder = Store(run), run / "cells" / cell.key
    found = _Found(run, folder)
    if not (folder / "cell.json").exists():
        return found  # of a training that was killed, only weights may be there
    if store.read_training(cell.key) is None:
        found.damaged = [folder / "cell.json"]
        return found
    found.trained = {name: _sha256((folder / name).read_bytes()) for name in TRAINED}
    for name, address in cell.addresses.items():
        file = folder / f"profiles-{address}.json"
        if not file.exists():
            continue
        if read_measurement(store, cell, name) is None:
            found.damaged.append(file)
        else:
            found.measured[file.name] = _sha256(file.read_bytes())
            found.stages[name] = file.name
    return found


def _chosen(cell: Cell, found: Iterable[_Found]) -> _Work:
    """From which run each part of a cell is taken: from the first that has it, of those with the same weights."""
    work, digests = _Work(cell), dict[str, str]()
    for one in found:
        work.damaged += one.damaged
        if not one.trained:
            continue
        first = work.training = work.training or one
        if one.trained[TRAINED[0]] != first.trained[TRAINED[0]]:
            work.clashes.append((first.run, one.run))
            continue
        for name, digest in one.measured.items():
            holder = work.measured.setdefault(name, one)
            if digests.setdefault(name, digest) != digest:
                work.clashes.append((holder.run, one.run))
    return work


def _check(named: Sequence[tuple[Path, Kept]], work: Sequence[_Work], out: Path, force: bool) -> None:
    """Raises InputError where nothing is to be merged, and where two runs differ in a cell."""
    if all(one.training is None for one in work):
        first, kept = named[0]
        more = f", nor do the other {len(named) - 1}" if len(named) > 1 else ""
        again = going_on(first, kept.experiment)
        raise InputError(f"{first} holds no finished training{more}: `{again}` computes one")
    clashes = [(one.cell, *pair) for one in work for pair in one.clashes]
    if clashes and not force:
        lines = [f"{cell} in {one} and in {other}" for cell, one, other in clashes[:NAMED]]
        more = f"; and {len(clashes) - NAMED} more" if len(clashes) > NAMED else ""
        raise InputError(
            f"the same network was computed twice, with other numbers, as GPUs do: {'; '.join(lines)}{more}. --force "
            f"takes that of the run that is named first, or leave out the others; nothing is written to {out}"
        )


def _copy(work: _Work, out: Path) -> None:
    """Copy what another run has of a cell; what `out` has stays, but for what is damaged."""
    training, folder = work.training, out / "cells" / work.cell.key
    if training is None:
        return
    if training.run != out:
        for stale in folder.glob("profiles-*.json"):  # of weights that are no longer there
            stale.unlink()
        for name in TRAINED:
            _copy_file(training, name, training.trained[name], folder)
        remove_halfway(out, [work.cell.key])  # where it was in progress
    for name, found in work.measured.items():
        if found.run != out:
            _copy_file(found, name, found.measured[name], folder)
    _copy_costs(work, out)


def _copy_file(found: _Found, name: str, digest: str, folder: Path) -> None:
    content = (found.folder / name).read_bytes()
    if _sha256(content) != digest:
        raise InputError(f"{found.folder / name} has changed while it was copied: the same command reads it again")
    write_atomically(folder / name, partial(Path.write_bytes, data=content))


def _copy_costs(work: _Work, out: Path) -> None:
    """The seconds of each stage, from the run that the stage is of."""
    costs, key = Store(out).read_costs(work.cell.key), work.cell.key
    sources: dict[str, _Found | None] = {"training": work.training}
    for name, holder in work.measured.items():
        sources |= {stage: holder for stage, file in holder.stages.items() if file == name}
    for stage, found in sources.items():
        if found is not None and found.run != out:
            costs |= {name: note for name, note in Store(found.run).read_costs(key).items() if name == stage}
    if costs != Store(out).read_costs(key):
        write_json(out / "cells" / key / "costs.json", costs)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
