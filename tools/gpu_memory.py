"""Memory that runs out for real: a step of `python -m tools.gpu_check`.

A tensor that nobody uses fills the memory of the GPU, so that a batch does not fit, and then a stack of networks. On a
CPU, where the system would end the process, running out is pretended."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from invrob.empirical.data import dataset_in_memory
from invrob.empirical.execution import Execution, run
from invrob.empirical.experiments import Cell, Experiment, Store, lent_data, model_of
from invrob.empirical.models import build
from invrob.empirical.training import Recipe, train
from tools.gpu_steps import Outcome, Setting, Table
from tools.gpu_trainings import splits, way

SHARE = 0.4  # of what the work takes at its most: that much memory is left to it
ROOM = 96 * 2**20  # bytes beside: what cuDNN and cuBLAS keep for themselves
CLOSE = 1e-3  # of the way that the weights have gone


class Messages(logging.Handler):
    """Keeps what is logged while it is attached."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def listening() -> Iterator[list[str]]:
    """What the logger "invrob" says inside the block."""
    handler, logger = Messages(), logging.getLogger("invrob")
    logger.addHandler(handler)
    try:
        yield handler.said
    finally:
        logger.removeHandler(handler)


@contextmanager
def cramped(device: torch.device, most: float, images: int) -> Iterator[None]:
    """Inside the block the device has little memory: a part of `most` bytes; on a CPU, none for more than `images` in
    a training step."""
    if device.type != "cuda":
        with _pretended(images):
            yield
        return
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    ballast = torch.empty(max(int(free - SHARE * most - ROOM), 0), dtype=torch.uint8, device=device)
    try:
        yield
    finally:
        del ballast
        torch.cuda.empty_cache()


@contextmanager
def _pretended(images: int) -> Iterator[None]:
    usual = nn.Linear.forward

    def forward(self: nn.Linear, x: Tensor) -> Tensor:
        if self.training and len(x) > images:
            raise torch.OutOfMemoryError("pretended")
        return usual(self, x)

    nn.Linear.forward = forward
    try:
        yield
    finally:
        nn.Linear.forward = usual


def peak_of(work: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    """What `work` returns, and the most bytes that it takes; 0 on a CPU."""
    if device.type != "cuda":
        return work(), 0.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    result = work()
    return result, float(torch.cuda.max_memory_allocated(device) - before)


def memory(setting: Setting) -> Outcome:
    """A batch, and the stacks of a run, that do not fit: both finish, with the message, and with the same weights."""
    device = torch.device(setting.device)
    torch.backends.cudnn.allow_tf32 = False  # so that the weights may differ by rounding in float32 alone
    cases = (("a batch", _batch), ("a run of stacks", _run_of_stacks))
    rows = [_case(name, work, device, setting.small) for name, work in cases]
    faults = [f"{row['what']}: {row['fault']}" for row in rows if row["fault"]]
    said = "; ".join(
        f"{row['what']} that did not fit was finished, weights differ by {row['weights differ by']:.0e} of their way"
        for row in rows
        if not row["fault"]
    )
    note = (
        f"The work is left {SHARE:.0%} of the memory that it took before, and {ROOM / 2**20:.0f} MiB; a tensor fills "
        "the rest of the GPU. Weights: their distance to those of the first training, over the way that they went."
        if device.type == "cuda"
        else "On this CPU running out of memory was pretended."
    )
    return Outcome(
        "failed" if faults else "ok", "; ".join(filter(None, [*faults, said])), (Table("Memory", note, rows),)
    )


Work = Callable[[torch.device, bool], tuple[list[Tensor], list[Tensor]]]


def _case(name: str, work: Work, device: torch.device, small: bool) -> dict[str, Any]:
    """One kind of work with plenty of memory, and with too little."""
    (before, whole), most = peak_of(lambda: work(device, small), device)
    with listening() as said, cramped(device, most, images=7):
        try:
            pieces, fault = work(device, small)[1], ""
        except (RuntimeError, ValueError) as error:
            pieces, fault = whole, f"{type(error).__name__}: {error}"
    apart = max(float((a - b).norm() / (b - start).norm()) for a, b, start in zip(pieces, whole, before, strict=True))
    messages = [text for text in said if "out of memory" in text]
    if not fault and not messages:
        fault = "the memory did not run out, or nothing was said of it"
    if not fault and apart > CLOSE:
        fault = "more than rounding changed the weights"
    return {
        "what": name,
        "MiB at its most": round(most / 2**20),
        "weights differ by": apart,
        "messages": len(messages),
        "the last of them": messages[-1] if messages else "",
        "fault": fault,
    }


def _batch(device: torch.device, small: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Weights of a network, with dropout, before and after some steps of as large a batch as there are images."""
    few, size = splits(small, 8000), 16 if small else 8000
    usual = {"optimizer": "sgd", "learning_rate": 0.05, "schedule": "constant"}
    recipe = Recipe(rotation=60, epochs=3, batch_size=size, **usual)
    model = build("stdcnn", seed=0, width=0.2 if small else 1.0).to(device)
    before = way([model])
    train(model, *few, recipe, seed=0)
    return [before[0].cpu()], [way([model])[0].cpu()]


def _run_of_stacks(device: torch.device, small: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Weights of four networks of a run, which are one stack, before and after."""
    many = {"epochs": 2, "batch_size": 16, "width": 0.05} if small else {"epochs": 1, "batch_size": 2048}
    grid = {"name": "madry_lenet", "training_theta": [0, 90], **many}
    grid |= {"training_epsilon": [0.1, 0.2], "optimizer": "sgd", "learning_rate": 0.01, "attack_steps": 2}
    few = {"images": 16, "epsilons": [0, 0.1], "thetas": [0, 90], "audit": 0}
    digits = dataset_in_memory(tuple((part.images, part.labels) for part in splits(small, 4096)))
    asked = Experiment.model_validate({"dataset": digits.name, "models": [grid], "profiling": few})
    with tempfile.TemporaryDirectory() as folder, lent_data(digits):
        cells = asked.cells(digits.fingerprint)
        failures = run(cells, Path(folder), Execution("inline", device, stack=len(cells)), Silent())
        if failures:
            raise RuntimeError(f"{failures[0].cell}: {failures[0].reason}")
        networks = [model_of(cell, digits) for cell in cells]
        before = way(networks)
        for cell, network in zip(cells, networks, strict=True):
            trained = Store(Path(folder)).read_training(cell.key)
            assert trained is not None
            network.load_state_dict(trained[0])
    return before, way(networks)


class Silent:
    """An observer of a run that says nothing."""

    def started(self, cell: Cell) -> None:
        """A cell begins."""

    def advanced(self, cell: Cell, fraction: float) -> None:
        """A part of it is done."""

    def finished(self, cell: Cell) -> None:
        """It is finished."""

    def failed(self, cell: Cell, reason: str) -> None:
        """It failed, which `run` returns as well."""
