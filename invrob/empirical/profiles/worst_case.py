"""The rate of invariance in the worst case: the share of predictions that none of the changes an adversary tries moves.

The two adversaries without gradients of Engstrom, Tran, Tsipras, Schmidt and Madry 2019 (arXiv 1712.02779), "grid" and
"worst-of-k". The average over random changes is `invariance_profile`."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from math import prod

import numpy as np
import torch
from torch import Tensor

from invrob.checks import Array, check_settings
from invrob.empirical.inference import Model, checked_images, checked_labels, evaluating, predict
from invrob.empirical.profiles.rates import Numbers, RatesOverTheta, binomial_bounds, rates_per_image
from invrob.empirical.transforms import Interpolation, Transformation, transformation_named
from invrob.errors import InputError

MOST_POINTS = 1_000_000  # of a grid: more than a model can be asked in days

Ask = Callable[[Array, Array], Array]  # which images [n], parameters [n or 1, d] -> the predicted classes [n]


@dataclass(frozen=True, eq=False)
class WorstCaseProfile(RatesOverTheta):
    """The share of predictions that stay under all changes that the adversary tries."""

    evaluations: float  # model evaluations per image
    levels: (
        Numbers | None
    )  # of "grid": int64 [N], the index of the smallest theta that moved the image; T where none did
    transformation: str
    adversary: str
    finer: int


def worst_case_profile(
    model: Model,
    images: Tensor,
    thetas: Iterable[float],
    labels: Tensor | None = None,
    seed: int = 0,
    *,
    transformation: str = "rotation",
    adversary: str = "worst-of-10",
    finer: int = 1,
    interpolation: Interpolation = "bilinear",
    fill: float = 0.0,
    confidence: float = 0.95,
) -> WorstCaseProfile:
    """The share of predictions that stay under all changes that an adversary tries, within the box of each theta.

    model, images, labels: as for `robustness_profile`. thetas, transformation, interpolation, fill: as for
    `invariance_profile`. adversary: "worst-of-k" for any k >= 1: k independent changes for each image at each theta,
    uniform in its box; the curve is an estimate at each theta and need not fall. "grid": all points of a fixed grid
    inside the box, and the corners of the box of every theta. The gaps of the grid are those of
    `transformations.TRANSFORMATIONS`, divided by `finer` >= 1. Its curve never rises with theta, for one level per
    image holds it, nor with a multiple of `finer`, for that grid has the same points and more.

    A rate is an upper bound on that of the worst change of all, as good as its adversary. `accuracy`: the share of
    images that are right under all changes tried; for "grid" also as they are. An image is asked only as long as its
    answer can matter at some theta. Intervals are Clopper-Pearson over the images.

    Raises InputError for anything outside these ranges, for a grid of more than a million points, and for a model that
    returns NaN."""
    images = checked_images(images)
    change = transformation_named(transformation)
    grid = change.checked(thetas)
    check_settings(confidence=confidence, seed=seed, finer=finer)
    draws = _draws(adversary)
    points = None if draws else grid_points(change, grid, finer)
    asked, show = len(images), partial(change.apply, interpolation=interpolation, fill=fill)

    def ask(who: Array, parameters: Array) -> Array:
        nonlocal asked
        asked += len(who)
        answers: Array = predict(model, show(images[torch.from_numpy(who).to(images.device)], parameters)).cpu().numpy()
        return answers

    volumes, levels = change.volumes(grid), None
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        clean = predict(model, show(images, np.zeros((1, max(change.dimensions, 1))))).cpu().numpy()
        truth = None if labels is None else labels.cpu().numpy()
        if points is not None:
            levels = _walked(ask, clean, points)
            kept = levels[:, None] > np.arange(len(grid))
            correct = None if truth is None else kept & (clean == truth)[:, None]
        else:
            rng = np.random.default_rng(seed)
            kept, correct = _drawn(ask, clean, truth, change, volumes, draws, rng)
    bounds = partial(binomial_bounds, confidence=confidence)
    return WorstCaseProfile(
        **rates_per_image(kept, correct, clean, truth, volumes == 0, bounds, confidence=confidence, seed=seed),
        thetas=grid,
        evaluations=asked / len(images),
        levels=levels,
        transformation=transformation,
        adversary=adversary,
        finer=finer,
    )


@lru_cache
def most_evaluations(transformation: str, thetas: tuple[float, ...], adversary: str) -> float:
    """What `worst_case_profile` asks per image where no prediction moves; its mean, for random draws."""
    change = transformation_named(transformation)
    grid = change.checked(thetas)
    if not (draws := _draws(adversary)):
        return 1.0 + sum(map(len, grid_points(change, grid, 1)))
    volumes = change.volumes(grid)
    shares = [1 - before / after for before, after in pairwise([0.0, *volumes[volumes > 0]])]
    return 1.0 + (draws * sum(shares) if change.dimensions else len(shares))


def _draws(adversary: str) -> int:
    """The k of "worst-of-k"; 0 for "grid"."""
    if adversary == "grid":
        return 0
    found = re.fullmatch(r"worst-of-([1-9][0-9]{0,5})", str(adversary))
    if found is None:
        raise InputError(f"adversary = {adversary!r} is unknown: use 'grid', or 'worst-of-10' for ten random changes")
    return int(found[1])


def grid_points(change: Transformation, thetas: Array, finer: int) -> list[Array]:
    """The grid's points [P, d] that the box of each theta has more than the one before, the furthest out first."""
    reach = np.asarray(change.reach(thetas), dtype=float)
    if change.dimensions == 0:
        return [np.ones((int(size > 0), 1)) for size in reach]
    counts = [int(reach[-1] * finer / step * (1 + 1e-12)) for step in change.steps]  # to either side
    total = prod(2 * count + 1 for count in counts)
    if total > MOST_POINTS:
        raise InputError(
            f"the grid has {total:,} points, more than {MOST_POINTS:,}: use smaller thetas, finer = 1 or "
            "adversary = 'worst-of-100'"
        )
    axes = [np.arange(-n, n + 1) * step / finer for n, step in zip(counts, change.steps, strict=True)]
    sides = np.stack(np.meshgrid(*[[-1.0, 1.0]] * change.dimensions), -1).reshape(-1, change.dimensions)
    inner = np.stack(np.meshgrid(*axes), -1).reshape(-1, change.dimensions)
    points = np.unique(np.concatenate([inner, *(size * sides for size in reach)]), axis=0)
    sizes = np.abs(points).max(1)
    far_first = np.argsort(-sizes, kind="stable")
    level = np.searchsorted(reach, sizes)
    return [points[far_first[(level == i)[far_first] & (sizes > 0)[far_first]]] for i in range(len(reach))]


def _walked(ask: Ask, clean: Array, points: Sequence[Array]) -> Array:
    """The index [N] of the first of the lists of points that holds one that moves the image's prediction."""
    levels, survivors = np.full(len(clean), len(points)), np.arange(len(clean))
    for level, shell in enumerate(points):
        for point in shell:
            if not len(survivors):
                return levels
            stayed = ask(survivors, point[None]) == clean[survivors]
            levels[survivors[~stayed]] = level
            survivors = survivors[stayed]
    return levels


def _drawn(
    ask: Ask,
    clean: Array,
    truth: Array | None,
    change: Transformation,
    volumes: Array,
    draws: int,
    rng: np.random.Generator,
) -> tuple[Array, Array | None]:
    """Whether the prediction of each image stayed, and whether it was right, in all draws at each theta: bool [N, T].

    The draw of a theta that lies in the box of the next smaller one is its draw too: that is as uniform there, and only
    the others need a new one. An image is not asked about draws that belong to thetas where it has failed already."""
    n, certain = len(clean), int((volumes == 0).sum())
    kept = np.ones((n, len(volumes)), dtype=bool)
    correct = None if truth is None else kept & np.where(volumes > 0, True, (clean == truth)[:, None])
    for _ in range(draws if change.dimensions else 1):
        sizes = np.tile(volumes[:, None], n)
        places = sizes * rng.uniform(-1, 1, sizes.shape) if change.dimensions else sizes
        parameters, owner = change.parameters(places, rng), _owners(places, volumes)
        for theta in range(certain, len(volumes)):
            own = (owner == theta).T  # [N, T] where this draw counts
            pending = own & (kept if correct is None else kept | correct)
            who = pending.any(1).nonzero()[0]
            if not len(who):
                continue
            answers = ask(who, parameters[theta, who])[:, None]
            kept[who] &= ~own[who] | (answers == clean[who, None])
            if truth is not None and correct is not None:
                correct[who] &= ~own[who] | (answers == truth[who, None])
    return kept, correct


def _owners(places: Array, volumes: Array) -> Array:
    """Whose draw each theta uses, [T, N]: that of the next larger theta where it lies in the smaller box."""
    owner = np.tile(np.arange(len(volumes))[:, None], places.shape[1])
    columns = np.arange(places.shape[1])
    for theta in range(len(volumes) - 2, -1, -1):
        inside = np.abs(places[owner[theta + 1], columns]) <= volumes[theta]
        owner[theta] = np.where(inside, owner[theta + 1], theta)
    return owner
