"""The smallest epsilon of a grid at which each image is fooled, by one search per image instead of a sweep.

Every image carries its own level (an index into the grid) in the batch. The first level comes from the first-order
distance to the decision boundary (loss over the dual norm of its gradient). While no level is known to fool the image,
an attack that makes no headway moves up early. Once one is known, the attack goes on at the next lower level from what
was found, projected into the smaller ball. The nearer that level, the more of the attack so far counts for it as well:
so a finer grid costs little more. The search ends when a level withstood a full attack and the next one fell. An attack
is given up half-way where its own course, extrapolated, ends outside the ball. A perturbation is admissible at every
larger epsilon, so one number per image holds the whole robustness curve."""

from dataclasses import dataclass

import torch
from torch import Tensor

from invrob.empirical.attacks.gradients import loss_and_gradient, margins, runner_up
from invrob.empirical.attacks.norms import Norm
from invrob.empirical.inference import Model, batches, predict

PATIENCE = 2  # steps at a level before moving up, while no level is known to fool the image
LAST_STEP = 0.02  # of epsilon; the first step is a whole epsilon, and a cosine leads from one to the other
SPREAD = 20.0  # least spread of an image's logits in the loss; 10 to 40 serve as well, 5 less so
RANKS = 9  # classes that `aim_at_others` tries, as AutoAttack's targeted attacks do
AGAIN = 1.5  # share of an attack due at a level, per relative distance from the perturbation that led there
LEAST = 0.25  # the smallest such share
HOPELESS = 1.1  # of the radius: a course that ends farther away is given up


@dataclass
class Search:
    """What is known of each image, [N] each unless said; L is the number of levels."""

    images: Tensor  # [N, C, H, W], the clean ones
    outputs: Tensor  # [N, K] the logits of those
    labels: Tensor  # int64, f(x)
    epsilons: Tensor  # [L] float64, positive and increasing
    found: Tensor  # [N, C, H, W]: the perturbed image at the smallest fooled level; the clean one before
    fooled: Tensor  # int64: the smallest level known to fool the image; L while none is
    withstood: Tensor  # int64: the largest level that withstood a full attack; -1 before
    stuck: Tensor  # bool: met a zero or NaN gradient while not fooled
    evaluations: int = 0  # gradient evaluations, summed over the images

    @property
    def open(self) -> Tensor:
        """Which images still have a level between the one that withstood and the one that fell."""
        return self.fooled - self.withstood > 1

    def record(self, who: Tensor, x: Tensor, norm: Norm) -> Tensor:
        """Images `who` (indices) are fooled by `x`: keep it where its size lies at a smaller level than what was known.

        Returns bool [len(who)]: where it was kept. What withstood an attack at that level withstood too weak a one."""
        level = torch.searchsorted(self.epsilons, norm.size(x - self.images[who]).double())
        better = level < self.fooled[who]
        kept = who[better]
        self.fooled[kept] = level[better]
        self.found[kept] = x[better]
        self.withstood[kept] = torch.where(self.withstood[kept] < level[better], self.withstood[kept], -1)
        return better


def begin(images: Tensor, outputs: Tensor, epsilons: Tensor) -> Search:
    """A search about which nothing is known but the logits `outputs` [N, K] of the clean images; epsilons positive,
    increasing, float64 on the device of `images`."""
    labels = outputs.argmax(1)
    return Search(
        images,
        outputs,
        labels,
        epsilons,
        found=images.clone(),
        fooled=torch.full_like(labels, len(epsilons)),
        withstood=torch.full_like(labels, -1),
        stuck=torch.zeros_like(labels, dtype=torch.bool),
    )


@dataclass
class _Course:
    """The attack under way on each image, [N] each unless said."""

    x: Tensor  # [N, C, H, W]
    level: Tensor  # int64; -1 where none has begun
    step: Tensor  # int64: of the attack at this level; counts from what the attacks before are worth
    restart: Tensor  # int64
    target: Tensor  # int64, -1 for the nearest class
    nearest: Tensor  # float64: the smallest first-order distance to the boundary so far, from the clean image
    quarter: Tensor  # float64: that after a quarter of the steps


def run(
    search: Search, model: Model, norm: Norm, *, steps: int, restarts: int, generator: torch.Generator, batch: int
) -> None:
    """Bring the search to its end for every open image, at most `batch` at a time; the next one takes a free place.

    A full attack is `steps` gradient steps, and `restarts - 1` more of them from random starts, each aimed at the next
    most likely class. Call it inside `evaluating(model)`."""
    none = torch.full_like(search.labels, -1)
    far = torch.full_like(none, torch.inf, dtype=torch.float64)
    course = _Course(
        search.found.clone(), none, none.clone(), none.clone(), none.clone(), nearest=far, quarter=far.clone()
    )
    while len(who := search.open.nonzero()[:batch, 0]):
        at = course.x[who]
        outputs, gradient = loss_and_gradient(model, at, search.labels[who], course.target[who], SPREAD)
        search.evaluations += len(who)
        hit = outputs.argmax(1) != search.labels[who]
        search.stuck[who] |= ~hit & (gradient == 0).flatten(1).all(1)
        search.record(who[hit], at[hit], norm)

        slope = norm.dual(gradient).double().clamp(min=torch.finfo(torch.float64).tiny)
        size = norm.size(at - search.images[who]).double()
        needed = (size - margins(outputs, search.labels[who]).double() / slope).nan_to_num(nan=0.0)
        again = _decide(search, course, who, hit, size, needed, steps, restarts)

        radius, step = search.epsilons[course.level[who]], course.step[who]
        stride = radius * ((1 + (torch.pi * (step - 1) / steps).cos()) / 2 + LAST_STEP)
        moved = at + stride.to(at.dtype)[:, None, None, None] * norm.ascent(gradient)
        course.x[who] = norm.project(search.images[who], moved, radius)
        if again.any():
            restarting = who[again]
            clean = search.images[restarting]
            noise = norm.draw(clean, generator) * radius[again].to(clean.dtype)[:, None, None, None]
            course.x[restarting] = norm.project(clean, clean + noise, radius[again])


def _decide(
    search: Search,
    course: _Course,
    who: Tensor,
    hit: Tensor,
    size: Tensor,
    needed: Tensor,
    steps: int,
    restarts: int,
) -> Tensor:
    """Where the attacks on the images `who` go on: the same level, another one, or again from a random start.

    hit, size: whether their iterates fool the model, and how large they are. needed: the first-order distance from the
    clean image to the boundary, as seen from there. Returns bool [len(who)], who restarts at random."""
    top = len(search.epsilons) - 1
    level, step = course.level[who], course.step[who]
    begun, unknown = level >= 0, search.fooled[who] > top
    nearest = torch.minimum(course.nearest[who], needed)
    quarter = torch.where(step == steps // 4, nearest, course.quarter[who])
    beyond = nearest * (nearest / quarter) > HOPELESS * search.epsilons[level.clamp(min=0)]
    hopeless = (step == steps // 2) & beyond & (~unknown | (level == top))
    over = ~hit & begun & (hopeless | (step >= steps))
    again = over & (course.restart[who] + 1 < restarts)
    search.withstood[who[over & ~again]] = torch.maximum(search.withstood, course.level)[who[over & ~again]]
    hasty = ~hit & begun & ~over & (step >= PATIENCE) & unknown & (level < top)

    # The first-order distance to the boundary says which level to try; what is known bounds it on both sides.
    guess = torch.searchsorted(search.epsilons, needed)
    floor = torch.where(hasty, level, search.withstood[who]) + 1
    aimed = torch.minimum(torch.maximum(guess, floor), search.fooled[who] - 1).clamp(min=0)
    anew = ~begun | hit | hasty | (over & ~again)
    course.level[who] = torch.where(anew, aimed, level)

    due = steps * (AGAIN * (size / search.epsilons[course.level[who]] - 1)).clamp(min=LEAST, max=1)
    worth = torch.where(hit & begun, torch.minimum(step, (steps - due).long()), 0)
    course.step[who] = torch.where(anew, worth, torch.where(again, 0, step)) + 1
    course.nearest[who] = torch.where(anew | again, torch.inf, nearest)
    course.quarter[who] = torch.where(anew | again, torch.inf, quarter)
    course.restart[who] = torch.where(anew, 0, course.restart[who] + again.long())
    course.target[who] = torch.where(anew, -1, course.target[who])
    if again.any():
        course.target[who[again]] = _next_targets(search, who[again], course.restart[who[again]])
    return again


def _next_targets(search: Search, who: Tensor, rank: Tensor) -> Tensor:
    outputs, own = search.outputs[who], search.labels[who]
    by_rank = torch.stack([runner_up(outputs, own, int(r)) for r in range(1, int(rank.max()) + 1)])
    return by_rank.gather(0, rank[None] - 1)[0]


@torch.no_grad()
def aim_at_others(search: Search, model: Model, norm: Norm, who: Tensor) -> Tensor:
    """One steepest step towards each of the (at most 9) most likely other classes, in the largest ball that withstood.

    The search follows the nearest class; a farther one with a steeper slope can be closer. For a linear model in the
    L-inf norm this is the exact worst case. Returns the indices of the images it fooled; they are open again."""
    who = who[search.withstood[who] >= 0]
    clean, own, radius = search.images[who], search.labels[who], search.epsilons[search.withstood[who]]
    if not len(who):
        return who
    outputs = search.outputs[who]
    gained = torch.zeros(len(who), dtype=torch.bool, device=who.device)
    for rank in range(1, min(outputs.shape[1] - 1, RANKS) + 1):
        _, gradient = loss_and_gradient(model, clean, own, runner_up(outputs, own, rank))
        search.evaluations += len(who)
        reach = radius.to(clean.dtype)[:, None, None, None]
        x = norm.project(clean, clean + reach * norm.ascent(gradient), radius)
        hit = predict(model, x) != own
        gained[hit] |= search.record(who[hit], x[hit], norm)
    return who[gained]


@torch.no_grad()
def promising(search: Search, model: Model, norm: Norm) -> Tensor:
    """Indices of the images that `aim_at_others` would fool if the images of one label had the same gradients.

    The first image of each label lends them, which costs at most 9 gradient evaluations per label. Where the model is
    linear no image that could be fooled is left out; elsewhere this finds some of them."""
    chosen = [search.labels[:0]]
    for label in torch.unique(search.labels[search.withstood >= 0]):
        group = ((search.labels == label) & (search.withstood >= 0)).nonzero()[:, 0]
        lender, own, outputs = search.images[group[:1]], label[None], search.outputs[group[:1]]
        for rank in range(1, min(outputs.shape[1] - 1, RANKS) + 1):
            target = runner_up(outputs, own, rank)
            _, gradient = loss_and_gradient(model, lender, own, target)
            search.evaluations += 1
            parts = (group[part] for part in batches(len(group), group.device))
            chosen.extend(_foreseen(search, norm, part, target, gradient) for part in parts)
    found: Tensor = torch.unique(torch.cat(chosen))
    return found


def _foreseen(search: Search, norm: Norm, who: Tensor, target: Tensor, gradient: Tensor) -> Tensor:
    """Those of `who` that a step along `gradient` [1, C, H, W] takes to class `target` [1], to first order."""
    clean, radius = search.images[who], search.epsilons[search.withstood[who]]
    x = norm.project(clean, clean + radius.to(clean.dtype)[:, None, None, None] * norm.ascent(gradient), radius)
    outputs = search.outputs[who]
    behind = outputs.gather(1, search.labels[who, None])[:, 0] - outputs[:, target[0]]
    return who[((x - clean) * gradient).flatten(1).sum(1) > behind]
