"""The public measurements of a model, and the results that they return. plots.py draws them, and is not loaded here."""

from invrob.empirical.profiles.black_box import BlackBoxProfile, black_box_profile
from invrob.empirical.profiles.grids import L2_EPSILONS, read_epsilon, shown_epsilon, shown_epsilons, usual_epsilons
from invrob.empirical.profiles.invariance import InvarianceProfile, invariance_profile
from invrob.empirical.profiles.quarter_turns import QuarterTurns, quarter_turn_consistency
from invrob.empirical.profiles.rates import ClassRates, Rates
from invrob.empirical.profiles.robustness import RobustnessProfile, robustness_profile
from invrob.empirical.profiles.survey import Counted, Profile, Settings, stages
from invrob.empirical.profiles.tradeoff import Card, tradeoff
from invrob.empirical.profiles.weak import WEAK, WeakProfile, weak_profile
from invrob.empirical.profiles.worst_case import WorstCaseProfile, most_evaluations, worst_case_profile

__all__ = [
    "L2_EPSILONS",
    "WEAK",
    "BlackBoxProfile",
    "Card",
    "ClassRates",
    "Counted",
    "InvarianceProfile",
    "Profile",
    "QuarterTurns",
    "Rates",
    "RobustnessProfile",
    "Settings",
    "WeakProfile",
    "WorstCaseProfile",
    "black_box_profile",
    "invariance_profile",
    "most_evaluations",
    "quarter_turn_consistency",
    "read_epsilon",
    "robustness_profile",
    "shown_epsilon",
    "shown_epsilons",
    "stages",
    "tradeoff",
    "usual_epsilons",
    "weak_profile",
    "worst_case_profile",
]
