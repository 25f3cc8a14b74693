"""What the cells of an experiment cost: model evaluations and floating-point operations per stage, before they are run
and afterwards. Counts are exact for training, and typical for the searches of the profiles."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from invrob.empirical.data import Dataset
from invrob.empirical.execution.schedule import makespan
from invrob.empirical.execution.work import Execution
from invrob.empirical.experiments import Cell, Store, model_of
from invrob.empirical.inference import called, evaluating, set_training, single_thread
from invrob.empirical.profiles import Work
from invrob.empirical.training import VALIDATION_STEPS, channels_last, precision
from invrob.progress import Show


@dataclass(frozen=True)
class Speed:
    """Seconds per image on a device, as measured."""

    forward: float
    attack: float
    training: float

    def seconds(self, work: Work) -> float:
        """How long that takes a single process."""
        return work.forward * self.forward + work.attack * self.attack + work.training * self.training


def work_of(cell: Cell, dataset: Dataset) -> dict[str, Work]:
    """What each stage asks of the cell's network: "training", and each of `cell.addresses`."""
    recipe, profiling = cell.recipe, cell.profiling
    seen, held_out = recipe.epochs * len(dataset.train.images), recipe.epochs * len(dataset.validation.images)
    attacked, images = recipe.epsilon > 0, min(profiling.images, len(dataset.test.images))
    twice = attacked and recipe.trades_beta > 0  # TRADES looks at the clean images as well
    training = Work(
        forward=2 * held_out + twice * seen,
        attack=attacked * (seen * recipe.attack_steps + held_out * VALIDATION_STEPS),
        training=seen * (1 + twice),
    )
    stages = {"training": training, "profiles": sum((part.work * images for part in profiling.card), Work())}
    return stages | {name: measurement.work * images for name, measurement in profiling.beside.items()}


def forward_flops(cell: Cell, dataset: Dataset) -> float:
    """Floating-point operations of one image through the cell's network."""
    model = model_of(cell, dataset)
    set_training(model, False)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        called(model, dataset.test.images[:1])
    return float(counter.get_total_flops())


def effort(cells: Sequence[Cell], dataset: Dataset) -> dict[str, float]:
    """Floating-point operations of all stages of each cell, by its key."""
    flops = _flops_by_network(cells, dataset)
    return {cell.key: flops[cell.network] * _total(work_of(cell, dataset).values()).passes for cell in cells}


def _flops_by_network(cells: Sequence[Cell], dataset: Dataset) -> dict[str, float]:
    return {name: forward_flops(cell, dataset) for name, cell in {cell.network: cell for cell in cells}.items()}


def _total(parts: Iterable[Work]) -> Work:
    return sum(parts, Work())


@dataclass(frozen=True)
class ExpectedCell:
    """The seconds that a cell will take a single process: it is trained, then measured."""

    cell: str
    training: float
    measuring: float

    @property
    def seconds(self) -> float:
        return self.training + self.measuring


@dataclass(frozen=True)
class NetworkPlan:
    """The cells of one network and kind of training, and what they will take."""

    network: str
    work: Work  # of all of them
    flops: float
    cells: tuple[ExpectedCell, ...]

    @property
    def seconds(self) -> float:
        """Of a single process on the device, by what it does in a short trial."""
        return sum(cell.seconds for cell in self.cells)


def plan(
    cells: Sequence[Cell], dataset: Dataset, device: torch.device, progress: Show = lambda *_: None
) -> list[NetworkPlan]:
    """What `cells` will take on `device`: a row for each network, natural and adversarial training apart.

    A second or so of trial per network, of which `progress` is told. Stacked training on a GPU takes less."""
    groups: dict[tuple[str, bool], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.network, cell.recipe.epsilon > 0), []).append(cell)
    rows: list[NetworkPlan] = []
    for (network, attacked), group in groups.items():
        progress(f"trial of {network}{', adversarial' if attacked else ''}", len(rows), len(groups))
        with single_thread():  # as cells are run
            speed = measured_speed(model_of(group[0], dataset).to(device), group[0], dataset, device)
        stages = [work_of(cell, dataset) for cell in group]
        expected = tuple(_expected(cell, parts, speed) for cell, parts in zip(group, stages, strict=True))
        work = _total(part for parts in stages for part in parts.values())
        flops = work.passes * forward_flops(group[0], dataset)
        rows.append(NetworkPlan(network + (", adversarial" if attacked else ""), work, flops, expected))
    return rows


def expected_seconds(cells: Sequence[Cell], dataset: Dataset, how: Execution, progress: Show) -> float | None:
    """What the run of `cells` will take, by a plan; None where a network cannot be tried, which its cell then says."""
    try:
        rows = plan(cells, dataset, how.device, progress)
    except Exception:
        logging.getLogger("invrob").debug("no estimate of the time", exc_info=True)
        return None
    return makespan([cell.seconds for row in rows for cell in row.cells], how.jobs or 1)


def _expected(cell: Cell, stages: dict[str, Work], speed: Speed) -> ExpectedCell:
    measuring = _total(work for stage, work in stages.items() if stage != "training")
    return ExpectedCell(str(cell), speed.seconds(stages["training"]), speed.seconds(measuring))


@dataclass(frozen=True)
class Spent:
    """What a stage of all cells of one network took."""

    network: str
    stage: str
    cells: int
    seconds: float
    flops: float  # counted as in `work_of`: an estimate for the profiles


def spent(cells: Sequence[Cell], dataset: Dataset, store: Store, device: torch.device) -> list[Spent]:
    """What the finished stages of `cells` took on devices of that kind, by the notes in the run directory."""
    flops = _flops_by_network(cells, dataset)
    rows: dict[tuple[str, str], Spent] = {}
    for cell in cells:
        stages = work_of(cell, dataset)
        for stage, cost in store.read_costs(cell.key).items():
            if stage not in stages or not cost["device"].startswith(device.type):
                continue
            place = (cell.network, stage)
            row = rows.get(place, Spent(*place, 0, 0.0, 0.0))
            seconds, arithmetic = float(cost["seconds"]), stages[stage].passes * flops[cell.network]
            rows[place] = Spent(*place, row.cells + 1, row.seconds + seconds, row.flops + arithmetic)
    return [rows[place] for place in sorted(rows)]


def measured_speed(model: nn.Module, cell: Cell, dataset: Dataset, device: torch.device) -> Speed:
    """Time two small batches of each kind on `device`, where `model` is; seconds. The weights stay as they are."""
    sizes = (64, 256) if device.type == "cuda" else (2, 8)
    weights = [p for p in model.parameters() if p.requires_grad]
    state = {name: value.clone() for name, value in model.state_dict().items()}  # batch norm moves its statistics
    mode = model.training
    images, labels = dataset.train.images[: sizes[1]].to(device), dataset.train.labels[: sizes[1]].to(device)

    def train(n: int) -> None:
        with precision(device, cell.recipe):
            loss = F.cross_entropy(called(model, images[:n]).float(), labels[:n])
        torch.autograd.grad(loss, weights)

    def attack(n: int) -> None:
        x = images[:n].clone().requires_grad_()
        torch.autograd.grad(called(model, x).logsumexp(1).sum(), x)

    def forward(n: int) -> None:
        with torch.no_grad():
            called(model, images[:n])

    with channels_last(model):
        training = _per_image(train, sizes, cell.recipe.batch_size, device)
        with evaluating(model):
            asked, attacked = (_per_image(call, sizes, 256, device) for call in (forward, attack))
    model.load_state_dict(state)
    set_training(model, mode)
    return Speed(asked, attacked, training)


def _per_image(call: Callable[[int], object], sizes: tuple[int, int], batch: int, device: torch.device) -> float:
    """Seconds per image in batches of `batch`; two sizes tell the cost of a call from that of an image."""
    small, large = (_seconds(partial(call, n), device) for n in sizes)
    image = max((large - small) / (sizes[1] - sizes[0]), 0.1 * large / sizes[1])
    return image + max(large - image * sizes[1], 0.0) / batch


def peak_flops(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Floating-point operations per second of a large matrix product on `device`: what it can do at best."""
    n = 8192 if device.type == "cuda" else 1024
    a = torch.ones((n, n), device=device, dtype=dtype)
    return 2.0 * n**3 / _seconds(lambda: a @ a, device)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """Of the fastest of some calls after one to warm up, as other processes only ever slow a call down."""
    times: list[float] = []
    while len(times) < 4 or (len(times) < 12 and sum(times) < 0.3):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begin = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return min(times[1:])
