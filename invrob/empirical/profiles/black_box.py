"""The robustness over epsilon of a model that gives no gradients: what a search by queries alone finds.

It stands where `robustness_profile` cannot: for ONNX files, other frameworks, a service. Random search is far weaker
than gradients, so its rates are upper bounds, and its verdict is "black-box", never "sound".
Source: Andriushchenko et al. 2020 (arXiv 1912.00049), Square Attack."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invrob.checks import check_settings, checked_grid
from invrob.empirical.attacks import Finding, Norm, findings, norm_named, square
from invrob.empirical.attacks import search as searching
from invrob.empirical.inference import Model, all_logits, batches, checked_images, checked_labels, evaluating
from invrob.empirical.profiles.rates import Numbers, RatesOverEpsilon, binomial_bounds, rates_per_image

FIRST_LOOK = 10  # the first search at a level has a tenth of the queries: most images that fall, fall soon
LOOKED_AT = 32  # images that the faults of the model are looked for on
OF_GRADIENTS = ("detached input", "quantised input")  # findings that hinder no search by queries


@dataclass(frozen=True)
class Caution:
    """What to think of a black-box profile; the fields have the names and the meaning of those of `sanity.Sanity`."""

    constant: bool  # one and the same class for every image, at every epsilon
    reasons: tuple[str, ...]  # never empty
    findings: tuple[Finding, ...]  # faults of the model by name, but those that concern gradients

    @property
    def verdict(self) -> str:
        """ "black-box", or "masked" where a fault of the model makes the rates worthless."""
        return "masked" if any(finding.worthless for finding in self.findings) else "black-box"


@dataclass(frozen=True, eq=False)
class BlackBoxProfile(RatesOverEpsilon):
    """1 - fooling rate of a search by queries: an upper bound of the share of predictions that withstand epsilon."""

    queries: int  # the most per image and epsilon that was tried
    queries_per_image: float  # what was asked in fact, over all epsilons
    levels: Numbers  # [N] int64, the index of the smallest epsilon that fooled the image; T where none did
    norm: str
    sanity: Caution

    @property
    def verdict(self) -> str:
        """'black-box': an upper bound, and not a close one; 'masked' where even that is worth nothing."""
        return self.sanity.verdict

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "verdict": self.verdict}


def black_box_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    norm: str = "linf",
    queries: int = 500,
    seed: int = 0,
    *,
    confidence: float = 0.95,
) -> BlackBoxProfile:
    """The share of predictions that survive a search of size epsilon which sees logits and no gradients.

    model: any callable, images [N, C, H, W] in [0, 1] -> logits [N, K >= 2]. queries: model evaluations per image at an
    epsilon; the search halves the grid, so it tries log2(T + 1) of them, and again smaller ones after a find. Images,
    epsilons, labels and norm are those of `robustness_profile`; so are the intervals, and the rates never rise. In
    "l2" the search is the crude one of the sanity probes, and the bound is looser still.

    Raises InputError for anything outside these ranges, and for a model that returns NaN."""
    images = checked_images(images)
    grid = checked_grid("epsilons", epsilons, norm_named(norm).largest, "pixels are in [0, 1], so write 8 / 255, not 8")
    check_settings(confidence=confidence, seed=seed, queries=queries)
    positive = torch.tensor(grid[grid > 0], dtype=torch.float64, device=images.device)
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        search = searching.begin(images, all_logits(model, images), positive)
        _search(search, model, norm_named(norm), queries, torch.Generator(images.device).manual_seed(int(seed)))
        caution = _judged(search, model, queries)
    levels = search.fooled.cpu().numpy() + (len(grid) - len(positive))  # epsilon 0 is the identity: it fools nobody
    kept = levels[:, None] > np.arange(len(grid))
    predictions, truth = search.labels.cpu().numpy(), None if labels is None else labels.cpu().numpy()
    correct = None if truth is None else kept & (predictions == truth)[:, None]
    bounds = partial(binomial_bounds, confidence=confidence)
    return BlackBoxProfile(
        **rates_per_image(kept, correct, predictions, truth, grid == 0, bounds, confidence=confidence, seed=seed),
        epsilons=grid,
        queries=queries,
        queries_per_image=search.evaluations / len(images),
        levels=levels,
        norm=norm,
        sanity=caution,
    )


def _search(search: searching.Search, model: Model, norm: Norm, queries: int, generator: torch.Generator) -> None:
    """Halve the levels of every image until one that withstood all queries lies below the one that fell."""
    size = next(batches(len(search.images), search.images.device)).stop
    while len(who := search.open.nonzero()[:size, 0]):
        level = (search.fooled[who] + search.withstood[who]) // 2
        for budget in sorted({max(1, queries // FIRST_LOOK), queries}):
            clean, own = search.images[who], search.labels[who]
            x, hit = square(model, clean, own, search.epsilons[level], norm, queries=budget, generator=generator)
            search.evaluations += len(who) * (budget + 1)  # the last one checks what was found
            search.record(who[hit], x[hit], norm)
            who, level = who[~hit], level[~hit]
        search.withstood[who] = torch.maximum(search.withstood[who], level)


def _judged(search: searching.Search, model: Model, queries: int) -> Caution:
    withstood = bool((search.fooled == len(search.epsilons)).all())
    constant = withstood and bool((search.labels == search.labels[0]).all())
    found = findings(model, search.images[:LOOKED_AT], constant)
    kept = tuple(finding for finding in found if finding.name not in OF_GRADIENTS)
    bound = f"an upper bound: {queries} queries per image and epsilon, no gradients; other attacks may fool many more"
    worthless = (f"{finding.name}: {finding.text}" for finding in kept if finding.worthless)
    return Caution(constant, (bound, *worthless), kept)
