"""Does this model defeat attacks by gradients? Probes on a few of the images, and the verdict.

A gradient attack that fails says nothing when there was no gradient to follow (Carlini et al. 2019, arXiv 1902.06705).
Faults of the model itself are named by `faults`; how much an honest attack missed is the matter of `audit`."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from invrob.empirical.attacks.faults import CONSTANT, LOOKED_AT, Finding, findings
from invrob.empirical.attacks.pgd import attack_batch
from invrob.empirical.attacks.restarts import ask, lower
from invrob.empirical.attacks.search import Search
from invrob.empirical.inference import predict

QUERIES = 100  # of the black-box attack, per probed image, where no audit has asked more
TOLERATED = {  # the largest share of images that says nothing yet, and what it means beyond
    "zero_gradient": (0.05, "the gradient was zero for {:.0%} of the images, so the attack could not move"),
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
    black_box: float  # fooled by a black-box attack where all attacks by gradients were withstood
    unfooled_at_largest: float  # not fooled in the ball that holds every image
    changed_prediction: float  # predicted otherwise when asked a second time
    constant: bool  # the same class for every image, at every epsilon
    reasons: tuple[str, ...]  # why the rates cannot be believed, in words; empty when they can
    findings: tuple[Finding, ...] = ()  # faults of the model by name, also such as the attack sees through

    @property
    def verdict(self) -> str:
        """ "sound", or "masked" where the model defeats gradients or its rates are worthless."""
        return "masked" if self.reasons else "sound"

    def suspicious(self) -> frozenset[str]:
        """Names of the fields that are beyond what is tolerated: each is a reason, and there are no others."""
        by_chance = {"black_box": 1 / max(self.probed, 1)}  # any attack misses an image
        worthless = {
            "constant": self.constant,
            "findings": any(finding.worthless and finding.name != CONSTANT for finding in self.findings),
        }
        shares = {
            name: getattr(self, name) > max(limit, by_chance.get(name, 0.0)) for name, (limit, _) in TOLERATED.items()
        }
        return frozenset(name for name, beyond in (worthless | shares).items() if beyond)


def judge(search: Search, who: Tensor, black_box: float | None, steps: int, generator: torch.Generator) -> Sanity:
    """Probe the images `who` (indices) of a finished search; what the probes fool is recorded in it.

    black_box: the share of images that an attack without gradients has fooled at last; None to try one on these. Call
    it inside `evaluating(model)`."""
    if not len(who):
        return Sanity(0, 0.0, 0.0, 0.0, 0.0, constant=False, reasons=())
    model, norm, clean, labels = search.model, search.norm, search.images[who], search.labels[who]
    changed = _share(predict(model, clean) != labels)
    if black_box is None:
        black_box = _share(lower(search, who, partial(ask, search, queries=QUERIES, generator=generator)))
    rest = who[search.fooled[who] == len(search.epsilons)]  # what falls in a small ball falls in the largest one
    largest = norm.size(torch.ones_like(clean[:1], dtype=torch.float64)).expand(len(rest))
    attack = attack_batch(
        model,
        search.images[rest],
        search.labels[rest],
        largest,
        norm,
        steps=steps,
        stride=2.5 * largest / steps,
        restarts=1,
        generator=generator,
    )
    search.evaluations += attack.evaluations + min(len(clean), LOOKED_AT) + 1  # the last two are those of `findings`
    unfooled = int((~attack.fooled).sum()) / len(who)
    constant = unfooled == 1.0 and bool((search.labels == search.labels[0]).all())
    sanity = Sanity(
        probed=len(who),
        zero_gradient=_share(search.stuck & (search.withstood >= 0)),
        black_box=black_box,
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
