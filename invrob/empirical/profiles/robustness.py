"""The robustness over epsilon, for any model: 1 - fooling rate.

Definition: Kamath, Deshpande and Subrahmanyam 2020, sections 1.1 and 2. The prediction is compared with the model's own
prediction on the clean image, so a constant classifier has 100 %: the accuracy stands beside each rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from invrob.checks import check_settings, checked_grid
from invrob.empirical.attacks import Sanity, norm_named
from invrob.empirical.attacks import search as searching
from invrob.empirical.inference import Model, checked_images, checked_labels, evaluating
from invrob.empirical.profiles.black_box import BlackBoxProfile, search_by_queries
from invrob.empirical.profiles.by_gradients import Searched, search_by_gradients
from invrob.empirical.profiles.rates import NORM_NAMES, RatesOverEpsilon, rates_per_image
from invrob.empirical.profiles.settings import PGD, Attack, Audit, Auto, Square, Weak, attack_of, audit_of
from invrob.empirical.profiles.weak import WeakProfile, attack_weakly
from invrob.empirical.profiles.work import counting, work_of_attack
from invrob.progress import Progress
from invrob.records import Levels, Numbers


@dataclass(frozen=True, eq=False, repr=False)
class RobustnessProfile(RatesOverEpsilon):
    """The share of predictions that an attack by gradients could not change, for each size epsilon: 1 - fooling rate.

    Example:
        >>> import invrob
        >>> profile = invrob.robustness_profile(lambda x: x.flatten(1), torch.eye(2).reshape(2, 1, 1, 2), [0, 0.4, 0.6])
        >>> profile.rate_at(0.6).estimate, RobustnessProfile.from_dict(profile.to_dict()) == profile
        (0.0, True)
    """

    gradient_evaluations: float  # per image, those of the audit and of the judge included
    levels: Levels  # [N] int64, the index of the smallest epsilon that fooled the image; T where none did
    norm: str
    steps: int
    restarts: int  # of each level in the search, before the further attacks of `Auto`
    sanity: Sanity
    gap: Numbers | None  # [T] by how much the rate is too high: the estimated share that the audit would fool as well
    gap_high: Numbers | None  # [T] an upper bound of that share, at level `confidence`
    floor: Numbers | None  # [T] no attack of the audit's strength brings the population's rate below it, at that level
    missed: Levels | None  # [T] audited images that withstood the search and not the audit
    audited: int  # images that the audit looked at; 0 without an audit, where all of these are None
    strength: str  # the attack of the audit, in words
    shortfall: str  # why the verdict is "weak", and the way out; empty where it is not
    right: Levels | None = None  # [N] 1 where the clean prediction is the true class; None without labels or before 0.8

    @property
    def verdict(self) -> str:
        """'masked' where the model defeats gradients or its rates are worthless; else what the audit says.

        'sound' where the gap is at most 2 points at every epsilon, or a single image; 'weak' where it is more;
        'unaudited' without an audit."""
        if self.sanity.verdict == "masked":
            return "masked"
        if not self.audited:
            return "unaudited"
        return "weak" if self.shortfall else "sound"

    @property
    def about(self) -> str:
        return f"{NORM_NAMES.get(self.norm, self.norm)}, {self.steps} steps"

    def remarks(self) -> tuple[str, ...]:
        masked = (f"masked, not to be believed: {reason}" for reason in self.sanity.reasons)
        weak = [f"weak: {self.shortfall}"] if self.verdict == "weak" else []
        harmless = (f"{fault.name}: {fault.text}" for fault in self.sanity.findings if not fault.worthless)
        audited = f"floor: no attack of the audit's strength ({self.audited} images) goes below it."
        return (*masked, *weak, *harmless, *([audited] if self.audited and self.verdict != "masked" else []))

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "verdict": self.verdict}


@overload
def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: Auto | PGD | Literal["auto", "pgd"] = "auto",
    seed: int = 0,
    confidence: float = 0.95,
    audit: Audit = "auto",
    progress: Progress = False,
) -> RobustnessProfile: ...


@overload
def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: Square,
    seed: int = 0,
    confidence: float = 0.95,
    audit: Audit = "auto",
    progress: Progress = False,
) -> BlackBoxProfile: ...


@overload
def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: Attack,
    seed: int = 0,
    confidence: float = 0.95,
    audit: Audit = "auto",
    progress: Progress = False,
) -> RobustnessProfile | BlackBoxProfile | WeakProfile: ...


def robustness_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: Attack = "auto",
    seed: int = 0,
    confidence: float = 0.95,
    audit: Audit = "auto",
    progress: Progress = False,
) -> RobustnessProfile | BlackBoxProfile | WeakProfile:
    """How often the prediction of a model survives an attack, for all sizes epsilon at about the price of one.

    A search finds for each image the smallest epsilon of the grid that fools it. An audit then attacks a few images,
    chosen by chance, with much more: it says by how much the rates are too high (see docs/profiles.md). The rates are
    those of search and audit, and never rise with epsilon.

    Args:
        model: any callable, images [N, C, H, W] in [0, 1] -> logits [N, K >= 2]. An nn.Module runs in eval mode with
            frozen parameters, and gets both back.
        images: float32 or float64 [N >= 1, C, H, W] in [0, 1].
        epsilons: increasing sizes of the perturbation, >= 0, in pixel units; at most 1 in "linf".
        labels: int [N], the true classes, for the accuracy under attack. The attack itself changes predictions.
        norm: "linf" or "l2", of the perturbation.
        attack: `Auto(steps, limit)`, by gradients, with as much effort as the network needs. `PGD(steps, restarts)` for
            a fixed effort. `Square(queries)` for a model without gradients. `Weak(name)` for an attack that flatters,
            in "linf" alone. Or the name "auto", "pgd", "square" or "weak" for its defaults.
        seed: of random starts and of the choice of the audited images, in [0, 2^63).
        confidence: level of the intervals, in (0, 1). They are Clopper-Pearson's, over the images. Of `gap_high` and
            `floor` as well.
        audit: how many images are audited: a number, 0 for none, or "auto" for an audit that costs about what the
            search does, of 32 to 256 images. An attack without gradients has no audit.
        progress: True for a bar with the time left, of tqdm, a widget in a notebook; or a callable that is called in
            its place with what is at work, the work done and all the work. The numbers are the same.

    Returns:
        A `RobustnessProfile`, a `BlackBoxProfile` for `Square`, a `WeakProfile` for `Weak`: rates [T] in [0, 1], with
        intervals, the accuracy, a row for each class, and the verdict on the attack. A rate is an upper bound: `gap`
        and `gap_high` say how much too high it may be, and `floor` what is left of it. For a linear model the rate is
        exact in "linf".

    Raises:
        InputError: outside these ranges, and for a model that returns NaN or takes channels last, [N, H, W, C].

    Example:
        >>> import torch, invrob
        >>> images = torch.tensor([[0.2, 0.8], [0.45, 0.55]]).reshape(2, 1, 1, 2)  # the margins are 0.6 and 0.1
        >>> profile = invrob.robustness_profile(lambda x: x.flatten(1), images, epsilons=[0, 0.1, 0.4])
        >>> profile.rate.tolist(), profile.levels.tolist(), profile.verdict
        ([1.0, 0.5, 0.0], [2, 1], 'sound')
        >>> invrob.robustness_profile(lambda x: x.flatten(1), images, [0, 0.4], attack=invrob.Square(50)).verdict
        'black-box'
    """
    images = checked_images(images)
    chosen, measure, audited = attack_of(attack), norm_named(norm), audit_of(audit)
    grid = checked_grid("epsilons", epsilons, measure.largest, "pixels are in [0, 1], so write 8 / 255, not 8")
    check_settings(confidence=confidence, seed=seed)
    generator = torch.Generator(images.device).manual_seed(int(seed))
    work = {"robustness": work_of_attack(chosen, len(grid))}
    with counting(model, progress, work, len(images)) as (model, begins), evaluating(model):
        begins("robustness")
        labels = checked_labels(labels, images, model)
        truth = None if labels is None else labels.cpu().numpy()
        rates = partial(rates_per_image, labels=truth, identity=grid == 0, confidence=confidence, seed=seed)
        if isinstance(chosen, Weak):
            kept, predictions = attack_weakly(model, images, grid, chosen, measure, generator)
            return WeakProfile(**rates(kept, predictions), epsilons=grid, attack=chosen.name)
        positive = torch.tensor(grid[grid > 0], dtype=torch.float64, device=images.device)
        search = searching.begin(model, images, positive, measure)
        if isinstance(chosen, Square):
            caution = search_by_queries(search, chosen.queries, generator)
        else:
            searched = search_by_gradients(search, chosen, audited, grid == 0, confidence, generator)
    levels = search.fooled.cpu().numpy() + (len(grid) - len(positive))  # epsilon 0 is the identity: it fools nobody
    kept = levels[:, None] > np.arange(len(grid))
    fields = {**rates(kept, search.labels.cpu().numpy()), "epsilons": grid, "levels": levels, "norm": norm}
    per_image = search.evaluations / len(images)
    if isinstance(chosen, Square):
        return BlackBoxProfile(**fields, queries=chosen.queries, queries_per_image=per_image, sanity=caution)
    right = None if truth is None else (search.labels.cpu().numpy() == truth).astype(np.int64)
    fields |= {"steps": chosen.steps, "restarts": chosen.restarts, "right": right}
    return RobustnessProfile(**fields, gradient_evaluations=per_image, **_audited(searched, fields))


def _audited(searched: Searched, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of `RobustnessProfile` that tell of the audit and of the model. Of a model that defeats gradients an
    audit by gradients bounds nothing: there all that withstood may be missed."""
    sanity, gaps = searched.sanity, searched.gaps
    names = {"sanity": sanity, "audited": searched.audited, "strength": searched.strength}
    if gaps is None:
        return {**names, **dict.fromkeys(("gap", "gap_high", "floor", "missed")), "shortfall": ""}
    identity, blind = fields["epsilons"] == 0, sanity.verdict == "masked"
    gap_high = np.where(identity, 0.0, fields["rate"]) if blind else np.minimum(gaps.gap_high, fields["rate"])
    floor = np.where(identity, 1.0, 0.0) if blind else np.minimum(gaps.floor, fields["low"])
    bounds = {"gap": np.minimum(gaps.gap, gap_high), "gap_high": gap_high, "floor": floor, "missed": gaps.missed}
    return {**names, **bounds, "shortfall": "" if blind else searched.shortfall}


def black_box_profile(
    model: Model,
    images: Tensor,
    epsilons: Iterable[float],
    labels: Tensor | None = None,
    *,
    norm: str = "linf",
    attack: Square = Square(),
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = False,
) -> BlackBoxProfile:
    """How often the prediction of a model survives a search by queries, for a model that gives no gradients.

    It is `robustness_profile` with `attack=Square()`, under a name of its own.

    Args:
        model, images, epsilons, labels, norm, seed, confidence, progress: as for `robustness_profile`.
        attack: `Square(queries)`.

    Returns:
        A `BlackBoxProfile`: upper bounds that are looser than those of gradients.

    Raises:
        InputError: as `robustness_profile`.

    Example:
        >>> import torch, invrob
        >>> image = torch.tensor([0.2, 0.8]).reshape(1, 1, 1, 2)
        >>> invrob.black_box_profile(lambda x: x.flatten(1), image, [0, 0.1, 0.9], attack=invrob.Square(50)).rate
        array([1., 1., 0.])
    """
    return robustness_profile(
        model,
        images,
        epsilons,
        labels,
        norm=norm,
        attack=attack,
        seed=seed,
        confidence=confidence,
        progress=progress,
    )
