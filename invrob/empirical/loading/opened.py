"""What opening a spec or a file gives, before it is fitted to the data."""

from dataclasses import dataclass

from invrob.empirical.inference import Model
from invrob.empirical.loading.adapters import AS_THEY_COME, Preprocessing


@dataclass(frozen=True, eq=False)
class Opened:
    """A network, and what its file or its library says about it."""

    network: Model
    kind: str
    channels: int | None = None  # None where nothing is said
    demanded: Preprocessing = AS_THEY_COME
    differentiable: bool = True
    notes: tuple[str, ...] = ()
