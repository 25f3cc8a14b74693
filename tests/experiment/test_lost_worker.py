"""Real worker processes, killed in the middle of a cell: the run ends as if nothing had happened, or says so."""

import multiprocessing
import os
import signal

import pytest
import torch

from invrob.empirical.execution import Execution, run
from invrob.empirical.experiments import dataset_of, read_experiment

CPU = torch.device("cpu")
pytestmark = pytest.mark.long


class Killer:
    """An observer that kills every worker after the first epoch of the cell number `victim`."""

    def __init__(self, cells, victim, times):
        self.key, self.left, self.ended = cells[victim].key, times, []

    def started(self, cell): ...

    def advanced(self, cell, fraction):
        if cell.key == self.key and self.left:
            self.left -= 1
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)

    def finished(self, cell):
        self.ended.append(cell.key)

    def failed(self, cell, reason):
        self.ended.append(reason)


def files(path):
    kept = (file for file in path.rglob("*") if file.is_file() and file.name != "costs.json")
    return {str(file.relative_to(path)): file.read_bytes() for file in kept}


@pytest.fixture(scope="module")
def cells(config):
    """Three cells of twenty epochs."""
    experiment = read_experiment(config)
    cells = experiment.cells(dataset_of(experiment.dataset).fingerprint)
    return [cell.model_copy(update={"recipe": cell.recipe.model_copy(update={"epochs": 20})}) for cell in cells]


def test_cells_whose_workers_were_killed_come_out_the_same(cells, tmp_path):
    watched = Killer(cells, victim=0, times=0)
    assert run(cells, tmp_path / "whole", Execution("inline", CPU), watched) == ()
    killer = Killer(cells, victim=0, times=1)
    assert run(cells, tmp_path / "killed", Execution("local", CPU, jobs=2), killer) == ()
    assert killer.left == 0
    assert sorted(killer.ended) == sorted(cell.key for cell in cells)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert multiprocessing.active_children() == []


def test_a_cell_that_loses_every_worker_is_given_up_with_a_reason_and_the_run_ends(cells, tmp_path):
    killer = Killer(cells, victim=1, times=100)
    failures = run(cells[:2], tmp_path, Execution("local", CPU, jobs=2, retries=0), killer)
    assert cells[1] in [failure.cell for failure in failures]
    assert all("killed in attempt 1 of 1, perhaps for lack of memory" in failure.reason for failure in failures)
    assert len(killer.ended) == 2
