"""How a GPU computes: in all of float32 where something is measured, with the fastest convolutions in a training.

PyTorch lets convolutions round to TF32 by default, with 10 bits of mantissa instead of 23, and matrix products where a
setting says so. Robustness at a small epsilon would then depend on that setting. A CPU computes the same either way."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def exact_float32() -> Iterator[None]:
    """Convolutions and matrix products of float32 keep all of it inside the block, whatever was set before; that comes
    back afterwards."""
    settings = torch.backends.cuda.matmul, torch.backends.cudnn.conv  # type: ignore[attr-defined]  # set at import
    before = [setting.fp32_precision for setting in settings]
    for setting in settings:
        setting.fp32_precision = "ieee"
    try:
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value


@contextmanager
def fastest_convolutions() -> Iterator[None]:
    """Inside the block cuDNN tries its algorithms on the first batch of each shape, and takes the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
