"""Cells in worker processes of this machine, each process on one device."""

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
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from invrob.empirical.execution.cell import run_group
from invrob.empirical.execution.work import (
    Execution,
    Failure,
    Group,
    Observer,
    Relay,
    Teller,
    often,
    stack_size,
    stacks,
)
from invrob.empirical.experiments import Cell
from invrob.empirical.inference import pinned


@dataclass(frozen=True)
class _Worker:
    """One process and what it tells; each has its own pipe, since one that is killed may leave a lock behind."""

    device: torch.device
    pool: ProcessPoolExecutor
    news: "Connection[Any, Any]"


def run(cells: Sequence[Cell], path: Path, how: Execution, observer: Observer) -> tuple[Failure, ...]:
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
