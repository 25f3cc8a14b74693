"""Can this robustness profile be believed? Probes of the attack on a few of the images, and the verdict.

A gradient attack that fails says nothing when there was no gradient to follow (Carlini et al. 2019, arXiv 1902.06705).
Each probe is an attack of another kind in the largest ball that withstood the search; none of them should find much.
Faults of the model itself are named by `faults`."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from invrob.empirical.attacks.apgd import apgd
from invrob.empirical.attacks.faults import LOOKED_AT, Finding, findings
from invrob.empirical.attacks.norms import Norm
from invrob.empirical.attacks.pgd import pgd
from invrob.empirical.attacks.search import Search
from invrob.empirical.attacks.square import square
from invrob.empirical.inference import Model, predict

QUERIES = 100  # of the black-box attack, per probed image
TOLERATED = {  # the largest share of images that says nothing yet
    "zero_gradient": 0.05,
    "more_steps": 0.10,
    "black_box": 0.05,
    "unfooled_at_largest": 0.05,
    "changed_prediction": 0.02,
}


@dataclass(frozen=True)
class Sanity:
    """What the probes found, as shares in [0, 1] of the images they looked at."""

    probed: int  # images that the probes looked at
    zero_gradient: float  # of all images: withstood a level, and met an all-zero or NaN gradient on the way
    more_steps: float  # fooled by Auto-PGD from random starts, on either loss, where the search was withstood
    apgd_ce: float  # by that on the cross-entropy
    apgd_dlr: float | None  # by that on the difference of logits ratio; None with fewer than 3 classes, which it needs
    other_classes: float  # fooled by a step towards a less likely class; if any was, all images were attacked so
    black_box: float  # fooled by a black-box attack where the search was withstood
    unfooled_at_largest: float  # not fooled in the ball that holds every image
    changed_prediction: float  # predicted otherwise when asked a second time
    constant: bool  # one and the same class for every image, at every epsilon
    reasons: tuple[str, ...]  # why the rates cannot be believed, in words; empty when they can
    findings: tuple[Finding, ...] = ()  # faults of the model by name, also such as the attack sees through

    @property
    def verdict(self) -> str:
        """ "sound" or "masked"."""
        return "masked" if self.reasons else "sound"


def judge(
    search: Search,
    model: Model,
    norm: Norm,
    norm_name: str,
    who: Tensor,
    other_classes: float,
    steps: int,
    generator: torch.Generator,
) -> Sanity:
    """Probe the images `who` (indices) of a finished search; what the probes find is recorded in it.

    other_classes: what `aim_at_others` gained on them. Call it inside `evaluating(model)`."""
    clean, own = search.images[who], search.labels[who]
    changed = _share(predict(model, clean) != own)
    ever = search.withstood[who] >= 0
    withstood, radius = who[ever], search.epsilons[search.withstood[who[ever]]]
    losses = ("ce", "dlr") if search.outputs.shape[1] >= 3 else ("ce",)
    found = [
        _auto_pgd(search, model, norm, withstood, radius, loss, 2 * steps // len(losses), generator) for loss in losses
    ]
    either = torch.stack(found).any(0)
    black_box = _black_box(search, model, norm, withstood[~either], radius[~either], generator)
    largest = 1.0 if norm_name == "linf" else sqrt(clean[0].numel())
    attack = pgd(model, clean, largest, labels=own, norm=norm_name, steps=steps)
    search.evaluations += attack.evaluations
    unfooled = _share(~attack.fooled)
    shares = {
        "zero_gradient": _share(search.stuck & (search.withstood >= 0)),
        "more_steps": int(either.sum()) / len(who),
        "black_box": black_box / len(who),
        "unfooled_at_largest": unfooled,
        "changed_prediction": changed,
    }
    constant = unfooled == 1.0 and bool((search.labels == search.labels[0]).all())
    faults = findings(model, clean, constant)
    search.evaluations += min(len(clean), LOOKED_AT) + 1
    return Sanity(
        probed=len(who),
        other_classes=other_classes,
        apgd_ce=int(found[0].sum()) / len(who),
        apgd_dlr=int(found[1].sum()) / len(who) if len(found) > 1 else None,
        constant=constant,
        reasons=(*_worthless(faults, int(own[0])), *_reasons(shares, len(who))),
        findings=faults,
        **shares,
    )


def _auto_pgd(
    search: Search,
    model: Model,
    norm: Norm,
    who: Tensor,
    radius: Tensor,
    loss: str,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Which of the images `who` fall to Auto-PGD in the balls of `radius`, bool [len(who)]; they are recorded."""
    if not len(who):
        return torch.zeros_like(who, dtype=torch.bool)
    attack = apgd(
        model, search.images[who], search.labels[who], radius, norm, loss=loss, steps=steps, generator=generator
    )
    search.evaluations += attack.evaluations
    search.record(who[attack.fooled], attack.images[attack.fooled], norm)
    return attack.fooled


def _black_box(
    search: Search, model: Model, norm: Norm, who: Tensor, radius: Tensor, generator: torch.Generator
) -> int:
    """How many of the images `who` fall to random search in the balls of `radius`; they are recorded."""
    if not len(who):
        return 0
    images, labels = search.images[who], search.labels[who]
    x, hit = square(model, images, labels, radius, norm, queries=QUERIES, generator=generator)
    search.record(who[hit], x[hit], norm)
    return int(hit.sum())


def _worthless(faults: tuple[Finding, ...], label: int) -> tuple[str, ...]:
    constant = f"class {label} for every image at every epsilon: rates of 100 % of a constant classifier are worthless"
    return tuple(constant if f.name == "constant classifier" else f"{f.name}: {f.text}" for f in faults if f.worthless)


def _share(which: Tensor) -> float:
    return which.double().mean().item()


def _reasons(shares: dict[str, float], probed: int) -> tuple[str, ...]:
    by_chance = dict.fromkeys(("more_steps", "black_box"), 1 / probed)  # any search misses a single image
    return tuple(
        _reason(name, share) for name, share in shares.items() if share > max(TOLERATED[name], by_chance.get(name, 0.0))
    )


def _reason(name: str, share: float) -> str:
    return {
        "zero_gradient": f"the gradient was zero for {share:.0%} of the images, so the attack could not move",
        "more_steps": f"Auto-PGD fooled {share:.0%} more of the probed images: raise steps or restarts",
        "black_box": f"an attack without gradients fooled {share:.0%} more of the probed images: the gradients mislead",
        "unfooled_at_largest": f"{share:.0%} of the probed images were not fooled where every image is allowed",
        "changed_prediction": f"{share:.0%} of the predictions changed when asked again: the model is random",
    }[name]
