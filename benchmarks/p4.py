"""p4 convolutions against a bank that is built anew on every call, and against escnn where that can be imported.

escnn 1.0.11 breaks on numpy 2, and wants a Fortran compiler for a part that p4 does without. So give it an environment
of its own: pip install torch "numpy<2" scipy requests joblib cloudpickle pymanopt autograd; pip install --no-deps escnn
lie_learn; python -m benchmarks --only p4. This module needs torch and `invrob.empirical.groups` alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import Setting, Table, compare
from invrob.empirical.groups import P4ConvP4, P4ConvZ2

DEPTH, KERNEL, STEPS = 4, 3, 10


@dataclass(frozen=True)
class Shape:
    """How wide the layers are, and how large the batch."""

    name: str
    channels: int
    side: int
    batch: int


SHAPES = (Shape("as the p4 network for MNIST", 10, 28, 128), Shape("as deep in the p4 VGG16", 128, 12, 16))


class Ours(nn.Module):
    """Four p4 convolutions with ReLU, and the mean over group and place as logits."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        later = [P4ConvP4(channels, channels, KERNEL, bias=False) for _ in range(DEPTH - 1)]
        self.layers = nn.ModuleList([P4ConvZ2(1, channels, KERNEL, bias=False), *later])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return x.mean((2, 3, 4))


class Naive(nn.Module):
    """The same function of the same weights; every call turns and rolls the filters, as ports of GrouPy do."""

    def __init__(self, twin: Ours) -> None:
        super().__init__()
        self.weights = nn.ParameterList([layer.weight.detach().clone() for layer in twin.layers])

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights:
            turned = [torch.rot90(weight.roll(r, 2), r, (3, 4)) for r in range(4)]  # one plane: roll does nothing
            bank = torch.stack(turned, 1).flatten(0, 1).flatten(1, 2)  # [out * 4, in * s, k, k]
            x = F.conv2d(x, bank).relu()
        return x.unflatten(1, (-1, 4)).mean((2, 3, 4))


def escnn_network(channels: int) -> nn.Module:
    """The same layers with regular fields of C4, by escnn."""
    from escnn import gspaces
    from escnn import nn as e

    act = gspaces.rot2dOnR2(N=4)
    image, field = e.FieldType(act, [act.trivial_repr]), e.FieldType(act, channels * [act.regular_repr])

    class Escnn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[Any] = []
            for into in [image, *[field] * (DEPTH - 1)]:
                layers += [e.R2Conv(into, field, KERNEL, bias=False), e.ReLU(field)]
            self.body = e.SequentialModule(*layers)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(e.GeometricTensor(x, image)).tensor.unflatten(1, (-1, 4)).mean((2, 3, 4))

    return Escnn()


@torch.no_grad()
def forward(network: nn.Module, images: Tensor) -> Tensor:
    return network(images)


def backward(network: nn.Module, images: Tensor) -> None:
    network.zero_grad()
    network(images).logsumexp(1).sum().backward()


def attack(network: nn.Module, images: Tensor) -> Tensor:
    """As many gradient evaluations as a PGD of that many steps takes."""
    x = images.clone()
    for _ in range(STEPS):
        (gradient,) = torch.autograd.grad(network(x.requires_grad_()).logsumexp(1).sum(), x)
        x = (x.detach() + 0.01 * gradient.sign()).clamp(0, 1)
    return x


def tables(setting: Setting) -> list[Table]:
    """Forward, forward and backward, and an attack on frozen weights."""
    note, rows = f"{DEPTH} layers with filters of {KERNEL} x {KERNEL}; the attack has {STEPS} steps.", []
    for shape in SHAPES:
        torch.manual_seed(0)
        images = torch.rand(shape.batch, 1, shape.side, shape.side, device=setting.device)
        ours = Ours(shape.channels).to(setting.device)
        rows += _rows(shape, ours, Naive(ours).to(setting.device), images, setting)
        try:
            theirs = escnn_network(shape.channels).to(setting.device)
        except ImportError as error:
            missing = f" escnn is not compared here: {error}."
            note += missing * (missing not in note)
        else:
            rows += _rows(shape, ours, theirs, images, setting)
    sizes = "; ".join(f"{s.name}: {s.channels} channels, {s.batch} images of {s.side} x {s.side}" for s in SHAPES)
    return [Table("p4 convolutions", f"{note} {sizes}.", rows)]


def _rows(
    shape: Shape, ours: Ours, theirs: nn.Module, images: Tensor, setting: Setting
) -> list[dict[str, str | float]]:
    naive = isinstance(theirs, Naive)
    apart = f"{(ours(images) - theirs(images)).abs().max().item():.0e}" if naive else "other weights"
    rival = "bank built on every call" if naive else "escnn"

    def row(work: str, run: Callable[[nn.Module, Tensor], object]) -> dict[str, str | float]:
        clock = compare(lambda: run(ours, images), lambda: run(theirs, images), setting)
        return {"layers": shape.name, "rival": rival, "work": work, **clock, "largest difference": apart}

    for network in (ours, theirs):
        network.train().requires_grad_(True)
    rows = [row("forward, training", forward), row("forward and backward", backward)]
    for network in (ours, theirs):
        network.eval().requires_grad_(False)
    rows += [row("forward, frozen", forward), row("attack, frozen", attack)]
    if not naive:  # what escnn exports cannot be trained any more
        body = theirs.body.export().eval()
        theirs.forward = lambda x: body(x).unflatten(1, (-1, 4)).mean((2, 3, 4))
        rows += [row("forward, exported", forward), row("attack, exported", attack)]
    return rows
