"""Cells in worker processes of this machine, each process on one device."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from invrob.empirical.execution.cell import run_group
from invrob.empirical.execution.work import EventRelay, EventSender, Execution, Failure, Group, Observer, stacks
from invrob.empirical.experiments import Cell
from invrob.empirical.inference import pinned
from invrob.empirical.models import Code, adopt, allowed_code


@dataclass(frozen=True)
class Worker:
    """A process and the events that it sends; by a pipe of its own, since a killed process may leave a lock behind."""

    device: torch.device
    pool: ProcessPoolExecutor
    events: "Connection[Any, Any]"


def run(cells: Sequence[Cell], path: Path, how: Execution, observer: Observer) -> tuple[Failure, ...]:
    """`execution.run` in `how.jobs` worker processes."""
    devices, jobs = pinned(how.device), how.jobs or 1
    waiting = stacks(cells, how, jobs, how.device.type)
    relay, failures, losses = EventRelay(cells, observer), list[Failure](), Counter[str]()
    running = dict[Future[tuple[Failure, ...]], tuple[Worker, Group]]()
    with ExitStack() as workers, _terminated_on_error():
        places = range(min(jobs, len(waiting)))
        idle = [workers.enter_context(started_worker(devices[place % len(devices)])) for place in places]
        while waiting or running:
            while waiting and idle:
                worker, group = idle.pop(0), waiting.pop(0)
                with _interrupts_held(), _script_left_alone():
                    running[worker.pool.submit(_run_in_worker, group, path, worker.device)] = worker, group
            done = wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done
            for worker, _ in running.values():
                while worker.events.poll():
                    relay.notify(*worker.events.recv())
            for future in done:
                worker, group = running.pop(future)
                try:
                    failures += future.result()
                except BrokenProcessPool:
                    lost = [cell for cell in group if cell.key in relay.unfinished]
                    losses.update(cell.key for cell in lost)
                    failed = [_lost(cell, how.retries) for cell in lost if losses[cell.key] > how.retries]
                    relay.settle([], failed)
                    failures += failed
                    again = [cell for cell in lost if cell.key in relay.unfinished]
                    for cell in again:
                        logging.getLogger("invrob").warning("%s: its worker was killed; it is done again", cell)
                    waiting += [again] if again else []  # the last, when fewer others may need the memory
                    worker = workers.enter_context(started_worker(worker.device))
                idle.append(worker)
    return tuple(failures)


def _lost(cell: Cell, retries: int) -> Failure:
    attempts = retries + 1
    why = f"its worker process was killed in attempt {attempts} of {attempts}, perhaps for lack of memory"
    return Failure(cell, f"{why}: run it again with fewer jobs at a time")


@contextmanager
def started_worker(device: torch.device) -> Iterator[Worker]:
    """A worker process, from its first job to the end of the block."""
    context = multiprocessing.get_context("spawn")
    events, sender = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(1, context, initializer=_begin_worker, initargs=(sender, device, allowed_code()))
    with events, sender, pool:
        yield Worker(device, pool, events)


@contextmanager
def _terminated_on_error() -> Iterator[None]:
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
    """Ctrl-C, which reaches the whole process group, waits for the end of the block, and what starts in it ignores it.

    The parent ends its workers; one that is still being imported could not ignore the signal by itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _script_left_alone() -> Iterator[None]:
    """A process that is started in the block does not run the script of this one, as Python would have it: a script
    that calls `experiment` would do so once more in each worker. No worker needs anything of it."""
    script, names = sys.modules["__main__"].__dict__, ("__file__", "__spec__")
    kept = {name: script[name] for name in names if name in script}
    script.update(dict.fromkeys(names))
    try:
        yield
    finally:
        for name in names:
            script.pop(name)
        script.update(kept)


_sender: "Connection[Any, Any] | None" = None  # of a worker process, to its parent
_code: tuple[Code, ...] = ()  # that it may call


def _run_in_worker(group: Group, path: Path, device: torch.device) -> tuple[Failure, ...]:
    assert _sender is not None
    with redirect_stdout(sys.stderr):  # what the user's code prints is no answer
        adopt(_code)
        return run_group(group, path, device, EventSender(_sender.send))


def _begin_worker(sender: "Connection[Any, Any]", device: torch.device, code: tuple[Code, ...]) -> None:
    global _sender, _code
    _sender, _code = sender, code
    torch.set_num_threads(1)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:  # else a kill -9 of the parent would leave workers behind
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
