"""A model of your own, by a spec that names it: `load_model` and what it returns.

    spec                            what it executes
    pkg.module:callable             the code of that module and of all that it imports: name only what you trust
    folder/mynet.py:callable        likewise
    timm:NAME, torchvision:NAME     the code of these libraries
    FILE.pt2, FILE.pt, FILE.ts      the operators of the graph in a file of torch.export or TorchScript, and no Python
    FILE.onnx                       the operators of the graph, by onnxruntime; it gives no gradients
    RUN/cells/KEY                   this package's own networks, trained by `invrob empirical run`

Weights never execute: they are tensors in a file of safetensors, or in a state dict that is read with `weights_only`.
Nothing is ever unpickled freely; a file that would have to be is refused. See `files`, `torch_export`, `weights`."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import nn

from invrob.empirical.inference import Model, set_training
from invrob.empirical.loading.adapters import AS_THEY_COME, Adapted, Preprocessing, Size
from invrob.empirical.loading.files import open_file
from invrob.empirical.loading.fitting import Taken, put_weights
from invrob.empirical.loading.libraries import open_timm, open_torchvision
from invrob.empirical.loading.normalisers import with_normaliser
from invrob.empirical.loading.onnx_weights import files_beside
from invrob.empirical.loading.opened import Opened
from invrob.empirical.loading.python import open_python, seeded
from invrob.empirical.loading.there import LIBRARIES, SPECS, SUFFIXES, WEIGHTS, check_hub, unread
from invrob.empirical.loading.weights import Stored, read_weights
from invrob.empirical.models import module_name
from invrob.errors import InputError
from invrob.files import expanded


@dataclass(frozen=True, eq=False, repr=False)
class Loaded:
    """A model that is ready to be measured, and what it is."""

    model: Model  # images [N, C, H, W] in [0, 1] on `device` -> logits [N, K]
    spec: str
    kind: str  # "Python", "timm", "torchvision", "TorchScript", "torch.export", "ONNX" or "run"
    differentiable: bool  # without gradients only invariance and black-box attacks can be measured
    size: Size | None  # (height, width) that images are resized to inside the model; None for as they come
    mean: tuple[float, ...] | None  # that is subtracted inside the model, per channel
    std: tuple[float, ...] | None  # that is divided by
    device: torch.device
    files: dict[str, str]  # path -> SHA-256 of every file that was read
    notes: tuple[str, ...]  # what a reader of the numbers should know

    def __repr__(self) -> str:
        size = "images as they come" if self.size is None else f"images of {self.size[0]} x {self.size[1]}"
        gradients = "" if self.differentiable else ", no gradients"
        return "\n  ".join([f"Loaded: {self.spec} ({self.kind}), {size}, on {self.device}{gradients}", *self.notes])

    @property
    def channels(self) -> int | None:
        """How many channels the network takes: as its file or its library says, else as its first images have shown,
        grey ones being repeated where it takes them in no other way; before that, as its first convolution says."""
        return self.model.channels if isinstance(self.model, Adapted) else None

    @property
    def name(self) -> str:
        """A short name for files and tables: "mynet-build", or "resnet18" of "timm:resnet18"."""
        if self.kind == "Python":
            return f"{module_name(self.spec)}-{self.spec.rpartition(':')[2]}"
        if self.kind == "run":
            return expanded(self.spec).resolve().name
        last = self.spec.replace(":", "/").rsplit("/", 1)[-1]
        return last.removesuffix(Path(last).suffix) if last.lower().endswith(SUFFIXES) else last


@dataclass(frozen=True)
class Wanted:
    """What `load_model` is asked for, and the shape [C, H, W] of the images, where it is known."""

    spec: str
    weights: str | PathLike[str] | None
    prefix: str
    pretrained: bool
    offline: bool
    model_args: Mapping[str, Any]
    classes: int | None
    device: torch.device
    seed: int
    shape: tuple[int, int, int] | None = None


def load_model(
    spec: str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    prefix: str = "",
    pretrained: bool = False,
    offline: bool = False,
    model_args: Mapping[str, Any] | None = None,
    preprocessing: Preprocessing = AS_THEY_COME,
    classes: int | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Loaded:
    """Load the model that `spec` names, ready to be measured: images in [0, 1] -> logits, in eval mode.

    Grey images are repeated where the network takes them in no other way. docs/how-to/your-model.md says what each kind
    of spec executes: a file of weights, of torch.export, of TorchScript or of ONNX runs no Python.

    Args:
        spec: "pkg.module:callable", "folder/mynet.py:callable", "timm:NAME", "torchvision:NAME", a file of
            torch.export, TorchScript or ONNX, or RUN/cells/KEY, a network that a run has trained (or a copy of that
            folder; its data set is not needed). A callable without required arguments builds the model, as a class
            does; an nn.Module, or a function with one required argument, is the model. Modules of the current folder
            can be named.
        weights: a file of safetensors or a state dict by `torch.save`, for specs that name code. The network may be one
            of several things in it, under names that wrappers have made longer; `notes` says what was left out.
        prefix: with which the names of the network begin in that file, such as "ema."; found out where it is "".
        pretrained: take the published weights of timm or torchvision, which may be downloaded.
        offline: never use the network, so not with `pretrained`.
        model_args: arguments for the callable that builds the model, or for the network of timm or torchvision.
        preprocessing: what is done to images inside the model; what it leaves open is as the file or the library says.
        classes: number of classes of a timm or torchvision network that is not pretrained, and of a callable that needs
            it: one with a required argument `num_classes`, `n_classes` or `classes`.
        device: where the model runs, such as "cuda:1"; ONNX runs on the CPU.
        seed: of weights that are drawn at random; the caller's random state comes back.

    Returns:
        Loaded: the model, and what is known of it: its kind, its preprocessing, the SHA-256 of the files read.

    Raises:
        InputError: for a spec, a file or weights that cannot be used. The code of a spec may raise anything.

    Example:
        >>> import invrob
        >>> how = invrob.Preprocessing(mean=0.45, std=0.22, size=64)
        >>> loaded = invrob.load_model("torchvision:squeezenet1_1", classes=10, preprocessing=how)
        >>> loaded.name, loaded.channels, loaded.size
        ('squeezenet1_1', 3, (64, 64))
    """
    on, arguments = torch.device(device), dict(model_args or {})
    wanted = Wanted(str(spec), weights, prefix, pretrained, offline, arguments, classes, on, seed)
    return _load(wanted, preprocessing)


def load_for_images(spec: str | PathLike[str], shape: tuple[int, int, int], **options: Any) -> Loaded:
    """`load_model(spec, **options)` for images [C, H, W] of that shape: a callable that cannot be built without their
    channels, or the side of their square, gets these as well. Raises InputError as `load_model` does."""
    preprocessing = options.pop("preprocessing", AS_THEY_COME)
    blank = {"weights": None, "prefix": "", "pretrained": False, "offline": False, "classes": None, "seed": 0}
    arguments, device = options.pop("model_args", None) or {}, torch.device(options.pop("device", "cpu"))
    wanted = Wanted(spec=str(spec), model_args=arguments, device=device, shape=shape, **{**blank, **options})
    return _load(wanted, preprocessing)


def _load(wanted: Wanted, preprocessing: Preprocessing) -> Loaded:
    _check(wanted)
    files: dict[str, str] = {}
    with seeded(wanted.seed):
        opened = _opened(wanted, files)
    how = preprocessing.completed(opened.demanded)
    if wanted.weights is not None:
        opened, how = _with_weights(opened, wanted, preprocessing, files)
    on = wanted.device if opened.differentiable else torch.device("cpu")
    model = Adapted(opened.network, opened.channels, how).to(on)
    set_training(model, False)
    kind, gradients, notes = opened.kind, opened.differentiable, opened.notes
    return Loaded(model, wanted.spec, kind, gradients, how.size, how.mean, how.std, on, files, notes)


def _check(wanted: Wanted) -> None:
    """Raises InputError for what excludes each other."""
    if wanted.pretrained and (wanted.weights is not None or wanted.offline):
        other = "weights" if wanted.weights is not None else "offline"
        raise InputError(f"`pretrained` and `{other}` exclude each other: leave one out")
    if wanted.prefix and wanted.weights is None:
        raise InputError(
            f"prefix = {wanted.prefix!r} is of names in a file of weights: give `weights`, or leave it out"
        )


def _with_weights(
    opened: Opened, wanted: Wanted, preprocessing: Preprocessing, files: dict[str, str]
) -> tuple[Opened, Preprocessing]:
    """The network with the weights in that file instead of those that it was built with, and what images go through."""
    name = str(wanted.weights)
    if not isinstance(opened.network, nn.Module) or opened.kind not in ("Python", "timm", "torchvision"):
        raise InputError(
            f"weights = {name} is for Python that builds a module; {wanted.spec} ({opened.kind}) has its own"
        )
    taken = _put(opened.network, read_weights(_content(name, files, WEIGHTS), name), name, wanted.prefix)
    how, note = with_normaliser(preprocessing, taken.normalisers, name, taken.prefix)
    notes = tuple(line for line in (taken.note(name), note) if line)
    return replace(opened, notes=notes), how.completed(opened.demanded)


def _put(network: nn.Module, stored: Stored, name: str, prefix: str) -> Taken:
    """`put_weights`, into the network as it is in train or eval mode where it has other tensors there: steerable CNNs
    keep their filters in eval mode alone."""
    try:
        return put_weights(network, stored, name, prefix)
    except InputError as error:
        for training in (True, False):
            before = network.state_dict().keys()
            set_training(network, training)
            if network.state_dict().keys() != before:
                with suppress(InputError):
                    return put_weights(network, stored, name, prefix)
        raise error


def _opened(wanted: Wanted, files: dict[str, str]) -> Opened:
    spec, arguments = wanted.spec, wanted.model_args
    library, _, name = spec.partition(":")
    if library in LIBRARIES and name:
        opening = open_timm if library == "timm" else open_torchvision
        return opening(name, wanted.pretrained, wanted.classes, arguments)
    check_hub(spec)
    if wanted.pretrained:
        raise InputError(f"`pretrained` is for timm:NAME and torchvision:NAME, not for {spec!r}: leave it out")
    path = expanded(spec)
    if name and not path.exists():
        return open_python(spec, wanted.classes, wanted.shape, arguments, wanted.seed, files)
    if arguments:
        raise InputError(f"`model_args` are for Python that builds a network, and {spec!r} is none: leave them out")
    if (path / "cell.json").is_file():
        from invrob.empirical.loading.trained import open_cell  # it takes a while, and others need none of it

        return open_cell(path.resolve(), files)
    if path.suffix == ".py":
        source = path.stem if path.parent == Path() else spec
        raise InputError(f"{spec} is Python: name what builds the model in it, such as {source}:build")
    if spec.lower().endswith(SUFFIXES) or path.is_file():
        return open_file(_content(path, files), str(path), wanted.device)
    raise InputError(f"{spec!r} names no model: use {SPECS}")


def _content(path: str | PathLike[str], files: dict[str, str], way_out: str = f"use {SPECS}") -> bytes:
    """The bytes of a file, noted in `files`; of an ONNX file also the sums of the weights beside it.

    Raises InputError, which ends in the way out, where it cannot be read."""
    try:
        content = expanded(path).read_bytes()
    except OSError as error:
        raise unread(path, error, way_out) from None
    files[str(path)] = hashlib.sha256(content).hexdigest()
    if str(path).lower().endswith(".onnx"):
        files |= files_beside(content, expanded(path))
    return content
