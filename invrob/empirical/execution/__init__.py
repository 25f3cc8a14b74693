"""Cells computed: in this process, in worker processes, on a Ray cluster; and what that costs, before and after."""

from invrob.empirical.execution.cost import NetworkPlan, Spent, effort, expected_seconds, peak_flops, plan, spent
from invrob.empirical.execution.deadline import Deadline
from invrob.empirical.execution.expected import expected_stage
from invrob.empirical.execution.progress import CellProgress
from invrob.empirical.execution.run import run
from invrob.empirical.execution.schedule import makespan, schedules, useful_workers
from invrob.empirical.execution.shards import Share, share_of
from invrob.empirical.execution.work import Execution, Failure, NotKeptError, Observer

__all__ = [
    "CellProgress",
    "Deadline",
    "Execution",
    "Failure",
    "NetworkPlan",
    "NotKeptError",
    "Observer",
    "Share",
    "Spent",
    "effort",
    "expected_seconds",
    "expected_stage",
    "makespan",
    "peak_flops",
    "plan",
    "run",
    "schedules",
    "share_of",
    "spent",
    "useful_workers",
]
