"""A training batch that the memory does not hold, taken in pieces with the random numbers that all of it would draw."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from invrob.empirical.inference import halving, random_state

DROPOUTS = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d}


def sum_over_pieces(
    model: nn.Module, optimizer: torch.optim.Optimizer, n: int, size: int, step: Callable[[slice], Tensor]
) -> tuple[Tensor, int]:
    """The sum of `step` over slices of at most `size` of `n` rows, and the size that the memory holds.

    step: adds the gradients of its rows, and draws random numbers in dropout only. An attempt that fails moves nothing:
    gradients, the buffers of `model` and the global generators start again. Dropout masks do not depend on the size;
    batch norm has the statistics of a piece, which is said in the log."""
    device = next(model.parameters()).device
    rewind = random_state(device)
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]

    def undo() -> None:
        for buffer, value in buffers:
            buffer.copy_(value)

    def attempt(size: int) -> Tensor:
        optimizer.zero_grad()
        if size >= n:
            return step(slice(0, n))
        total = torch.zeros((), device=device)
        for start in range(0, n, size):
            rewind()
            rows = slice(start, min(start + size, n))
            with _DropoutOfAll(rows, n):
                total = total + step(rows)
        return total

    asked = min(size, n)
    total, fitted = halving(asked, attempt, undo)
    if fitted == asked:
        return total, size
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        logging.getLogger("invrob").warning(
            "batch norm sees %d images at a time instead of %d, which gives other weights than more memory would: "
            "batch_size=%d gives the same weights everywhere",
            *(fitted, asked, fitted),
        )
    return total, fitted


class _DropoutOfAll(TorchFunctionMode):
    """Some rows of a batch of `n` pass dropout with the masks that they have where all rows pass at once."""

    def __init__(self, rows: slice, n: int) -> None:
        super().__init__()
        self.rows, self.n = rows, n

    def __torch_function__(
        self, function: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if function not in DROPOUTS or not kwargs["training"]:
            return function(*args, **(kwargs or {}))
        (x,) = args
        strides = torch.empty_like(x).stride()[1:]  # masks are drawn in the order of the memory
        ones = x.new_empty_strided((self.n, *x.shape[1:]), (x.shape[1:].numel(), *strides)).fill_(1)
        return x * function(ones, **{**kwargs, "inplace": False})[self.rows]
