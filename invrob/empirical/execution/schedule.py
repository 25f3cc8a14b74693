"""How long a run takes on many workers, from what each cell takes: pure arithmetic.

The longest job first, each to the worker that comes free next: as `run` does. Graham 1969 (SIAM J. Appl. Math.
17, 416-429): at most 4/3 - 1/(3 W) times as long as the best order for W workers."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

WORKERS = (1, 8, 64, 512)  # of a table


@dataclass(frozen=True)
class Schedule:
    """A run on `workers` workers: from its start to its end, and the share of the workers' time that is used."""

    workers: int
    seconds: float
    busy: float  # in [0, 1]


def makespan(durations: Sequence[float], workers: int) -> float:
    """Seconds until jobs of these `durations` (each >= 0, in seconds) are done by `workers` >= 1 workers; 0 without
    jobs."""
    ends = [0.0] * min(workers, max(len(durations), 1))
    for duration in sorted(durations, reverse=True):
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


def dealt(costs: Sequence[float], shares: int) -> list[list[int]]:
    """Jobs dealt out to so many shares, the costliest first and each to the share that has the least so far.

    No share costs more than the mean of all of them and the costliest job together.

    Args:
        costs: of the jobs, each >= 0.
        shares: >= 1.

    Returns:
        The places of its jobs for each share, sorted; none where there are more shares than jobs.

    Example:
        >>> dealt([5.0, 1.0, 4.0, 2.0], 2)
        [[0, 1], [2, 3]]
    """
    least = [(0.0, 0, share) for share in range(shares)]  # jobs without a cost are spread by their number
    found: list[list[int]] = [[] for _ in range(shares)]
    for place in sorted(range(len(costs)), key=lambda place: (-costs[place], place)):
        cost, jobs, share = least[0]
        found[share].append(place)
        heapq.heapreplace(least, (cost + costs[place], jobs + 1, share))
    return [sorted(places) for places in found]


def useful_workers(durations: Sequence[float]) -> int:
    """The fewest workers with which the run ends together with its longest job: more of them do not help."""
    longest = max(durations, default=0.0)
    if longest == 0:
        return 1
    workers = max(ceil(sum(durations) / longest * (1 - 1e-9)), 1)  # fewer have not enough time
    while workers < len(durations) and makespan(durations, workers) > longest:
        workers += 1
    return workers


def schedules(durations: Sequence[float], workers: Sequence[int] = WORKERS) -> tuple[Schedule, ...]:
    """The run on each number of workers."""
    seconds = {count: makespan(durations, count) for count in workers}
    return tuple(Schedule(n, s, min(sum(durations) / (n * s), 1.0) if s else 0.0) for n, s in seconds.items())
