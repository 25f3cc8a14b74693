"""Two rivals timed in turns, and what a part of the benchmark hands to the printers."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Setting:
    """What every part is run with."""

    images: int
    pairs: int
    seeds: int
    width: float  # of the LeNet
    device: torch.device
    cifar: str = "cifar10"  # where the images of CIFAR-10 are: a data set's name, or npz:PATH
    figure: Path | None = None  # of the whole curves


@dataclass(frozen=True)
class Table:
    """One comparison: rows with the same keys; a float stays one in JSON and is rounded where it is printed."""

    title: str
    note: str
    rows: list[dict[str, str | float]]


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], setting: Setting, calls: int = 1
) -> dict[str, str | float]:
    """Median milliseconds of each, and median and range of the ratio theirs / ours, after a warm-up of each.

    A B, B A, A B: who goes second finds another cache. calls: how often each is called per measurement; raise it
    for what takes only milliseconds."""

    def seconds(work: Callable[[], object]) -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        if setting.device.type == "cuda":
            torch.cuda.synchronize(setting.device)
        return (time.perf_counter() - begin) / calls

    seconds(ours), seconds(theirs)
    times = []
    for pair in range(setting.pairs):
        if pair % 2:
            their, our = seconds(theirs), seconds(ours)
        else:
            our, their = seconds(ours), seconds(theirs)
        times.append((our, their))
    ratios = [their / our for our, their in times]
    return {
        "ours, ms": 1e3 * statistics.median(a for a, _ in times),
        "theirs, ms": 1e3 * statistics.median(b for _, b in times),
        "theirs / ours": statistics.median(ratios),
        "range": f"{min(ratios):.1f} to {max(ratios):.1f}",
    }
