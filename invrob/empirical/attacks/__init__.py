"""Norms, gradients, attacks, the search for each image's smallest epsilon, its audit, and the judge of the model."""

from invrob.empirical.attacks import search
from invrob.empirical.attacks.apgd import apgd
from invrob.empirical.attacks.audit import Audit, audit, strength
from invrob.empirical.attacks.faults import TEXTS, Finding, findings
from invrob.empirical.attacks.gradients import odds_loss
from invrob.empirical.attacks.norms import NORMS, Norm, norm_named, per_image
from invrob.empirical.attacks.pgd import Attack, fgsm, pgd
from invrob.empirical.attacks.restarts import aim_where_it_helps, strengthen
from invrob.empirical.attacks.sanity import Sanity, judge
from invrob.empirical.attacks.square import square

__all__ = [
    "NORMS",
    "TEXTS",
    "Attack",
    "Audit",
    "Finding",
    "Norm",
    "Sanity",
    "aim_where_it_helps",
    "apgd",
    "audit",
    "fgsm",
    "findings",
    "judge",
    "norm_named",
    "odds_loss",
    "per_image",
    "pgd",
    "search",
    "square",
    "strength",
    "strengthen",
]
