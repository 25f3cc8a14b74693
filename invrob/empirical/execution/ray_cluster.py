"""Runs cells as the tasks of a Ray cluster, each with its share of CPUs and GPUs; again where a machine is lost.

Every node has this package and a folder that all share; results go through that folder alone. A node that counts as
lost may go on writing for a while. Two workers at the same cell do no harm: files appear whole, the same cell gives the
same bytes (on a CPU), and a worker whose training is kept already takes the weights that are there (`cell.keep`)."""

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
from math import inf
from pathlib import Path
from typing import Any

import torch

from invrob.empirical.execution.cell import run_group
from invrob.empirical.execution.deadline import Deadline
from invrob.empirical.execution.keeping import groups
from invrob.empirical.execution.ray_connection import connected, imported
from invrob.empirical.execution.work import Ended, EventRelay, EventSender, Execution, Failure, Group, Observer
from invrob.empirical.experiments import Cell
from invrob.empirical.inference import single_thread
from invrob.empirical.models import Code, adopt, allowed_code
from invrob.errors import InputError
from invrob.versions import versions

MARKER = ".ray"  # in a run directory, while a cluster works there
ANSWER = 300  # seconds that a node may take to answer: it imports torch, perhaps over the network
ROOM = 10  # seconds between two checks that some node has room for a cell


@dataclass(frozen=True)
class Terms:
    """What a worker must have in common with the process that started the run, the driver."""

    versions: dict[str, str]  # of what decides results
    sources: str  # digest of this package's code; empty after all nodes were asked: an edit must not stop a run
    path: Path  # of the run directory
    token: str  # content of its MARKER
    folder: Path  # the driver's working directory, where a relative npz:PATH begins
    data: str | None  # $INVROB_DATA
    gpu: bool
    code: Sequence[Code] = ()  # the builders of networks that it may call
    until: float = inf  # when its cells have to be at rest, as `time.time()` counts


def run(cells: Sequence[Cell], path: Path, how: Execution, observer: Observer) -> tuple[Failure, ...]:
    """`execution.run` on the Ray cluster at `how.address`, or on one that is started for the time of the run.

    Raises InputError where Ray is missing, no cluster answers, no node has room for a cell, or a node has another
    version or does not see the run directory."""
    ray = imported(how.retries)
    path.mkdir(parents=True, exist_ok=True)
    with redirect_stdout(sys.stderr), connected(ray, how.address), _token(path) as token:  # Ray prints of lost nodes
        gpus = how.gpus_per_cell
        if gpus is None:
            gpus = float(ray.cluster_resources().get("GPU", 0) > 0)
        share = {"CPU": how.cpus_per_cell, "GPU": gpus}
        nodes = places(ray, share)
        if not nodes:
            raise InputError(no_room(ray, share))
        data = os.environ.get("INVROB_DATA")
        about = gpus > 0, allowed_code(), how.deadline.at
        terms = Terms(decisive(), sources(), path.resolve(), token, Path.cwd(), data, *about)
        _check_nodes(ray, list(nodes), terms)
        waiting = groups(cells, path, how, sum(nodes.values()), "cuda" if gpus else "cpu")
        return _drive(ray, waiting, replace(terms, sources=""), share, how, EventRelay(cells, observer))


def _drive(
    ray: Any, waiting: list[Group], terms: Terms, share: dict[str, float], how: Execution, relay: EventRelay
) -> tuple[Failure, ...]:
    """Submits the groups, passes on the events of their workers, and gathers the failures. Where a signal asks for the
    end, no worker hears of it: what they have kept by then stays.

    When it is interrupted, the end of the connection ends the tasks: to cancel a task by force can abort this process,
    if the task ends at that moment (Ray 2.60)."""
    task = ray.remote(num_cpus=share["CPU"], num_gpus=share["GPU"], max_retries=how.retries, retry_exceptions=False)(
        _work
    )
    mailbox, most, running = _mailbox(ray), how.jobs or len(waiting), dict[Any, Group]()
    failures, checked = list[Failure](), time.monotonic()
    while running or (waiting and not how.deadline.over):
        while waiting and len(running) < most and not how.deadline.over:
            group = waiting.pop(0)
            running[task.options(name=str(group[0])).remote(group, terms, mailbox)] = group
        done, _ = ray.wait(list(running), timeout=0.5)
        for event in ray.get(mailbox.take.remote()):
            relay.notify(*event)
        for ref in done:
            group = running.pop(ref)
            unfinished = [cell for cell in group if cell.key in relay.unfinished]
            ended = _ended(ray, ref, unfinished, how.retries + 1)
            relay.settle([cell for cell in group if cell.key not in ended.left], ended.failures)
            failures += ended.failures
        if running and (how.deadline.told or time.time() > how.deadline.latest):
            break
        if time.monotonic() - checked > ROOM:
            checked = time.monotonic()
            if not places(ray, share):
                logging.getLogger("invrob").warning("%s: waiting", no_room(ray, share))
    return tuple(failures)


def _ended(ray: Any, ref: Any, unfinished: Sequence[Cell], attempts: int) -> Ended:
    """What a task has come to that has ended; where its last worker was lost, all of its unfinished cells failed."""
    try:
        ended: Ended = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        why = str(error).strip().splitlines()[0].rstrip(".")
        reason = f"its worker was lost in attempt {attempts} of {attempts}: {why}; run it again, with more retries"
        return Ended(tuple(Failure(cell, reason) for cell in unfinished))
    return ended


def _work(group: Group, terms: Terms, mailbox: Any) -> Ended:
    """The task on a worker."""
    refusal = refused(terms)
    if terms.gpu and not torch.cuda.is_available():
        refusal = "Ray counts a GPU here, but torch sees none: install its build for CUDA, or use gpus_per_cell = 0"
    if refusal:
        raise InputError(f"node {platform.node()}: {refusal}")
    with single_thread():
        device = torch.device("cuda" if terms.gpu else "cpu")
        return run_group(group, terms.path, device, EventSender(mailbox.put.remote), Deadline(terms.until))


def refused(terms: Terms) -> str:
    """Why this process cannot work under `terms`; empty where it can, and then it is set up to do so."""
    same = "install the same on every machine"
    for name, version in decisive().items():
        if version != terms.versions[name]:
            return f"{name} is {version} here and {terms.versions[name]} where the run was started: {same}"
    if terms.sources and sources() != terms.sources:
        return f"the files of invrob differ from those where the run was started: {same}"
    try:
        token = (terms.path / MARKER).read_text(encoding="ascii")
    except OSError:
        token = ""  # no password  # nosec B105
    if token != terms.token:
        return f"does not see {terms.path} as the driver does: choose a run directory that all nodes share"
    if terms.folder.is_dir():
        os.chdir(terms.folder)
    if terms.data is not None:
        os.environ.setdefault("INVROB_DATA", terms.data)
    try:
        adopt(terms.code)
    except InputError as error:
        return str(error)
    return ""


def decisive() -> dict[str, str]:
    """Versions of what decides results, in this process; torch without its build, as a login node may have that for
    CPUs."""
    return {name: versions()[name].split("+")[0] for name in ("invrob", "torch")}


def sources() -> str:
    """The SHA-256 of this package's code, in hex: a checkout changes while its version stays."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@contextmanager
def _token(path: Path) -> Iterator[str]:
    """A file in the run directory by which a worker recognises it."""
    token = secrets.token_hex(16)
    (path / MARKER).write_text(token, encoding="ascii")
    try:
        yield token
    finally:
        (path / MARKER).unlink(missing_ok=True)


def places(ray: Any, share: dict[str, float]) -> dict[str, int]:
    """Node -> how many cells it has room for at a time, of all nodes that are alive and have room."""
    reserved = {name: amount for name, amount in share.items() if amount > 0}
    counts = {
        node["NodeID"]: min(
            (int(node["Resources"].get(name, 0) / amount) for name, amount in reserved.items()), default=0
        )
        for node in ray.nodes()
        if node["Alive"]
    }
    return {node: count for node, count in counts.items() if count > 0}


def no_room(ray: Any, share: dict[str, float]) -> str:
    """The sentence that no node has room for a cell."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = ", ".join(f"{max((node.get(name, 0) for node in alive), default=0):g} {name}s" for name in share)
    reserved = ", ".join(f"{amount:g} {name}s" for name, amount in share.items())
    return (
        f"no node of the cluster has room for a cell (it takes {reserved}; a node has at most {most}): take a smaller "
        "`cpus_per_cell` or `gpus_per_cell`"
    )


def _check_nodes(ray: Any, nodes: Sequence[str], terms: Terms) -> None:
    """Ask each node whether it can work under `terms`. Raises InputError with the first reason."""

    def refusal_of(terms: dict[str, Any]) -> str:  # sent as code, so that it can run where this package is missing
        import importlib

        try:
            cluster = importlib.import_module("invrob.empirical.execution.ray_cluster")
        except ImportError as error:
            return f"{error}: install the same version of invrob there"
        return str(cluster.refused(cluster.Terms(**terms)))

    task = ray.remote(num_cpus=0, max_retries=0)(refusal_of)
    names = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}
    answers = {node: task.options(scheduling_strategy=_on(ray, node)).remote(asdict(terms)) for node in nodes}
    for node, ref in answers.items():
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


def _mailbox(ray: Any) -> Any:
    """An actor beside the driver that collects the events of the workers."""

    class Mailbox:
        def __init__(self) -> None:
            self.events: list[tuple[Any, ...]] = []

        def put(self, event: tuple[Any, ...]) -> None:
            self.events.append(event)

        def take(self) -> list[tuple[Any, ...]]:
            events, self.events = self.events, []
            return events

    here = _on(ray, ray.get_runtime_context().get_node_id())
    return (
        ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Mailbox).options(scheduling_strategy=here).remote()
    )
