"""The two norms of a perturbation: size, dual size, steepest ascent, and the projection onto ball and box.

Everything works on a batch, also an empty one, in which every image carries its own epsilon. Rounding never leaves the
ball: each projection aims a few rounding errors inside it, so `|x' - x| <= epsilon` holds to the last bit."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from invrob.names import check_norm


def per_image(values: Tensor) -> Tensor:
    """values [N] as [N, 1, 1, 1], which meets images [N, C, H, W] image by image."""
    return values[:, None, None, None]


def _linf_project(images: Tensor, x: Tensor, epsilon: Tensor) -> Tensor:
    reach = per_image((epsilon - torch.finfo(x.dtype).eps).clamp(min=0).to(x.dtype))
    return x.clamp(images - reach, images + reach).clamp(0, 1)


def _l2_project(images: Tensor, x: Tensor, epsilon: Tensor) -> Tensor:
    """The nearest point of ball and box: clip(s (x - images)) into the box, with s in [0, 1] from a bisection.

    Scaling first and clipping afterwards stays inside too, but sticks short of the ball wherever a pixel is clipped."""
    unit = torch.finfo(x.dtype).eps
    reach = (epsilon - unit * (8 * epsilon + sqrt(images.shape[1:].numel()))).clamp(min=0).to(x.dtype)
    perturbation = (x - images) * per_image(reach > 0)  # the squares of what is left at reach 0 may underflow
    low, high = torch.zeros_like(reach), torch.ones_like(reach)
    if bool((_l2_size((images + perturbation).clamp(0, 1) - images) > reach).any()):
        for _ in range(26 if x.dtype == torch.float32 else 54):
            middle = (low + high) / 2
            inside = _l2_size((images + per_image(middle) * perturbation).clamp(0, 1) - images) <= reach
            low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        whole = _l2_size((images + perturbation).clamp(0, 1) - images) <= reach
        perturbation = per_image(torch.where(whole, torch.ones_like(low), low)) * perturbation
    return (images + perturbation).clamp(0, 1)


def _linf_size(perturbation: Tensor) -> Tensor:
    return perturbation.abs().flatten(1).amax(1)


def _l1_size(gradient: Tensor) -> Tensor:
    return gradient.abs().flatten(1).sum(1)


def _l2_size(perturbation: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(perturbation.flatten(1), dim=1)
    return size


def _l2_ascent(gradient: Tensor) -> Tensor:
    """The gradient at length 1; by way of its largest entry, whose square may be out of the dtype's range."""
    tiny = torch.finfo(gradient.dtype).tiny
    scaled = gradient / per_image(_linf_size(gradient).clamp(min=tiny))
    return scaled / per_image(_l2_size(scaled).clamp(min=tiny))


def _linf_draw(images: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return 2 * noise - 1


def _l2_draw(images: Tensor, generator: torch.Generator) -> Tensor:
    direction = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    radius = torch.rand(len(images), generator=generator, device=images.device, dtype=images.dtype)
    return _l2_ascent(direction) * per_image(radius ** (1 / images.shape[1:].numel()))


@dataclass(frozen=True)
class Descent:
    """How gradients become steps."""

    momentum: float = 0.0  # share of the last direction that the next step keeps
    feasible: bool = True  # whether what leads out of [0, 1] is taken from the gradient first
    detour: float = 0.0  # by how many radii the ball is larger at first
    warm: bool = False  # whether it starts from what fooled the image in a larger ball, and not at random
    longer: int = 1  # how many times as many steps it takes

    def direction(self, last: Tensor, gradient: Tensor) -> Tensor:
        """That of the next step [N, C, H, W]: the gradient, scaled to a mean of 1, and a part of the `last` one."""
        scale = gradient.abs().flatten(1).mean(1).clamp(min=torch.finfo(gradient.dtype).tiny)
        return self.momentum * last + gradient / per_image(scale)


@dataclass(frozen=True)
class Norm:
    """What an attack needs to know of a norm of perturbations.

    Perturbations and gradients are float [N, C, H, W]; sizes [N] are of their dtype, epsilons [N] are float64.

    Example:
        >>> import torch
        >>> from invrob.empirical.attacks import norm_named
        >>> norm_named("l2").size(torch.ones(1, 1, 2, 2))
        tensor([2.])
    """

    name: str  # "linf" or "l2"
    size: Callable[[Tensor], Tensor]  # of a perturbation
    dual: Callable[[Tensor], Tensor]  # of a gradient: the first-order gain per unit of epsilon
    ascent: Callable[[Tensor], Tensor]  # the unit perturbation that gains most along a gradient
    project: Callable[[Tensor, Tensor, Tensor], Tensor]  # images, x, epsilon -> the nearest x in ball and [0, 1]
    draw: Callable[[Tensor, torch.Generator], Tensor]  # a uniform draw from the unit ball, shaped like the images
    largest: float  # epsilons above it are refused
    descent: Descent  # of the search
    again: tuple[Descent, ...]  # of attacks from random starts, of which networks differ in the best one; measured
    far: float  # in radii: such an attack is given up where the boundary is farther away after a quarter of its steps
    ahead: float  # or half-way, where it will be farther away in the end; a detour is judged too early by either

    def move(self, images: Tensor, x: Tensor, length: Tensor, direction: Tensor, epsilon: Tensor) -> Tensor:
        """`x` moved by `length` [N] along unit directions, and projected into the balls of `epsilon` about `images`."""
        return self.project(images, x + per_image(length.to(x.dtype)) * direction, epsilon)


WARM, MOVING, LONG = Descent(feasible=False, warm=True), Descent(momentum=0.35), Descent(momentum=0.35, longer=3)
NORMS = {
    "linf": Norm(
        "linf",
        _linf_size,
        _l1_size,
        torch.sign,
        _linf_project,
        _linf_draw,
        1.0,
        descent=MOVING,
        again=(MOVING, WARM, LONG),
        far=1.1,
        ahead=1.02,
    ),
    "l2": Norm(
        "l2",
        _l2_size,
        _l2_size,
        _l2_ascent,
        _l2_project,
        _l2_draw,
        float("inf"),
        descent=Descent(),
        again=(Descent(detour=1), Descent(detour=8, longer=2), Descent()),
        far=1.4,
        ahead=1.1,
    ),
}


def norm_named(name: str) -> Norm:
    """The norm of a name.

    Args:
        name: "linf" or "l2".

    Returns:
        The `Norm` of that name.

    Raises:
        InputError: for anything else, such as 2 or float("inf").

    Example:
        >>> from invrob.empirical.attacks import norm_named
        >>> norm_named("linf").largest
        1.0
    """
    check_norm(name)
    return NORMS[name]
