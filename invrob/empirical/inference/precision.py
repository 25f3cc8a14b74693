"""How a GPU computes: in all of float32 where something is measured, with the fastest convolutions in a training.

PyTorch lets convolutions round to TF32 by default, with 10 bits of mantissa instead of 23, and matrix products where a
setting says so. Robustness at a small epsilon would then depend on that setting. A CPU computes the same either way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

Value = TypeVar("Value")


@contextmanager
def exact_float32() -> Iterator[None]:
    """Convolutions and matrix products of float32 keep all of it inside the block, whatever was set before; that comes
    back afterwards.

    PyTorch has two sets of switches for this, and raises where one is read after the other has contradicted it. So both
    are set, as far as the older one can be read."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    switches: tuple[Any, ...] = (cuda, cudnn.conv, cudnn.rnn, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [switch.fp32_precision for switch in switches]
    products, convolutions = _readable(torch.get_float32_matmul_precision), _readable(lambda: cudnn.allow_tf32)
    if products is not None:
        torch.set_float32_matmul_precision("highest")
    if convolutions is not None:
        cudnn.allow_tf32 = False
    for switch in switches:
        switch.fp32_precision = "ieee"
    try:
        yield
    finally:
        if products is not None:
            torch.set_float32_matmul_precision(products)
        if convolutions is not None:
            cudnn.allow_tf32 = convolutions
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = value


def _readable(switch: Callable[[], Value]) -> Value | None:
    try:
        return switch()
    except RuntimeError:
        return None


@contextmanager
def fastest_convolutions() -> Iterator[None]:
    """Inside the block cuDNN tries its algorithms on the first batch of each shape, and takes the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
