"""Networks that `invrob empirical run` trained, out of RUN/cells/KEY or a copy of that folder, whatever its name."""

from math import isqrt
from pathlib import Path
from typing import Any

from torch import nn

from invrob.empirical.data import SOURCES
from invrob.empirical.experiments import Cell, read_training
from invrob.empirical.loading.fitting import put_weights
from invrob.empirical.loading.opened import Opened
from invrob.empirical.loading.weights import State
from invrob.empirical.models import Images, build, build_own, is_own
from invrob.errors import InputError


def open_cell(folder: Path, files: dict[str, str]) -> Opened:
    """The network in the folder of a cell; its normalisation is inside it, and its data set is not needed.

    files: where the SHA-256 of the weights is noted. Raises InputError for a folder that is damaged."""
    training = read_training(folder)
    if training is None:
        raise InputError(f"{folder} holds no finished training, or a damaged one: copy it again, or train it again")
    state, body = training
    if is_own(str(body.get("cell", {}).get("model"))):
        return _own(folder, state, body, files)
    try:
        cell = Cell.model_validate(body["cell"])
        shape = {"in_channels": state["1.weight"].shape[1], "classes": len(state[f"{max(map(_layer, state))}.bias"])}
        sizes = (SOURCES[cell.dataset].shape[-1],) if cell.dataset in SOURCES else _sizes(state)
    except (LookupError, ValueError, TypeError, ArithmeticError, StopIteration) as error:
        raise InputError(f"{folder} holds no network that this version of invrob trains") from error
    network = _network(cell, state, shape, sizes, str(folder))
    if cell.dataset not in SOURCES:  # images of several sizes fit the same weights
        next(layer for layer in network.modules() if isinstance(layer, Images)).size = None
    files[str(folder / "weights.safetensors")] = body["weights_sha256"]
    return Opened(network, "run", notes=(f"{cell}, trained on {cell.dataset}",))


def _own(folder: Path, state: State, body: dict[str, Any], files: dict[str, str]) -> Opened:
    """The network of a user's builder, whose code must have been allowed to run."""
    try:
        cell, given = Cell.model_validate(body["cell"]), dict(body["given"])
    except (LookupError, ValueError, TypeError) as error:
        raise InputError(f"{folder} holds no network that this version of invrob trains") from error
    network = build_own(cell.model, cell.source, given, cell.options, cell.seed)
    put_weights(network, state, str(folder))
    files[str(folder / "weights.safetensors")] = body["weights_sha256"]
    return Opened(network, "run", notes=(f"{cell}, trained on {cell.dataset}",))


def _network(cell: Cell, state: State, shape: dict[str, int], sizes: tuple[int, ...], name: str) -> nn.Module:
    """The network of a cell with its weights, for the first of `sizes` that they fit. Raises InputError for none."""
    failures = []
    for size in sizes:
        try:
            network = build(cell.model, **{**cell.options, **shape, "size": size, "seed": cell.seed})
            put_weights(network, state, name)
            return network
        except InputError as error:
            failures.append(error)
    raise failures[-1]


def _sizes(state: State) -> tuple[int, ...]:
    """Sides of images, of which one is right for these weights: their last map has `side` x `side` places, which is
    (size - 12) / 4 for the paper's networks and size / 4 for Madry's; the others take its mean."""
    weights = [state[name] for name in sorted(state, key=_layer) if name.endswith(".weight")]
    *_, convolution = (weight for weight in weights if weight.ndim >= 4)
    linear = next(weight for weight in weights if weight.ndim == 2)
    planes = 4 if convolution.ndim == 5 else 1  # over p4
    side = isqrt(linear.shape[1] // (planes * len(convolution)))
    return 4 * side + 12, 4 * side, 32


def _layer(name: str) -> int:
    """The place in the network of the layer that a weight belongs to."""
    return int(name.partition(".")[0])
