"""What opening a spec or a file gives, before it is fitted to the data."""

from dataclasses import dataclass

from invrob.empirical.inference import Model
from invrob.empirical.loading.adapters import Size


@dataclass(frozen=True, eq=False)
class Opened:
    """A network, and what its file or its library says about it; None where it says nothing."""

    network: Model
    kind: str
    channels: int | None = None
    size: Size | None = None  # (height, width) that it must be given
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    differentiable: bool = True
    notes: tuple[str, ...] = ()
