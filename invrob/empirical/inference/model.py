"""What a model is, what images are, and how one is asked about the other without leaving a trace on either."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from invrob.empirical.inference.memory import in_pieces, remembering
from invrob.errors import InputError

Model = Callable[[Tensor], Tensor]  # images [N, C, H, W] in [0, 1] -> logits [N, K], K >= 2


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Eval mode and frozen parameters inside the block; both come back as they were, also after an exception."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    training = [m for m in modules if m.training]
    trainable = [p for m in modules for p in m.parameters(recurse=False) if p.requires_grad and p.is_leaf]
    try:
        for module in training:
            module.training = False
        for parameter in trainable:
            parameter.requires_grad_(False)
        with remembering(), torch.inference_mode(False):  # under the caller's inference_mode gradients would be zero
            yield
    finally:
        for module in training:
            module.training = True
        for parameter in trainable:
            parameter.requires_grad_(True)


def logits(model: Model, images: Tensor) -> Tensor:
    """`model(images)`, [N, K], refused with an InputError where it is no tensor of that shape or holds a NaN.

    For N = 0 the model is asked about an image of all greys: not every network can reshape a batch of nothing."""
    if not len(images):
        greys = torch.linspace(0, 1, images.shape[1:].numel(), device=images.device, dtype=images.dtype)
        return logits(model, torch.cat([images, greys.view(1, *images.shape[1:])]))[:0]
    outputs = model(images)
    if not (
        isinstance(outputs, Tensor)
        and outputs.is_floating_point()
        and outputs.ndim == 2
        and len(outputs) == len(images)
        and outputs.shape[1] >= 2
    ):
        got = f"{outputs.dtype} {[*outputs.shape]}" if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(f"the model returned {got} for {len(images)} images: it must return float logits [N, K >= 2]")
    if outputs.isnan().any():
        raise InputError(
            f"the model returned NaN logits for {int(outputs.isnan().any(1).sum())} of {len(images)} images: no rate "
            "can be measured; look for a diverged training or a division by zero inside the model"
        )
    return outputs


def batches(n: int, device: torch.device) -> Iterator[slice]:
    """Slices that cover range(n), in sizes that suit the device; where they do not fit into its memory, the model is
    asked about smaller pieces of them."""
    size = 4096 if device.type == "cuda" else 256
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


@torch.no_grad()
def all_logits(model: Model, images: Tensor) -> Tensor:
    """The logits of any number of images, [N, K], in pieces that fit; call it inside `evaluating(model)`."""
    parts = [images[part] for part in batches(len(images), images.device)] or [images]
    return torch.cat([z for x in parts for z in in_pieces(model, x, partial(_logits_of, model, x))])


def _logits_of(model: Model, images: Tensor, piece: slice) -> Tensor:
    return logits(model, images[piece])


def predict(model: Model, images: Tensor) -> Tensor:
    """The predicted class of each image, int64 [N]; call it inside `evaluating(model)`."""
    return all_logits(model, images).argmax(1)
