"""The cells of an experiment dealt out to shards, which know nothing of one another: jobs of an array on a cluster.

Nothing is timed. The deal follows from the cells and their arithmetic alone, so that it is the same everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from invrob.empirical.data import Dataset
from invrob.empirical.execution.cost import effort
from invrob.empirical.execution.schedule import dealt
from invrob.empirical.experiments import Cell


@dataclass(frozen=True)
class Share:
    """The cells of one shard, in the order of the experiment.

    operations: floating-point operations of all of them, as `effort` counts them; most: of the shard that has the
    most."""

    cells: tuple[Cell, ...]
    operations: float
    most: float


def share_of(cells: Sequence[Cell], dataset: Dataset, number: int, count: int) -> Share:
    """Shard `number` of `count`, from 1 on; every one of `cells` is in exactly one shard.

    cells: of the whole experiment, finished or not, in its order: what is done already moves no cell."""
    operations = effort(cells, dataset)
    costs = [operations[cell.key] for cell in cells]
    shares = dealt(costs, count)
    sums = [sum(costs[place] for place in share) for share in shares]
    return Share(tuple(cells[place] for place in shares[number - 1]), sums[number - 1], max(sums))
