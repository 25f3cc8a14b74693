"""The search by gradients brought to its end, the further attacks that a network needs, and the audit of all that."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from invrob.checks import Array
from invrob.empirical.attacks import Sanity, aim_where_it_helps, audit, judge, strength, strengthen
from invrob.empirical.attacks import search as searching
from invrob.empirical.profiles.gaps import Gaps, gaps_of
from invrob.empirical.profiles.settings import PGD, Auto

FEWEST, MOST = 32, 256  # images of an audit that is to cost about what the search does
DEAR = 120  # gradient evaluations that an audit takes per audited image: 80 to 165 on four networks of mini
AUDITS = 2  # at most; they share the error that is allowed
PROBED = 32  # images that the judge of the model looks at
WORTH = 0.02  # share of the images that are attacked again that must fall, or else the rest is left alone
CHOICE = 0xA0D17  # tags the stream that the audited images are chosen from
A_LITTLE = 8  # gradient evaluations per image: of who asks for no audit but speed, and after a few misses of an audit


@dataclass(frozen=True)
class Searched:
    """What became of a search."""

    sanity: Sanity
    audited: int  # images of the last audit
    gaps: Gaps | None  # None without an audit
    strength: str  # of the audit, in words
    shortfall: str  # why the search fell short, in words; empty where it did not


def search_by_gradients(
    search: searching.Search,
    attack: Auto | PGD,
    audited: int | None,
    identity: Array,
    confidence: float,
    generator: torch.Generator,
) -> Searched:
    """Search every image, attack again those that are likely to fall, and audit some that were chosen by chance.

    audited: how many, None for as many as the price of the search allows. identity: bool [T], the epsilons of 0, which
    are no levels of the search. Call it inside `evaluating(model)`."""
    n, device, adaptive = len(search.images), search.images.device, isinstance(attack, Auto)
    searching.run(search, steps=attack.steps, restarts=attack.restarts, generator=generator)
    if audited is None:
        audited = int(np.clip(round(search.evaluations / DEAR), FEWEST, MOST))
    aim_where_it_helps(search)
    left = float(n * attack.limit) if isinstance(attack, Auto) else 0.0
    # A stream of its own, so that the choice has nothing to do with the random starts.
    shuffled = np.random.default_rng([CHOICE, generator.initial_seed()]).permutation(n)
    order = torch.from_numpy(shuffled).to(device)
    gaps, result, enough, first = None, None, True, 0

    def attack_again(most: float) -> None:
        nonlocal left, enough
        before = search.evaluations
        enough = strengthen(search, min(left, most), WORTH, attack.steps, generator)
        left -= search.evaluations - before

    if adaptive:
        attack_again(A_LITTLE * n if audited == 0 else left)
    while len(who := order[first : first + audited]):
        result = audit(search, who, generator)
        gaps = _gaps(search, result.before, order, slice(first, first + audited), identity, adaptive, confidence)
        first += audited
        if not adaptive or not gaps.missed.any():
            break
        if not gaps.too_wide.any():  # a few misses: what the audit says stands, as a bound
            attack_again(A_LITTLE * n)
            break
        attack_again(left)
        if first >= AUDITS * audited:
            break
    probed = order[:PROBED] if result is None else result.who[:PROBED]
    black_box = None if result is None else result.black_box * result.misled
    sanity = judge(search, probed, black_box, attack.steps, generator)
    if result is None or gaps is None:
        return Searched(sanity, 0, None, "", "")
    blind = "; it is as blind as the search, so that it bounds nothing" if sanity.reasons else ""
    return Searched(sanity, len(result.who), gaps, strength(search) + blind, _shortfall(gaps, attack, enough))


def _gaps(
    search: searching.Search,
    before: Tensor,
    order: Tensor,
    audited: slice,
    identity: Array,
    adaptive: bool,
    confidence: float,
) -> Gaps:
    """What the audit of `order[audited]` says; images that an earlier audit has looked at are no part of it."""
    universe, skipped = order[audited.start :].cpu().numpy(), int(identity.sum())
    then, now = (part.cpu().numpy()[universe] + skipped for part in (before, search.fooled))
    looked_at = np.arange(len(universe)) < audited.stop - audited.start
    level = 1 - (1 - confidence) / AUDITS if adaptive else confidence
    gaps = gaps_of(then, now, looked_at, identity, level)
    share = len(universe) / len(order)
    return Gaps(gaps.missed, share * gaps.gap, share * gaps.gap_high, gaps.floor)


def _shortfall(gaps: Gaps, attack: Auto | PGD, enough: bool) -> str:
    if not gaps.too_wide.any():
        return ""
    worst = int(np.argmax(np.where(gaps.too_wide, gaps.gap, 0)))
    found = f"the audit found that the rate is about {100 * gaps.gap[worst]:.1f} points too high at worst"
    if isinstance(attack, Auto):
        limit = "" if enough else f", and the search had spent its limit of {attack.limit} gradients per image"
        return f"{found}{limit}: {5 * attack.steps} steps with 5 restarts, or a larger limit, find more"
    return f"{found}: more than {attack.steps} steps and {attack.restarts} restarts find more, as does 'auto'"
