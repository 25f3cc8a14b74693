"""Batches that fit into memory: a size chosen from what is free, and halved where that was still too much.

The split happens where the model is asked, below everything that draws random numbers: so it changes results by
rounding at most."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from invrob.empirical.inference.call import called, is_out_of_memory
from invrob.empirical.inference.randomness import random_state
from invrob.errors import InputError

T = TypeVar("T")

SMALL = 64  # images that are asked about at once without a thought
CAUTION = 4  # bytes that must be free per byte that a forward pass computes: its gradients, and as much to spare

_limit: ContextVar[list[int] | None] = ContextVar("limit", default=None)  # images at once; [] while not known


def halving(size: int, attempt: Callable[[int], T], undo: Callable[[], None]) -> tuple[T, int]:
    """`attempt(size)`, again with half of it for as long as memory runs out, and the size that went through.

    Each halving is a warning of the logger "invrob". undo: puts back what an attempt moved before it failed, so that
    no result depends on how many have failed. Raises InputError where even 1 is too much."""
    while True:
        try:
            return attempt(size), size
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if torch.cuda.is_available():  # outside `except`, which would keep the failed attempt's tensors alive
            torch.cuda.empty_cache()
        undo()
        if size <= 1:
            raise InputError(
                "a single image does not fit into memory: take a narrower model or smaller images, end what else holds "
                "memory on this device, or use another device (device=cpu)"
            )
        logging.getLogger("invrob").warning("out of memory: %d images at a time instead of %d", size // 2, size)
        size //= 2


@contextmanager
def remembering() -> Iterator[None]:
    """Inside the block, a batch that was too large is not tried again."""
    token = _limit.set(list(_limit.get() or []))
    try:
        yield
    finally:
        _limit.reset(token)


def in_pieces(model: Callable[[Tensor], Tensor], images: Tensor, ask: Callable[[slice], T]) -> list[T]:
    """`ask` about slices that cover `images` [N, ...] in order, as large as memory allows; N = 0 is one empty slice.

    ask: calls `model` on that part of the images. Raises InputError where one image is too much."""
    known = _limit.get()
    limit = known if known is not None else []
    if len(images) > SMALL and not limit:
        limit.append(affordable(model, images))
    results: list[T] = []
    start = 0
    while start < len(images) or not results:
        wanted = min(limit[0], len(images) - start) if limit else len(images) - start
        result, size = halving(wanted, partial(_ask, ask, start), random_state(images.device))
        if size < wanted:
            limit[:] = [size]
        results.append(result)
        start += max(size, 1)
    return results


def _ask(ask: Callable[[slice], T], start: int, size: int) -> T:
    return ask(slice(start, start + size))


def affordable(model: Callable[[Tensor], Tensor], images: Tensor) -> int:
    """How many images at once a forward and a backward pass can take, judged by the free memory of their device; at
    least 1. Call it inside `evaluating(model)`."""
    free = free_bytes(images.device)
    if free is None:
        return max(1, len(images))
    return int(max(1, free // (CAUTION * max(bytes_per_image(model, images), 1))))


@torch.no_grad()
def bytes_per_image(model: Callable[[Tensor], Tensor], images: Tensor) -> int:
    """What a forward pass of two images computes beyond that of one, in bytes; 0 where torch does not see it. Call it
    inside `evaluating(model)`."""
    pair = torch.cat([images[:1], images[:1]])
    alone, both = (_computed(model, pair[:n]) for n in (1, 2))
    return both - alone


def free_bytes(device: torch.device) -> int | None:
    """Memory of `device` that is free, or held by PyTorch without use; None where nobody says."""
    if device.type == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + idle)
    table = Path("/proc/meminfo")
    if not table.exists():
        return None
    rows = dict(line.split(":", 1) for line in table.read_text().splitlines())
    return 1024 * int(rows["MemAvailable"].split()[0]) if "MemAvailable" in rows else None


def _computed(model: Callable[[Tensor], Tensor], images: Tensor) -> int:
    count = _Count()
    called(model, images, count)
    return count.bytes


class _Count(TorchFunctionMode):
    """The bytes of all tensors that the functions of a forward pass return."""

    bytes = 0

    def __torch_function__(
        self, function: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.bytes += result.numel() * result.element_size()
        return result
