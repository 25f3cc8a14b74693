"""One cell of an experiment: it is trained, measured and kept; small networks also as several cells in one stack.

The caller leaves torch one CPU thread: sums in another order would change the last bits of a result."""

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from math import inf
from pathlib import Path

import torch
from torch import nn

from invrob.empirical import data
from invrob.empirical.execution.deadline import Deadline
from invrob.empirical.execution.expected import expected_stage
from invrob.empirical.execution.keeping import KeptTraining
from invrob.empirical.execution.measure import measured
from invrob.empirical.execution.work import Ended, Failure, NotKeptError, Observer
from invrob.empirical.experiments import Cell, Store, dataset_of, given_to, model_of, profiled, read_measurement
from invrob.empirical.inference import fastest_convolutions, is_out_of_memory
from invrob.empirical.models import is_own
from invrob.empirical.training import AGAINST_COLLAPSE, Epoch, Paused, Training, channels_last, train, train_stack
from invrob.errors import InputError

TRAINING_SHARE = 0.7  # of a cell's time, roughly; only the ETA depends on it


def _run_cell(
    cell: Cell, path: Path, device: torch.device, advanced: Callable[[float], object], deadline: Deadline
) -> None:
    """Train and measure a cell; `advanced` is called with the fraction that is done. Raises Paused where there is no
    time for all of it.

    On a GPU training may round convolutions to TF32; measurements have all of float32."""
    store, dataset = Store(path), _checked_dataset(cell)
    model = model_of(cell, dataset).to(device)

    collapse = _Collapse(cell)

    def on_epoch(number: int, epoch: Epoch) -> None:
        collapse.notice(number, epoch)
        advanced(TRAINING_SHARE * (number + 1) / cell.recipe.epochs)

    trained = store.read_training(cell.key)
    if trained is None:
        kept = KeptTraining(path, [cell], deadline)
        with kept.removed_on_failure(), deadline.watched("steps"), fastest_convolutions():
            training = train(
                model,
                dataset.train,
                dataset.validation,
                cell.recipe,
                seed=cell.seed,
                on_epoch=on_epoch,
                keeper=kept,
            )
        keep(store, cell, model, training)
        kept.done(store, [cell], device)
    else:
        model.load_state_dict(trained[0])
    _measure(cell, model, dataset, store, device, advanced, deadline)


def _measure(
    cell: Cell,
    model: nn.Module,
    dataset: data.Dataset,
    store: Store,
    device: torch.device,
    advanced: Callable[[float], object],
    deadline: Deadline,
) -> None:
    """Make the measurements of a trained cell that are not kept yet; each is kept whole or not at all. The first of
    this process is begun in any case, others where they are expected to end in time."""
    images, labels = (tensor.to(device) for tensor in profiled(dataset.test, cell.profiling.images))
    todo = [name for name in cell.addresses if read_measurement(store, cell, name) is None]
    for number, name in enumerate(todo):
        limited = deadline.worked and deadline.left < inf
        if limited and deadline.left <= expected_stage(cell, name, dataset, store, device):
            raise Paused
        body = None
        try:
            with _timed(store, cell, name, device), channels_last(model), deadline.watched("measuring"):
                body = measured(name, model, images, labels, cell)
            store.write_profiles(cell.key, cell.addresses[name], body)
        except OSError as error:
            if body is None:
                raise
            raise NotKeptError.of(error, (cell.key, cell.addresses[name]), body) from error
        deadline.worked = True
        advanced(TRAINING_SHARE + (1 - TRAINING_SHARE) * (number + 1) / (len(todo) + 1))


def _train_together(
    cells: Sequence[Cell],
    path: Path,
    device: torch.device,
    advanced: Callable[[Cell, float], object],
    deadline: Deadline,
) -> None:
    """Train cells of one kind as one stack, in half as many at a time where the memory does not hold them. Raises
    Paused where there is no time for all of it."""
    store, dataset = Store(path), _checked_dataset(cells[0])
    models = [model_of(cell, dataset).to(device) for cell in cells]

    collapses = [_Collapse(cell) for cell in cells]

    def on_epoch(number: int, epochs: tuple[Epoch, ...]) -> None:
        for cell, collapse, epoch in zip(cells, collapses, epochs, strict=True):
            collapse.notice(number, epoch)
            advanced(cell, TRAINING_SHARE * (number + 1) / cell.recipe.epochs)

    recipes, seeds = [cell.recipe for cell in cells], [cell.seed for cell in cells]
    kept, trainings = KeptTraining(path, cells, deadline), None
    try:
        with kept.removed_on_failure(), deadline.watched("steps"):
            trainings = train_stack(
                models, dataset.train, dataset.validation, recipes, seeds=seeds, on_epoch=on_epoch, keeper=kept
            )
    except (RuntimeError, MemoryError) as error:
        if len(cells) == 1 or not is_out_of_memory(error):
            raise
    if trainings is None:  # outside `except`, which would keep the failed attempt's tensors alive
        half = len(cells) // 2
        logging.getLogger("invrob").warning("out of memory: %d networks at a time instead of %d", half, len(cells))
        del models
        if device.type == "cuda":
            torch.cuda.empty_cache()
        for part in (cells[:half], cells[half:]):
            _train_together(part, path, device, advanced, deadline)
        return
    for cell, model, training in zip(cells, models, trainings, strict=True):
        keep(store, cell, model, training)
    kept.done(store, cells, device)


class _Collapse:
    """Says so where the network of a cell gives every image one class: after two such epochs in a row, since a single
    one may come with a large learning rate and pass, and at the end."""

    def __init__(self, cell: Cell) -> None:
        self.cell, self.epochs = cell, 0

    def notice(self, number: int, epoch: Epoch) -> None:
        cell = self.cell
        self.epochs = self.epochs + 1 if epoch.constant else 0
        if self.epochs != 2 and not (self.epochs and number == cell.recipe.epochs - 1):
            return
        text = "%s: after epoch %d of %d it gives every validation image the same class; %s"
        logging.getLogger("invrob").warning(text, cell, number + 1, cell.recipe.epochs, AGAINST_COLLAPSE)


def keep(store: Store, cell: Cell, model: nn.Module, training: Training) -> None:
    """Write the training of a cell, unless another worker was first: a machine that counts as lost may still be at
    work. Then the model gets the weights that are kept, on which the profiles beside them rest."""
    first = store.read_training(cell.key)
    if first is not None:
        model.load_state_dict(first[0])
        return
    body = {"cell": cell.model_dump(mode="json"), **asdict(training)}
    if is_own(cell.model):  # by which its builder makes the network again, without the data
        body["given"] = given_to(dataset_of(cell.dataset))
    store.write_training(cell.key, model.state_dict(), body)


@contextmanager
def _timed(store: Store, cell: Cell, name: str, device: torch.device) -> Iterator[None]:
    """Notes in the run directory how long the block took."""
    begin = time.perf_counter()
    yield
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    store.write_cost(cell.key, name, time.perf_counter() - begin, str(device))


def _checked_dataset(cell: Cell) -> data.Dataset:
    dataset = dataset_of(cell.dataset)
    if dataset.fingerprint != cell.fingerprint:
        raise InputError(f"{cell.dataset} changed while the run was on: start it again")
    return dataset


def run_group(cells: Sequence[Cell], path: Path, device: torch.device, observer: Observer, deadline: Deadline) -> Ended:
    """Train `cells`, two or more as one stack, and measure them; what the run directory `path` holds is not done again.

    Returns the cells that failed by themselves, such as one whose loss becomes NaN, which do not stop the others; and
    those that there was no time for. Raises what stops all of them: InputError where the data set is not the one that
    the cells were made for, OSError where the run directory cannot be written, and KeyboardInterrupt."""
    for cell in cells:
        observer.started(cell)
        _checked_dataset(cell)
    failures, left = list[Failure](), list[str]()
    try:
        _train_untrained(cells, path, device, observer, deadline)
    except Paused:
        left = [cell.key for cell in cells]
    for cell in cells if not left else ():
        try:
            if deadline.over:
                raise Paused
            _run_cell(cell, path, device, partial(observer.advanced, cell), deadline)
        except Paused:
            left.append(cell.key)
        except OSError:
            raise
        except Exception as error:
            expected = isinstance(error, InputError)
            reason = str(error) if expected else f"{type(error).__name__}: {error}"
            failures.append(Failure(cell, reason, "" if expected else traceback.format_exc()))
            observer.failed(cell, reason)
        else:
            observer.finished(cell)
    if deadline.told == "SIGINT":
        raise KeyboardInterrupt
    return Ended(tuple(failures), tuple(left), bool(deadline.told))


def _train_untrained(
    cells: Sequence[Cell], path: Path, device: torch.device, observer: Observer, deadline: Deadline
) -> None:
    """Train those of several cells that are not trained yet as a stack; a single one is left to `_run_cell`."""
    untrained = [cell for cell in cells if Store(path).read_training(cell.key) is None]
    if len(untrained) < 2:
        return
    try:
        _train_together(untrained, path, device, observer.advanced, deadline)
    except OSError:
        raise
    except Exception as error:  # by one of them: trained singly, the others are not lost
        logging.getLogger("invrob").warning("%d networks one by one, not as a stack: %s", len(untrained), error)
