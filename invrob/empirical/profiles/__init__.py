"""The public measurements of a model, and the results that they return. plots.py draws them, and is not loaded here."""

from invrob.empirical.profiles.black_box import BlackBoxProfile
from invrob.empirical.profiles.card import Card, tradeoff
from invrob.empirical.profiles.grids import L2_EPSILONS, format_epsilon, read_epsilon, table_epsilons, usual_epsilons
from invrob.empirical.profiles.invariance import InvarianceProfile, invariance_profile, worst_case_profile
from invrob.empirical.profiles.measured_on import MeasuredOn
from invrob.empirical.profiles.measurement import Measurement
from invrob.empirical.profiles.quarter_turns import QuarterTurns, quarter_turn_consistency
from invrob.empirical.profiles.rates import ClassRates, Rates
from invrob.empirical.profiles.robustness import RobustnessProfile, black_box_profile, robustness_profile
from invrob.empirical.profiles.settings import (
    PGD,
    Auto,
    Change,
    Grid,
    Rotation,
    Square,
    Weak,
    WorstOf,
    adversary_of,
    attack_of,
    audit_of,
    change_of,
)
from invrob.empirical.profiles.weak import WEAK, WeakProfile
from invrob.empirical.profiles.work import Counted, Work
from invrob.empirical.profiles.worst_case import WorstCaseProfile

__all__ = [
    "L2_EPSILONS",
    "PGD",
    "WEAK",
    "Auto",
    "BlackBoxProfile",
    "Card",
    "Change",
    "ClassRates",
    "Counted",
    "Grid",
    "InvarianceProfile",
    "MeasuredOn",
    "Measurement",
    "QuarterTurns",
    "Rates",
    "RobustnessProfile",
    "Rotation",
    "Square",
    "Weak",
    "WeakProfile",
    "Work",
    "WorstCaseProfile",
    "WorstOf",
    "adversary_of",
    "attack_of",
    "audit_of",
    "black_box_profile",
    "change_of",
    "format_epsilon",
    "invariance_profile",
    "quarter_turn_consistency",
    "read_epsilon",
    "robustness_profile",
    "table_epsilons",
    "tradeoff",
    "usual_epsilons",
    "worst_case_profile",
]
