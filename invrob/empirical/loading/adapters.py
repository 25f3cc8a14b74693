"""Layers between a data set's images and a network that was made for others: channels, size, mean and deviation, batch.

All of them are inside the model, so that an epsilon stays one of the data's own pixels in [0, 1]; gradients pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invrob.empirical.inference import (
    ChannelsLastError,
    FixedBatch,
    Model,
    called,
    evaluating,
    is_out_of_memory,
    random_state,
)
from invrob.empirical.loading.layouts import check_layout
from invrob.empirical.models import Normalize, per_channel
from invrob.errors import InputError

Size = tuple[int, int]  # height, width
Channels = Literal["auto", "keep"]
COLOURS = 3  # channels that grey images are repeated to
LARGEST_BATCH = 256  # that a network is asked about to find out how many images it takes
MOST_SIZES = 12


@dataclass(frozen=True, init=False)
class Preprocessing:
    """What is done to images inside a model before its network sees them, so that epsilons stay in pixels of the data.

    Args:
        mean: subtracted from pixels in [0, 1], a number or one per channel. None, like `std`: nothing is normalised, or
            as the library of the network has it.
        std: above 0, what is divided by after that; given where `mean` is.
        size: pixels that images are resized to first, bilinearly: the side of a square or (height, width), >= 1. None:
            as they come, or as a file or published weights demand.
        channels: "auto" repeats grey images to three channels where the network takes them in no other way; "keep"
            hands them on as they are.

    Raises:
        InputError: outside these ranges, and for a mean without a std.

    Example:
        >>> import invrob
        >>> invrob.Preprocessing(mean=0.1307, std=0.3081, size=32)
        Preprocessing(mean=(0.1307,), std=(0.3081,), size=(32, 32), channels='auto')
    """

    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    size: Size | None
    channels: Channels

    def __init__(
        self,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        size: int | Size | None = None,
        channels: Channels = "auto",
    ) -> None:
        if (mean is None) != (std is None):
            raise InputError("`mean` and `std` belong together: give both, or neither")
        sides = None if size is None else tuple(size) if isinstance(size, Sequence) else (size, size)
        whole = all(isinstance(side, (int, np.integer)) and side >= 1 for side in sides or ())
        if sides is not None and not (whole and len(sides) == 2):
            raise InputError(f"size = {size!r} must be one or two whole numbers of pixels, each at least 1")
        if channels not in ("auto", "keep"):
            raise InputError(f"channels = {channels!r} must be 'auto' or 'keep'")
        means, stds = (None, None) if mean is None or std is None else per_channel(mean, std)
        for name, value in (("mean", means), ("std", stds), ("size", sides and tuple(map(int, sides)))):
            object.__setattr__(self, name, value)  # the only way into a frozen value
        object.__setattr__(self, "channels", channels)

    def completed(self, demanded: "Preprocessing") -> "Preprocessing":
        """These settings; what they leave open is as the file or the library of the network demands it."""
        normalised = demanded if self.mean is None else self
        return Preprocessing(normalised.mean, normalised.std, self.size or demanded.size, self.channels)


AS_THEY_COME = Preprocessing()


class Adapted(nn.Module):
    """`network` behind what it needs: grey images repeated to three channels, resized, normalised; in this order.

    Whether grey images are repeated is tried, with one of them, for each shape: as they are first, since many a network
    makes its own channels; repeated where only that works. Resizing is bilinear, with antialiasing where images shrink.

    declared: how many channels the network takes, as its file or its library says; None where nobody does."""

    def __init__(self, network: Model, declared: int | None, how: Preprocessing) -> None:
        super().__init__()
        self.network, self.declared, self.size, self.keeps = network, declared, how.size, how.channels == "keep"
        self.normalize = nn.Identity() if how.mean is None or how.std is None else Normalize(how.mean, how.std)
        self._repeated: dict[tuple[int, ...], bool] = {}  # by [C, H, W]

    @property
    def channels(self) -> int | None:
        """How many channels the network is known to take: as it declares, as was tried last, or as many as its first
        convolution has."""
        if self.declared is not None:
            return self.declared
        if self._repeated:
            (shape, repeated) = [*self._repeated.items()][-1]
            return COLOURS if repeated else shape[0]
        return first_channels(self.network)

    def forward(self, images: Tensor) -> Any:
        prepared = self._prepared(images, self._is_to_repeat(images))  # which may find out how the network is asked
        return called(self.network, prepared)

    def _prepared(self, images: Tensor, repeated: bool) -> Tensor:
        if repeated:
            images = images.expand(-1, COLOURS, -1, -1)
        if self.size is not None and tuple(images.shape[2:]) != self.size:
            shrinking = self.size[0] < images.shape[2] or self.size[1] < images.shape[3]
            images = F.interpolate(images, self.size, mode="bilinear", align_corners=False, antialias=shrinking)
        normalised: Tensor = self.normalize(images)
        return normalised

    def _is_to_repeat(self, images: Tensor) -> bool:
        if images.ndim != 4:
            return False
        shape, grey = tuple(images.shape[1:]), images.shape[1] == 1 and not self.keeps
        if self.declared is not None or not len(images):
            return grey and (self.declared or first_channels(self.network)) == COLOURS
        if shape not in self._repeated:
            repeated = self._tried(images[:1].detach(), grey)
            if repeated is None:  # neither way works: what is raised is to be about the likelier one
                return grey and first_channels(self.network) == COLOURS
            self._repeated[shape] = repeated
        return self._repeated[shape]

    def _tried(self, image: Tensor, grey: bool) -> bool | None:
        """Whether the network takes [1, C, H, W] repeated only; None where it takes it in no way. Raises InputError
        where it takes channels last."""
        put_back = random_state(image.device)
        try:
            with evaluating(self.network), torch.no_grad():
                for batch in (1, *written_sizes(self.network)):
                    for repeated in (False, True)[: 1 + grey]:
                        if self._works(image.expand(batch, -1, -1, -1), repeated):
                            if batch > 1:  # one alone it did not take
                                self.network = FixedBatch(self.network, batch)
                            return repeated
        finally:
            put_back()
        return None

    def _works(self, images: Tensor, repeated: bool) -> bool:
        try:
            called(self.network, self._prepared(images, repeated))
        except ChannelsLastError:
            raise
        except Exception as error:  # a network raises what it likes
            if is_out_of_memory(error):
                raise
            return False
        return True


def written_sizes(network: Model) -> list[int]:
    """Numbers in the code of TorchScript that can be the number of images which it takes at a time."""
    if not isinstance(network, torch.jit.ScriptModule):
        return []
    graph: Any = network.inlined_graph  # held by a name: its nodes go with it
    numbers = [node.output().toIValue() for node in graph.findAllNodes("prim::Constant")]
    return sorted({number for number in numbers if type(number) is int and 1 < number <= LARGEST_BATCH})[:MOST_SIZES]


def first_channels(network: Model) -> int | None:
    """The channels of the first convolution among the network's modules, which is nearly always the first to run."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    return next((m.in_channels for m in modules if isinstance(m, nn.Conv2d)), None)


def adapted_to_shape(network: Model, shape: list[int | None], name: str) -> tuple[Model, int | None, Preprocessing]:
    """What the input shape [N, C, H, W] of a file says, None where it is free: the network, asked in batches of N where
    that is fixed; its channels; its height and width. Raises InputError where it is no shape of images, and where the
    channels are last."""
    if len(shape) != 4:
        free = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name} takes an input of shape [{free}], not images [N, C, H, W]: export such a model")
    check_layout(shape, name)
    batch, channels, height, width = shape
    network = network if batch is None else FixedBatch(network, batch)
    return network, channels, Preprocessing(size=None if height is None or width is None else (height, width))
