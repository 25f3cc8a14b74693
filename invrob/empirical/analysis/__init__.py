"""What finished runs say: the paper's claims, the trade-off plane, tables, means over seeds."""

from invrob.empirical.analysis.both_words import answer
from invrob.empirical.analysis.claim import Claim
from invrob.empirical.analysis.claims import check_claims
from invrob.empirical.analysis.paper import STATEMENTS
from invrob.empirical.analysis.place import Models, NotMeasuredError, place_of, settings_of, shared_grids
from invrob.empirical.analysis.plane import (
    DOMINATED,
    EXCLUDED,
    FRONT,
    UNDECIDED,
    Point,
    crossed,
    front_line,
    front_notes,
    note_on_images,
    pareto_front,
    plane,
    scope_of,
    verdict_of,
)
from invrob.empirical.analysis.same_images import images_note
from invrob.empirical.analysis.statistics import (
    averaged,
    class_means,
    floor_means,
    floor_of,
    half_width,
    holm,
    mean_of,
    p_value,
)
from invrob.empirical.analysis.tables import TABLE_THETAS, write_classes_csv, write_csv
from invrob.empirical.analysis.trainings import by_training, grouped, other_settings, told_apart, varied
from invrob.empirical.analysis.undecided import CHANCE, Pair, statuses_in_words, undecided_pairs

__all__ = [
    "CHANCE",
    "DOMINATED",
    "EXCLUDED",
    "FRONT",
    "STATEMENTS",
    "TABLE_THETAS",
    "UNDECIDED",
    "Claim",
    "Models",
    "NotMeasuredError",
    "Pair",
    "Point",
    "answer",
    "averaged",
    "by_training",
    "check_claims",
    "class_means",
    "crossed",
    "floor_means",
    "floor_of",
    "front_line",
    "front_notes",
    "grouped",
    "half_width",
    "holm",
    "images_note",
    "mean_of",
    "note_on_images",
    "other_settings",
    "p_value",
    "pareto_front",
    "place_of",
    "plane",
    "scope_of",
    "settings_of",
    "shared_grids",
    "statuses_in_words",
    "told_apart",
    "undecided_pairs",
    "varied",
    "verdict_of",
    "write_classes_csv",
    "write_csv",
]
