"""Can this robustness profile be believed? Probes of the attack on a few of the images, and the verdict.

A gradient attack that fails says nothing when there was no gradient to follow (Carlini et al. 2019, arXiv 1902.06705).
Each probe is an attack of another kind in the largest ball that withstood the search; none of them should find much."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from invrob.empirical.attacks import attack_batch, pgd
from invrob.empirical.inference import Model, predict
from invrob.empirical.norms import Norm
from invrob.empirical.search import Search
from invrob.empirical.square import square

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
    more_steps: float  # fooled by twice the steps from a random start where the search was withstood
    other_classes: float  # fooled by a step towards a less likely class; if any was, all images were attacked so
    black_box: float  # fooled by a black-box attack where the search was withstood
    unfooled_at_largest: float  # not fooled in the ball that holds every image
    changed_prediction: float  # predicted otherwise when asked a second time
    constant: bool  # one and the same class for every image, at every epsilon
    reasons: tuple[str, ...]  # why the rates cannot be believed, in words; empty when they can

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
    withstood = who[search.withstood[who] >= 0]
    black_box = more_steps = 0.0
    if len(withstood):
        more_steps = _more_steps(search, model, norm, withstood, 2 * steps, generator) / len(who)
        x, hit = square(
            model,
            search.images[withstood],
            search.labels[withstood],
            search.epsilons[search.withstood[withstood].clamp(min=0)],
            norm,
            queries=QUERIES,
            generator=generator,
        )
        hit &= search.withstood[withstood] >= 0  # the other probe did not find it already
        search.record(withstood[hit], x[hit], norm)
        black_box = int(hit.sum()) / len(who)
    largest = 1.0 if norm_name == "linf" else sqrt(clean[0].numel())
    attack = pgd(model, clean, largest, labels=own, norm=norm_name, steps=steps)
    search.evaluations += attack.evaluations
    unfooled = _share(~attack.fooled)
    shares = {
        "zero_gradient": _share(search.stuck & (search.withstood >= 0)),
        "more_steps": more_steps,
        "black_box": black_box,
        "unfooled_at_largest": unfooled,
        "changed_prediction": changed,
    }
    constant = unfooled == 1.0 and bool((search.labels == search.labels[0]).all())
    reasons = _reasons(shares, len(who))
    if constant:
        reasons = (
            f"class {int(search.labels[0])} for every image at every epsilon: rates of 100 % of a constant classifier "
            "are worthless",
            *reasons,
        )
    return Sanity(probed=len(who), other_classes=other_classes, constant=constant, reasons=reasons, **shares)


def _more_steps(search: Search, model: Model, norm: Norm, who: Tensor, steps: int, generator: torch.Generator) -> int:
    """How many of the images `who` fall to a longer attack from a random start where they withstood; they are
    recorded."""
    radius = search.epsilons[search.withstood[who]]
    attack = attack_batch(model, search.images[who], search.labels[who], radius, norm, steps=steps, generator=generator)
    search.evaluations += attack.evaluations
    search.record(who[attack.fooled], attack.images[attack.fooled], norm)
    return int(attack.fooled.sum())


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
        "more_steps": f"twice the steps fooled {share:.0%} more of the probed images: raise steps or restarts",
        "black_box": f"an attack without gradients fooled {share:.0%} more of the probed images: the gradients mislead",
        "unfooled_at_largest": f"{share:.0%} of the probed images were not fooled where every image is allowed",
        "changed_prediction": f"{share:.0%} of the predictions changed when asked again: the model is random",
    }[name]
