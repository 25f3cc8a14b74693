"""How arithmetic changes what is measured and what is trained: a step of `python -m tools.gpu_check`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import invrob
from invrob.empirical.models import build
from invrob.empirical.training import Recipe, train
from invrob.intervals import Estimate
from tools.gpu_speed import seconds_of
from tools.gpu_steps import Outcome, Setting, Table
from tools.gpu_trainings import full_float32, splits

EPSILONS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
THETAS = (0.0, 30.0, 90.0, 180.0)
EQUAL = 0.95  # of the images must fall at the same epsilon: the rest are a rounding away from another one
RATES = 0.01  # by which no rate may differ
LOGITS = 1e-4  # of the largest logit: rounding in float32 stays far below, that of TF32 above


@contextmanager
def tf32() -> Iterator[None]:
    """Convolutions and matrix products may round to TF32 inside the block."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=True):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


class Watched(nn.Module):
    """A small network that notes, in `notes`, whether TF32 was on when it was asked: of convolutions, of products."""

    notes: list[tuple[bool, bool]] = []  # noqa: RUF012 - of all of them, which the run itself makes

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))

    def forward(self, x: Tensor) -> Tensor:
        self.notes.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return self.layers(x)


def watched_network() -> nn.Module:
    """The builder of `Watched`, for an experiment."""
    return Watched()


@dataclass(frozen=True, eq=False)
class Measured:
    """The profiles of one network, in plain numbers."""

    logits: Tensor
    levels: Any  # [N]
    rates: Any  # robustness, then invariance


def precision(setting: Setting) -> Outcome:
    """Profiles on the device against the CPU; whether profiles round to TF32; trainings in TF32 and bfloat16."""
    device = torch.device(setting.device)
    across, right = _across(device, setting)
    flags, exact = _flags(setting)
    trained, within = _trainings(device, setting)
    worst = next(row for row in across if row["arithmetic"] == "float32")
    said = [
        f"{worst['levels equal']:.1%} of the images fall at the same epsilon on the CPU, rates differ by at most "
        f"{100 * worst['rates differ by']:.1f} points" + ("" if right else ": more than rounding explains"),
        "runs measure in float32" if exact else "runs MEASURE IN TF32",
        "trainings in TF32 and bfloat16 are as good within the intervals"
        if within
        else "trainings in another arithmetic come out OUTSIDE of the intervals",
    ]
    tables = (
        Table(
            "A network measured on the device and on the CPU",
            f"A stdcnn trained on the device; {(setting.small and 20) or 1000} digits, PGD of 20 steps without random "
            "starts. Logits: by how much of the largest one they differ.",
            across,
        ),
        Table("Whether TF32 is on while a profile is measured", "", flags),
        Table(
            "Trainings in another arithmetic",
            "On mnist-mini, two seeds each; accuracy and rates on test images in %, with 95 % intervals of the first "
            "seed. Within: whether every interval meets that of float32 with the same seed.",
            trained,
        ),
    )
    return Outcome("ok" if right and exact and within else "failed", "; ".join(said), tables)


def _across(device: torch.device, setting: Setting) -> tuple[list[dict[str, Any]], bool]:
    images, labels = invrob.sample("mnist-mini", 20 if setting.small else 1000)
    model = build("stdcnn", seed=0, width=0.2 if setting.small else 1.0).to(device)
    with full_float32():
        train(model, *splits(setting.small, 4000), Recipe(rotation=30, epochs=1 if setting.small else 2), seed=0)
    truth, rows, right = _measured(model.cpu(), images, labels), [], False
    model.to(device)
    for name, inside in (("float32", full_float32), ("as PyTorch has it", _as_it_is), ("TF32", tf32)):
        with inside():
            found = _measured(model, images.to(device), labels.to(device))
        logits = float((found.logits - truth.logits).abs().max() / truth.logits.abs().max())
        equal = float((found.levels == truth.levels).mean())
        rates = float(abs(found.rates - truth.rates).max())
        rows.append(
            {"arithmetic": name, "levels equal": equal, "rates differ by": rates, "logits differ by": f"{logits:.0e}"}
        )
        if name == "float32":
            right = equal >= EQUAL and rates <= RATES and logits <= LOGITS
    return rows, right


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _measured(model: nn.Module, images: Tensor, labels: Tensor) -> Measured:
    attack = invrob.PGD(steps=20, restarts=1)  # without random starts, which a GPU draws otherwise
    robustness = invrob.robustness_profile(model, images, EPSILONS, labels, attack=attack, audit=0)
    invariance = invrob.invariance_profile(model, images, THETAS, labels)
    with torch.no_grad():
        logits = model.eval()(images).double().cpu()
    rates = [*robustness.rate.tolist(), *invariance.rate.tolist()]
    return Measured(logits, robustness.levels, torch.tensor(rates).numpy())


def _flags(setting: Setting) -> tuple[list[dict[str, Any]], bool]:
    """Whether TF32 is on, in a run and where a profile is asked for by itself; the last question of all counts, since a
    run is measured after it was trained."""
    few = {"images": 16, "epsilons": [0, 0.1], "thetas": [0, 90], "audit": 0}
    Watched.notes.clear()
    digits = [(part.images, part.labels) for part in splits(True, 64)]
    study = invrob.experiment(
        {"watched": watched_network}, tuple(digits), training_theta=[0], training={"epochs": 1}, profiling=few
    )
    if study.failures:
        raise RuntimeError(study.failures[0].reason)
    in_run = Watched.notes[-1]
    images, model = digits[0][0], Watched()
    model(images)  # its last layer is made by its first answer
    invrob.robustness_profile(model.to(setting.device), images.to(setting.device), [0, 0.1], audit=0)
    rows = [
        {"where": where, "convolutions": _on(notes[0]), "matrix products": _on(notes[1])}
        for where, notes in (("in a run", in_run), ("invrob.robustness_profile", Watched.notes[-1]))
    ]
    return rows, not any(in_run)


def _on(value: bool) -> str:
    return "TF32" if value else "float32"


def _trainings(device: torch.device, setting: Setting) -> tuple[list[dict[str, Any]], bool]:
    """Networks trained in each arithmetic, and measured in float32."""
    small = setting.small
    width, epochs = (0.2, 1) if small else (1.0, 4)
    networks = (
        ("stdcnn", width, Recipe(rotation=60, epochs=epochs)),
        ("madry_lenet", 0.25 * width, Recipe(epsilon=0.1, attack_steps=3, epochs=epochs)),
    )
    rows, within = [], True
    for name, wide, recipe in networks:
        exact: dict[int, list[Estimate]] = {}
        for arithmetic, inside, numbers in (
            ("float32", full_float32, "float32"),
            ("TF32", tf32, "float32"),
            ("bfloat16", full_float32, "bfloat16"),
        ):
            rounded = recipe.model_copy(update={"precision": numbers})
            row, estimates = _trained(name, wide, rounded, inside, device, small)
            exact = exact or estimates
            meets = all(_meet(a, b) for seed in exact for a, b in zip(exact[seed], estimates[seed], strict=True))
            within = within and meets
            rows.append({"network": name, "arithmetic": arithmetic, **row, "within": "yes" if meets else "NO"})
    return rows, within


def _trained(
    name: str, width: float, recipe: Recipe, inside: Callable[[], Any], device: torch.device, small: bool
) -> tuple[dict[str, Any], dict[int, list[Estimate]]]:
    """The numbers of a network trained inside such a block, by its seed, and a row of them."""
    images, labels = (tensor.to(device) for tensor in invrob.sample("mnist-mini", 20 if small else 1000))
    found, seconds = {}, []
    for seed in (0,) if small else (0, 1):
        model = build(name, seed=seed, width=width).to(device)
        with inside():
            few = splits(small, 6000)
            seconds.append(seconds_of(lambda m=model, few=few, seed=seed: train(m, *few, recipe, seed=seed), device))
        with full_float32():
            robustness = invrob.robustness_profile(model, images, [0, 0.1], labels, attack="pgd", audit=0)
            invariance = invrob.invariance_profile(model, images, [0, 180], labels)
        accuracy = Estimate(
            *(float(robustness.__dict__[key][0]) for key in ("accuracy", "accuracy_low", "accuracy_high"))
        )
        found[seed] = [accuracy, invariance.rate_at(180), robustness.rate_at(0.1)]
    headings = ("accuracy", "stays at 180 degrees", "stays at 0.1")
    shown = {
        heading: _shown(values) for heading, values in zip(headings, zip(*found.values(), strict=True), strict=True)
    }
    return {**shown, "seconds": min(seconds)}, found


def _shown(values: Sequence[Estimate]) -> str:
    first = values[0]
    return f"{', '.join(f'{100 * v.estimate:.1f}' for v in values)} [{100 * first.low:.1f}, {100 * first.high:.1f}]"


def _meet(first: Estimate, second: Estimate) -> bool:
    return first.low <= second.high and second.low <= first.high
