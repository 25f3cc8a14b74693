"""What finished runs say: the paper's claims, the trade-off plane, tables, means over seeds."""

from invrob.empirical.analysis.claims import STATEMENTS, Claim, check_claims
from invrob.empirical.analysis.plane import (
    DOMINATED,
    FRONT,
    Models,
    Point,
    front_line,
    pareto_front,
    place_of,
    plane,
    settings_of,
    shared_grids,
)
from invrob.empirical.analysis.statistics import averaged, over_seeds
from invrob.empirical.analysis.tables import write_classes_csv, write_csv
from invrob.empirical.analysis.trainings import by_training, varied

__all__ = [
    "DOMINATED",
    "FRONT",
    "STATEMENTS",
    "Claim",
    "Models",
    "Point",
    "averaged",
    "by_training",
    "check_claims",
    "front_line",
    "over_seeds",
    "pareto_front",
    "place_of",
    "plane",
    "settings_of",
    "shared_grids",
    "varied",
    "write_classes_csv",
    "write_csv",
]
