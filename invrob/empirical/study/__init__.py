"""An experiment from Python: networks by name or by the callable that builds them, trained, measured and judged."""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invrob.checks import checked_count
from invrob.empirical.analysis import Claim, check_claims
from invrob.empirical.data import Dataset, dataset_in_memory, load
from invrob.empirical.execution import CellProgress, Execution, Failure, effort, run
from invrob.empirical.experiments import (
    Experiment,
    Result,
    Store,
    dataset_of,
    lent_data,
    model_of,
    read_result,
    unfinished,
    write_experiment,
)
from invrob.empirical.inference import chosen_device
from invrob.empirical.models import allowed_code, lent
from invrob.empirical.study.builders import Models, networks
from invrob.empirical.study.earlier import held_against
from invrob.empirical.study.grid import planned
from invrob.empirical.study.tables import study_summary
from invrob.errors import InputError
from invrob.files import check_writable, expanded
from invrob.progress import Progress, progress_bar, reported
from invrob.shown import Shown, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Study", "experiment"]

MOST_JOBS = 100_000


@dataclass(frozen=True, eq=False, repr=False)
class Study(Shown):
    """What an experiment came to."""

    results: tuple[Result, ...]  # of each finished cell, in the order of the grid
    claims: tuple[Claim, ...]  # the paper's claims, tested on these results
    failures: tuple[Failure, ...]  # cells that could not be finished, and why

    def __hash__(self) -> int:
        return hash((self.results, self.claims))

    def summary(self) -> Summary:
        return study_summary(self.results, self.claims, self.failures)

    def records(self) -> list[dict[str, Any]]:
        """A row for each network and each value of everything that was measured of it, by `variant`."""
        return [row for result in self.results for row in result.records()]

    def plot(self, ax: "Iterable[Axes] | None" = None) -> "Figure":
        """Both profiles of every network, a row for each of them, as a figure of matplotlib.

        Args:
            ax: axes of a figure of your own to draw into, two for each network: for its robustness and for its rate of
                invariance. Their figure is returned.

        Raises:
            InputError: for an `ax` that is not so many axes, and where nothing was finished.
        """
        from invrob.empirical.figures import study_figure

        if not self.results:
            raise InputError("nothing was finished, so that there is nothing to draw: `failures` says why")
        return study_figure(self.results, ax)

    def figures(self) -> "dict[str, Figure]":
        """The paper's figure of each network, by the name of the network."""
        from invrob.empirical.figures import network_figure

        networks = dict.fromkeys(result.network for result in self.results)
        return {name: network_figure([r for r in self.results if r.network == name]) for name in networks}


def experiment(
    models: Models,
    data: Any = "mnist-mini",
    *,
    training_theta: Sequence[float] = (0.0, 60.0, 180.0),
    training_epsilon: Sequence[float] = (0.0,),
    seeds: Sequence[int] = (0,),
    recipe: str = "fast",
    training: Mapping[str, Any] | None = None,
    profiling: Mapping[str, Any] | None = None,
    out: str | PathLike[str] | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    progress: Progress = None,
) -> Study:
    """What training with rotations, or against perturbations, makes of networks: each is trained and measured.

    It is `invrob empirical run` from Python, on a GPU where there is one.

    Args:
        models: names of the paper's networks, and callables that build networks of your own: one of these, a list of
            them, or callables by name. A callable is a function or a class, never a network that is built already. It
            gets the number of classes, channels and the size of the images where it has arguments for them, such as
            num_classes, in_channels and image_size; the images are float [N, C, S, S] in [0, 1], and the network
            returns logits [N, K].
        data: a data set, as for `load`: "mnist-mini", "mnist", "cifar10", "npz:PATH" or "folder:PATH"; or one in
            memory: what `load` returns, or a pair (train, test) of Datasets of torch, of DataLoaders, or of (images,
            labels), as `images_of` reads them. Data in memory are known by their content.
        training_theta: each A of a training with rotations in [-A, A], in degrees in [0, 180].
        training_epsilon: each epsilon of a training against perturbations, in [0, 1]; 0 is none.
        seeds: one training with each, integers in [0, 2^31).
        recipe: the name of a recipe of `RECIPES`.
        training: fields of the recipe that are to be others, such as {"epochs": 4}.
        profiling: fields of what is measured, as in the table [profiling] of a file, such as {"images": 200}.
        out: the run directory. What it holds is not computed again, so that an experiment goes on where it was stopped,
            by Ctrl-C or otherwise, and may be asked for more. None: nothing is kept.
        overwrite: whether the experiment takes the place of another one in `out`. Their common cells stay, and so does
            the other's configuration: a file experiment-*.toml, which `invrob empirical run --config` reads.
        jobs: how many cells at a time, each in a process of its own. More than one needs callables that another process
            can import, and data that it can load. The results are the same.
        progress: True for a bar with the time left, of tqdm, a widget in a notebook; False for none; or a callable that
            is called in its place with what is at work, the work done and all the work. None: a bar on stderr where
            that is a terminal.

    Returns:
        Study: the results, the paper's claims, and what failed.

    Raises:
        InputError: for values outside these ranges, for a network that does not fit the data, and for an `out` that
            holds another experiment, unless `overwrite` is true.

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
    named = networks(models)
    in_memory = None if isinstance(data, str) else dataset_in_memory(data)
    given: dict[str, Any] = {"training_theta": training_theta, "training_epsilon": training_epsilon}
    given |= {"seeds": seeds, "recipe": recipe, "training": training, "profiling": profiling}
    grid = planned(data if in_memory is None else in_memory.name, list(named), given)
    if checked_count("jobs", jobs) > MOST_JOBS:
        raise InputError(f"jobs = {jobs} must be at most {MOST_JOBS:,}: write the number of cores")
    builders = {spec: builder for spec, builder in named.items() if builder is not None}
    grid = grid.built_by({spec: builder.source for spec, builder in builders.items()})
    with ExitStack() as block:
        block.enter_context(lent(builders))
        if jobs > 1:
            allowed_code()  # what no other process can import is said before anything is computed
        if in_memory is not None:
            block.enter_context(_reachable(in_memory, jobs))
        return _computed(grid, block.enter_context(_folder(out)), overwrite, jobs, progress)


def _computed(asked: Experiment, path: Path, overwrite: bool, jobs: int, progress: Progress) -> Study:
    dataset, store = dataset_of(asked.dataset), Store(path)
    for cell in {cell.network: cell for cell in asked.cells(dataset.fingerprint)}.values():
        model_of(cell, dataset)  # what does not fit is refused before anything is written
    how = Execution("local" if jobs > 1 else "inline", chosen_device("auto"), jobs)
    with store.locked():
        grid = held_against(path, asked, dataset.fingerprint, overwrite)
        cells = grid.cells(dataset.fingerprint)
        write_experiment(store, grid, dataset.fingerprint, dataset.classes)
        todo = unfinished(cells, store)
        with progress_bar(hidden=False) if progress is None else reported(progress, "measuring the costs") as show:
            works = effort(todo, dataset)
            todo.sort(key=lambda cell: -works[cell.key])  # the longest first, so that no process waits long at the end
            silent = not sys.stderr.isatty() if progress is None else progress is not True
            failures = run(todo, path, how, CellProgress(show, silent, len(cells), len(cells) - len(todo), works))
        results = tuple(result for cell in cells if (result := read_result(store, cell)) is not None)
    return Study(results, check_claims(list(results)) if results else (), failures)


@contextmanager
def _reachable(dataset: Dataset, jobs: int) -> Iterator[None]:
    """Inside the block the cells find this data set. Raises InputError where they are in processes that cannot."""
    if jobs > 1 and _stored(dataset.name) != dataset.fingerprint:
        raise InputError(
            "data is in the memory of this process, which others cannot reach: take jobs = 1, or write its arrays with "
            'np.savez("my.npz", train_images=..., train_labels=..., test_images=..., test_labels=...) and give '
            'data = "npz:my.npz"'
        )
    with lent_data(dataset):
        yield


def _stored(name: str) -> str | None:
    """The fingerprint of what other processes load under this name."""
    try:
        return load(name).fingerprint
    except InputError:
        return None


@contextmanager
def _folder(out: str | PathLike[str] | None) -> Iterator[Path]:
    """The run directory, which is gone after the block where nobody named one."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="invrob-") as folder:
            yield Path(folder)
        return
    if not isinstance(out, str | PathLike) or not str(out):
        raise InputError(f"out = {out!r} must be the path of a folder, such as runs/mine, or None to keep nothing")
    path = expanded(out)
    check_writable([path / ".lock"], "choose another `out`", named=path)
    try:
        yield path
    except KeyboardInterrupt as stopped:
        stopped.add_note("Nothing that was finished is lost: the same call goes on where it was stopped.")
        raise
