"""The smallest epsilon of a grid at which each image is fooled, by one search per image instead of a sweep.

A perturbation is admissible at every larger epsilon, so one number per image holds the whole robustness curve. In the
batch every image carries its own level, an index into the grid: the attack on it goes on in the ball of that epsilon.
After each gradient an image is in the first of these states that is true of it, which says where its attack goes on:

| state      | what is true of the image                            | level   | step counts from | next iterate    |
|------------|------------------------------------------------------|---------|------------------|-----------------|
| BEGINS     | no attack on it has begun                            | guessed | 0                | a gradient step |
| FOOLS      | its iterate changes the prediction                   | lower   | its credit       | a gradient step |
| RESTARTS   | its attack is over in vain, and restarts are left    | same    | 0                | a random start  |
| WITHSTANDS | its attack is over in vain, and no restart is left   | higher  | 0                | a gradient step |
| RISES      | no level is known to fool it, nor do PATIENCE steps  | higher  | 0                | a gradient step |
| GOES_ON    | none of these                                        | same    | the last step    | a gradient step |

An attack is over after all its steps, or half-way where its course, extrapolated, ends outside the ball. A new level is
guessed from the first-order distance to the decision boundary (loss over the dual norm of its gradient), between the
largest level that withstood and the smallest that was fooled; an image with none between them is closed. The nearer a
lower level is to the iterate that led there, the more of the steps so far are credited to its attack: so a finer grid
costs little more."""

from dataclasses import dataclass

import torch
from torch import Tensor

from invrob.empirical.attacks.gradients import feasible, loss_and_gradient, margins, runner_up
from invrob.empirical.attacks.norms import Norm
from invrob.empirical.inference import Model, all_logits, batches

BEGINS, FOOLS, RESTARTS, WITHSTANDS, RISES, GOES_ON = range(6)
PATIENCE = 2  # steps at a level before moving up, while no level is known to fool the image
LAST_STEP = 0.02  # of epsilon; the first step is a whole epsilon, and a cosine leads from one to the other
SPREAD = 20.0  # least spread of an image's logits in the loss; 10 to 40 serve as well, 5 less so
AGAIN = 1.5  # share of an attack due at a level, per relative distance from the perturbation that led there
LEAST = 0.25  # the smallest such share
HOPELESS = 1.1  # of the radius: a course that ends farther away is given up


@dataclass
class Search:
    """What is known of each image, [N] each unless said; L is the number of levels."""

    model: Model
    norm: Norm
    images: Tensor  # [N, C, H, W], the clean ones
    outputs: Tensor  # [N, K] the logits of those
    labels: Tensor  # int64, f(x)
    epsilons: Tensor  # [L] float64, positive and increasing
    perturbed: Tensor  # [N, C, H, W]: the perturbed image at the smallest fooled level; the clean one before
    fooled: Tensor  # int64: the smallest level known to fool the image; L while none is
    withstood: Tensor  # int64: the largest level that withstood a full attack; -1 before
    stuck: Tensor  # bool: met a zero or NaN gradient while not fooled
    near: Tensor  # float64: the boundary's least first-order distance over the radius that was withstood last
    tried: Tensor  # int64: how often it was attacked again in vain since it fell last
    evaluations: int = 0  # gradient evaluations, summed over the images

    @property
    def open(self) -> Tensor:
        """Which images still have a level between the one that withstood and the one that fell."""
        return self.fooled - self.withstood > 1

    def next_batch(self) -> Tensor:
        """Indices of the first open images, as many as are asked about at once; none where the search has ended."""
        indices = self.open.nonzero()[:, 0]
        return indices[next(batches(len(indices), indices.device), slice(0))]

    def radius(self, who: Tensor) -> Tensor:
        """The largest epsilon that each of the images `who` (indices) withstood, float64."""
        return self.epsilons[self.withstood[who]]

    def record(self, who: Tensor, x: Tensor) -> Tensor:
        """Images `who` (indices) are fooled by `x`: keep it where its size lies at a smaller level than what was known.

        Returns bool [len(who)]: where it was kept. What withstood an attack at that level withstood too weak a one."""
        level = torch.searchsorted(self.epsilons, self.norm.size(x - self.images[who]).double())
        better = level < self.fooled[who]
        kept = who[better]
        self.fooled[kept] = level[better]
        self.perturbed[kept] = x[better]
        self.withstood[kept] = torch.where(self.withstood[kept] < level[better], self.withstood[kept], -1)
        self.tried[kept] = 0
        self.near[kept] = 1.0  # what fell a moment ago is the likeliest to fall again
        return better


def begin(model: Model, images: Tensor, epsilons: Tensor, norm: Norm) -> Search:
    """A search that has only asked about the clean images; call it inside `evaluating(model)`.

    images: [N, C, H, W] in [0, 1]. epsilons: positive, increasing, float64 on the device of `images`."""
    outputs = all_logits(model, images)
    labels = outputs.argmax(1)
    fooled, withstood = torch.full_like(labels, len(epsilons)), torch.full_like(labels, -1)
    stuck, near = torch.zeros_like(labels, dtype=torch.bool), torch.ones_like(labels, dtype=torch.float64)
    tried, kept = torch.zeros_like(labels), images.clone()
    return Search(model, norm, images, outputs, labels, epsilons, kept, fooled, withstood, stuck, near, tried)


@dataclass
class _Course:
    """The attack under way on each image, [N] each unless said."""

    x: Tensor  # [N, C, H, W], the next iterate
    level: Tensor  # int64; -1 where none has begun
    step: Tensor  # int64: of the attack at this level, the credit included
    restart: Tensor  # int64
    target: Tensor  # int64, -1 for the nearest class
    nearest: Tensor  # float64: the smallest first-order distance to the boundary so far, from the clean image
    quarter: Tensor  # float64: that after a quarter of the steps
    drift: Tensor  # [N, C, H, W]: the direction of the last step, with its momentum


def run(search: Search, *, steps: int, restarts: int, generator: torch.Generator) -> None:
    """Bring the search to its end for every open image, a batch at a time; the next image takes a free place.

    A full attack is `steps` gradient steps, and `restarts - 1` more of them from random starts, each aimed at the next
    most likely class. Call it inside `evaluating(model)`."""
    norm, none = search.norm, torch.full_like(search.labels, -1)
    far = torch.full_like(none, torch.inf, dtype=torch.float64)
    x = search.perturbed.clone()
    course = _Course(x, none, none.clone(), none.clone(), none.clone(), far, far.clone(), torch.zeros_like(x))
    while len(who := search.next_batch()):
        x, clean, labels = course.x[who], search.images[who], search.labels[who]
        outputs, gradient = loss_and_gradient(search.model, x, labels, course.target[who], SPREAD)
        search.evaluations += len(who)
        gradient = feasible(x, gradient) if norm.descent.feasible else gradient
        fools = outputs.argmax(1) != labels
        search.stuck[who] |= ~fools & (gradient == 0).flatten(1).all(1)
        search.record(who[fools], x[fools])

        size = norm.size(x - clean).double()
        boundary = to_boundary(norm, size, outputs, labels, gradient).nan_to_num(nan=0.0)
        state = _states(search, course, who, fools, boundary, steps, restarts)
        _go_on(search, course, who, state, size, boundary, steps)

        radius, step = search.epsilons[course.level[who]], course.step[who]
        stride = radius * ((1 + (torch.pi * (step - 1) / steps).cos()) / 2 + LAST_STEP)
        drift = course.drift[who] = norm.descent.direction(course.drift[who], gradient)
        course.x[who] = norm.move(clean, x, stride, norm.ascent(drift), radius)
        if (again := state == RESTARTS).any():
            course.drift[who[again]] = 0
            clean, radius = clean[again], radius[again]
            course.x[who[again]] = norm.move(clean, clean, radius, norm.draw(clean, generator), radius)


def to_boundary(norm: Norm, size: Tensor, outputs: Tensor, labels: Tensor, gradient: Tensor) -> Tensor:
    """The first-order distance [n] from the clean images to the decision boundary, as seen from iterates of that size.

    float64; NaN where a model without any gradient stands on the boundary."""
    slope = norm.dual(gradient).double().clamp(min=torch.finfo(torch.float64).tiny)
    return size - margins(outputs, labels).double() / slope


def _states(
    search: Search, course: _Course, who: Tensor, fools: Tensor, boundary: Tensor, steps: int, restarts: int
) -> Tensor:
    """The state [n] of each of the images `who` (indices), of which `fools` changed the prediction.

    boundary: the first-order distance from the clean image to the decision boundary, as seen from the iterate."""
    level, step, top = course.level[who], course.step[who], len(search.epsilons) - 1
    nearest = course.nearest[who] = torch.minimum(course.nearest[who], boundary)
    quarter = course.quarter[who] = torch.where(step == steps // 4, nearest, course.quarter[who])
    ends_outside = nearest * (nearest / quarter) > HOPELESS * search.epsilons[level.clamp(min=0)]
    never_fooled = search.fooled[who] > top
    hopeless = (step == steps // 2) & ends_outside & (~never_fooled | (level == top))
    over = hopeless | (step >= steps)
    state = torch.full_like(level, GOES_ON)  # what is assigned later stands earlier in the table
    state[(step >= PATIENCE) & never_fooled & (level < top)] = RISES
    state[over] = WITHSTANDS
    state[over & (course.restart[who] + 1 < restarts)] = RESTARTS
    state[fools] = FOOLS
    state[level < 0] = BEGINS
    return state


def _go_on(
    search: Search, course: _Course, who: Tensor, state: Tensor, size: Tensor, boundary: Tensor, steps: int
) -> None:
    """Level, step and target with which the attacks on the images `who` (indices) go on; size: of their iterates."""
    level, step, withstood = course.level[who], course.step[who], search.withstood[who]
    ended = state == WITHSTANDS
    search.near[who[ended]] = course.nearest[who[ended]] / search.epsilons[level[ended]]
    withstood = torch.where(ended, torch.maximum(withstood, level), withstood)
    search.withstood[who] = withstood
    lowest = torch.where(state == RISES, level, withstood) + 1
    guess = torch.maximum(torch.searchsorted(search.epsilons, boundary), lowest)
    guess = torch.minimum(guess, search.fooled[who] - 1).clamp(min=0)
    again = state == RESTARTS
    moves = (state != GOES_ON) & ~again
    course.level[who] = level = torch.where(moves, guess, level)

    due = steps * (AGAIN * (size / search.epsilons[level] - 1)).clamp(min=LEAST, max=1)
    credit = torch.where(state == FOOLS, torch.minimum(step, (steps - due).long()), 0)
    course.step[who] = torch.where(moves, credit, torch.where(again, 0, step)) + 1
    course.restart[who] = torch.where(moves, 0, course.restart[who] + again.long())
    course.target[who] = torch.where(moves, -1, course.target[who])
    course.nearest[who] = torch.where(moves | again, torch.inf, course.nearest[who])
    course.quarter[who] = torch.where(moves | again, torch.inf, course.quarter[who])
    restarted = who[again]
    ranks = course.restart[restarted]
    course.target[restarted] = runner_up(search.outputs[restarted], search.labels[restarted], ranks)
