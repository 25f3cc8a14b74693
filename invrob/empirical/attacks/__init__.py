"""Norms, gradients, attacks, the search for each image's smallest epsilon, and the judge of the attack."""

from invrob.empirical.attacks import search
from invrob.empirical.attacks.apgd import apgd
from invrob.empirical.attacks.faults import TEXTS, Finding, findings
from invrob.empirical.attacks.gradients import odds_loss
from invrob.empirical.attacks.norms import NORMS, Norm, norm_named, per_image
from invrob.empirical.attacks.pgd import Attack, fgsm, pgd
from invrob.empirical.attacks.sanity import Sanity, judge
from invrob.empirical.attacks.square import square

__all__ = [
    "NORMS",
    "TEXTS",
    "Attack",
    "Finding",
    "Norm",
    "Sanity",
    "apgd",
    "fgsm",
    "findings",
    "judge",
    "norm_named",
    "odds_loss",
    "per_image",
    "pgd",
    "search",
    "square",
]
