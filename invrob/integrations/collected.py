"""Images that pass by in batches, of which a fixed number is kept: the state that both metrics and the callback have.

Which are kept follows from the images and the seed alone. Each image has a number that is computed of its bits, and
those with the smallest numbers stay. So the choice is the same for any order, any size of batches, and any number of
processes, and a data set that is sorted by class gives images of all classes."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from invrob.checks import check_settings, checked_count
from invrob.errors import InputError
from invrob.integrations.pixels import Normalised, classes_of, normalisation, pixels_of

AT_ONCE = 2**22  # pixels whose products are in memory at the same time


class Collected(Metric):
    """Up to `limit` of the images that it was updated with, and their labels where there were any.

    images, labels, keys: lists of tensors, one for each batch, which torchmetrics gathers from all processes. most: the
    limit once more, so that metrics with different limits never share their images in a MetricCollection."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    images: list[Tensor]
    labels: list[Tensor]
    keys: list[Tensor]
    most: Tensor

    def __init__(self, limit: int, seed: int, normalised: Normalised | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_settings(confidence=0.5, seed=seed)
        self.limit, self.seed, self.normalised = checked_count("images", limit), int(seed), normalised
        normalisation(normalised)
        for name in ("images", "labels", "keys"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.add_state("most", default=torch.tensor(self.limit), dist_reduce_fx="max")

    def update(self, images: Tensor, labels: Tensor | None = None) -> None:
        """Take the images of a batch, float [N, C, H, W] in [0, 1], or normalised as `normalised` says, and the class
        of each, int [N].

        Raises InputError for images outside [0, 1], for those of another shape than before, and for labels with some
        batches only."""
        with torch.inference_mode(False), torch.no_grad():  # a tensor of that mode could not be differentiated later
            pixels = pixels_of(images, normalisation(self.normalised))
            classes = classes_of(labels, len(pixels))
            self._check(pixels, classes)
            keys = keys_of(images.detach(), self.seed)
            kept = self._smallest(keys)
            if not len(kept):
                return
            self.images.append(pixels[kept])
            self.keys.append(keys[kept])
            if classes is not None:
                self.labels.append(classes.to(kept.device)[kept])
            if sum(map(len, self.keys)) > 2 * self.limit:
                self._prune()

    def compute(self) -> Any:
        """How many images are kept."""
        return torch.tensor(len(self.chosen()[0]))

    def chosen(self) -> tuple[Tensor, Tensor | None]:
        """The images that are kept by now, float [N, C, H, W] in [0, 1] in the order in which they came, and their
        labels, or None. Raises InputError where there are none."""
        found = [part for part in _parts(self.images) if part.ndim == 4]  # a process without images adds an empty one
        if not found:
            raise InputError(f"{type(self).__name__} has seen no image: call update(images) before compute()")
        images, keys = dim_zero_cat(found), _all_keys(self.keys)
        labels = [part for part in _parts(self.labels) if len(part)]
        with torch.inference_mode(False), torch.no_grad():
            places = _smallest(keys, self.limit).to(images.device)
            return images[places], dim_zero_cat(labels).long()[places] if labels else None

    def _check(self, pixels: Tensor, classes: Tensor | None) -> None:
        before = _parts(self.images)
        if before and before[0].shape[1:] != pixels.shape[1:]:
            raise InputError(
                f"images {[*pixels.shape]} are of another shape than the batches before, {[*before[0].shape]}: resize "
                "them to one size"
            )
        if before and bool(self.labels) != (classes is not None):
            raise InputError(
                "labels were given with some batches and not with others: give them with all, or with none"
            )

    def _smallest(self, keys: Tensor) -> Tensor:
        """Which images of a batch may be among those with the smallest numbers, in increasing order of their place."""
        held = _all_keys(self.keys)
        if len(held) >= self.limit:
            largest = held.sort().values[self.limit - 1].to(keys.device)
            candidates = (keys < largest).nonzero().flatten()
        else:
            candidates = torch.arange(len(keys), device=keys.device)
        return candidates[_smallest(keys[candidates], self.limit)]

    def _prune(self) -> None:
        """Forget the images that are no longer among the chosen ones."""
        places = _smallest(_all_keys(self.keys), self.limit)
        for name in ("images", "keys", "labels"):
            if parts := getattr(self, name):
                whole = dim_zero_cat(parts)
                setattr(self, name, [whole[places.to(whole.device)]])


def keys_of(images: Tensor, seed: int) -> Tensor:
    """A number for each image, int64 [N], of its bits and the seed: the same on every device.

    It is a sum of the bits of all pixels, each times a random number, modulo 2^64, so that any two images have
    independent numbers."""
    bits = (images if images.dtype == torch.float64 else images.float()).contiguous().flatten(1)
    bits = bits.view(torch.int64 if images.dtype == torch.float64 else torch.int32)
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randint(-(2**63), 2**63 - 1, (bits.shape[1],), generator=generator).to(bits.device)
    rows = max(1, AT_ONCE // bits.shape[1])
    parts = [bits[start : start + rows] for start in range(0, len(bits), rows)]
    return torch.cat([(part.long() * factors).sum(1) for part in parts])


def _smallest(keys: Tensor, most: int) -> Tensor:
    """The places of the smallest `most` numbers, in increasing order."""
    return keys.argsort(stable=True)[:most].sort().values


def _parts(state: list[Tensor] | Tensor) -> list[Tensor]:
    """A state as a list: torchmetrics makes one tensor of it where it has gathered those of several processes."""
    return [state] if isinstance(state, Tensor) else state


def _all_keys(state: list[Tensor] | Tensor) -> Tensor:
    parts = [part for part in _parts(state) if len(part)]
    return torch.cat([part.long() for part in parts]) if parts else torch.zeros(0, dtype=torch.int64)
