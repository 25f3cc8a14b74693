"""What a model is, what images are, and how one is asked about the other without leaving a trace on either."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from invrob.empirical.inference.memory import in_pieces, remembering
from invrob.errors import InputError

Model = Callable[[Tensor], Tensor]  # images [N, C, H, W] in [0, 1] -> logits [N, K], K >= 2

ROUNDING = 1e-6  # images that resizing or a division left this far outside [0, 1] are clamped, not refused


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


def checked_images(images: Tensor) -> Tensor:
    """`images` as a detached tensor [N, C, H, W] in [0, 1], float32 or float64, N >= 1; the caller's own is never
    written to.

    Values up to 1e-6 outside [0, 1] are rounding and are clamped. Raises InputError for everything else, with the line
    that mends it."""
    if not isinstance(images, Tensor):
        raise InputError(f"images is a {type(images).__name__}, not a torch.Tensor: use torch.as_tensor(images)")
    described = f"images {images.dtype} {[*images.shape]}"
    if not images.is_floating_point():
        raise InputError(f"{described} must be floats in [0, 1]: use images.float() / 255 (pixels 0..255)")
    if images.dtype not in (torch.float32, torch.float64):
        raise InputError(f"{described} are too coarse for an attack: use images.float(), and let the model cast them")
    if images.ndim != 4 or not images.numel():
        raise InputError(f"{described} must be [N, C, H, W] with N >= 1: use images[:, None] for [N, H, W]")
    images = images.detach()
    low, high = images.amin().item(), images.amax().item()
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # false for NaN as well
        raise InputError(
            f"{described} span [{low:.4g}, {high:.4g}], outside [0, 1]: use images / 255 for pixels 0..255; if they "
            "are normalised, undo it and put it inside the model: from invrob.empirical.models import Normalize; "
            "model = torch.nn.Sequential(Normalize(mean, std), model)"
        )
    with torch.inference_mode(False):  # a tensor made in that mode could not be differentiated
        return images.clamp(0, 1)


def checked_labels(labels: Tensor | None, images: Tensor, model: Model) -> Tensor | None:
    """`labels` as int64 [N] on the device of `images`, or None. Raises InputError for another shape or kind, and for a
    class that `model` does not have; it is asked about one image, so call this inside `evaluating(model)`."""
    if labels is None:
        return None
    labels = torch.as_tensor(labels, device=images.device)
    if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(
            f"labels {labels.dtype} {[*labels.shape]} must be integers of shape [{len(images)}], one per image: "
            "use onehot.argmax(1) for one-hot rows"
        )
    low, high = int(labels.amin()), int(labels.amax())
    classes = all_logits(model, images[:1]).shape[1]
    if not 0 <= low <= high < classes:
        raise InputError(
            f"labels span [{low}, {high}], but the model has {classes} classes: they must be in [0, {classes - 1}], "
            "counted from 0"
        )
    return labels.to(torch.int64, copy=True)


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
