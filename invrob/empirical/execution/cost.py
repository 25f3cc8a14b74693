"""What the cells of an experiment cost: model evaluations and floating-point operations per stage, before they are run
and afterwards. Counts are exact for training, and typical for the searches of the profiles."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from invrob.empirical.data import Dataset
from invrob.empirical.experiments import Cell, Profiling, Store, model_of
from invrob.empirical.inference import evaluating, single_thread
from invrob.empirical.profiles import most_evaluations
from invrob.empirical.training import VALIDATION_STEPS, channels_last, precision

SEARCH = 15  # gradient evaluations per image of a search and its probes, beside the steps of a full attack: measured
WEAK_STEPS = 40  # of a weak attack, for each epsilon


@dataclass(frozen=True)
class Work:
    """Images through the network, counted by what is asked of it."""

    forward: float = 0.0  # logits only
    attack: float = 0.0  # and the gradient for the image: twice the arithmetic
    training: float = 0.0  # and the gradient for the weights: three times

    def __add__(self, other: "Work") -> "Work":
        return Work(self.forward + other.forward, self.attack + other.attack, self.training + other.training)

    @property
    def evaluations(self) -> float:
        return self.forward + self.attack + self.training

    def flops(self, per_image: float) -> float:
        """per_image: floating-point operations of one forward pass."""
        return per_image * (self.forward + 2 * self.attack + 3 * self.training)

    def seconds(self, speed: "Speed") -> float:
        """How long it takes one process at that speed."""
        return self.forward * speed.forward + self.attack * speed.attack + self.training * speed.training


@dataclass(frozen=True)
class Speed:
    """Seconds per image on a device, as measured."""

    forward: float
    attack: float
    training: float


def work(cell: Cell, dataset: Dataset) -> dict[str, Work]:
    """What each stage asks of the cell's network: "training", and each of `cell.measurements`."""
    recipe, how = cell.recipe, cell.profiling
    seen, held_out = recipe.epochs * len(dataset.train.images), recipe.epochs * len(dataset.validation.images)
    attacked, images = recipe.epsilon > 0, min(how.images, len(dataset.test.images))
    twice = attacked and recipe.trades_beta > 0  # TRADES looks at the clean images as well
    training = Work(
        forward=2 * held_out + twice * seen,
        attack=attacked * (seen * recipe.attack_steps + held_out * VALIDATION_STEPS),
        training=seen * (1 + twice),
    )
    return {"training": training, **{name: _measuring(name, how, images) for name in cell.measurements}}


def _measuring(name: str, how: Profiling, images: int) -> Work:
    """What a measurement of `Cell.measurements` asks for; of a worst case, where no prediction moves."""
    turned = Work(forward=images * (1 + math.ceil(max(how.thetas) / how.angle_step)))
    searched = Work(attack=images * (SEARCH + how.steps * how.restarts))
    if name == "profiles":
        return turned + searched
    if name in how.norms:
        return searched
    if name.startswith("weak:"):
        return Work(attack=images * WEAK_STEPS * len(how.epsilons))
    transformation, _, adversary = name.partition(":")
    if adversary:
        return Work(forward=images * most_evaluations(transformation, how.values_of(name), adversary))
    if name in how.transformations:
        return Work(forward=images * (2 + len(how.values_of(name))))
    return turned


def forward_flops(cell: Cell, dataset: Dataset) -> float:
    """Floating-point operations of one image through the cell's network."""
    model = model_of(cell, dataset).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(dataset.test.images[:1])
    return float(counter.get_total_flops())


def effort(cells: Sequence[Cell], dataset: Dataset) -> dict[str, float]:
    """Floating-point operations of all stages of each cell, by its key."""
    per_image: dict[str, float] = {}
    for cell in cells:
        if cell.network not in per_image:
            per_image[cell.network] = forward_flops(cell, dataset)
    return {cell.key: sum(w.flops(per_image[cell.network]) for w in work(cell, dataset).values()) for cell in cells}


@dataclass(frozen=True)
class Expected:
    """The seconds of one process that a cell will take: it is trained, then measured."""

    cell: str
    training: float
    measuring: float

    @property
    def seconds(self) -> float:
        return self.training + self.measuring


@dataclass(frozen=True)
class Planned:
    """The cells of one network and recipe, and what they will take."""

    network: str
    cells: int
    work: Work  # of all of them
    flops: float
    seconds: float  # of one process on the device, by what it does in a short trial
    each: tuple[Expected, ...]


def planned(cells: Sequence[Cell], dataset: Dataset, device: torch.device) -> list[Planned]:
    """What `cells` will take on `device`: one row per network, natural and adversarial training apart.

    A second or so of trial per network. Stacked training on a GPU takes less."""
    groups: dict[tuple[str, bool], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.network, cell.recipe.epsilon > 0), []).append(cell)
    rows = []
    for (network, attacked), group in groups.items():
        parts = [work(cell, dataset) for cell in group]
        total = sum((part for each in parts for part in each.values()), Work())
        with single_thread():  # as cells are run
            speed = measured_speed(model_of(group[0], dataset).to(device), group[0], dataset, device)
        per_image = forward_flops(group[0], dataset)
        name = network + (", adversarial" if attacked else "")
        expected = tuple(_expected(cell, own, speed) for cell, own in zip(group, parts, strict=True))
        rows.append(Planned(name, len(group), total, total.flops(per_image), total.seconds(speed), expected))
    return rows


def _expected(cell: Cell, parts: dict[str, Work], speed: Speed) -> Expected:
    measuring = sum((part.seconds(speed) for name, part in parts.items() if name != "training"), 0.0)
    return Expected(str(cell), parts["training"].seconds(speed), measuring)


@dataclass(frozen=True)
class Spent:
    """What a stage of all cells of one network took."""

    network: str
    stage: str
    cells: int
    seconds: float
    flops: float  # counted as in `work`: an estimate for the profiles


def spent(cells: Sequence[Cell], dataset: Dataset, store: Store, device: torch.device) -> list[Spent]:
    """What the finished stages of `cells` took on devices of that kind, by the notes in the run directory."""
    per_image: dict[str, float] = {}
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for cell in cells:
        if cell.network not in per_image:
            per_image[cell.network] = forward_flops(cell, dataset)
        costs, parts = store.read_costs(cell.key), work(cell, dataset)
        for stage in parts.keys() & costs.keys():
            if not costs[stage]["device"].startswith(device.type):
                continue
            one = (float(costs[stage]["seconds"]), parts[stage].flops(per_image[cell.network]))
            found.setdefault((cell.network, stage), []).append(one)
    return [
        Spent(network, stage, len(each), sum(seconds for seconds, _ in each), sum(flops for _, flops in each))
        for (network, stage), each in sorted(found.items())
    ]


def measured_speed(model: nn.Module, cell: Cell, dataset: Dataset, device: torch.device) -> Speed:
    """Time two small batches of each kind on `device`, where `model` is; seconds. The weights stay as they are."""
    sizes = (64, 256) if device.type == "cuda" else (2, 8)
    weights = [p for p in model.parameters() if p.requires_grad]
    state = {name: value.clone() for name, value in model.state_dict().items()}  # batch norm moves its statistics
    mode = model.training
    images, labels = dataset.train.images[: sizes[1]].to(device), dataset.train.labels[: sizes[1]].to(device)

    def train(n: int) -> None:
        with precision(device, cell.recipe):
            loss = F.cross_entropy(model(images[:n]).float(), labels[:n])
        torch.autograd.grad(loss, weights)

    def attack(n: int) -> None:
        x = images[:n].clone().requires_grad_()
        torch.autograd.grad(model(x).logsumexp(1).sum(), x)

    def forward(n: int) -> None:
        with torch.no_grad():
            model(images[:n])

    with channels_last(model):
        training = _per_image(train, sizes, cell.recipe.batch_size, device)
        with evaluating(model):
            attacked, asked = (_per_image(call, sizes, 256, device) for call in (attack, forward))
    model.load_state_dict(state)
    model.train(mode)
    return Speed(asked, attacked, training)


def _per_image(call: Callable[[int], object], sizes: tuple[int, int], batch: int, device: torch.device) -> float:
    """Seconds per image in batches of `batch`: what a call costs whatever its size, and each image in it, by two
    sizes."""
    small, large = (_seconds(partial(call, n), device) for n in sizes)
    each = max((large - small) / (sizes[1] - sizes[0]), 0.1 * large / sizes[1])
    return each + max(large - each * sizes[1], 0.0) / batch


def peak_flops(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Floating-point operations per second of a large matrix product on `device`: what it can do at best."""
    n = 8192 if device.type == "cuda" else 1024
    a = torch.ones((n, n), device=device, dtype=dtype)
    return 2.0 * n**3 / _seconds(lambda: a @ a, device)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """Of one call, after another one to warm up: of the fastest, as other processes only ever slow it down."""
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
