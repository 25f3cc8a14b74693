"""Cells computed: in this process, in worker processes, on a Ray cluster; and what that costs, before and afterwards."""

from invrob.empirical.execution.cost import Planned, Spent, effort, peak_flops, planned, spent
from invrob.empirical.execution.run import run
from invrob.empirical.execution.schedule import makespan, schedules, useful_workers
from invrob.empirical.execution.work import Execution, Failure, Observer

__all__ = [
    "Execution",
    "Failure",
    "Observer",
    "Planned",
    "Spent",
    "effort",
    "makespan",
    "peak_flops",
    "planned",
    "run",
    "schedules",
    "spent",
    "useful_workers",
]
