"""What images and labels are, for whatever takes them."""

import torch
from torch import Tensor

from invrob.empirical.inference.model import Model, all_logits
from invrob.errors import InputError

ROUNDING = 1e-6  # images that resizing or a division left this far outside [0, 1] are clamped, not refused


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
