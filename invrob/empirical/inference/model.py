"""How a model is asked about images, without leaving a trace on either."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from invrob.empirical.inference.call import Model, called, remembering_fits
from invrob.empirical.inference.fixed_batch import FixedBatch
from invrob.empirical.inference.memory import in_pieces
from invrob.empirical.inference.modes import evaluating
from invrob.empirical.inference.outputs import checked_logits, collecting_notes, logits_in


def logits(model: Model, images: Tensor) -> Tensor:
    """`model(images)`, float32 or float64 [N, K], refused with an InputError where it is no tensor of that shape, holds
    none, or holds a NaN.

    The model gets a copy of the images, which it may write into, and of the dtype that it takes. For N = 0 it is asked
    about an image of all greys: not every network can reshape a batch of nothing."""
    n = len(images)
    if not n:
        greys = torch.linspace(0, 1, images.shape[1:].numel(), device=images.device, dtype=images.dtype)
        return logits(model, torch.cat([images, greys.view(1, *images.shape[1:])]))[:0]
    return checked_logits(logits_in(called(model, images), n), n, model)


def logits_note(model: Model, images: Tensor) -> str | None:
    """What a reader of the numbers should know about how `model` answers, found out by asking it about `images`: which
    part of its outputs is taken, in which dtype it computes, how many images it takes at a time. None for nothing.

    Raises InputError as `logits` does, and whatever the model raises."""
    with evaluating(model), torch.no_grad(), collecting_notes() as notes, remembering_fits(watching=True) as fits:
        logits(model, images)
    for fit in fits():
        if fit.dtype is not None:
            notes.append(f"the network computes in {str(fit.dtype).removeprefix('torch.')}: images are converted to it")
    inside = [m.batch for m in model.modules() if isinstance(m, FixedBatch)] if isinstance(model, nn.Module) else []
    for batch in (*(fit.batch for fit in fits() if fit.batch is not None), *inside):
        notes.append(f"the network takes {batch} images at a time: it is asked in such batches")
    return "; ".join(dict.fromkeys(notes)) or None


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
