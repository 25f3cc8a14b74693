"""Runs many cells: in this process, in worker processes of this machine (local.py), or on a cluster (ray_cluster.py).

The results are the same, to the bit on a CPU."""

from collections.abc import Sequence
from pathlib import Path

from invrob.empirical.execution import local, ray_cluster
from invrob.empirical.execution.cell import run_group
from invrob.empirical.execution.keeping import groups
from invrob.empirical.execution.work import Execution, Failure, Observer
from invrob.empirical.experiments import Cell
from invrob.empirical.inference import single_thread


def run(cells: Sequence[Cell], path: Path, how: Execution, observer: Observer) -> tuple[Failure, ...]:
    """Train and measure all cells into the run directory `path`, as much of it as is not there yet; `how.retries` times
    more where a worker is lost. They are started in this order, as long as `how.deadline` allows it. Returns the cells
    that failed.

    Raises what `run_group` raises, InputError where there is no such Ray cluster, and KeyboardInterrupt: then the
    workers are stopped, and what was finished stays in the directory."""
    if not cells:
        return ()
    if how.executor == "ray":
        return ray_cluster.run(cells, path, how, observer)
    if how.executor == "local" and len(cells) > 1:
        return local.run(cells, path, how, observer)
    with single_thread():
        waiting, failures = groups(cells, path, how, 1, how.device.type), list[Failure]()
        while waiting and not how.deadline.over:
            failures += run_group(waiting.pop(0), path, how.device, observer, how.deadline).failures
        return tuple(failures)
