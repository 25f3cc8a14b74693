"""Ways of running many cells: `inline`, one after another in this process; `local`, in worker processes of this
machine, each on one device; `ray`, on a cluster (cluster.py). The results are the same, to the bit on a CPU.

One cell's failure does not stop the others: `run` returns what failed and why. A cell whose worker process or machine
is lost is done again, up to `retries` times."""

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import ceil
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import torch

from invrob.empirical.execution.cell import STACK, Failure, Observer, dataset_of, model_of, run_group, single_thread
from invrob.empirical.experiments.experiment import Cell
from invrob.empirical.training.stack import alike, stackable

Group = list[Cell]  # whose networks are trained as one; often a single one


@dataclass(frozen=True)
class Execution:
    """How the cells of a run are spread over processes and machines."""

    executor: Literal["inline", "local", "ray"] = "inline"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))  # not of ray: see gpus_per_cell
    jobs: int | None = 1  # groups of cells at a time; None: as many as the Ray cluster has room for
    stack: int | None = 1  # the most networks trained as one; None: 1 on a CPU, on a GPU what keeps every worker busy
    retries: int = 2  # of a cell whose worker is lost
    address: str | None = None  # of the Ray cluster; None: one is started on this machine
    gpus_per_cell: float | None = None  # asked of Ray, or a part of one; None: 1 where the cluster has any
    cpus_per_cell: float = 1.0  # asked of Ray


def run(cells: Sequence[Cell], path: Path, how: Execution, observer: Observer) -> tuple[Failure, ...]:
    """Run all `cells`, in their order as far as workers come free, into the run directory `path`; what it holds already
    is not done again. Returns the cells that failed by themselves.

    Raises what `execute.run_group` raises, InputError where there is no such cluster, and KeyboardInterrupt: before,
    the workers are stopped, and what was finished stays in the directory."""
    if not cells:
        return ()
    if how.executor == "ray":
        from invrob.empirical.execution import ray_cluster as cluster

        return cluster.run(cells, path, how, observer)
    if how.executor == "local" and len(cells) > 1:
        return _local(cells, path, how, observer)
    with single_thread():
        groups = stacks(cells, stack_size(how.stack, len(cells), 1, how.device.type))
        return tuple(failure for group in groups for failure in run_group(group, path, how.device, observer))


def stack_size(asked: int | None, cells: int, workers: int, device: str) -> int:
    """The most networks to train as one: what was asked for, or by default 1 on a CPU, where stacks do not pay, and on
    a GPU as many as leave no worker without a stack."""
    return asked or (min(STACK, ceil(cells / max(workers, 1))) if device == "cuda" else 1)


def stacks(cells: Sequence[Cell], size: int) -> list[Group]:
    """The cells in groups of at most `size` whose networks can be trained as one, in their order."""
    groups: dict[object, Group] = {}
    for cell in cells:
        stacked = size > 1 and stackable(model_of(cell, dataset_of(cell.dataset)), cell.recipe)
        groups.setdefault((cell.model, str(cell.options), alike(cell.recipe)) if stacked else cell.key, []).append(cell)
    return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


class Relay:
    """Passes on to `observer` what workers tell about `cells`, and the end of each cell once."""

    def __init__(self, cells: Sequence[Cell], observer: Observer) -> None:
        self.observer = observer
        self.open = {cell.key: cell for cell in cells}  # neither finished nor failed yet

    def tell(self, event: str, key: str, *values: Any) -> None:
        """event: the name of a method of the observer; key: of the cell; values: the other arguments."""
        if key in self.open:
            cell = self.open.pop(key) if event in ("finished", "failed") else self.open[key]
            getattr(self.observer, event)(cell, *values)

    def settle(self, cells: Sequence[Cell], failures: Sequence[Failure]) -> None:
        """Tells the end of those of `cells` of which no worker has told it."""
        for failure in failures:
            self.tell("failed", failure.cell.key, failure.reason)
        for cell in cells:
            self.tell("finished", cell.key)


class Teller:
    """The observer of a worker: sends on what it is told, as arguments for `Relay.tell`."""

    def __init__(self, send: Any) -> None:
        self.send = send

    def started(self, cell: Cell) -> None:
        self.send(("started", cell.key))

    def advanced(self, cell: Cell, fraction: float) -> None:
        self.send(("advanced", cell.key, fraction))

    def finished(self, cell: Cell) -> None:
        self.send(("finished", cell.key))

    def failed(self, cell: Cell, reason: str) -> None:
        self.send(("failed", cell.key, reason[:1000]))  # a longer message could be cut in two by a kill


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pinned(device: torch.device) -> list[torch.device]:
    """The devices that worker processes share out: every GPU of this machine, where `device` names none of them."""
    if str(device) == "cuda":
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [device]


@dataclass(frozen=True)
class _Worker:
    """One process and what it tells; each has its own pipe, since one that is killed may leave a lock behind."""

    device: torch.device
    pool: ProcessPoolExecutor
    news: "Connection[Any, Any]"


def _local(cells: Sequence[Cell], path: Path, how: Execution, observer: Observer) -> tuple[Failure, ...]:
    devices, jobs = pinned(how.device), how.jobs or 1
    waiting = stacks(cells, stack_size(how.stack, len(cells), jobs, how.device.type))
    relay, failures, killed = Relay(cells, observer), list[Failure](), Counter[str]()
    running = dict[Future[tuple[Failure, ...]], tuple[_Worker, Group]]()
    with ExitStack() as started, _ended_on_error():
        places = range(min(jobs, len(waiting)))
        idle = [started.enter_context(_worker(devices[place % len(devices)])) for place in places]
        while waiting or running:
            while waiting and idle:
                worker, group = idle.pop(0), waiting.pop(0)
                with _interrupts_held():
                    running[worker.pool.submit(_run_in_worker, group, path, worker.device)] = worker, group
            done = wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done
            for worker, _ in running.values():
                while worker.news.poll():
                    relay.tell(*worker.news.recv())
            for future in done:
                worker, group = running.pop(future)
                try:
                    failures += future.result()
                except BrokenProcessPool:
                    left = [cell for cell in group if cell.key in relay.open]
                    killed.update(cell.key for cell in left)
                    given_up = [_given_up(cell, how.retries) for cell in left if killed[cell.key] > how.retries]
                    relay.settle([], given_up)
                    failures += given_up
                    again = [cell for cell in left if cell.key in relay.open]
                    for cell in again:
                        logging.getLogger("invrob").warning("%s: its worker was killed; it is done again", cell)
                    waiting += [again] if again else []  # the last, when fewer others may need the memory
                    worker = started.enter_context(_worker(worker.device))
                idle.append(worker)
    return tuple(failures)


def _given_up(cell: Cell, retries: int) -> Failure:
    return Failure(
        cell,
        f"its worker process was killed {often(retries + 1)}, perhaps for lack of memory: the same command with fewer "
        "--jobs goes on with it",
    )


def often(times: int) -> str:
    return "once" if times == 1 else f"{times} times"


@contextmanager
def _worker(device: torch.device) -> Iterator[_Worker]:
    """A worker process, from its first job to the end of the block."""
    context = multiprocessing.get_context("spawn")
    news, sender = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(1, context, initializer=_begin_worker, initargs=(sender, device))
    with news, sender, pool:
        yield _Worker(device, pool, news)


@contextmanager
def _ended_on_error() -> Iterator[None]:
    """Ends the processes that were started in the block when an exception leaves it."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
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


_sender: "Connection[Any, Any] | None" = None  # of a worker process, to its parent


def _run_in_worker(group: Group, path: Path, device: torch.device) -> tuple[Failure, ...]:
    assert _sender is not None
    return run_group(group, path, device, Teller(_sender.send))


def _begin_worker(sender: "Connection[Any, Any]", device: torch.device) -> None:
    global _sender
    _sender = sender
    torch.set_num_threads(1)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:  # else a kill -9 of the parent would leave workers behind
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
