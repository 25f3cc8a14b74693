"""The rate of invariance over theta, for any model: how often its prediction stays when the image turns.

Definition: Kamath, Deshpande and Subrahmanyam 2020, sections 1.1 and 2. The prediction is compared with the model's own
prediction on the clean image, so a constant classifier has 100 %: the accuracy stands beside each rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from invrob.empirical.inference import Model, checked_images, checked_labels, evaluating, predict
from invrob.empirical.rates import Array, Rates, check_settings, checked_grid, rates_per_image
from invrob.empirical.transforms import Interpolation, rotate
from invrob.errors import InputError
from invrob.intervals import bootstrap_bounds

GROUPS = 8  # of images; each draws its own angle in every stratum, so that together they fill it evenly


@dataclass(frozen=True, eq=False)
class InvarianceProfile(Rates):
    """The rate of invariance: the share of predictions that stay under a rotation by an angle uniform in [-theta,
    theta]."""

    thetas: Array  # [T] degrees, increasing
    evaluations: float  # model evaluations per image


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
