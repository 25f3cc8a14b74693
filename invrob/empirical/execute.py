"""Runs cells: in this process or in one process per core, always on one CPU thread each, so that the number of cores
never changes a result."""

import multiprocessing
import os
import signal
import threading
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
from torch.utils.flop_counter import FlopCounterMode

from invrob.empirical import data
from invrob.empirical.experiment import Cell
from invrob.empirical.invariance import invariance_profile
from invrob.empirical.models import build
from invrob.empirical.profiles import robustness_profile
from invrob.empirical.store import Store
from invrob.empirical.training import train
from invrob.errors import InputError

PROFILE_SEED = 0  # the same angles and random starts for every cell, so that the curves are paired

TRAINING = 0.7  # about the share of a cell's time that training takes; only the ETA depends on it


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

    advanced: told about the fraction of the cell that is done, as it grows."""
    store, dataset = Store(path), dataset_of(cell.dataset)
    if dataset.fingerprint != cell.fingerprint:
        raise InputError(f"{cell.dataset} changed while the run was on: start it again")
    model = model_of(cell, dataset).to(device)
    trained = store.read_training(cell.key)
    if trained is None:
        training = train(
            model,
            dataset.train,
            dataset.validation,
            cell.recipe,
            seed=cell.seed,
            on_epoch=lambda number, epoch: advanced(TRAINING * (number + 1) / cell.recipe.epochs),
        )
        store.write_training(cell.key, model.state_dict(), {"cell": cell.model_dump(mode="json"), **asdict(training)})
    else:
        model.load_state_dict(trained[0])
    if store.read_profiles(cell.key, cell.profile_key) is not None:
        return
    images, labels = (tensor.to(device) for tensor in profiled(dataset.test, cell.profiling.images))
    how = cell.profiling
    invariance = invariance_profile(model, images, how.thetas, labels, seed=PROFILE_SEED, step=how.angle_step)
    advanced((1 + TRAINING) / 2)
    robustness = robustness_profile(
        model, images, how.epsilons, labels, steps=how.steps, restarts=how.restarts, seed=PROFILE_SEED
    )
    body = {"invariance": invariance.to_dict(), "robustness": robustness.to_dict()}
    store.write_profiles(cell.key, cell.profile_key, body)


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


def work(cell: Cell, dataset: data.Dataset) -> float:
    """About how many floating-point operations a cell takes, training and profiles; for the ETA only."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model_of(cell, dataset).eval()(dataset.test.images[:1])
    attack = 1 + cell.recipe.attack_steps if cell.recipe.epsilon else 1
    passes = 3 * cell.recipe.epochs * len(dataset.train.images) * attack
    angles = 2 * max(cell.profiling.thetas) / cell.profiling.angle_step
    return float(
        counter.get_total_flops() * (passes + min(cell.profiling.images, len(dataset.test.images)) * (80 + angles))
    )


def run(cells: Sequence[Cell], path: Path, *, device: torch.device, jobs: int, observer: Observer) -> None:
    """Run all `cells` into the run directory `path`, at most `jobs` at a time; what it holds already is not done again.

    An exception or Ctrl-C stops the workers and passes on; what was finished stays in the directory."""
    if jobs == 1 or len(cells) <= 1:
        with single_thread():
            for cell in cells:
                observer.started(cell)
                run_cell(cell, path, device, partial(observer.advanced, cell))
                observer.finished(cell)
        return
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
