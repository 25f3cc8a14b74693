"""Ways of running many cells: `inline`, one after another in this process; `local`, in worker processes of this
machine, each on one device; `ray`, on a cluster (cluster.py). The results are the same, to the bit on a CPU.

One cell's failure does not stop the others: `run` returns what failed and why. A cell whose worker process or machine
is lost is done again, up to `retries` times."""

from collections.abc import Sequence
from pathlib import Path

from invrob.empirical.execution import local, ray_cluster
from invrob.empirical.execution.cell import run_group
from invrob.empirical.execution.work import Execution, Failure, Observer, stack_size, stacks
from invrob.empirical.experiments import Cell
from invrob.empirical.inference import single_thread


def run(cells: Sequence[Cell], path: Path, how: Execution, observer: Observer) -> tuple[Failure, ...]:
    """Run all `cells`, in their order as far as workers come free, into the run directory `path`; what it holds already
    is not done again. Returns the cells that failed by themselves.

    Raises what `execute.run_group` raises, InputError where there is no such cluster, and KeyboardInterrupt: before,
    the workers are stopped, and what was finished stays in the directory."""
    if not cells:
        return ()
    if how.executor == "ray":
        return ray_cluster.run(cells, path, how, observer)
    if how.executor == "local" and len(cells) > 1:
        return local.run(cells, path, how, observer)
    with single_thread():
        groups = stacks(cells, stack_size(how.stack, len(cells), 1, how.device.type))
        return tuple(failure for group in groups for failure in run_group(group, path, how.device, observer))
