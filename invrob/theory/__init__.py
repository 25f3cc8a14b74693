"""The Theorem 1 half: the distribution, what classifiers can reach on it exactly, and a check by sampling.

`invrob.theory.check.check`, `invrob.theory.sweep.sweep` and `invrob.theory.plots` are imported from their modules."""

from invrob.theory.curves import frontier_curve, reachable_outline
from invrob.theory.distribution import GaussianTradeoff
from invrob.theory.frontier import (
    ExactRates,
    FrontierPoint,
    ThresholdRule,
    distance_to_frontier,
    frontier_point,
    inequalities,
    paper_rule,
    threshold_rule,
)
from invrob.theory.reachable import can_be_reached

__all__ = [
    "ExactRates",
    "FrontierPoint",
    "GaussianTradeoff",
    "ThresholdRule",
    "can_be_reached",
    "distance_to_frontier",
    "frontier_curve",
    "frontier_point",
    "inequalities",
    "paper_rule",
    "reachable_outline",
    "threshold_rule",
]
