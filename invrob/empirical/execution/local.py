"""Cells in worker processes of this machine, each process on one device."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from invrob.empirical.execution.cell import run_group
from invrob.empirical.execution.deadline import ANSWER, GRACE, Deadline
from invrob.empirical.execution.keeping import groups
from invrob.empirical.execution.work import Ended, EventRelay, EventSender, Execution, Failure, Group, Observer
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
    jobs = how.jobs or 1
    waiting = groups(cells, path, how, jobs, how.device.type)
    with ExitStack() as stack, _terminated_on_error() as processes:
        workers = _Workers(waiting, path, how, EventRelay(cells, observer), stack)
        devices = pinned(how.device)
        workers.idle = [workers.started(devices[place % len(devices)]) for place in range(min(jobs, len(waiting)))]
        told = False
        while workers.running or (workers.waiting and not how.deadline.over):
            workers.submit()
            workers.gather()
            if how.deadline.told and not told:
                told = True
                processes.terminate()
            if workers.running and time.time() > how.deadline.latest:
                processes.kill()
                break
    return tuple(workers.failures)


class _Workers:
    """The worker processes of a run, and what waits for them."""

    def __init__(self, waiting: list[Group], path: Path, how: Execution, relay: EventRelay, stack: ExitStack) -> None:
        self.waiting, self.path, self.how, self.relay, self.stack = waiting, path, how, relay, stack
        self.idle: list[Worker] = []
        self.running: dict[Future[Ended], tuple[Worker, Group]] = {}
        self.failures, self.losses = list[Failure](), Counter[str]()

    def started(self, device: torch.device) -> Worker:
        """One more."""
        return self.stack.enter_context(started_worker(device, self.how.deadline))

    def submit(self) -> None:
        """Give every idle worker a group, as long as there is time."""
        while self.waiting and self.idle and not self.how.deadline.over:
            worker, group = self.idle.pop(0), self.waiting.pop(0)
            try:
                with _interrupts_held(), _script_left_alone():
                    self.running[worker.pool.submit(_run_in_worker, group, self.path, worker.device)] = worker, group
            except BrokenProcessPool:  # it was killed while it waited
                self.waiting.insert(0, group)
                self.idle.append(self.started(worker.device))

    def gather(self) -> None:
        """Wait for some time, pass on the events, and take back the workers that are done."""
        done = wait(self.running, timeout=0.5, return_when=FIRST_COMPLETED).done
        for worker, _ in self.running.values():
            while worker.events.poll():
                self.relay.notify(*worker.events.recv())
        for future in done:
            worker, group = self.running.pop(future)
            try:
                ended = future.result()
                self.failures += ended.failures
                if ended.told and not self._is_the_end():
                    worker = self._replaced(worker, [cell for cell in group if cell.key in ended.left])
            except BrokenProcessPool:
                if not self._is_the_end():
                    worker = self._replaced(worker, group)
            self.idle.append(worker)

    def _is_the_end(self) -> bool:
        """Whether this process is to end as well: a signal reaches all processes of a job, but not at one instant."""
        if not self.how.deadline.over:
            time.sleep(0.5)
        return self.how.deadline.over

    def _replaced(self, worker: Worker, group: Group) -> Worker:
        """Another worker for one that was lost; its cells are done again, or have failed."""
        lost = [cell for cell in group if cell.key in self.relay.unfinished]
        self.losses.update(cell.key for cell in lost)
        failed = [_lost(cell, self.how.retries) for cell in lost if self.losses[cell.key] > self.how.retries]
        self.relay.settle([], failed)
        self.failures += failed
        again = [cell for cell in lost if cell.key in self.relay.unfinished]
        for cell in again:
            logging.getLogger("invrob").warning("%s: its worker was killed; it is done again", cell)
        self.waiting += [again] if again else []  # the last, when fewer others may need the memory
        return self.started(worker.device)


def _lost(cell: Cell, retries: int) -> Failure:
    attempts = retries + 1
    why = f"its worker process was killed in attempt {attempts} of {attempts}, perhaps for lack of memory"
    return Failure(cell, f"{why}: run it again with fewer jobs at a time")


@contextmanager
def started_worker(device: torch.device, deadline: Deadline) -> Iterator[Worker]:
    """A worker process, from its first job to the end of the block."""
    context = multiprocessing.get_context("spawn")
    events, sender = context.Pipe(duplex=False)
    begin = sender, device, allowed_code(), deadline.at
    pool = ProcessPoolExecutor(1, context, initializer=_begin_worker, initargs=begin)
    with events, sender, pool:
        yield Worker(device, pool, events)


class _Processes:
    """The worker processes that were started since."""

    def __init__(self) -> None:
        self.others = set(multiprocessing.active_children())

    @property
    def own(self) -> list[BaseProcess]:
        return list(set(multiprocessing.active_children()) - self.others)

    def terminate(self) -> None:
        """Ask them to come to rest: a training at work is kept first."""
        for worker in self.own:
            worker.terminate()

    def kill(self) -> None:
        """End them now."""
        for worker in self.own:
            worker.kill()

    def end(self, seconds: float) -> None:
        """Ask them, and end those that are not at rest so many seconds later."""
        self.terminate()
        sentinels = [worker.sentinel for worker in self.own]
        end = time.monotonic() + seconds
        try:
            while sentinels and time.monotonic() < end:
                ready = connection.wait(sentinels, timeout=end - time.monotonic())
                sentinels = [sentinel for sentinel in sentinels if sentinel not in ready]
        finally:
            self.kill()


@contextmanager
def _terminated_on_error() -> Iterator[_Processes]:
    """Ends the processes that were started in the block when an exception leaves it, after what time is needed to keep
    a training."""
    processes = _Processes()
    try:
        yield processes
    except BaseException:
        processes.end(GRACE["SIGINT"] + ANSWER)
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
_deadline, _at_work = Deadline(), False


def _asked_to_end(number: int, frame: FrameType | None) -> None:
    """The handler of SIGTERM in a worker: what is at work is kept first."""
    if not _at_work:
        os._exit(128 + number)
    _deadline.tell(number)


def _run_in_worker(group: Group, path: Path, device: torch.device) -> Ended:
    global _at_work
    assert _sender is not None
    _at_work = True
    with redirect_stdout(sys.stderr):  # what the user's code prints is no answer
        adopt(_code)
        ended = run_group(group, path, device, EventSender(_sender.send), _deadline)
    if ended.told:
        threading.Timer(1.0, os._exit, [0]).start()  # it was asked to end, and this answer is its last
    else:
        _at_work = False
    return ended


def _begin_worker(sender: "Connection[Any, Any]", device: torch.device, code: tuple[Code, ...], at: float) -> None:
    global _sender, _code, _deadline
    _sender, _code, _deadline = sender, code, Deadline(at)
    signal.signal(signal.SIGTERM, _asked_to_end)
    torch.set_num_threads(1)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:  # else a kill -9 of the parent would leave workers behind
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
