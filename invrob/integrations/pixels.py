"""Images of a training loop as pixels in [0, 1], and the network behind the normalisation that was undone for it."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invrob.checks import Array
from invrob.empirical.inference import Model, called, checked_images, class_numbers, outside
from invrob.empirical.models import Normalize, per_channel
from invrob.errors import InputError

PerChannel = float | Sequence[float]
Normalised = tuple[PerChannel, PerChannel]  # the mean and the std that images were normalised by

HALVES = (torch.float16, torch.bfloat16)  # of a Trainer in half precision
WAY_OUT = (
    "if they are normalised, give the mean and the std of that as normalised=(mean, std), such as "
    "normalised=((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)) for CIFAR-10: it is undone for the images and "
    "done again in front of the network"
)


def normalisation(normalised: Normalised | None) -> Normalize | None:
    """The layer that normalises as `normalised` says, or None. Raises InputError where it is no mean and std."""
    if normalised is None:
        return None
    if not isinstance(normalised, tuple | list) or len(normalised) != 2:
        raise InputError(f"normalised = {normalised!r} must be a mean and a std: write normalised=(0.1307, 0.3081)")
    return Normalize(*per_channel(*normalised))


def pixels_of(images: Tensor, layer: Normalize | None) -> Tensor:
    """`images` of a batch as detached pixels in [0, 1], float32 or float64 [N, C, H, W].

    layer: what normalised them, undone here. What rounding has left outside [0, 1] is clamped: up to 1e-6, and for
    float16 and bfloat16 as much as their own rounding can leave. Raises InputError for everything else."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        return _checked(images)
    slack = 4 * torch.finfo(images.dtype).eps if images.dtype in HALVES else 0.0
    pixels = images.detach().float() if images.dtype in HALVES else images.detach()
    if layer is not None and images.ndim == 4 and images.numel():
        channels = len(layer.mean)
        if channels not in (1, images.shape[1]):
            raise InputError(
                f"normalised holds {channels} means, and images {[*images.shape]} have {images.shape[1]} channels: "
                "give one mean and one std, or one of both per channel"
            )
        pixels = pixels * layer.std.to(pixels) + layer.mean.to(pixels)
    if pixels.numel():
        low, high = pixels.amin().item(), pixels.amax().item()
        if low >= -slack and high <= 1 + slack:
            pixels = pixels.clamp(0, 1)
        elif cause := outside(low, high, normalised=WAY_OUT if layer is None else "look for another mean and std"):
            undone = "" if layer is None else ", after normalised=(mean, std) was undone,"
            raise InputError(f"images {images.dtype} {[*images.shape]}{undone} {cause}")
    return _checked(pixels)


def _checked(images: Tensor) -> Tensor:
    """As `checked_images`, but for its doubts: they are about all images, of which a batch holds a few."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return checked_images(images)


def classes_of(labels: Tensor | None, n: int) -> Tensor | None:
    """The class of each of n images, int64 [n] on the device of `labels`. Raises InputError where they are none."""
    if labels is None:
        return None
    if not isinstance(labels, Tensor):
        raise InputError(f"labels is a {type(labels).__name__}, not a torch.Tensor: use torch.as_tensor(labels)")
    plain = labels.detach().cpu()
    array: Array = (plain.float() if plain.dtype in HALVES else plain).numpy()
    described = f"labels {labels.dtype} {[*labels.shape]}"
    return torch.as_tensor(class_numbers(array, n, described, tensor=True).astype("int64"), device=labels.device)


class Behind(nn.Module):
    """A network behind a layer that normalises its images, for as long as it is measured."""

    def __init__(self, layer: Normalize, network: Model, device: torch.device) -> None:
        super().__init__()
        self.layer, self.network = layer.to(device), network

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = called(self.network, self.layer(images))
        return outputs


def device_of(network: object, otherwise: torch.device) -> torch.device:
    """Where the weights of a network are, so that images can follow them; `otherwise` where it has none."""
    if not isinstance(network, nn.Module):
        return otherwise
    tensors = (*network.parameters(), *network.buffers())
    return tensors[0].device if tensors else otherwise
