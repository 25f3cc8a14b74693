"""The steps of `python -m tools.gpu_check`: what each one is, what it came to, and the file that keeps it.

Nothing here loads PyTorch. A step is a function that a process of its own calls, so that an error which leaves CUDA
unusable ends that step alone."""

import json
import math
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from invrob.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]  # of the checkout, where the steps run
Status = Literal["ok", "failed", "skipped", "unfinished"]


@dataclass(frozen=True)
class Step:
    """One thing that is checked or measured.

    function: "module:name" of a function from a `Setting` to an `Outcome`. seconds: about what it takes on a GPU; of a
    step that goes on, the least that is worth a start. small: the same for a trial on a CPU."""

    name: str
    about: str
    function: str
    seconds: float
    small: float = 20.0
    goes_on: bool = False  # whether it ends in time by itself, and continues in the next slice


@dataclass(frozen=True)
class Setting:
    """What a step is told. until: the time of `time.time()` at which it must have ended."""

    out: Path
    device: str
    small: bool = False
    data: str | None = None  # the folder of fetched data
    until: float = math.inf
    earlier: dict[str, Any] = field(default_factory=dict)  # the numbers of its last slice

    @property
    def left(self) -> float:
        """Seconds until the step must have ended."""
        return self.until - time.time()


@dataclass(frozen=True)
class Table:
    """Rows with the same keys, under a title."""

    title: str
    note: str
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What a step came to. said: its main numbers in a line, or why it failed or was skipped."""

    status: Status
    said: str
    tables: tuple[Table, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The file of a step: its outcome, and what it took in all slices."""

    step: str
    outcome: Outcome
    seconds: float = 0.0
    slices: int = 0
    killed: int = 0  # how often it was ended from outside, since it did not end in time
    device: str = ""
    date: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether nothing of the step is left."""
        return self.outcome.status != "unfinished"


STEPS = (
    Step(
        "environment",
        "the GPU, its driver and its versions, and what it reaches at best",
        "tools.gpu_speed:environment",
        seconds=20,
    ),
    Step(
        "stack",
        "networks trained as one stack against each trained alone: weights, and time",
        "tools.gpu_trainings:stacks",
        seconds=60,
        small=40,
    ),
    Step(
        "precision",
        "profiles on the GPU against the CPU; trainings in TF32 and bfloat16",
        "tools.gpu_precision:precision",
        seconds=60,
        small=40,
    ),
    Step(
        "memory",
        "memory that runs out: the run finishes, with the same weights",
        "tools.gpu_memory:memory",
        seconds=40,
    ),
    Step(
        "layout",
        "channels last: whether it pays, and whether the answers stay",
        "tools.gpu_speed:layout",
        seconds=20,
    ),
    Step(
        "graphs",
        "steps as they are, by torch.compile, and as CUDA graphs",
        "tools.gpu_graphs:graphs",
        seconds=90,
        small=40,
    ),
    Step("tests", "the tests of this checkout that need a GPU", "tools.gpu_runs:tests", seconds=30),
    Step("bench", "a part of the benchmarks against the peers", "tools.gpu_runs:bench", seconds=120),
    Step(
        "paper-mnist",
        "the preset paper-mnist, as far as the time goes",
        "tools.gpu_presets:paper_mnist",
        seconds=60,
        small=30,
        goes_on=True,
    ),
    Step(
        "paper-cifar",
        "the preset paper-cifar, as far as the time goes",
        "tools.gpu_presets:paper_cifar",
        seconds=60,
        goes_on=True,
    ),
)


def write_result(out: Path, result: Result) -> None:
    """Keep the result of a step in its file, whole or not at all."""
    text = json.dumps(plain(asdict(result)), indent=1, allow_nan=False) + "\n"
    write_atomically(out / "results" / f"{result.step}.json", lambda path: path.write_text(text, encoding="utf-8"))


def read_result(out: Path, name: str) -> Result | None:
    """The result of a step; None where there is none, or its file is damaged."""
    try:
        kept = json.loads((out / "results" / f"{name}.json").read_text(encoding="utf-8"))
        return replace(Result(**{**kept, "outcome": outcome_of(kept["outcome"])}), step=name)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def outcome_of(values: dict[str, Any]) -> Outcome:
    """The outcome that was kept as these values."""
    return Outcome(**{**values, "tables": tuple(Table(**table) for table in values["tables"])})


def plain(values: Any) -> Any:
    """The same values with numbers that JSON has not, such as infinity, as text."""
    if isinstance(values, dict):
        return {str(key): plain(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [plain(value) for value in values]
    return str(values) if isinstance(values, float) and not math.isfinite(values) else values
