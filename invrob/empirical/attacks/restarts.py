"""More attacks on what a finished search left: each in the largest ball that an image withstood, and down from there.

The search gives an image one attack a level. Attacks from random starts, on the nearest class and on others in turn,
find more; but most of it lies where the first one ended close to the boundary, so those images come first."""

from collections.abc import Callable
from math import cos, pi

import torch
from torch import Tensor

from invrob.empirical.attacks.gradients import feasible, loss_and_gradient, runner_up
from invrob.empirical.attacks.norms import Descent, per_image
from invrob.empirical.attacks.search import LAST_STEP, SPREAD, Search, to_boundary
from invrob.empirical.attacks.square import square
from invrob.empirical.inference import batches, predict

# Images `who` (indices) and a radius [n] for each -> perturbed images, and bool [n]: which of them fool the model.
Attempt = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

RANKS = 9  # less likely classes that are aimed at, as AutoAttack's targeted attacks do
PILOT = 10  # images whose other classes are aimed at before those of all others
SHARE = 0.1  # of the images are attacked again at a time
NEAR = 1.1  # in radii: hardly an image falls whose boundary lies farther away
PATIENCE = 2.0  # attacks in vain, per image that is as near, that end the attempts
FORGET = 0.8  # weight of what a kind of attack did before, each time that it is used again
CLOSEST = 0.05  # relative distances to the boundary below it are all the same


def lower(search: Search, who: Tensor, attempt: Attempt) -> Tensor:
    """`attempt` at the largest level that each of the images `who` (indices) withstood, and while it fools at the next
    below: then all of them withstand again. Returns bool [len(who)], which were fooled."""
    fell = torch.zeros_like(who, dtype=torch.bool)
    for part in batches(len(who), who.device):
        some = who[part]
        left = (search.withstood[some] >= 0).nonzero()[:, 0]
        while len(left):
            here = some[left]
            x, fools = attempt(here, search.radius(here))
            won = here[fools]
            search.record(won, x[fools])
            search.withstood[won] = search.fooled[won] - 1
            fell[part][left[fools]] = True
            left = left[fools]
            left = left[search.withstood[some[left]] >= 0]
    return fell


def descend(
    search: Search,
    who: Tensor,
    radius: Tensor,
    rank: Tensor,
    steps: int,
    descent: Descent,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """One attack of `steps` gradient steps from random starts in the balls of `radius` [n] about the images `who`.

    rank: int64 [n], of the class that is aimed at, by its likelihood among the others; 0 for the nearest at any step.
    descent: how gradients become steps; a larger ball shrinks to its own in the first 60 % of them.
    Returns what `Attempt` does, and keeps how near each image came."""
    norm, clean, labels = search.norm, search.images[who], search.labels[who]
    target = runner_up(search.outputs[who], labels, rank)
    x = norm.move(clean, clean, radius, norm.draw(clean, generator), radius)  # drawn in any case: the same stream
    x = norm.project(clean, search.perturbed[who], radius) if descent.warm else x
    steps *= descent.longer
    near, drift = torch.full_like(radius, torch.inf), torch.zeros_like(x)
    quarter, fools, going = near.clone(), torch.zeros_like(labels, dtype=torch.bool), torch.ones_like(labels).bool()
    for step in range(steps):
        if not len(on := going.nonzero()[:, 0]):
            break
        answers, gradient = loss_and_gradient(search.model, x[on], labels[on], target[on], SPREAD)
        search.evaluations += len(on)
        gradient = feasible(x[on], gradient) if descent.feasible else gradient
        size = norm.size(x[on] - clean[on]).double()
        won = (answers.argmax(1) != labels[on]) & (size <= radius[on])
        boundary = to_boundary(norm, size, answers, labels[on], gradient) / radius[on]
        near[on] = torch.minimum(near[on], boundary.nan_to_num(nan=0.0))
        quarter = near.clone() if step == steps // 4 else quarter
        fools[on[won]] = True
        hopeless = torch.zeros_like(won)
        if step in (steps // 4, steps // 2):
            hopeless = near[on] > norm.far if step < steps // 2 else near[on] * (near[on] / quarter[on]) > norm.ahead
        going[on] = ~won & ~hopeless
        larger = radius[on] * (1 + descent.detour * max(0.0, 1 - (step + 1) / (0.6 * steps)))
        stride = larger * ((1 + cos(pi * step / steps)) / 2 + LAST_STEP)
        drift[on] = descent.direction(drift[on], gradient)
        moved = norm.move(clean[on], x[on], stride, norm.ascent(drift[on]), larger)
        x[on] = torch.where(per_image(won), x[on], moved)
    on = going.nonzero()[:, 0]
    fools[on] = predict(search.model, x[on]) != labels[on]
    search.near[who] = torch.minimum(search.near[who], near)
    return x, fools


def ask(search: Search, who: Tensor, radius: Tensor, queries: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The Square Attack in the balls of `radius` [n] about the images `who`; returns what `Attempt` does."""
    images, labels = search.images[who], search.labels[who]
    return square(search.model, images, labels, radius, search.norm, queries=queries, generator=generator)


def strengthen(search: Search, evaluations: float, worth: float, steps: int, generator: torch.Generator) -> bool:
    """Attack the images again whose last attack ended nearest to the boundary, for as long as that is worth it.

    A tenth of the images is attacked at a time, with the nearest class and the others in turn as the aim, by the kind
    of attack that has fooled most for its price of late; an image that was attacked in vain is passed over for others.
    evaluations: how many gradient evaluations may be spent, summed over the images. worth: the share of the attacked
    images that must be fooled: after enough attacks in vain it ends, and an image that falls makes up for 1 / worth of
    them. Returns whether it ended for that reason, and not for want of evaluations."""
    tried, end = search.tried, search.evaluations + evaluations
    patience = left = PATIENCE * int((search.near[search.withstood >= 0] <= NEAR).sum())
    count = max(1, round(SHARE * len(search.images)))
    yields = dict.fromkeys(search.norm.again, (1.0, 1.0))  # images that fell, and what it took; all begin as good
    while left > 0 and len(rest := (search.withstood >= 0).nonzero()[:, 0]):
        if search.evaluations + min(count, len(rest)) * steps > end:
            return False
        urgency = (search.near[rest] - 1).clamp(min=CLOSEST) * (1 + tried[rest] / 2)
        who = rest[torch.argsort(urgency, stable=True)[:count]].sort().values
        aim = torch.where(tried % 2 == 0, 0, 2 + tried // 2)
        descent = max(yields, key=lambda descent: yields[descent][0] / yields[descent][1])

        def again(here: Tensor, radius: Tensor, aim: Tensor = aim, descent: Descent = descent) -> tuple[Tensor, Tensor]:
            return descend(search, here, radius, aim[here], steps, descent, generator)

        before = search.evaluations
        fell = lower(search, who, again)
        fallen, price = int(fell.sum()), (search.evaluations - before) / steps
        yields[descent] = (FORGET * yields[descent][0] + fallen, FORGET * yields[descent][1] + price)
        tried[who] = torch.where(fell, 0, tried[who] + 1)
        left = min(patience, left - len(who) + fallen / worth)
    return True


@torch.no_grad()
def aim_at_others(search: Search, who: Tensor) -> Tensor:
    """One steepest step towards each of the (at most 9) most likely other classes, in the largest ball that withstood.

    The search follows the nearest class; a farther one with a steeper slope can be closer. For a linear model in the
    L-inf norm this is the exact worst case. Returns those of the images `who` (indices) that it fooled."""
    gained = torch.zeros_like(who, dtype=torch.bool)
    for rank in ranks(search):

        def step(here: Tensor, radius: Tensor, rank: int = rank) -> tuple[Tensor, Tensor]:
            clean, labels = search.images[here], search.labels[here]
            target = runner_up(search.outputs[here], labels, rank)
            _, gradient = loss_and_gradient(search.model, clean, labels, target)
            search.evaluations += len(here)
            x = search.norm.move(clean, clean, radius, search.norm.ascent(gradient), radius)
            return x, predict(search.model, x) != labels

        gained |= lower(search, who, step)
    return who[gained]


def aim_where_it_helps(search: Search) -> None:
    """`aim_at_others` for all `promising` images, unless it fools none of the first few of them."""
    who = promising(search)
    if len(aim_at_others(search, who[:PILOT])):
        aim_at_others(search, who[PILOT:])


@torch.no_grad()
def promising(search: Search) -> Tensor:
    """Indices of the images that `aim_at_others` would fool if the images of one label had the same gradients.

    The first image of each label lends them, which costs at most 9 gradient evaluations per label. Where the model is
    linear no image that could be fooled is left out; elsewhere this is some of them."""
    chosen = [search.labels[:0]]
    for label in torch.unique(search.labels[search.withstood >= 0])[:, None]:
        group = ((search.labels == label) & (search.withstood >= 0)).nonzero()[:, 0]
        for rank in ranks(search):
            target = runner_up(search.outputs[group[:1]], label, rank)
            _, gradient = loss_and_gradient(search.model, search.images[group[:1]], label, target)
            search.evaluations += 1
            parts = (group[part] for part in batches(len(group), group.device))
            chosen.extend(_foreseen(search, part, target, gradient) for part in parts)
    indices: Tensor = torch.unique(torch.cat(chosen))
    return indices


def ranks(search: Search) -> range:
    """The less likely classes that are aimed at, from the most likely one on: 1, 2, ..., at most 9."""
    return range(1, min(search.outputs.shape[1] - 1, RANKS) + 1)


def _foreseen(search: Search, who: Tensor, target: Tensor, gradient: Tensor) -> Tensor:
    """Those of `who` that a step along `gradient` [1, C, H, W] takes to class `target` [1], to first order."""
    clean, outputs, radius = search.images[who], search.outputs[who], search.radius(who)
    x = search.norm.move(clean, clean, radius, search.norm.ascent(gradient), radius)
    behind = outputs.gather(1, search.labels[who, None])[:, 0] - outputs[:, target[0]]
    return who[((x - clean) * gradient).flatten(1).sum(1) > behind]
