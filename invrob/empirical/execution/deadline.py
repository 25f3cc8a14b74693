"""The end of the time that a run has: its cells come to rest before it, and what can be kept of them is.

A training is kept in its middle; it looks at the time after each step, and stops where the next step, as long as the
longest so far, and the writing of what is kept may not fit. A measurement is kept whole or not at all: it is broken off
by an alarm. SIGTERM, which Slurm and preemptible machines send, and Ctrl-C bring the end nearer."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from types import FrameType
from typing import Any

from invrob.empirical.training import Paused

GRACE = {"SIGTERM": 5.0, "SIGINT": 2.0}  # seconds that the step at work may take before it is broken off
ANSWER = 3.0  # seconds more, in which other processes write down what they have


class Deadline:
    """When the cells of this process have to be at rest, as `time.time()` counts; by default never.

    latest: when those of other processes are given up, which are not at rest by then; told: the signal that has asked
    for the end; worked: whether a stage of a cell was done in this process, or a part of a training."""

    def __init__(self, at: float = inf, latest: float = inf) -> None:
        self.at, self.latest, self.told, self.worked = at, latest, "", False
        self.inside = ""  # what is at work and may be broken off: "steps", "measuring" or nothing

    @property
    def left(self) -> float:
        """Seconds; 0 or less where it is over."""
        return 0.0 if self.told else self.at - time.time()

    @property
    def over(self) -> bool:
        """Whether nothing more may be begun."""
        return self.left <= 0

    def tell(self, number: int, frame: FrameType | None = None) -> None:
        """The end is now: a handler of signals. A measurement is broken off at once, and the step of a training after
        some seconds."""
        name = signal.Signals(number).name
        again, self.told = bool(self.told), name
        self.latest = min(self.latest, time.time() + GRACE[name] + ANSWER)
        if self.inside == "measuring" or (again and name == "SIGINT"):
            self._break()
        elif self.inside == "steps":
            _alarm(GRACE[name], self._break)

    @contextmanager
    def watched(self, what: str) -> Iterator[None]:
        """The block ends by Paused when the time is over, or by KeyboardInterrupt where Ctrl-C has asked for it.

        what: "steps", which are asked to come to an end before they are broken off, or "measuring". In other threads
        than the main one, which gets no signals, the block is not broken off."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        outer, interrupt, alarm = self.inside, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
        try:
            if interrupt is signal.default_int_handler:
                signal.signal(signal.SIGINT, self.tell)
            self._begin(what)
            yield
        finally:
            self.inside = ""
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)
            signal.signal(signal.SIGINT, interrupt)
            if outer:
                self._begin(outer)

    def _begin(self, what: str) -> None:
        self.inside = what
        if self.told and what == "measuring":
            self._break()
        if self.at < inf:
            _alarm(max(self.at - time.time(), 1e-3), self._break)

    def _break(self, *_: Any) -> None:
        if self.inside:
            raise KeyboardInterrupt if self.told == "SIGINT" else Paused


def _alarm(seconds: float, call: Any) -> None:
    signal.signal(signal.SIGALRM, call)
    signal.setitimer(signal.ITIMER_REAL, seconds)
