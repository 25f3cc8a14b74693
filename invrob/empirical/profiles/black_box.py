"""A search by queries, for models that give no gradients: ONNX files, other frameworks, a service.

Random search is far weaker than gradients, so its rates are upper bounds, and its verdict is "black-box".
Source: Andriushchenko et al. 2020 (arXiv 1912.00049), Square Attack."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from invrob.empirical.attacks import Finding, findings, square
from invrob.empirical.attacks import search as searching
from invrob.empirical.inference import called
from invrob.empirical.profiles.rates import NORM_NAMES, RatesOverEpsilon
from invrob.records import Levels

FIRST_LOOK = 10  # the first search at a level has a tenth of the queries: most images that fall, fall soon
LOOKED_AT = 32  # images that the faults of the model are looked for on
OF_GRADIENTS = ("detached input", "quantised input")  # findings that hinder no search by queries


@dataclass(frozen=True)
class Caution:
    """What to think of a black-box profile; its fields mean what those of `Sanity` mean."""

    constant: bool  # one and the same class for every image, at every epsilon
    reasons: tuple[str, ...]  # never empty
    findings: tuple[Finding, ...]  # faults of the model by name, but those that concern gradients

    @property
    def verdict(self) -> str:
        """ "black-box", or "masked" where a fault of the model makes the rates worthless."""
        return "masked" if any(finding.worthless for finding in self.findings) else "black-box"


@dataclass(frozen=True, eq=False, repr=False)
class BlackBoxProfile(RatesOverEpsilon):
    """The share of predictions that a search by queries could not change: an upper bound of that of other attacks."""

    queries: int  # the most per image and epsilon that was tried
    queries_per_image: float  # what was asked in fact, over all epsilons
    levels: Levels  # [N] int64, the index of the smallest epsilon that fooled the image; T where none did
    norm: str
    sanity: Caution

    @property
    def verdict(self) -> str:
        """'black-box': an upper bound, and not a close one; 'masked' where even that is worth nothing."""
        return self.sanity.verdict

    @property
    def about(self) -> str:
        return f"{NORM_NAMES.get(self.norm, self.norm)}, {self.queries:,} queries, no gradients"

    def remarks(self) -> tuple[str, ...]:
        return (*self.sanity.reasons, *(f"{finding.name}: {finding.text}" for finding in self.sanity.findings))

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "verdict": self.verdict}


def search_by_queries(search: searching.Search, queries: int, generator: torch.Generator) -> Caution:
    """Bring a search that has begun to its end by queries alone, and say what to think of it.

    The levels of every image are halved until one that withstood all queries lies below the one that fell. Call it
    inside `evaluating(model)`."""

    def counting(x: Tensor) -> Tensor:  # nothing else knows the price: what is fooled gets no further queries
        search.evaluations += len(x)
        outputs: Tensor = called(search.model, x)
        return outputs

    while len(who := search.next_batch()):
        level = (search.fooled[who] + search.withstood[who]) // 2
        for budget in sorted({max(1, queries // FIRST_LOOK), queries}):
            clean, radius = search.images[who], search.epsilons[level]
            x, fools = square(
                counting, clean, search.labels[who], radius, search.norm, queries=budget, generator=generator
            )
            search.record(who[fools], x[fools])
            who, level = who[~fools], level[~fools]
        search.withstood[who] = torch.maximum(search.withstood[who], level)
    withstood = bool((search.fooled == len(search.epsilons)).all())
    constant = withstood and bool((search.labels == search.labels[0]).all())
    faults = findings(search.model, search.images[:LOOKED_AT], constant)
    relevant = tuple(finding for finding in faults if finding.name not in OF_GRADIENTS)
    bound = f"an upper bound: {queries} queries per image and epsilon, no gradients; other attacks may fool many more"
    worthless = (f"{finding.name}: {finding.text}" for finding in relevant if finding.worthless)
    return Caution(constant, (bound, *worthless), relevant)
