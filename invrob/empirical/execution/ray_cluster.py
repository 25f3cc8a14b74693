"""Runs cells on a Ray cluster: one task each, with its share of CPUs and GPUs, done again where a machine is lost.

Every node has this package and a folder that all share; results go through that folder alone. A node that was given up
for lost may go on writing for a while: files appear whole, from the same cell come the same bytes (on a CPU), and who
finds a training already kept takes its weights (`execute.keep`). So two workers at one cell do no harm."""

import hashlib
import importlib
import logging
import os
import platform
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

import invrob
from invrob.empirical.execution.cell import run_group
from invrob.empirical.execution.ray_connection import connected, imported
from invrob.empirical.execution.work import (
    Execution,
    Failure,
    Group,
    Observer,
    Relay,
    Teller,
    often,
    stack_size,
    stacks,
)
from invrob.empirical.experiments import Cell
from invrob.empirical.inference import single_thread
from invrob.errors import InputError
from invrob.versions import versions

MARK = ".ray"  # of a run directory, while a cluster works in it
ANSWER = 300  # seconds that a node may take to answer: it imports torch, perhaps over the network
ROOM = 10  # seconds between looks at whether any node has room for a cell


@dataclass(frozen=True)
class Terms:
    """What the driver and its workers must have in common, and where the work is done."""

    versions: dict[str, str]  # of what decides results
    sources: str  # the digest of this package's; empty once all nodes have been asked: an edit must not stop a run
    path: Path  # of the run directory
    token: str  # what its file .ray holds
    folder: Path  # the driver's, where a relative npz:PATH begins
    data: str | None  # $INVROB_DATA
    gpu: bool


def run(cells: Sequence[Cell], path: Path, how: Execution, observer: Observer) -> tuple[Failure, ...]:
    """`executors.run` on the Ray cluster at `how.address`, or on one that is started for the time of the run.

    Raises InputError where Ray is missing, no cluster answers, no node has room for a cell, or a node has another
    version or does not see the run directory."""
    ray = imported(how.retries)
    path.mkdir(parents=True, exist_ok=True)
    with redirect_stdout(sys.stderr), connected(ray, how.address), _token(path) as token:  # Ray prints of lost nodes
        share = {"CPU": how.cpus_per_cell, "GPU": _gpus(ray, how.gpus_per_cell)}
        places = _places(ray, share)
        if not places:
            raise InputError(_no_room(ray, share))
        gpu = share["GPU"] > 0
        data = os.environ.get("INVROB_DATA")
        terms = Terms(decisive(), sources(), path.resolve(), token, Path.cwd(), data, gpu)
        _check_nodes(ray, list(places), terms)
        groups = stacks(cells, stack_size(how.stack, len(cells), sum(places.values()), "cuda" if gpu else "cpu"))
        return _drive(ray, groups, replace(terms, sources=""), share, how, Relay(cells, observer))


def _drive(
    ray: Any, groups: list[Group], terms: Terms, share: dict[str, float], how: Execution, relay: Relay
) -> tuple[Failure, ...]:
    """Hands out the groups, passes on what the workers tell, and gathers their failures.

    When it is interrupted, the end of the connection ends the tasks: to cancel one by force can abort this process, if
    the task comes to its end at that moment (Ray 2.60)."""
    task = ray.remote(num_cpus=share["CPU"], num_gpus=share["GPU"], max_retries=how.retries, retry_exceptions=False)(
        _work
    )
    board, waiting, running = _board(ray), list(groups), dict[Any, Group]()
    failures, looked = list[Failure](), time.monotonic()
    while waiting or running:
        while waiting and len(running) < (how.jobs or len(groups)):
            group = waiting.pop(0)
            running[task.options(name=str(group[0])).remote(group, terms, board)] = group
        done, _ = ray.wait(list(running), timeout=0.5)
        for news in ray.get(board.take.remote()):
            relay.tell(*news)
        for ref in done:
            group = running.pop(ref)
            failed = _failures(ray, ref, [cell for cell in group if cell.key in relay.open], how.retries)
            relay.settle(group, failed)
            failures += failed
        if time.monotonic() - looked > ROOM:
            looked = time.monotonic()
            if not _places(ray, share):
                logging.getLogger("invrob").warning("%s: waiting", _no_room(ray, share))
    return tuple(failures)


def _failures(ray: Any, ref: Any, cells: Sequence[Cell], retries: int) -> tuple[Failure, ...]:
    """Of a task that came to an end; `cells`: those of it that were not finished, as far as we were told."""
    try:
        failures: tuple[Failure, ...] = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        why = str(error).strip().splitlines()[0].rstrip(".")
        reason = f"its worker was lost {often(retries + 1)}: {why}; the same command goes on with it (see --retries)"
        return tuple(Failure(cell, reason) for cell in cells)
    return failures


def _work(group: Group, terms: Terms, board: Any) -> tuple[Failure, ...]:
    """The task on a worker."""
    refusal = refused(terms)
    if terms.gpu and not torch.cuda.is_available():
        refusal = "Ray counts a GPU here, but torch sees none: install its build for CUDA, or use --gpus-per-cell 0"
    if refusal:
        raise InputError(f"node {platform.node()}: {refusal}")
    with single_thread():
        device = torch.device("cuda" if terms.gpu else "cpu")
        return run_group(group, terms.path, device, Teller(board.put.remote))


def refused(terms: Terms) -> str:
    """Why this process cannot work under `terms`; empty where it can, and then it is set up to do so."""
    same = "install the same on every machine"
    for name, version in decisive().items():
        if version != terms.versions[name]:
            return f"{name} is {version} here and {terms.versions[name]} where the run was started: {same}"
    if terms.sources and sources() != terms.sources:
        return f"the files of invrob differ from those where the run was started: {same}"
    try:
        token = (terms.path / MARK).read_text(encoding="ascii")
    except OSError:
        token = ""  # no password  # nosec B105
    if token != terms.token:
        return f"does not see {terms.path} as the driver does: choose an --out on a folder that all nodes share"
    if terms.folder.is_dir():
        os.chdir(terms.folder)
    if terms.data is not None:
        os.environ.setdefault("INVROB_DATA", terms.data)
    return ""


def decisive() -> dict[str, str]:
    """Versions of what decides results, in this process; torch without its build, as a login node may have that for
    CPUs."""
    return {name: versions()[name].split("+")[0] for name in ("invrob", "torch")}


def sources() -> str:
    """The SHA-256 of this package's code, in hex: a checkout has one version for long."""
    root, digest = Path(invrob.__file__).parent, hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@contextmanager
def _token(path: Path) -> Iterator[str]:
    """A file in the run directory by which a worker recognises it."""
    token = secrets.token_hex(16)
    (path / MARK).write_text(token, encoding="ascii")
    try:
        yield token
    finally:
        (path / MARK).unlink(missing_ok=True)


def _gpus(ray: Any, asked: float | None) -> float:
    return asked if asked is not None else float(ray.cluster_resources().get("GPU", 0) > 0)


def _places(ray: Any, share: dict[str, float]) -> dict[str, int]:
    """Node -> how many cells it has room for at a time, of all nodes that are alive and have any."""
    wanted = {name: each for name, each in share.items() if each > 0}
    places = {
        node["NodeID"]: min((int(node["Resources"].get(name, 0) / each) for name, each in wanted.items()), default=0)
        for node in ray.nodes()
        if node["Alive"]
    }
    return {node: count for node, count in places.items() if count > 0}


def _no_room(ray: Any, share: dict[str, float]) -> str:
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = ", ".join(f"{max((node.get(name, 0) for node in alive), default=0):g} {name}s" for name in share)
    asked = ", ".join(f"{amount:g} {name}s" for name, amount in share.items())
    return (
        f"no node of the cluster has room for a cell (it takes {asked}; a node has at most {most}): see "
        "--cpus-per-cell and --gpus-per-cell"
    )


def _check_nodes(ray: Any, nodes: Sequence[str], terms: Terms) -> None:
    """Ask each node whether it can work under `terms`. Raises InputError with the first reason."""

    def ask(terms: dict[str, Any]) -> str:  # sent as code, so that it can run where this package is missing
        import importlib

        try:
            cluster = importlib.import_module("invrob.empirical.execution.ray_cluster")
        except ImportError as error:
            return f"{error}: install the same version of invrob there"
        return str(cluster.refused(cluster.Terms(**terms)))

    task = ray.remote(num_cpus=0, max_retries=0)(ask)
    names = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}
    asked = {node: task.options(scheduling_strategy=_on(ray, node)).remote(asdict(terms)) for node in nodes}
    for node, ref in asked.items():
        try:
            refusal = ray.get(ref, timeout=ANSWER)
        except ray.exceptions.GetTimeoutError:
            refusal = f"gave no answer in {ANSWER} seconds: look after it, or take it out of the cluster"
        except ray.exceptions.RayError:  # it has just been lost, which Ray takes a while to see
            continue
        if refusal:
            raise InputError(f"node {names[node]}: {refusal}")


def _on(ray: Any, node: str) -> Any:
    strategies = importlib.import_module("ray.util.scheduling_strategies")
    return strategies.NodeAffinitySchedulingStrategy(node_id=node, soft=False)


def _board(ray: Any) -> Any:
    """An actor beside the driver, where workers leave what they have to tell."""

    class Board:
        def __init__(self) -> None:
            self.news: list[tuple[Any, ...]] = []

        def put(self, news: tuple[Any, ...]) -> None:
            self.news.append(news)

        def take(self) -> list[tuple[Any, ...]]:
            news, self.news = self.news, []
            return news

    here = _on(ray, ray.get_runtime_context().get_node_id())
    return (
        ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Board).options(scheduling_strategy=here).remote()
    )
