"""A training in progress, taken out of memory and put back: it goes on to the same bits on a CPU.

What a training consists of: weights, the state of the optimizer, the place in the schedule, every random generator, the
order of the images in the epoch at work, the losses of that epoch, and the course with the best weights so far. Who
keeps it, where, and when is not known here: see `Keeper`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from invrob.empirical.training.course import Course, Epoch, Losses
from invrob.empirical.training.draws import Draws

State = tuple[dict[str, Tensor], dict[str, Any]]  # tensors on the CPU, and the rest as plain JSON values
Batches = Sequence[Tensor]  # places of images: an epoch of one network


class Paused(BaseException):  # like KeyboardInterrupt: no `except Exception` may swallow it
    """There is no time left, and what was asked for is not finished."""


class Keeper(Protocol):
    """Keeps a training in progress, and says when it has to."""

    def read(self) -> State | None:
        """What was kept of this training; None for nothing."""

    def asks(self) -> Literal["", "keep", "stop"]:
        """After each step: what is wanted. "keep": `keep` is called; "stop": also, and the training ends by Paused."""

    def keep(self, state: State) -> None:
        """Keep it in the place of what was kept before."""

    def breakable(self) -> AbstractContextManager[object]:
        """What is done in the block changes nothing that matters, and may be ended by Paused at any instant."""


@dataclass
class InProgress:
    """A training as it goes on: of one network, or of several as a stack.

    weights: what the steps change, by name, buffers included; draws, courses: one for each network."""

    weights: Mapping[str, Tensor]
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    draws: Sequence[Draws]
    courses: Sequence[Course]
    images: int  # of an epoch
    batch_size: int
    keeper: Keeper | None = None
    epoch: int = 0
    step: int = 0  # of the epoch: that many batches are done
    size: int = field(init=False)  # of the pieces in which a batch fits into memory
    orders: list[Batches] = field(default_factory=list)  # of the epoch at work; none before it begins
    losses: list[Losses] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = self.batch_size

    def resume(self) -> None:
        """Put back what the keeper has, where it is of this training; call it where all random generators are those of
        the training."""
        state = self.keeper.read() if self.keeper else None
        if state is not None and self._fits(state):
            with torch.no_grad():
                self._put_back(*state)

    def batches(self) -> Iterator[tuple[Tensor, ...]]:
        """The batches of the epoch that are not done yet, for each network; after each of them the keeper is asked."""
        if not self.orders:
            self.orders = [draw.order(self.images, self.batch_size) for draw in self.draws]
            self.losses = [Losses(self.epoch, self.images) for _ in self.draws]
        while self.step < len(self.orders[0]):
            yield tuple(order[self.step] for order in self.orders)
            self.step += 1
            asked = self.keeper.asks() if self.keeper else ""
            if asked and self.keeper:
                self.keeper.keep(_on_host(self._taken()))
            if asked == "stop":
                raise Paused

    @contextmanager
    def validating(self) -> Iterator[None]:
        """The end of an epoch, which may be broken off; then it is kept as it was before."""
        if self.keeper is None:
            yield
            return
        # Of before, copied on the device, which is quick: a break in the code that puts a network back into train mode
        # could leave other weights behind.
        tensors, body = self._taken()
        tensors = {name: value.clone() for name, value in tensors.items()}
        try:
            with self.keeper.breakable():
                yield
        except (Paused, KeyboardInterrupt):
            self.keeper.keep(_on_host((tensors, body)))
            raise

    def next_epoch(self) -> None:
        """The epoch is done, and in the courses."""
        self.epoch, self.step, self.orders, self.losses = self.epoch + 1, 0, [], []

    def _taken(self) -> State:
        """All of it, tensors where they are."""
        tensors = {f"weights/{name}": value for name, value in self.weights.items()}
        of_optimizer = self._of_optimizer()
        tensors |= {name: value for name, value in of_optimizer.items() if isinstance(value, Tensor)}
        for place, (order, draw, course) in enumerate(zip(self.orders, self.draws, self.courses, strict=True)):
            tensors[f"order/{place}"] = torch.cat(list(order))
            tensors |= {f"random/{place}/{name}": g.get_state() for name, g in draw.generators.items()}
            tensors |= {f"best/{place}/{name}": value for name, value in course.weights.items()}
        tensors["losses"] = torch.tensor([float(losses.sum) for losses in self.losses], dtype=torch.float64)
        tensors |= {f"random/{name}": state for name, state in _global_states(self.draws[0].device.device).items()}
        plain = {name: value for name, value in of_optimizer.items() if not isinstance(value, Tensor)}
        body = {
            "place": [self.epoch, self.step, self.size],
            "counts": [losses.count for losses in self.losses],
            "courses": [{"epochs": [asdict(e) for e in course.epochs], "best": course.best} for course in self.courses],
            "optimizer": plain,
            "rates": [group["lr"] for group in self.optimizer.param_groups],
            "schedule": {name: getattr(self.schedule, name) for name in ("last_epoch", "_step_count")},
            "device": self.draws[0].device.device.type,
        }
        return {name: value.detach() for name, value in tensors.items()}, body

    def _of_optimizer(self) -> dict[str, Any]:
        """Its state by flat names, such as "optimizer/3/exp_avg"."""
        state: dict[int, dict[str, Any]] = self.optimizer.state_dict()["state"]
        return {f"optimizer/{n}/{name}": value for n, values in state.items() for name, value in values.items()}

    def _fits(self, state: State) -> bool:
        """Whether it is of a training like this one: the same tensors, on the same kind of device."""
        tensors, body = state
        kept = {name.partition("/")[2]: value for name, value in tensors.items() if name.startswith("weights/")}
        alike = kept.keys() == self.weights.keys() and all(
            kept[name].shape == value.shape and kept[name].dtype == value.dtype for name, value in self.weights.items()
        )
        orders = [len(tensors.get(f"order/{place}", ())) for place in range(len(self.draws))]
        same_images = orders == [self.images] * len(body["courses"])
        return alike and same_images and body["device"] == self.draws[0].device.device.type

    def _put_back(self, tensors: dict[str, Tensor], body: dict[str, Any]) -> None:
        for name, value in self.weights.items():
            value.copy_(tensors[f"weights/{name}"])
        self._put_back_optimizer(tensors, body)
        self.schedule.load_state_dict({**self.schedule.state_dict(), **body["schedule"], "_last_lr": body["rates"]})
        self.epoch, self.step, self.size = body["place"]
        device = self.draws[0].device.device
        sums = tensors["losses"].to(device)
        for place, (draw, course, kept) in enumerate(zip(self.draws, self.courses, body["courses"], strict=True)):
            order = tensors[f"order/{place}"].to(device)
            self.orders.append(torch.split(order, self.batch_size))
            for name, generator in draw.generators.items():
                generator.set_state(tensors[f"random/{place}/{name}"])
            losses = Losses(self.epoch, self.images)
            losses.sum, losses.count = sums[place], body["counts"][place]
            self.losses.append(losses)
            course.epochs, course.best = [Epoch(**epoch) for epoch in kept["epochs"]], kept["best"]
            best = f"best/{place}/"
            course.weights = {k.removeprefix(best): v.to(device) for k, v in tensors.items() if k.startswith(best)}
        for name, put_back in _GLOBAL.items():
            if f"random/{name}" in tensors:
                put_back(tensors[f"random/{name}"], device)

    def _put_back_optimizer(self, tensors: dict[str, Tensor], body: dict[str, Any]) -> None:
        """In the layout of the parameters, as the optimizer itself makes it: sums in another order round otherwise."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Any]] = {}
        for name, value in {**tensors, **body["optimizer"]}.items():
            kind, _, rest = name.partition("/")
            if kind != "optimizer":
                continue
            number, _, field_name = rest.partition("/")
            parameter = parameters[int(number)]
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim:
                value = torch.empty_like(parameter).copy_(value)
            state.setdefault(int(number), {})[field_name] = value
        whole = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**whole, "state": state})
        for number, values in state.items():  # load_state_dict may have made other layouts of them
            self.optimizer.state[parameters[number]].update(
                {name: value for name, value in values.items() if isinstance(value, Tensor) and value.ndim}
            )
        for group, rate in zip(self.optimizer.param_groups, body["rates"], strict=True):
            group["lr"] = rate


def _on_host(state: State) -> State:
    """Copies on the CPU that share no memory."""
    tensors, body = state
    return {name: value.cpu().contiguous().clone() for name, value in tensors.items()}, body


def _global_states(device: torch.device) -> dict[str, Tensor]:
    """Of the generators that dropout draws from."""
    states = {"host": torch.get_rng_state()}
    return states | ({"device": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


_GLOBAL: dict[str, Callable[[Tensor, torch.device], None]] = {
    "host": lambda state, device: torch.set_rng_state(state),
    "device": lambda state, device: torch.cuda.set_rng_state(state, device),
}
