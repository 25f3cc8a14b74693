"""What a measurement of a cell will take, by what this run directory knows of the machine."""

import torch

from invrob.empirical.data import Dataset
from invrob.empirical.execution.cost import work_of
from invrob.empirical.experiments import Cell, Store

SEARCHES = 1.5  # that a search may take more evaluations than are typical, where none was measured yet


def expected_stage(cell: Cell, name: str, dataset: Dataset, store: Store, device: torch.device) -> float:
    """Seconds that a measurement of `cell.addresses` is expected to take on `device`; 0 where nothing is known.

    The most that the same took of another cell of the network in this run directory. Before there is one, the time of
    the cell's own training and the arithmetic of both, which is exact for a training and typical for a search."""
    own = store.read_costs(cell.key)
    taken = [
        float(costs[name]["seconds"])
        for costs in (store.read_costs(key) for key in store.keys_of(cell.model, cell.options))
        if name in costs and costs[name]["device"].startswith(device.type)
    ]
    if taken:
        return max(taken)
    if "training" not in own or not own["training"]["device"].startswith(device.type):
        return 0.0
    stages = work_of(cell, dataset)
    ratio = stages[name].passes / max(stages["training"].passes, 1.0)
    return SEARCHES * ratio * float(own["training"]["seconds"])
