"""Networks that want channels last, [N, H, W, C]: known by the shape that a file demands, or by what they do first.

A network that gets [N, C, H, W] for [N, H, W, C] often answers all the same, since C is 1 or its first layer is linear:
with numbers about noise. So it is refused, and never adapted until it fits."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from invrob.empirical.inference import is_channels_last
from invrob.errors import InputError

USUAL = (1, 3, 4)  # channels of an image
TO_FIRST = (0, 3, 1, 2)  # what makes [N, C, H, W] of [N, H, W, C]
WRAP_IT = (
    "use model = torch.nn.Sequential(torchvision.ops.Permute([0, 2, 3, 1]), model), which takes channels first, and "
    "export or name that"
)


def check_layout(shape: Sequence[int | None], name: str) -> None:
    """Raises InputError where the shape that a file demands, None where free, is nearly certainly [N, H, W, C]."""
    _, first, middle, last = shape
    known = tuple(size for size in shape[1:] if size is not None)
    if (last in USUAL and first not in USUAL and middle != last) or (len(known) == 3 and is_channels_last((1, *known))):
        free = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(
            f"{name} takes channels last, [{free}], and images are [N, C, H, W]: {WRAP_IT}; tf2onnx writes such a file "
            "by --inputs-as-nchw"
        )


class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Whether what runs inside the block turns images [N, C, H, W] of this shape as if they were [N, H, W, C]."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shape, self.is_last = tuple(shape), False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function is torch.ops.aten.permute.default and isinstance(args[0], Tensor):
            turned = tuple(axis % 4 for axis in args[1]) == TO_FIRST
            self.is_last |= turned and tuple(args[0].shape[1:]) == self.shape
        return function(*args, **(kwargs or {}))


def channels_last(shape: Sequence[int]) -> InputError:
    """The error for a network that was seen to do so with images [N, *shape]."""
    given = ", ".join(map(str, shape))
    return InputError(
        f"the network turns images [N, {given}] by permute(0, 3, 1, 2): it takes channels last, [N, H, W, C], and "
        f"images are [N, C, H, W]; {WRAP_IT}"
    )
