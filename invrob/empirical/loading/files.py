"""Networks in files of their own: TorchScript, torch.export and ONNX, told apart by what is in them.

What such a file executes: the operators of its graph, and nothing else. TorchScript has no Python in it, but two
operators that write and read files; a file that names them is refused. `torch_export` says what that could do. ONNX has
none. A pickled module would run code as it is read: it is refused unread."""

import io
import re
import warnings
import zipfile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invrob.empirical.inference import Model
from invrob.empirical.loading.adapters import adapted_to_shape
from invrob.empirical.loading.layouts import channels_last
from invrob.empirical.loading.onnx_weights import turns_to_channels_first
from invrob.empirical.loading.opened import Opened
from invrob.empirical.loading.torch_export import read_pt2
from invrob.errors import InputError

NAMESPACES = "aten|prim|prims|quantized|_quantized|mkldnn|onednn|mkldnn_prepacked|prepacked|torchvision"
TOUCHES_FILES = re.compile(rf"\b(torch|ops\.aten)\.(save|from_file)\b|\bops\.(?!({NAMESPACES})\.)\w+")
DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}  # of images
NO_GRADIENTS = "ONNX gives no gradients: invariance and black-box attacks only, so robustness is an upper bound"
WAY_OUT = (
    "name the Python that builds the network, pkg.module:callable, and its `weights`, or save all of it by "
    "torch.export.save(torch.export.export(model.eval(), (images,)), 'model.pt2')"
)


def open_file(content: bytes, name: str, device: torch.device) -> Opened:
    """The network in the file called `name` with these bytes, on `device` (ONNX: on the CPU). Raises InputError for
    a file that holds no such network, or more than that."""
    if name.lower().endswith(".onnx"):
        return _open_onnx(content, name)
    match _kind(content):
        case "TorchScript":
            return _open_torchscript(content, name, device)
        case "torch.export":
            network, channels, demanded = adapted_to_shape(*read_pt2(content, name, device), name)
            return Opened(network, "torch.export", channels, demanded)
    raise InputError(f"{name} holds {_described(content)}: {WAY_OUT}")


def _kind(content: bytes) -> str:
    """What kind of archive this is, by the names in it; "" for none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {name.partition("/")[2] or name for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError):
        return ""
    if "constants.pkl" in names:
        return "TorchScript"
    if any(name.startswith("models/") for name in names) or "archive_format" in names:
        return "torch.export"
    return "older torch.export" if "serialized_exported_program.json" in names else "pickle" * ("data.pkl" in names)


def _described(content: bytes) -> str:
    kind = _kind(content)
    if kind == "older torch.export":
        return "a network exported by torch 2.7 or older"
    if content[8:9] == b"{":
        return "weights without a network"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of the protocol of a pickle
            torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # whatever it is, it is not tensors alone
        pickled = kind == "pickle" or content[:1] == b"\x80"
        return "pickled Python objects, which would run code as they are read" if pickled else "no network"
    return "weights without a network"


def _open_torchscript(content: bytes, name: str, device: torch.device) -> Opened:
    try:
        reader = torch._C.PyTorchFileReader(io.BytesIO(content))
        sources = [reader.get_record(m).decode() for m in reader.get_all_records() if m.endswith(".py")]
    except (RuntimeError, UnicodeDecodeError) as error:
        raise InputError(f"{name} is damaged: {WAY_OUT}") from error
    for source in sources:
        if operator := TOUCHES_FILES.search(source):
            raise InputError(f"{name} calls {operator[0]!r}, which may write or read files: it is not loaded")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated: its files are here all the same
            warnings.simplefilter("ignore", DeprecationWarning)
            network: Model = torch.jit.load(io.BytesIO(content), map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise InputError(f"{name} is damaged or of another version of torch: {WAY_OUT}") from error
    return Opened(network, "TorchScript")


def _open_onnx(content: bytes, name: str) -> Opened:
    try:
        import onnxruntime
    except ImportError:
        raise InputError(f"{name} needs the extra onnx: pip install 'invrob[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(name, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise InputError(f"{name} cannot be read ({' '.join(str(error).split())[:200]})") from error
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise InputError(f"{name} takes {len(inputs)} inputs, not images [N, C, H, W] alone: export such a model")
    if inputs[0].type not in DTYPES:
        raise InputError(
            f"{name} takes {inputs[0].type}, and images are floats in [0, 1]: export a model that takes floats, and "
            "makes whole numbers of them inside where it needs those"
        )
    shape = [size if isinstance(size, int) else None for size in inputs[0].shape]
    network, channels, demanded = adapted_to_shape(_model_of(session, inputs[0]), shape, name)
    if turns_to_channels_first(content, inputs[0].name):  # whose shape is free, or that of both layouts
        raise channels_last(shape, name)
    return Opened(network, "ONNX", channels, demanded, differentiable=False, notes=(NO_GRADIENTS,))


def _model_of(session: Any, entry: Any) -> Model:
    """The model of an ONNX session: images go in by `entry` and through numpy, and no gradient comes back.

    Of several outputs it returns a dict by their names, in which the logits are looked for."""
    dtype, names = DTYPES[entry.type], [output.name for output in session.get_outputs()]

    def model(images: Tensor) -> Any:
        values = session.run(None, {entry.name: images.detach().cpu().numpy().astype(dtype)})
        outputs = {
            name: torch.from_numpy(value).to(images.device)
            for name, value in zip(names, values, strict=True)
            if isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        }
        return outputs[names[0]] if len(names) == 1 and outputs else outputs

    return model
