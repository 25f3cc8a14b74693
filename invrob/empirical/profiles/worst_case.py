"""The worst of several changes of each image: what an adversary without gradients finds.

The two adversaries of Engstrom, Tran, Tsipras, Schmidt and Madry 2019 (arXiv 1712.02779): a grid, and the worst of k
random changes. An image is asked about only as long as its answer can matter at some theta."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import prod

import numpy as np

from invrob.checks import Array
from invrob.empirical.profiles.rates import RatesOverTheta, rates_per_image
from invrob.empirical.profiles.settings import Grid, WorstOf
from invrob.empirical.transforms import Transformation
from invrob.errors import InputError
from invrob.records import Levels

MOST_POINTS = 1_000_000  # of a grid: more than a model can be asked in days

Ask = Callable[[Array, Array], Array]  # indices of images [n], parameters [n or 1, d] -> predicted classes [n]


@dataclass(frozen=True, eq=False, repr=False)
class WorstCaseProfile(RatesOverTheta):
    """The share of predictions that stay under all changes that an adversary tries.

    It is an upper bound on the share that stays under the worst change of all, as good as the adversary."""

    evaluations: float  # model evaluations per image
    levels: Levels | None  # of a grid: int64 [N], the index of the smallest theta that moved the image; T for none
    transformation: str
    adversary: str
    finer: int

    @property
    def about(self) -> str:
        return f"{self.transformation}, {self.adversary}"

    def remarks(self) -> tuple[str, ...]:
        return ("Upper bounds on what stays under the worst change of all, as good as the adversary.",)


def in_the_worst_case(
    ask: Ask,
    n: int,
    truth: Array | None,
    family: Transformation,
    thetas: Array,
    adversary: WorstOf | Grid,
    seed: int,
    confidence: float,
) -> WorstCaseProfile:
    """The profile of n >= 1 images with the classes `truth` [n], as `invariance_profile` says.

    With random changes, `accuracy` is the share that is right under all of them; with a grid also as they are."""
    asked: list[int] = []

    def counted(rows: Array, parameters: Array) -> Array:
        asked.append(len(rows))
        return ask(rows, parameters)

    levels, correct, volumes = None, None, family.volumes(thetas)
    shells = grid_points(family, thetas, adversary.finer) if isinstance(adversary, Grid) else []
    clean = counted(np.arange(n), np.zeros((1, max(family.dimensions, 1))))
    if isinstance(adversary, Grid):
        levels = _first_shell_that_moves(counted, clean, shells)
        kept = levels[:, None] > np.arange(len(thetas))
    else:
        rng = np.random.default_rng(seed)
        kept, correct = kept_in_all_draws(counted, clean, truth, family, volumes, adversary.draws, rng)
    return WorstCaseProfile(
        **rates_per_image(kept, clean, truth, volumes == 0, confidence=confidence, seed=seed, correct=correct),
        thetas=thetas,
        evaluations=sum(asked) / n,
        levels=levels,
        transformation=family.name,
        adversary=adversary.name,
        finer=adversary.finer if isinstance(adversary, Grid) else 1,
    )


@lru_cache
def most_evaluations(family: Transformation, thetas: tuple[float, ...], adversary: WorstOf | Grid) -> float:
    """How often an adversary asks about an image that never moves, on average where it draws at random.

    Raises InputError for thetas that the family does not have, and for a grid of more than a million points."""
    values = family.checked(thetas)
    if isinstance(adversary, Grid):
        return 1.0 + sum(map(len, grid_points(family, values, adversary.finer)))
    volumes = family.volumes(values)
    new_draws = [1 - smaller / larger for smaller, larger in pairwise([0.0, *volumes[volumes > 0]])]
    return 1.0 + (adversary.draws * sum(new_draws) if family.dimensions else len(new_draws))


def grid_points(family: Transformation, thetas: Array, finer: int) -> list[Array]:
    """For each theta its shell: the points [P, d] of the grid in its box and not in that of the theta before, the
    furthest first. The grid has the gaps of `family.steps` / `finer`, and the corners of every box."""
    reach = np.asarray(family.reach(thetas), dtype=float)
    if family.dimensions == 0:
        return [np.ones((int(size > 0), 1)) for size in reach]
    counts = [int(reach[-1] * finer / step * (1 + 1e-12)) for step in family.steps]  # to either side
    total = prod(2 * count + 1 for count in counts)
    if total > MOST_POINTS:
        raise InputError(
            f"the grid has {total:,} points, more than {MOST_POINTS:,}: use smaller thetas, a "
            "coarser grid, or worst-of-100 in its place"
        )
    axes = [np.arange(-count, count + 1) * step / finer for count, step in zip(counts, family.steps, strict=True)]
    corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * family.dimensions), -1).reshape(-1, family.dimensions)
    inner = np.stack(np.meshgrid(*axes), -1).reshape(-1, family.dimensions)
    points = np.unique(np.concatenate([inner, *(size * corners for size in reach)]), axis=0)
    points = points[np.argsort(-np.abs(points).max(1), kind="stable")]
    sizes = np.abs(points).max(1)
    shell = np.searchsorted(reach, sizes)
    return [points[(shell == index) & (sizes > 0)] for index in range(len(reach))]


def _first_shell_that_moves(ask: Ask, clean: Array, shells: Sequence[Array]) -> Array:
    """For each image the index [N] of the first shell with a point that moves its prediction; their number for none."""
    first, unmoved = np.full(len(clean), len(shells)), np.arange(len(clean))
    for index, shell in enumerate(shells):
        for point in shell:
            if not len(unmoved):
                return first
            stays = ask(unmoved, point[None]) == clean[unmoved]
            first[unmoved[~stays]] = index
            unmoved = unmoved[stays]
    return first


def kept_in_all_draws(
    ask: Ask,
    clean: Array,
    truth: Array | None,
    family: Transformation,
    volumes: Array,
    draws: int,
    rng: np.random.Generator,
) -> tuple[Array, Array | None]:
    """Whether the prediction stays, and is right, in all draws at each theta: bool [N, T], and [N, T] or None.

    A theta needs `draws` uniform draws from its box. A draw for a larger theta that lies in the smaller box is uniform
    there as well: it serves both, so that nothing new is asked. Nor is an image asked about where all is lost."""
    wanted = np.stack([clean] if truth is None else [clean, truth], 1)  # [N, K] classes
    holds = (wanted == clean[:, None])[..., None] | (volumes > 0)  # [N, K, T] whether all answers were the wanted class
    for _ in range(draws if family.dimensions else 1):
        radii = np.tile(volumes[:, None], len(clean))
        if family.dimensions:
            radii = radii * rng.uniform(-1, 1, radii.shape)
        parameters, source = family.parameters(radii, rng), draw_sources(radii, volumes)
        for theta in volumes.nonzero()[0]:
            serves = (source == theta).T  # [N, T] the thetas that this draw counts for
            rows = (serves & holds.any(1)).any(1).nonzero()[0]
            if len(rows):
                as_wanted = ask(rows, parameters[theta, rows])[:, None] == wanted[rows]
                holds[rows] &= as_wanted[..., None] | ~serves[rows, None]
    return holds[:, 0], None if truth is None else holds[:, 1]


def draw_sources(radii: Array, volumes: Array) -> Array:
    """The index [T, N] of the theta whose draw serves a theta: that which serves the next larger theta, if it lies in
    the smaller box.

    radii: signed, [T, N], uniform in the box of each theta; volumes: of these boxes, [T], increasing."""
    source = np.tile(np.arange(len(volumes))[:, None], radii.shape[1])
    columns = np.arange(radii.shape[1])
    for theta in range(len(volumes) - 2, -1, -1):
        inside = np.abs(radii[source[theta + 1], columns]) <= volumes[theta]
        source[theta] = np.where(inside, source[theta + 1], theta)
    return source
