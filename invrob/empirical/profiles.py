"""The two curves that this project is about, for any model: rate of invariance over theta, robustness over epsilon.

Definitions: Kamath, Deshpande and Subrahmanyam 2020, sections 1.1 and 2. Both rates compare predictions with the
model's own prediction on the clean image, so a constant classifier has 100 % of both: the accuracy stands beside each
rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invrob.empirical import search as searching
from invrob.empirical.inference import Model, batches, checked_images, checked_labels, evaluating, predict
from invrob.empirical.norms import norm_named
from invrob.empirical.rates import Array, Rates, check_settings, checked_grid, rates_per_image
from invrob.empirical.sanity import Sanity, judge
from invrob.empirical.transforms import Interpolation, rotate
from invrob.errors import InputError
from invrob.intervals import bootstrap_bounds, share_bounds

GROUPS = 8  # of images; each draws its own angle in every stratum, so that together they fill it evenly


@dataclass(frozen=True, eq=False)
class InvarianceProfile(Rates):
    """The rate of invariance: the share of predictions that stay under a rotation by an angle uniform in [-theta,
    theta]."""

    thetas: Array  # [T] degrees, increasing
    evaluations: float  # model evaluations per image


@dataclass(frozen=True, eq=False)
class RobustnessProfile(Rates):
    """1 - fooling rate: the share of predictions that no perturbation of size at most epsilon was found to change."""

    epsilons: Array  # [T] in pixel units, increasing
    gradient_evaluations: float  # per image, those of the sanity probes included
    levels: Array  # [N] int64, the index of the smallest epsilon that fooled the image; T where none did
    norm: str
    steps: int
    restarts: int
    sanity: Sanity

    @property
    def verdict(self) -> str:
        """'sound' when the attack can be believed, 'masked' when a sanity probe says that it cannot."""
        return self.sanity.verdict

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "verdict": self.verdict}


def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    norm: str = "linf",
    steps: int = 20,
    restarts: int = 1,
    seed: int = 0,
    *,
    probes: int = 32,
    confidence: float = 0.95,
) -> RobustnessProfile:
    """The share of predictions that survive an attack of size epsilon, for all epsilons at about the price of one.

    model: images [N, C, H, W] in [0, 1] -> logits [N, K >= 2]; an nn.Module runs in eval mode with frozen parameters
    and gets both back. images: float32 or float64 [N, C, H, W] in [0, 1]. epsilons: increasing, >= 0, in pixel units
    (<= 1 for "linf"). labels: int [N], the true classes, for the accuracy under attack; the attack itself changes
    predictions. norm: "linf" or "l2". steps, restarts: of a full attack. probes: how many images the checks of the
    attack look at.

    The rates never rise with epsilon: one level per image holds them all. Intervals are Clopper-Pearson over the
    images. Raises InputError for anything outside these ranges, and for a model that returns NaN."""
    images = checked_images(images)
    grid = checked_grid("epsilons", epsilons, norm_named(norm).largest, "pixels are in [0, 1], so write 8 / 255, not 8")
    check_settings(confidence=confidence, seed=seed, steps=steps, restarts=restarts, probes=probes)
    positive = torch.tensor(grid[grid > 0], dtype=torch.float64, device=images.device)
    generator = torch.Generator(images.device).manual_seed(int(seed))
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        search = searching.begin(images, predict(model, images), positive)
        sanity = _searched(search, model, norm, steps, restarts, probes, generator)
    levels = search.fooled.cpu().numpy() + (len(grid) - len(positive))  # epsilon 0 is the identity: it fools nobody
    kept = levels[:, None] > np.arange(len(grid))
    predictions, truth = search.labels.cpu().numpy(), None if labels is None else labels.cpu().numpy()
    correct = None if truth is None else kept & (predictions == truth)[:, None]
    bounds = partial(_binomial, confidence=confidence)
    return RobustnessProfile(
        **rates_per_image(kept, correct, predictions, truth, grid == 0, bounds, confidence=confidence, seed=seed),
        epsilons=grid,
        gradient_evaluations=search.evaluations / len(images),
        levels=levels,
        norm=norm,
        steps=steps,
        restarts=restarts,
        sanity=sanity,
    )


def _binomial(values: Array, confidence: float) -> tuple[Array, Array]:
    return share_bounds(values.mean(0), len(values), confidence)


def _searched(
    search: searching.Search,
    model: Model,
    name: str,
    steps: int,
    restarts: int,
    probes: int,
    generator: torch.Generator,
) -> Sanity:
    """Search every image, probe some; what works on those is then done to all, so that the probes mend what they
    find."""
    norm, device, n = norm_named(name), search.images.device, len(search.images)
    batch = next(batches(n, device)).stop

    def run() -> None:
        searching.run(search, model, norm, steps=steps, restarts=restarts, generator=generator, batch=batch)

    def aim(who: Tensor) -> int:
        """Aim at the other classes until that fools nobody any more; how many images it ever fooled."""
        ever = torch.zeros(n, dtype=torch.bool, device=device)
        for part in torch.split(who, batch):
            while len(part := searching.aim_at_others(search, model, norm, part)):
                ever[part] = True
                run()
        return int(ever.sum())

    run()
    aim(searching.promising(search, model, norm))
    shuffler = torch.Generator("cpu").manual_seed(generator.initial_seed())  # the same images on every device
    chosen = torch.randperm(n, generator=shuffler, device="cpu")[:probes].to(device)
    gained = aim(chosen)
    if gained:
        aim(torch.ones(n, device=device).index_fill(0, chosen, 0).nonzero()[:, 0])
    sanity = judge(search, model, norm, name, chosen, gained / len(chosen), steps, generator)
    run()  # what the probes fooled may fall at a smaller level, too
    return sanity


def invariance_profile(
    model: Model,
    images: Tensor,
    thetas: Iterable[float],
    labels: Tensor | None = None,
    seed: int = 0,
    *,
    step: float = 7.5,
    interpolation: Interpolation = "bilinear",
    fill: float = 0.0,
    confidence: float = 0.95,
) -> InvarianceProfile:
    """The share of predictions that stay under a random rotation, averaged over angles uniform in [-theta, theta].

    model, images, labels: as for `robustness_profile`. thetas: degrees in [0, 180], increasing. step: the widest
    stratum of angles, in degrees; each stratum between two thetas gets one angle per image, drawn uniformly, so that
    one sweep serves all thetas and the estimate has no bias. interpolation, fill: of `transforms.rotate`.

    Intervals are a bootstrap over the images. Raises InputError for anything outside these ranges, and for a model that
    returns NaN."""
    images = checked_images(images)
    grid = checked_grid("thetas", thetas, 180.0, "degrees to either side, so 180 is every rotation")
    check_settings(confidence=confidence, seed=seed)
    if not 0 < step <= 180:
        raise InputError(f"step = {step} is outside (0, 180] degrees: 7.5 is the default, smaller is finer")
    rng = np.random.default_rng(seed)
    strata = _strata(grid, step)
    with evaluating(model):
        labels = checked_labels(labels, images, model)
        clean = predict(model, images).cpu().numpy()
        turned = _turned_predictions(model, images, _angles(strata, rng), interpolation, fill)
    widths = np.diff(strata, axis=1) * (np.abs(strata).max(1, keepdims=True) <= grid)  # a stratum is inside or outside
    weights = widths / np.maximum(widths.sum(0), 1e-300)  # [M, T]; columns sum to 1, to 0 for theta = 0

    def average(hits: Array, unturned: Array) -> Array:
        # Rounded, so that an image that always stays has 1: of 1 - 1e-16 its interval would say that it can vary.
        shares = np.round(np.einsum("nm,mt->nt", hits.astype(float), weights), 12)
        return np.where(grid > 0, shares, unturned[:, None].astype(float))

    truth = None if labels is None else labels.cpu().numpy()
    kept = average(turned == clean[:, None], np.ones(len(clean)))
    correct = None if truth is None else average(turned == truth[:, None], clean == truth)
    bounds = partial(bootstrap_bounds, rng=rng, confidence=confidence)
    return InvarianceProfile(
        **rates_per_image(kept, correct, clean, truth, grid == 0, bounds, confidence=confidence, seed=seed),
        thetas=grid,
        evaluations=1.0 + len(strata),
    )


def _strata(thetas: Array, step: float) -> Array:
    """Intervals of angles [M, 2] that tile [-max, max], with an edge at every theta and -theta, none wider than
    `step`."""
    edges = [0.0]
    for theta in thetas[thetas > 0]:
        parts = max(1, int(np.ceil((theta - edges[-1]) / step - 1e-9)))
        edges.extend([*np.linspace(edges[-1], theta, parts + 1)[1:-1], theta])
    right = np.column_stack([edges[:-1], edges[1:]])
    return np.concatenate([-right[::-1, ::-1], right])


def _angles(strata: Array, rng: np.random.Generator) -> Array:
    """One angle per stratum and group of images, [M, GROUPS]: the groups share out the stratum in random order."""
    order = np.argsort(rng.random((len(strata), GROUPS)), axis=1)
    where = (order + rng.random((len(strata), GROUPS))) / GROUPS
    angles: Array = strata[:, :1] + where * np.diff(strata, axis=1)
    return angles


def _turned_predictions(
    model: Model, images: Tensor, angles: Array, interpolation: Interpolation, fill: float
) -> Array:
    """The predictions [N, M] after rotation by each image's angle in each of M strata; image i is in group i mod
    GROUPS."""
    turned = torch.empty((len(images), len(angles)), dtype=torch.int64, device="cpu")
    for group in range(min(GROUPS, len(images))):
        members = images[group::GROUPS]
        for column, angle in enumerate(angles[:, group]):  # one angle for all: the same taps serve every image
            rotated = rotate(members, float(angle), interpolation=interpolation, fill=fill)
            turned[group::GROUPS, column] = predict(model, rotated).cpu()
    return turned.numpy()
