"""Can this robustness profile be believed? Probes of the attack on a few of the images, and the verdict.

A gradient attack that fails says nothing when there was no gradient to follow (Carlini et al. 2019, arXiv 1902.06705).
Each probe is an attack of another kind in the largest ball that withstood the search; none of them should gain much.
Faults of the model itself are named by `faults`."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from invrob.empirical.attacks.apgd import apgd
from invrob.empirical.attacks.faults import CONSTANT, LOOKED_AT, Finding, findings
from invrob.empirical.attacks.pgd import pgd
from invrob.empirical.attacks.search import Search
from invrob.empirical.attacks.square import square
from invrob.empirical.inference import predict

QUERIES = 100  # of the black-box attack, per probed image
TOLERATED = {  # the largest share of images that says nothing yet, and what it means beyond
    "zero_gradient": (0.05, "the gradient was zero for {:.0%} of the images, so the attack could not move"),
    "more_steps": (0.10, "Auto-PGD fooled {:.0%} more of the probed images: raise steps or restarts"),
    "black_box": (0.05, "an attack without gradients fooled {:.0%} more of the probed images: the gradients mislead"),
    "unfooled_at_largest": (0.05, "{:.0%} of the probed images were not fooled where every image is allowed"),
    "changed_prediction": (0.02, "{:.0%} of the predictions changed when asked again: the model is random"),
}


@dataclass(frozen=True)
class Sanity:
    """What the probes of an attack came to, as shares in [0, 1] of the images they looked at.

    Example:
        >>> import invrob, torch
        >>> profile = invrob.robustness_profile(lambda x: x.flatten(1), torch.eye(2).reshape(2, 1, 1, 2), [0, 0.6])
        >>> profile.sanity.suspicious()
        frozenset()
    """

    probed: int  # images that the probes looked at
    zero_gradient: float  # of all images: withstood a level, and met an all-zero or NaN gradient on the way
    more_steps: float  # fooled by Auto-PGD from random starts, on either loss, where the search was withstood
    apgd_ce: float  # by that on the cross-entropy
    apgd_dlr: float | None  # by that on the difference of logits ratio; None with fewer than 3 classes, which it needs
    other_classes: float  # fooled by a step towards a less likely class; if any was, all images were attacked so
    black_box: float  # fooled by a black-box attack where the search was withstood
    unfooled_at_largest: float  # not fooled in the ball that holds every image
    changed_prediction: float  # predicted otherwise when asked a second time
    constant: bool  # the same class for every image, at every epsilon
    reasons: tuple[str, ...]  # why the rates cannot be believed, in words; empty when they can
    findings: tuple[Finding, ...] = ()  # faults of the model by name, also such as the attack sees through

    @property
    def verdict(self) -> str:
        """ "sound" or "masked"."""
        return "masked" if self.reasons else "sound"

    def suspicious(self) -> frozenset[str]:
        """Names of the fields that are beyond what is tolerated: each is a reason, and there are no others."""
        by_chance = dict.fromkeys(("more_steps", "black_box"), 1 / max(self.probed, 1))  # any search misses an image
        worthless = {
            "constant": self.constant,
            "findings": any(finding.worthless and finding.name != CONSTANT for finding in self.findings),
        }
        shares = {
            name: getattr(self, name) > max(limit, by_chance.get(name, 0.0)) for name, (limit, _) in TOLERATED.items()
        }
        return frozenset(name for name, beyond in (worthless | shares).items() if beyond)


def judge(search: Search, who: Tensor, other_classes: float, steps: int, generator: torch.Generator) -> Sanity:
    """Probe the images `who` (indices) of a finished search; what the probes fool is recorded in it.

    other_classes: what `aim_at_others` gained on them, as a share. Call it inside `evaluating(model)`."""
    if not len(who):
        return Sanity(0, 0.0, 0.0, 0.0, None, 0.0, 0.0, 0.0, 0.0, constant=False, reasons=())
    model, norm, clean, labels = search.model, search.norm, search.images[who], search.labels[who]
    changed = _share(predict(model, clean) != labels)
    rest = who[search.withstood[who] >= 0]
    x, y, radius, fooled = search.images[rest], search.labels[rest], search.radius(rest), {}
    losses = ("ce", "dlr") if search.outputs.shape[1] >= 3 else ("ce",)
    for loss in losses:
        attack = apgd(model, x, y, radius, norm, loss=loss, steps=2 * steps // len(losses), generator=generator)
        search.evaluations += attack.evaluations
        search.record(rest[attack.fooled], attack.images[attack.fooled])
        fooled[loss] = attack.fooled
    either = torch.stack([*fooled.values()]).any(0)
    rest, x, y, radius = rest[~either], x[~either], y[~either], radius[~either]
    x, fools = square(model, x, y, radius, norm, queries=QUERIES, generator=generator)
    search.record(rest[fools], x[fools])
    largest = norm.size(torch.ones_like(clean[:1], dtype=torch.float64)).item()
    attack = pgd(model, clean, largest, labels=labels, norm=norm.name, steps=steps)
    search.evaluations += attack.evaluations + min(len(clean), LOOKED_AT) + 1  # the last two are those of `findings`
    unfooled = _share(~attack.fooled)
    constant = unfooled == 1.0 and bool((search.labels == search.labels[0]).all())
    sanity = Sanity(
        probed=len(who),
        zero_gradient=_share(search.stuck & (search.withstood >= 0)),
        more_steps=int(either.sum()) / len(who),
        apgd_ce=int(fooled["ce"].sum()) / len(who),
        apgd_dlr=int(fooled["dlr"].sum()) / len(who) if "dlr" in fooled else None,
        other_classes=other_classes,
        black_box=int(fools.sum()) / len(who),
        unfooled_at_largest=unfooled,
        changed_prediction=changed,
        constant=constant,
        reasons=(),
        findings=findings(model, clean, constant),
    )
    return with_reasons(sanity, int(labels[0]))


def with_reasons(sanity: Sanity, label: int) -> Sanity:
    """`sanity` with a reason for whatever is suspicious about it; label: the class that a constant classifier gives."""
    suspicious = sanity.suspicious()
    faults = [f"{f.name}: {f.text}" for f in sanity.findings if f.worthless and f.name != CONSTANT]
    if "constant" in suspicious:
        constant = f"class {label} for every image at every epsilon: rates of 100 % of a {CONSTANT} are worthless"
        faults.append(constant)
    shares = (text.format(getattr(sanity, name)) for name, (_, text) in TOLERATED.items() if name in suspicious)
    return replace(sanity, reasons=(*faults, *shares))


def _share(which: Tensor) -> float:
    return which.double().mean().item()
