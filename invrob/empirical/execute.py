"""Runs cells: in this process or in one process per core, always on one CPU thread each, so that the number of cores
never changes a result. On a GPU, small networks of one kind are trained together as one stack."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache, partial
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from invrob.empirical import data
from invrob.empirical.experiment import Cell
from invrob.empirical.measure import measured
from invrob.empirical.memory import is_out_of_memory
from invrob.empirical.models import build
from invrob.empirical.stacked import alike, stackable, train_stack
from invrob.empirical.store import Store
from invrob.empirical.training import Epoch, Training, channels_last, train
from invrob.errors import InputError

TRAINING = 0.7  # about the share of a cell's time that training takes; only the ETA depends on it
STACK = 32  # networks trained as one on a GPU


class Observer(Protocol):
    """Who is told how the cells come along; called in the process that called `run`."""

    def started(self, cell: Cell) -> None: ...

    def advanced(self, cell: Cell, fraction: float) -> None:
        """About `fraction` of the cell, in [0, 1], is done."""

    def finished(self, cell: Cell) -> None: ...


def chosen_device(name: str) -> torch.device:
    """The device called `name`: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1". Raises InputError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r} is unknown: use auto, cpu, cuda or cuda:1") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:1")
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise InputError(f"device {name!r} is not there: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


@lru_cache(maxsize=1)
def dataset_of(spec: str) -> data.Dataset:
    """The data set, loaded once per process."""
    return data.load(spec)


def run_cell(
    cell: Cell, path: Path, device: torch.device, advanced: Callable[[float], object] = lambda fraction: None
) -> None:
    """Train and profile one cell, or as much of it as the run directory `path` does not hold yet.

    On a GPU training may round convolutions to TF32; profiles are measured in all of float32. advanced: told about the
    fraction of the cell that is done, as it grows."""
    store, dataset = Store(path), _checked_dataset(cell)
    model = model_of(cell, dataset).to(device)
    trained = store.read_training(cell.key)
    if trained is None:
        with stage(store, cell, "training", device), torch.backends.cudnn.flags(enabled=True, benchmark=True):
            training = train(
                model,
                dataset.train,
                dataset.validation,
                cell.recipe,
                seed=cell.seed,
                on_epoch=lambda number, epoch: advanced(TRAINING * (number + 1) / cell.recipe.epochs),
            )
            keep(store, cell, model, training)
    else:
        model.load_state_dict(trained[0])
    images, labels = (tensor.to(device) for tensor in profiled(dataset.test, cell.profiling.images))
    todo = [name for name, key in cell.measurements.items() if store.read_profiles(cell.key, key) is None]
    for number, name in enumerate(todo):
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with stage(store, cell, name, device), channels_last(model), exact:
            body = measured(name, model, images, labels, cell)
        store.write_profiles(cell.key, cell.measurements[name], body)
        advanced(TRAINING + (1 - TRAINING) * (number + 1) / (len(todo) + 1))


def train_together(
    cells: Sequence[Cell], path: Path, device: torch.device, advanced: Callable[[Cell, float], object]
) -> None:
    """Train cells of one kind as one stack, in half as many at a time where the memory does not hold them."""
    store, dataset = Store(path), _checked_dataset(cells[0])
    models = [model_of(cell, dataset).to(device) for cell in cells]

    def on_epoch(number: int, epochs: tuple[Epoch, ...]) -> None:
        for cell in cells:
            advanced(cell, TRAINING * (number + 1) / cell.recipe.epochs)

    recipes, seeds = [cell.recipe for cell in cells], [cell.seed for cell in cells]
    begin, trainings = time.perf_counter(), None
    try:
        trainings = train_stack(models, dataset.train, dataset.validation, recipes, seeds=seeds, on_epoch=on_epoch)
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
            train_together(part, path, device, advanced)
        return
    seconds = (time.perf_counter() - begin) / len(cells)
    for cell, model, training in zip(cells, models, trainings, strict=True):
        keep(store, cell, model, training)
        store.write_cost(cell.key, "training", seconds, str(device))


def keep(store: Store, cell: Cell, model: nn.Module, training: Training) -> None:
    """Write what the training of a cell came to."""
    store.write_training(cell.key, model.state_dict(), {"cell": cell.model_dump(mode="json"), **asdict(training)})


@contextmanager
def stage(store: Store, cell: Cell, name: str, device: torch.device) -> Iterator[None]:
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


def model_of(cell: Cell, dataset: data.Dataset) -> nn.Module:
    """The untrained network of a cell, built for the images of the data set. Raises InputError where they do not
    fit."""
    channels, height, width = dataset.train.images.shape[1:]
    if height != width:
        raise InputError(f"{cell.dataset} has images of {height} x {width}: rotations and models need square ones")
    return build(
        cell.model, seed=cell.seed, in_channels=channels, size=height, classes=len(dataset.classes), **cell.options
    )


def profiled(test: data.Split, images: int) -> tuple[Tensor, Tensor]:
    """`images` of the test images and their labels, the same choice every time: a prefix could be a single class."""
    order = torch.randperm(len(test.images), generator=torch.Generator().manual_seed(0))[:images].sort().values
    return test.images[order], test.labels[order]


def stacks(cells: Sequence[Cell], size: int) -> list[list[Cell]]:
    """The cells in groups of at most `size` whose networks can be trained as one, in their order."""
    groups: dict[object, list[Cell]] = {}
    for cell in cells:
        stacked = size > 1 and stackable(model_of(cell, dataset_of(cell.dataset)), cell.recipe)
        groups.setdefault((cell.model, str(cell.options), alike(cell.recipe)) if stacked else cell.key, []).append(cell)
    return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


def run(
    cells: Sequence[Cell], path: Path, *, device: torch.device, jobs: int, observer: Observer, stack: int = 1
) -> None:
    """Run all `cells` into the run directory `path`, at most `jobs` at a time; what it holds already is not done again.

    stack: how many small networks are trained as one where jobs = 1. An exception or Ctrl-C stops the workers and
    passes on; what was finished stays in the directory."""
    if jobs > 1 and len(cells) > 1:
        _run_in_workers(cells, path, device, jobs, observer)
        return
    with single_thread():
        for group in stacks(cells, stack):
            for cell in group:
                observer.started(cell)
            untrained = [cell for cell in group if Store(path).read_training(cell.key) is None]
            if len(untrained) > 1:
                train_together(untrained, path, device, observer.advanced)
            for cell in group:
                run_cell(cell, path, device, partial(observer.advanced, cell))
                observer.finished(cell)


def _run_in_workers(cells: Sequence[Cell], path: Path, device: torch.device, jobs: int, observer: Observer) -> None:
    context = multiprocessing.get_context("spawn")
    events: SimpleQueue[tuple[str, float]] = context.SimpleQueue()
    by_key = {cell.key: cell for cell in cells}
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(min(jobs, len(cells)), context, initializer=_begin_worker, initargs=(events,)) as pool:
        waiting, running = list(cells), dict[Future[None], Cell]()
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    cell = waiting.pop(0)
                    with _interrupts_held():
                        running[pool.submit(_run_in_worker, cell, path, device)] = cell
                    observer.started(cell)
                done = wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done
                while not events.empty():
                    key, fraction = events.get()
                    observer.advanced(by_key[key], fraction)
                for future in done:
                    cell = running.pop(future)
                    future.result()
                    observer.finished(cell)
        except BaseException as error:
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            if isinstance(error, BrokenProcessPool):
                raise ChildProcessError(
                    "a worker process was killed, perhaps for lack of memory: the same command with fewer --jobs goes "
                    "on, and nothing that was finished is lost"
                ) from None
            raise


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C, which reaches the whole process group, waits for the end of the block and passes by what starts in it.

    The parent answers for its workers; one that is still being imported could not ignore the signal by itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def single_thread() -> Iterator[None]:
    """One torch thread inside the block: sums in another order would change the last bits of a result."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_events: "SimpleQueue[tuple[str, float]] | None" = None  # of a worker process, to its parent


def _run_in_worker(cell: Cell, path: Path, device: torch.device) -> None:
    assert _events is not None
    events = _events
    run_cell(cell, path, device, lambda fraction: events.put((cell.key, fraction)))


def _begin_worker(events: "SimpleQueue[tuple[str, float]]") -> None:
    global _events
    _events = events
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:  # else a kill -9 of the parent would leave workers behind
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
