"""The random state of the caller, which comes back."""

from collections.abc import Callable

import torch


def random_state(device: torch.device) -> Callable[[], None]:
    """A call that puts the global generators of the CPU and of `device` back to where they are now."""
    host = torch.get_rng_state()
    card = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def put_back() -> None:
        torch.set_rng_state(host)
        if card is not None:
            torch.cuda.set_rng_state(card, device)

    return put_back
