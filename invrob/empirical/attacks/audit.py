"""A much stronger attack on a few images, chosen at random: what it finds bounds what the search missed on all.

It goes through attacks of different kinds, each in the largest ball that the image has withstood so far: every other
class as the aim, random starts with many steps, Auto-PGD on two losses, and a search without gradients. Its parts are
those of AutoAttack (Croce and Hein 2020, arXiv 2003.01690), but it starts from what the search left."""

from dataclasses import dataclass
from functools import partial
from itertools import cycle

import torch
from torch import Tensor

from invrob.empirical.attacks.apgd import apgd
from invrob.empirical.attacks.norms import Descent
from invrob.empirical.attacks.restarts import NEAR, Attempt, ask, descend, lower, ranks
from invrob.empirical.attacks.search import Search

STEPS, MANY_STEPS, QUERIES = 20, 30, 500


@dataclass(frozen=True)
class Audit:
    """What the stronger attack did to the images `who`."""

    who: Tensor  # int64 [n], indices of the images
    before: Tensor  # int64 [N], the smallest level that fooled each image before it
    black_box: float  # share of the images `who` that the search without gradients fooled after all others
    misled: bool  # whether those are more than all attacks by gradients fooled


def audit(search: Search, who: Tensor, generator: torch.Generator) -> Audit:
    """Attack the images `who` (indices) of a finished search with all that there is; what is fooled is recorded.

    Call it inside `evaluating(model)`."""
    before, model, norm = search.fooled.clone(), search.model, search.norm

    def again(here: Tensor, radius: Tensor, rank: int, steps: int, descent: Descent) -> tuple[Tensor, Tensor]:
        return descend(search, here, radius, torch.full_like(here, rank), steps, descent, generator)

    def auto_pgd(here: Tensor, radius: Tensor, loss: str) -> tuple[Tensor, Tensor]:
        x, labels = search.images[here], search.labels[here]
        attack = apgd(model, x, labels, radius, norm, loss=loss, steps=MANY_STEPS, generator=generator)
        search.evaluations += attack.evaluations
        return attack.images, attack.fooled

    turns = cycle(norm.again[:2])
    aims: list[Attempt] = [partial(again, rank=rank, steps=STEPS, descent=next(turns)) for rank in ranks(search)]
    longer: list[Attempt] = [partial(again, rank=0, steps=MANY_STEPS, descent=descent) for descent in norm.again]
    longer += [partial(auto_pgd, loss=loss) for loss in losses(search)]
    for attack in aims:
        lower(search, who, attack)
    for attack in longer:  # images whose boundary is farther away after all the aims are spared these
        lower(search, who[search.near[who] <= NEAR], attack)
    by_gradients = int((search.fooled[who] < before[who]).sum())
    without_gradients = partial(ask, search, queries=QUERIES, generator=generator)
    gained = int(lower(search, who, without_gradients).sum())  # all of them: a masked model shows no boundary
    return Audit(who, before, gained / max(len(who), 1), gained > by_gradients)


def losses(search: Search) -> tuple[str, ...]:
    """Those that Auto-PGD climbs: DLR takes three classes."""
    return ("ce", "dlr") if search.outputs.shape[1] >= 3 else ("ce",)


def strength(search: Search) -> str:
    """The attack of an audit, in words."""
    longest = MANY_STEPS * max(descent.longer for descent in search.norm.again)
    return (
        f"{STEPS} steps at each of {len(ranks(search))} other classes, and within {NEAR:g} epsilon of the boundary "
        f"{MANY_STEPS} to {longest} steps from {len(search.norm.again)} starts, Auto-PGD with {MANY_STEPS} steps on "
        f"{' and '.join(losses(search))}, and Square with {QUERIES} queries"
    )
