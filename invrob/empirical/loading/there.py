"""Whether what a spec names is there at all, found out before PyTorch is loaded."""

from os import PathLike

from invrob.errors import InputError
from invrob.files import expanded
from invrob.names import check_source

WEIGHTS = "`weights` takes FILE.safetensors, or a state dict by torch.save"
SPECS = "pkg.module:callable, timm:NAME, torchvision:NAME, FILE.pt2, FILE.pt, FILE.onnx or RUN/cells/KEY"
SUFFIXES = (".pt2", ".pt", ".pth", ".ts", ".torchscript", ".onnx", ".safetensors", ".bin", ".ckpt", ".pkl")
LIBRARIES = ("timm", "torchvision")
HUBS = ("hf_hub", "hf-hub", "huggingface")


def check_there(spec: str, weights: str | PathLike[str] | None = None) -> None:
    """Raises InputError where the file of a spec, or of its weights, is not there, and where a spec names nothing.

    spec, weights: of `load_model`. Names in libraries and in modules are found when these are loaded."""
    library, _, name = spec.partition(":")
    check_hub(spec)
    path = expanded(spec)
    if not (library in LIBRARIES and name):
        if name and not path.exists():
            check_source(spec.rpartition(":")[0])
        elif not path.exists():
            if not spec.lower().endswith(SUFFIXES):
                raise InputError(f"{spec!r} names no model: use {SPECS}")
            _check_file(path, f"use {SPECS}")
    if weights is not None:
        _check_file(weights, WEIGHTS)


def check_hub(spec: str) -> None:
    """Raises InputError for a network of a hub that is not named as timm names it."""
    library, _, name = spec.partition(":")
    if library in HUBS and name:
        raise InputError(f"{spec!r} names no model: a network of the hub that timm knows is timm:hf_hub:{name}")


def unread(path: str | PathLike[str], error: OSError, way_out: str) -> InputError:
    """What to raise where a file of a model or of its weights cannot be read; it ends in the way out."""
    return InputError(f"{path} cannot be read ({error.strerror or error}): {way_out}")


def _check_file(path: str | PathLike[str], way_out: str) -> None:
    try:
        expanded(path).stat()
    except OSError as error:
        raise unread(path, error, way_out) from None
