"""Devices and threads: which there are, and which a computation uses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from invrob.empirical.inference.call import Model
from invrob.empirical.inference.memory import bytes_per_image
from invrob.empirical.inference.modes import evaluating
from invrob.errors import InputError

SMALL_WORK = 2**21  # bytes that a forward pass computes for an image: the paper's networks for MNIST stay below


def chosen_device(name: str) -> torch.device:
    """The device called `name`: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1". Raises InputError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r} is unknown: use auto, cpu, cuda or cuda:1") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:1")
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise InputError(f"device {name!r} is not there: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


@contextmanager
def single_thread() -> Iterator[None]:
    """One torch thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def suited_threads(model: Model, images: Tensor) -> Iterator[None]:
    """One torch thread inside the block where `model` does little for an image: many would wait for a busy core."""
    with evaluating(model):
        small = images.device.type == "cpu" and 0 < bytes_per_image(model, images) < SMALL_WORK
    with single_thread() if small else nullcontext():
        yield


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pinned(device: torch.device) -> list[torch.device]:
    """The devices that worker processes share out: every GPU of this machine, where `device` names none of them."""
    if str(device) == "cuda":
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [device]
