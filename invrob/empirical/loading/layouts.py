"""Files that want channels last, [N, H, W, C]: known by the shape that they demand. Others are watched as they run.

A network that gets [N, C, H, W] for [N, H, W, C] often answers all the same, since C is 1 or its first layer is linear:
with numbers about noise. So it is refused, and never adapted until it fits."""

from collections.abc import Sequence

from invrob.empirical.inference import WRAP_IT, is_channels_last
from invrob.errors import InputError

USUAL = (1, 3, 4)  # channels of an image


def check_layout(shape: Sequence[int | None], name: str) -> None:
    """Raises InputError where the shape that a file demands, None where free, is nearly certainly [N, H, W, C]."""
    _, first, middle, last = shape
    known = tuple(size for size in shape[1:] if size is not None)
    if (last in USUAL and first not in USUAL and middle != last) or (len(known) == 3 and is_channels_last((1, *known))):
        raise channels_last(shape, name)


def channels_last(shape: Sequence[int | None], name: str) -> InputError:
    """The error for a file that takes them."""
    free = ", ".join("any" if size is None else str(size) for size in shape)
    return InputError(
        f"{name} takes channels last, [{free}], and images are [N, C, H, W]: {WRAP_IT}; tf2onnx writes such a file "
        "by --inputs-as-nchw"
    )
