"""Whether torch.compile or CUDA graphs pay: a step of `python -m tools.gpu_check`.

The steps of an attack and of a training on small networks are many small operations, which a GPU may wait for. Each is
timed as it is, compiled, and recorded once as a CUDA graph that is played again, in turns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from invrob.empirical.models import build
from tools.gpu_speed import Call, gradient, in_turns
from tools.gpu_steps import Outcome, Setting, Table

USUAL, COMPILED, GRAPH = "as it is", "compiled", "CUDA graph"
SAME = 1e-2  # so much may the ways differ, relative: a rounding turns a few of millions of ReLUs
Made = tuple[Call, Callable[[], Tensor]]  # a step, and what tells what it has come to


@dataclass(frozen=True)
class Case:
    """A step that is timed. make: builds it anew, with or without torch.compile."""

    network: str
    work: str
    images: int
    make: Callable[[bool], Made]


def cases(device: torch.device, small: bool) -> list[Case]:
    """An attack's step and a training's step of the networks for MNIST; a step of a stack."""
    width, many = (0.2, (4, 4, 2)) if small else (1.0, (1000, 64, 12))
    names = ("stdcnn",) if small else ("stdcnn", "gcnn", "madry_lenet")
    listed = []
    for name in names:
        listed += [
            Case(name, "a step of an attack", many[0], lambda c, n=name: _attack(n, width, many[0], device, c)),
            Case(name, "a step of a training", many[1], lambda c, n=name: _training(n, width, many[1], device, c)),
        ]
    stacked = f"a step of a stack of {many[2]}"
    return listed + [
        Case(name, stacked, many[1], lambda c, n=name: _stack(n, width, many[1], many[2], device, c)) for name in names
    ]


def graphs(setting: Setting) -> Outcome:
    """The table of ratios, and where which way pays."""
    device = torch.device(setting.device)
    torch.backends.cudnn.allow_tf32 = False  # so that the ways may differ by rounding in float32 alone
    listed = cases(device, setting.small)
    rows = [_timed(case, device, setting) for case in listed]
    gains = [(row[f"{way} pays"], way, row) for row in rows for way in (COMPILED, GRAPH) if row[f"{way} pays"] != "-"]
    wrong = [
        f"{row['network']}, {row['work']}: {way} gives other numbers" for _, way, row in gains if row["differ"] > SAME
    ]
    said = "neither could be tried"
    if gains:
        best = max(gains, key=lambda gain: gain[0])
        pays = sum(gain[0] > 1.1 for gain in gains)
        said = (
            f"{pays} of {len(gains)} are more than a tenth faster; at best {best[0]:.2f} times, {best[1]}: "
            f"{best[2]['network']}, {best[2]['work']}"
        )
    note = (
        "Milliseconds, medians of five turns. Pays: the time as it is over the time in that way; above 1 it is faster. "
        "Differ: the distance of their gradients, relative. Compiled: torch.compile, mode reduce-overhead "
        f"{'(on this CPU without code of its own: aot_eager)' if device.type != 'cuda' else ''}".rstrip()
        + "."
    )
    return Outcome(
        "failed" if wrong else "ok", "; ".join([*wrong, said]), (Table("Compiled, or as CUDA graphs", note, rows),)
    )


def _timed(case: Case, device: torch.device, setting: Setting) -> dict[str, Any]:
    """One row. A way that cannot be tried says why in its place."""
    made, faults, took = {USUAL: case.make(False)}, dict[str, str](), 0.0
    made[USUAL][0]()
    for way in (COMPILED, GRAPH):
        if setting.left < 20:
            faults[way] = "no time"
            continue
        begin = time.perf_counter()
        try:
            call, told = case.make(way == COMPILED)
            made[way] = (call if way == COMPILED else recorded(call, device)), told
            made[way][0]()
        except Exception as error:
            faults[way] = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            made.pop(way, None)
        took = time.perf_counter() - begin if way == COMPILED else took
    answers = {way: told() for way, (_, told) in made.items()}
    scale = float(answers[USUAL].norm()) or 1.0
    apart = max(float((answer - answers[USUAL]).norm()) / scale for answer in answers.values())
    times = in_turns({way: call for way, (call, _) in made.items()}, device, *(1, 0.0) if setting.small else (5, 0.05))
    row: dict[str, Any] = {"network": case.network, "work": case.work, "images": case.images}
    row |= {f"{way}, ms": 1e3 * times[way] if way in times else faults[way] for way in (USUAL, COMPILED, GRAPH)}
    row |= {f"{way} pays": times[USUAL] / times[way] if way in times else "-" for way in (COMPILED, GRAPH)}
    return row | {"to compile, s": round(took, 1), "differ": apart}


def recorded(call: Call, device: torch.device) -> Call:
    """`call` recorded as a CUDA graph, after three times to warm up on a stream of its own. Raises on a CPU."""
    if device.type != "cuda":
        raise RuntimeError("there are no CUDA graphs on a CPU")
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def _compiled(model: nn.Module, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        return torch.compile(model, mode="reduce-overhead")
    return torch.compile(model, backend="aot_eager")


def _inputs(images: int, device: torch.device) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(images, 1, 28, 28, generator=generator).to(device)
    return x, torch.arange(images, device=device) % 10


def _attack(name: str, width: float, images: int, device: torch.device, compiled: bool) -> Made:
    model = build(name, seed=0, width=width).to(device).eval().requires_grad_(False)
    network = _compiled(model, device) if compiled else model
    x, _ = _inputs(images, device)
    kept = torch.zeros_like(x)

    def call() -> None:
        kept.copy_(gradient(network, x))  # what a graph of CUDA returns is overwritten by the next one

    return call, kept.clone


def _training(name: str, width: float, images: int, device: torch.device, compiled: bool) -> Made:
    model = build(name, seed=0, width=width, dropout=0.0).to(device).train()
    network = _compiled(model, device) if compiled else model
    x, labels = _inputs(images, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0, capturable=device.type == "cuda")

    def call() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()  # at a learning rate of 0, so that all ways go on with the same weights

    return call, lambda: _flat(model.parameters())


def _stack(name: str, width: float, images: int, size: int, device: torch.device, compiled: bool) -> Made:
    models = [build(name, seed=seed, width=width, dropout=0.0).to(device).train() for seed in range(size)]
    stacked, _ = stack_module_state(models)
    weights = {key: value.detach().requires_grad_() for key, value in stacked.items()}
    base, (x, labels) = models[0], _inputs(images, device)
    x, labels = x.expand(size, *x.shape), labels.repeat(size)
    network: Callable[..., Tensor] = vmap(lambda values, part: functional_call(base, values, (part,)))
    if compiled:
        network = (
            torch.compile(network, mode="reduce-overhead")
            if device.type == "cuda"
            else torch.compile(network, backend="aot_eager")
        )

    def call() -> None:
        for value in weights.values():
            value.grad = None
        F.cross_entropy(network(weights, x).flatten(0, 1), labels).backward()

    return call, lambda: _flat(weights.values())


def _flat(parameters: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).clone()
