"""How fast a device is, and what a layout of the memory changes: steps of `python -m tools.gpu_check`."""

import os
import platform
import shutil
import statistics
import subprocess  # of our own modules  # nosec B404
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invrob.empirical.execution import peak_flops
from invrob.empirical.inference import evaluating
from invrob.empirical.models import build
from invrob.empirical.training import channels_last
from tools.gpu_steps import Outcome, Setting, Table

Call = Callable[[], object]


def synchronised(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(call: Call, device: torch.device, calls: int = 1) -> float:
    """Of one of so many calls in a row."""
    synchronised(device)
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    synchronised(device)
    return (time.perf_counter() - begin) / calls


def in_turns(ways: dict[str, Call], device: torch.device, rounds: int = 5, least: float = 0.05) -> dict[str, float]:
    """The median seconds of each way of doing the same, timed in turns after one call of each to warm up.

    least: seconds that each turn takes, so that a call of microseconds is made often."""
    calls = {}
    for name, call in ways.items():
        seconds_of(call, device)
        calls[name] = max(1, min(1000, int(least / max(seconds_of(call, device), 1e-7))))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in ways if turn % 2 else reversed(ways):
            times[name].append(seconds_of(ways[name], device, calls[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def environment(setting: Setting) -> Outcome:
    """What the device is, which versions are at work, how they round, and what the device reaches at best."""
    device = torch.device(setting.device)
    facts = _machine() | (_gpu(device) if device.type == "cuda" else {"GPU": "none: this is a trial on the CPU"})
    conv, product = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    facts |= {
        "TF32 by default": f"convolutions {'yes' if conv else 'no'}, matrix products {'yes' if product else 'no'}"
    }
    peaks = {"float32": peak_flops(device), "bfloat16": peak_flops(device, torch.bfloat16)}
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        peaks["TF32"] = peak_flops(device)
    small = torch.zeros(8, device=device)
    launch = in_turns({"add": lambda: small.add_(1)}, device)["add"]
    rows = [{"": name, "value": value} for name, value in facts.items()]
    rows += [
        {"": f"a matrix product in {name}", "value": f"{peak / 1e12:,.2f} TFLOP/s"} for name, peak in peaks.items()
    ]
    rows += [{"": "one small operation, launched", "value": f"{1e6 * launch:.1f} microseconds"}]
    best = ", ".join(f"{peak / 1e12:,.1f} in {name}" for name, peak in peaks.items())
    said = f"{facts.get('GPU')}; TFLOP/s of a matrix product: {best}; {1e6 * launch:.1f} microseconds a launch"
    return Outcome("ok", said, (Table("The machine", "", rows),), {"peaks": peaks, "launch": launch})


def _machine() -> dict[str, str]:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    compiler = shutil.which("gcc") or shutil.which("cc") or "none: torch.compile needs one"
    return {
        "processor": f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores",
        "C compiler": compiler,
        "PyTorch": f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}",
    }


def _gpu(device: torch.device) -> dict[str, str]:
    about = torch.cuda.get_device_properties(device)
    return {
        "GPU": about.name,
        "memory": f"{about.total_memory / 2**30:.0f} GiB, {torch.cuda.mem_get_info(device)[0] / 2**30:.0f} GiB free",
        "processors": f"{about.multi_processor_count}, compute capability {about.major}.{about.minor}",
        "driver": _driver(),
    }


def _driver() -> str:
    """The version of the driver, as the kernel's module or nvidia-smi says it."""
    module = Path("/proc/driver/nvidia/version")
    if module.exists():
        return module.read_text(encoding="utf-8").splitlines()[0]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown: there is no nvidia-smi"
    words = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - found by name  # nosec B603
    return answer.stdout.strip() or "unknown"


def gradient(model: nn.Module, images: Tensor) -> Tensor:
    """What a step of an attack asks: the gradient of a loss at the images."""
    x = images.detach().requires_grad_()
    return torch.autograd.grad(model(x).logsumexp(1).sum(), x)[0]


def training_step(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """What a step of a training asks, but for the optimizer: the gradients of the weights."""
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()


LAYOUTS = (  # network, its options, channels and side of the images
    ("stdcnn", {}, 1, 28),
    ("madry_lenet", {}, 1, 28),
    ("vgg16", {}, 3, 32),
    ("madry_resnet", {}, 3, 32),
)


def layout(setting: Setting) -> Outcome:
    """Networks with the channels last against the usual layout: the time of a gradient and of a training step, and by
    how much their answers differ."""
    device, rows, apart = torch.device(setting.device), [], 0.0
    torch.backends.cudnn.allow_tf32 = False  # so that answers differ by rounding in float32 alone
    batches = (8, 8) if setting.small else (512, 128)
    for name, options, channels, side in LAYOUTS[: 2 if setting.small else None]:
        model = build(name, in_channels=channels, size=side, **(options | ({"width": 0.2} if setting.small else {})))
        model = model.to(device).eval()
        images = torch.rand(max(batches), channels, side, side, device=device)
        labels = torch.arange(len(images), device=device) % 10
        with torch.no_grad():
            usual = model(images)
            with channels_last(model):
                moved = float((model(images) - usual).abs().max() / usual.abs().max())
        apart = max(apart, moved)
        for work, batch in zip(("gradient of the images", "gradients of the weights"), batches, strict=True):
            row = _layouts(model, work, images[:batch], labels[:batch], rounds=1 if setting.small else 5)
            rows.append({"network": name, "work": work, "images": batch, **row, "answers differ by": f"{moved:.0e}"})
    gains = [row["usual / channels last"] for row in rows]
    pays = f"{min(gains):.2f} to {max(gains):.2f} times as fast, the median is {statistics.median(gains):.2f}"
    said = f"channels last is {pays}; answers differ by {apart:.0e} of the largest logit"
    note = "Medians of five turns each, in float32 without TF32. Above 1, channels last is faster."
    return Outcome("ok" if apart < 1e-3 else "failed", said, (Table("Channels last", note, rows),))


def _layouts(model: nn.Module, work: str, images: Tensor, labels: Tensor, rounds: int) -> dict[str, float]:
    """Milliseconds of both layouts, and their ratio. The layout is set outside of what is timed."""
    of_images = "images" in work

    def timed(inside: Sequence[nn.Module]) -> float:
        with channels_last(inside[0]) if inside else nullcontext(), evaluating(model) if of_images else nullcontext():
            call = (lambda: gradient(model, images)) if of_images else (lambda: training_step(model, images, labels))
            return in_turns({"this": call}, images.device, rounds=1, least=0.01 * rounds)["this"]

    turns = [(timed(()), timed((model,))) for _ in range(rounds)]
    usual, last = (1e3 * statistics.median(column) for column in zip(*turns, strict=True))
    ratio = statistics.median(a / b for a, b in turns)
    return {"usual, ms": usual, "channels last, ms": last, "usual / channels last": ratio}
