"""How many parameters the paper's networks have: counted in weights that are there, or in a network that is built."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from torch import Tensor

from invrob.empirical.models.registry import MODELS, build

# What a state_dict of the paper's networks holds beside their parameters: the statistics of batch norm, and the numbers
# that images are normalised by.
BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "mean", "std")


def parameters_in(name: str, state: Mapping[str, Tensor]) -> int | None:
    """How many parameters a network has whose weights these are.

    Args:
        name: of the network.
        state: its state_dict.

    Returns:
        The number; None for a network that is not the paper's, whose tensors may be other things than parameters.

    Example:
        >>> from invrob.empirical.models import build, parameters_in
        >>> parameters_in("stdcnn", build("stdcnn").state_dict())
        23010
    """
    if name not in MODELS:
        return None
    return sum(tensor.numel() for key, tensor in state.items() if key.rpartition(".")[2] not in BUFFERS)


def parameters_built(name: str, channels: int, size: int, options: Mapping[str, Any]) -> int:
    """The same where there are no weights: the network is built, for ten classes of images [channels, size, size].

    Args:
        name: one of `MODELS`.
        channels, size: of the images, at least 1.
        options: what `build` takes beside these.

    Returns:
        The number.

    Raises:
        InputError: where the images do not fit the network.

    Example:
        >>> from invrob.empirical.models import parameters_built
        >>> parameters_built("gcnn", 1, 28, {"head": "invariant"})
        26910
    """
    return _built(name, channels, size, tuple(sorted(options.items())))


@lru_cache(maxsize=32)
def _built(name: str, channels: int, size: int, options: tuple[tuple[str, Any], ...]) -> int:
    network = build(name, in_channels=channels, size=size, classes=10, **dict(options))
    return sum(parameter.numel() for parameter in network.parameters())
