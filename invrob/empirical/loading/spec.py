"""A model of your own, by a spec that names it: `load_model` and what it returns.

    spec                            what it executes
    pkg.module:callable             the code of that module and of all that it imports: name only what you trust
    timm:NAME, torchvision:NAME     the code of these libraries
    FILE.pt2, FILE.pt, FILE.ts      the operators of the graph in a file of torch.export or TorchScript, and no Python
    FILE.onnx                       the operators of the graph, by onnxruntime; it gives no gradients
    RUN/cells/KEY                   this package's own networks, trained by `invrob empirical run`

Weights never execute: they are tensors in a file of safetensors, or in a state dict that is read with `weights_only`.
Nothing is ever unpickled freely; a file that would have to be is refused. See `files`, `torch_export`, `weights`."""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import nn

from invrob.empirical.inference import Model
from invrob.empirical.loading.adapters import AS_THEY_COME, Adapted, Preprocessing, Size
from invrob.empirical.loading.files import SUFFIXES, open_file
from invrob.empirical.loading.libraries import open_timm, open_torchvision
from invrob.empirical.loading.opened import Opened
from invrob.empirical.loading.weights import put_weights, read_weights
from invrob.errors import InputError, did_you_mean

SPECS = "pkg.module:callable, timm:NAME, torchvision:NAME, FILE.pt2, FILE.pt, FILE.onnx or RUN/cells/KEY"


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that is ready to be measured, and what it is."""

    model: Model  # images [N, C, H, W] in [0, 1] on `device` -> logits [N, K]
    spec: str
    kind: str  # "Python", "timm", "torchvision", "TorchScript", "torch.export", "ONNX" or "run"
    differentiable: bool  # without gradients only invariance and black-box attacks can be measured
    channels: int | None  # that the network takes, grey images being repeated; None where nobody knows
    size: Size | None  # (height, width) that images are resized to inside the model; None for as they come
    mean: tuple[float, ...] | None  # that is subtracted inside the model, per channel
    std: tuple[float, ...] | None  # that is divided by
    device: torch.device
    files: dict[str, str]  # path -> SHA-256 of every file that was read
    notes: tuple[str, ...]  # what a reader of the numbers should know

    @property
    def name(self) -> str:
        """A short name for files and tables: "mynet-build", or "resnet18" of "timm:resnet18"."""
        if self.kind == "Python":
            return self.spec.replace(":", "-")
        if self.kind == "run":
            return Path(self.spec).expanduser().resolve().name
        last = self.spec.replace(":", "/").rsplit("/", 1)[-1]
        return last.removesuffix(Path(last).suffix) if last.endswith(SUFFIXES) else last


def load_model(
    spec: str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    pretrained: bool = False,
    offline: bool = False,
    preprocessing: Preprocessing = AS_THEY_COME,
    classes: int | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Loaded:
    """Load the model that `spec` names, ready to be measured: images in [0, 1] -> logits, in eval mode.

    Grey images are repeated where the network takes more channels. docs/how-to/your-model.md says what each kind of
    spec executes: a file of weights, of torch.export, of TorchScript or of ONNX runs no Python.

    Args:
        spec: "pkg.module:callable", "timm:NAME", "torchvision:NAME", a file of torch.export, TorchScript or ONNX, or
            RUN/cells/KEY, a network that a run has trained (or a copy of that folder; its data set is not needed). A
            callable without required arguments builds the model, as a class does; an nn.Module, or a function with one
            required argument, is the model. Modules of the current folder can be named.
        weights: a file of safetensors or a state dict by `torch.save`, for specs that name code.
        pretrained: take the published weights of timm or torchvision, which may be downloaded.
        offline: never use the network, so not with `pretrained`.
        preprocessing: what is done to images inside the model; what it leaves open is as the file or the library says.
        classes: number of classes of a timm or torchvision network that is not pretrained.
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
    spec, device = str(spec), torch.device(device)
    if pretrained and (weights is not None or offline):
        other = "weights" if weights is not None else "offline"
        raise InputError(f"`pretrained` and `{other}` exclude each other: leave one out")
    files: dict[str, str] = {}
    with _seeded(seed):
        opened = _opened(spec, pretrained, classes, device, files, seed)
    if weights is not None:
        opened = _with_weights(opened, spec, weights, files)
    how = preprocessing.completed(opened.demanded)
    channels = opened.channels or _first_channels(opened.network)
    on = device if opened.differentiable else torch.device("cpu")
    model = Adapted(opened.network, channels, how).to(on)
    for module in model.modules():
        module.training = False  # eval() is not there for exported networks
    kind, gradients, notes = opened.kind, opened.differentiable, opened.notes
    return Loaded(model, spec, kind, gradients, channels, how.size, how.mean, how.std, on, files, notes)


def _with_weights(opened: Opened, spec: str, weights: str | PathLike[str], files: dict[str, str]) -> Opened:
    """The network with the weights in that file instead of those that it was built with."""
    if not isinstance(opened.network, nn.Module) or opened.kind not in ("Python", "timm", "torchvision"):
        raise InputError(f"weights = {weights} is for Python that builds a module; {spec} ({opened.kind}) has its own")
    put_weights(opened.network, read_weights(_content(weights, files), str(weights)), str(weights))
    return replace(opened, notes=())


def _opened(
    spec: str, pretrained: bool, classes: int | None, device: torch.device, files: dict[str, str], seed: int
) -> Opened:
    library, _, name = spec.partition(":")
    if library in ("timm", "torchvision") and name:
        return (open_timm if library == "timm" else open_torchvision)(name, pretrained, classes)
    if pretrained:
        raise InputError(f"`pretrained` is for timm:NAME and torchvision:NAME, not for {spec!r}: leave it out")
    path = Path(spec).expanduser()
    if (path / "cell.json").is_file():
        from invrob.empirical.loading.trained import open_cell  # it takes a while, and others need none of it

        return open_cell(path.resolve(), files)
    if path.suffix == ".py":
        raise InputError(f"{spec} is Python: name what builds the model in it, such as {path.stem}:build")
    if spec.endswith(SUFFIXES) or path.is_file():
        return open_file(_content(path, files), str(path), device)
    if name and not path.exists():
        return _open_python(library, name, seed)
    raise InputError(f"{spec!r} names no model: use {SPECS}")


def _content(path: str | PathLike[str], files: dict[str, str]) -> bytes:
    """The bytes of a file, noted in `files`; of an ONNX file also the sum of the weights beside it."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): use {SPECS}") from None
    files[str(path)] = hashlib.sha256(content).hexdigest()
    beside = Path(f"{path}.data")
    if str(path).endswith(".onnx") and beside.is_file():
        files[str(beside)] = hashlib.sha256(beside.read_bytes()).hexdigest()
    return content


def _open_python(module_name: str, name: str, seed: int) -> Opened:
    with _importable_here():
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not (module_name + ".").startswith(error.name + "."):
                raise  # something that the module itself imports
            raise InputError(
                f"module {error.name!r} is not here: it must be installed or in the current folder. Use {SPECS}"
            ) from None
        except SystemExit:
            raise InputError(
                f"module {module_name!r} ended the process as it was imported: put what it does under "
                "if __name__ == '__main__'"
            ) from None
        named: Any = module
        for part in name.split("."):
            if not hasattr(named, part):
                near = did_you_mean(part, [n for n in dir(named) if not n.startswith("_")])
                raise InputError(f"module {module_name!r} has no {name!r}{near}")
            named = getattr(named, part)
        with _seeded(seed):  # again: the import may have drawn
            return Opened(_model_of(named, f"{module_name}:{name}"), "Python")


def _model_of(named: Any, spec: str) -> Model:
    """What a name stands for: the model itself, or what builds it."""
    if isinstance(named, nn.Module):
        return named
    if not callable(named):
        raise InputError(f"{spec} is a {type(named).__name__}: it must be a model, or a callable that returns one")
    required = _required(named)
    if required == 1 and not inspect.isclass(named):
        model: Model = named
        return model
    if required:
        raise InputError(f"{spec} needs {required} arguments: write a function without any that returns the model")
    built: Model = named()
    if not callable(built):
        raise InputError(f"{spec}() returned a {type(built).__name__}: it must return a model, images -> logits [N, K]")
    return built


def _required(named: Any) -> int:
    """How many arguments it cannot be called without."""
    try:
        parameters = inspect.signature(named).parameters.values()
    except (TypeError, ValueError):  # a callable written in C has no signature
        return 1
    return sum(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Weights that are drawn inside the block follow from `seed`; the caller's random state comes back."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(seed))
        yield


@contextmanager
def _importable_here() -> Iterator[None]:
    """The current folder comes first on the path inside the block, as with `python -m`."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _first_channels(network: Model) -> int | None:
    """The channels of the first convolution among the network's modules, which is nearly always the first to run."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    return next((m.in_channels for m in modules if isinstance(m, nn.Conv2d)), None)
