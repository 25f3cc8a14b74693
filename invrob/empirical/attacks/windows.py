"""The windows of Square Attack: where a random search without gradients begins in each norm, and what it tries next.

Source: Andriushchenko et al. 2020 (arXiv 1912.00049). In "linf" (Algorithm 2) a window goes to an edge of the ball; its
share of the image shrinks quadratically from 0.8 to nothing. In "l2" (Algorithm 3) a window of bumps grows by what a
second window gives up; its share is halved at the paper's times, taken as shares of the queries. It begins at
AutoAttack's 0.8, since it is the better for a short search than the paper's 0.1, which is meant for 10,000 queries:
with 500 queries 39 against 29 of 100 digits fell at epsilon 1 (a `StdCNN`, two seeds)."""

from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from invrob.empirical.attacks.norms import Norm

SHARE = 0.8  # of the image, that the first window takes
HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries: after them the share is halved, in "l2"
Random = Callable[..., Tensor]  # a shape -> uniform draws from [0, 1)


class Windows(NamedTuple):
    """How the search goes in a norm."""

    start: Callable[[Tensor, Tensor, Norm, Random], Tensor]  # images, radius [N], norm, random -> the first x
    side: Callable[[int, int, int, int], int]  # query, queries, height, width -> side of the window in pixels
    draw: Callable[[torch.Size, int, Random], tuple[Tensor, ...]]  # shape of the images, side, random -> [N, ...] each
    change: Callable[..., Tensor]  # images, x, radius, norm, side, *drawn -> the next x to try, in ball and box


def _signs(random: Random, *shape: int) -> Tensor:
    return (random(*shape) < 0.5) * 2.0 - 1


def _corner(shape: torch.Size, side: int, random: Random) -> tuple[Tensor, Tensor]:
    """Top and left, int64 [N] each, of a window anywhere in the image."""
    n, _, height, width = shape
    return (random(n) * (height - side + 1)).long(), (random(n) * (width - side + 1)).long()


def _linf_pushed(images: Tensor, x: Tensor, radius: Tensor, norm: Norm, pattern: Tensor) -> Tensor:
    """`x`, taken to one edge of the ball or the other where `pattern` is not 0."""
    return norm.move(images, x, 2 * radius, norm.ascent(pattern.to(images.dtype)), radius)


def _linf_start(images: Tensor, radius: Tensor, norm: Norm, random: Random) -> Tensor:
    n, channels, _, width = images.shape
    stripes = _signs(random, n, channels, 1, width).expand_as(images)  # vertical ones
    return _linf_pushed(images, images, radius, norm, stripes)


def _linf_side(query: int, queries: int, height: int, width: int) -> int:
    share = SHARE * (1 - query / queries) ** 2
    return max(1, min(height, width, round(sqrt(share * height * width))))


def _linf_draw(shape: torch.Size, side: int, random: Random) -> tuple[Tensor, ...]:
    return *_corner(shape, side, random), _signs(random, *shape[:2], 1, 1)


def _linf_change(images: Tensor, x: Tensor, radius: Tensor, norm: Norm, side: int, *drawn: Tensor) -> Tensor:
    top, left, sign = drawn
    row, column = (torch.arange(size, device=images.device) for size in images.shape[2:])
    rows = (row >= top[:, None]) & (row < top[:, None] + side)
    columns = (column >= left[:, None]) & (column < left[:, None] + side)
    return _linf_pushed(images, x, radius, norm, sign * (rows[:, None, :, None] & columns[:, None, None, :]))


@cache
def bumps(side: int) -> Tensor:
    """[side, side] of length 1, float64: a bump above 0 in the upper half, one below 0 in the lower half (eq. 2)."""
    halves = []
    for height in (side // 2, side - side // 2):
        down, across = (torch.arange(size) - size // 2 for size in (height, side))
        terms = 1 / torch.arange(1, side // 2 + 2, dtype=torch.float64) ** 2
        bump = terms.flip(0).cumsum(0).flip(0)[torch.maximum(down.abs()[:, None], across.abs())]
        halves.append(bump / bump.square().sum().sqrt())
    both = torch.cat([halves[0], -halves[1]])
    return both / both.square().sum().sqrt()


def _turned(images: Tensor, side: int, turned: Tensor) -> Tensor:
    """[*turned.shape, side, side]: bumps above each other, or beside each other where `turned`."""
    pattern = bumps(side).to(images)
    return torch.where(turned[..., None, None], pattern.T, pattern)


def _unit(windows: Tensor) -> Tensor:
    """Windows [N, C, P] at length 1 each; a window of zeros stays one."""
    return windows / windows.square().sum(2, keepdim=True).sqrt().clamp(min=torch.finfo(windows.dtype).tiny)


def _reach(images: Tensor, radius: Tensor) -> Tensor:
    """The radius less a few rounding errors: then nothing is left for the projection to do, whose search is dear."""
    unit = torch.finfo(images.dtype).eps
    return (radius - 2 * unit * (8 * radius + sqrt(images.shape[1:].numel()))).clamp(min=0)


def _l2_start(images: Tensor, radius: Tensor, norm: Norm, random: Random) -> Tensor:
    """Bumps side by side, at least five in a row and in a column, each with a sign and a turn of its own."""
    n, channels, height, width = images.shape
    side = max(1, min(height, width) // 5)
    down, across = height // side, width // side
    signs = _signs(random, n, channels, down, across).to(images.dtype)
    tiles = signs[..., None, None] * _turned(images, side, random(n, 1, down, across) < 0.5)
    tiled = tiles.transpose(3, 4).reshape(n, channels, down * side, across * side)
    pattern, top, left = torch.zeros_like(images), (height - down * side) // 2, (width - across * side) // 2
    pattern[:, :, top : top + down * side, left : left + across * side] = tiled
    return norm.move(images, images, _reach(images, radius), norm.ascent(pattern), radius)


def _l2_side(query: int, queries: int, height: int, width: int) -> int:
    """Odd and at least 3, as in the paper, where the image is large enough."""
    share = SHARE / 2 ** bisect_left(HALVED, 10_000 * (query - 1) // queries)
    return min(max(3, round(sqrt(share * height * width)) // 2 * 2 + 1), height, width)


def _l2_draw(shape: torch.Size, side: int, random: Random) -> tuple[Tensor, ...]:
    corners = *_corner(shape, side, random), *_corner(shape, side, random)
    return *corners, _signs(random, *shape[:2], 1), random(shape[0]) < 0.5


def _l2_change(images: Tensor, x: Tensor, radius: Tensor, norm: Norm, side: int, *drawn: Tensor) -> Tensor:
    """A window gets new bumps, and beside its own size that of a second window, and what the box took from the ball."""
    top, left, other_top, other_left, sign, turned = drawn
    channels, width, reach = images.shape[1], images.shape[3], _reach(images, radius)
    step = torch.arange(side, device=images.device)
    within = (step[:, None] * width + step).flatten()
    here, there = (
        (corner[:, None] + within)[:, None].expand(-1, channels, -1)
        for corner in (top * width + left, other_top * width + other_left)
    )
    change = (x - images).flatten(2)
    unused = (reach.to(x.dtype) ** 2 - change.square().sum((1, 2))).clamp(min=0) / channels
    old = change.gather(2, here)
    change = change.scatter(2, here, 0.0)
    given_up = change.gather(2, there)
    change = change.scatter(2, there, 0.0)
    size = (old.square().sum(2) + given_up.square().sum(2) + unused[:, None]).sqrt()
    new = sign.to(x.dtype) * _turned(images, side, turned).flatten(1)[:, None] + _unit(old)
    change = change.scatter(2, here, size[..., None] * _unit(new))
    return norm.move(images, images, reach, norm.ascent(change.view_as(images)), radius)


WINDOWS = {
    "linf": Windows(_linf_start, _linf_side, _linf_draw, _linf_change),
    "l2": Windows(_l2_start, _l2_side, _l2_draw, _l2_change),
}
