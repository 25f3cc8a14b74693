"""Cells on a real Ray cluster of several nodes: the same bytes, also when a node or the driver is lost on the way."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from invrob.empirical.execution import Execution, ray_connection, run
from invrob.empirical.execution import ray_cluster as cells_on_ray
from invrob.empirical.experiments import dataset_of, read_experiment
from invrob.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
long = pytest.mark.long
pytestmark = pytest.mark.xdist_group("ray")  # one cluster at a time


class Recorder:
    """An observer that keeps its events, and calls `on_start` for each cell that starts."""

    def __init__(self, on_start=lambda cell: None):
        self.events, self.on_start = [], on_start

    def started(self, cell):
        self.events.append((cell.key, "started"))
        self.on_start(cell)

    def advanced(self, cell, fraction):
        self.events.append((cell.key, fraction))

    def finished(self, cell):
        self.events.append((cell.key, "finished"))

    def failed(self, cell, reason):
        self.events.append((cell.key, "failed"))

    def count(self, event):
        return [happened for _, happened in self.events].count(event)


def files(path):
    kept = (file for file in path.rglob("*") if file.is_file() and file.name not in ("costs.json", ".lock"))
    return {str(file.relative_to(path)): file.read_bytes() for file in kept}


def cells_of(config):
    experiment = read_experiment(config)
    return list(experiment.cells(dataset_of(experiment.dataset).fingerprint))


SMALL = {"object_store_memory": ray_connection.OBJECT_STORE, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster_of_no_room():
    """A Ray cluster whose head has no room for cells."""
    ray_connection.imported(retries=2)
    from ray.cluster_utils import Cluster

    real = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    yield real
    real.shutdown()


@pytest.fixture
def ray_cluster(cluster_of_no_room, monkeypatch):
    """The same; nodes that a test adds are taken out after it."""
    monkeypatch.setattr(cells_on_ray, "sources", lambda: "")  # else an edit of the checkout at this moment fails a test
    yield cluster_of_no_room
    for node in list(cluster_of_no_room.worker_nodes):
        cluster_of_no_room.remove_node(node)
    cluster_of_no_room.wait_for_nodes(timeout=60)  # until the head knows


def add(ray_cluster, **resources):
    return ray_cluster.add_node(**{"num_cpus": 1, **SMALL, **resources})


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("alone")
    assert run(cells_of(config), path, Execution(), Recorder()) == ()
    return files(path)


def on(ray_cluster, **how):
    return Execution("ray", address=ray_cluster.address, **{"jobs": None, "gpus_per_cell": 0.0, **how})


def workers_of(cell):
    """The processes of the Ray task that does `cell`: Ray gives them its name."""
    title = f"ray::{cell}".encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if title in _read(path)]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.05)
    return found


@long
def test_nodes_write_the_same_bytes_as_this_process_also_when_one_is_killed(ray_cluster, config, tmp_path):
    longer = tmp_path / "longer.toml"  # or cells end before a node is killed
    longer.write_text(config.read_text().replace("epochs = 2", "epochs = 60"))
    assert run(cells_of(longer), tmp_path / "alone", Execution(), Recorder()) == ()
    alone = files(tmp_path / "alone")
    add(ray_cluster)
    victim, killed = add(ray_cluster), []

    def kill(cell):
        if recorder.count("started") - recorder.count("finished") == 2 and not killed:  # so each node has one
            killed.append(cell)
            ray_cluster.remove_node(victim, allow_graceful=False)

    recorder = Recorder(kill)
    assert run(cells_of(longer), tmp_path / "killed", on(ray_cluster), recorder) == ()
    assert killed
    assert recorder.count("finished") == 3
    assert recorder.count("started") == 4  # the one that was at work there
    assert files(tmp_path / "killed") == alone


class OnWarning(logging.Handler):
    """Calls `act` at the first warning, and keeps all of them."""

    def __init__(self, act):
        super().__init__()
        self.act, self.said = act, []

    def emit(self, record):
        self.said.append(record.getMessage())
        if len(self.said) == 1:
            self.act()


@long
def test_a_run_that_lost_its_last_node_says_so_and_goes_on_with_the_next(
    ray_cluster, config, alone, tmp_path, monkeypatch
):
    monkeypatch.setattr(cells_on_ray, "ROOM", 1)
    only = add(ray_cluster)

    def kill(cell):
        if recorder.count("started") == 1:
            ray_cluster.remove_node(only, allow_graceful=False)

    recorder, handler = Recorder(kill), OnWarning(lambda: add(ray_cluster))
    logging.getLogger("invrob").addHandler(handler)
    try:
        assert run(cells_of(config), tmp_path, on(ray_cluster), recorder) == ()
    finally:
        logging.getLogger("invrob").removeHandler(handler)
    assert handler.said[0].startswith("no node of the cluster has room for a cell (it takes 1 CPUs, 0 GPUs; ")
    assert handler.said[0].endswith(": waiting")
    assert files(tmp_path) == alone


@long
def test_a_cell_fails_alone_by_its_own_fault_or_that_of_its_worker(ray_cluster, config, alone, tmp_path):
    add(ray_cluster, num_cpus=3)
    first, second, third = cells_of(config)
    diverging = first.model_copy(update={"recipe": first.recipe.model_copy(update={"learning_rate": 1e30})})
    slow = second.model_copy(update={"recipe": second.recipe.model_copy(update={"epochs": 5000})})
    killed = []

    def kill(cell):
        if cell == slow:
            # One killed before may still be listed, and a worker that forks stands there twice for a moment.
            wait_for(lambda: len({*workers_of(slow)} - {*killed}) == 1)
            (worker,) = {*workers_of(slow)} - {*killed}
            killed.append(worker)
            os.kill(worker, signal.SIGKILL)

    recorder = Recorder(kill)
    failures = run([diverging, slow, third], tmp_path, on(ray_cluster, retries=1, jobs=1), recorder)
    reasons = {failure.cell.key: failure.reason for failure in failures}
    assert len(killed) == len(set(killed)) == 2
    assert reasons[slow.key].startswith("its worker was lost in attempt 2 of 2: ")
    assert "the training loss became" in reasons[diverging.key]
    assert [recorder.count("failed"), recorder.count("finished")] == [2, 1]
    assert {name: content for name, content in alone.items() if third.key in name} == files(tmp_path)


@long
def test_what_a_cluster_cannot_do_is_said_before_it_is_tried(ray_cluster, config, tmp_path, monkeypatch):
    add(ray_cluster, num_gpus=1)  # which Ray believes and torch does not find
    cells = cells_of(config)

    def refusal(cells=cells, **how):
        with pytest.raises(InputError) as caught:
            run(cells, tmp_path, on(ray_cluster, **how), Recorder())
        return str(caught.value)

    assert "has room for a cell (it takes 64 CPUs, 0 GPUs; a node has at most 1 CPUs" in refusal(cpus_per_cell=64.0)
    assert "torch sees none: install its build for CUDA, or use gpus_per_cell = 0" in refusal(gpus_per_cell=0.5)
    changed = [cells[0].model_copy(update={"fingerprint": "other"})]
    assert "changed while the run was on: start it again" in refusal(changed)
    monkeypatch.setattr(cells_on_ray, "MARKER", ".other")
    assert f"does not see {tmp_path} as the driver does" in refusal()
    assert files(tmp_path) == {}


def descendants(pid):
    """Of the process `pid`, and theirs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        after_name = _read(stat).rpartition(b")")[2].split()
        if after_name and after_name[0] != b"Z":
            parents[int(stat.parent.name)] = int(after_name[1])
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {pid}


@long
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_process_and_goes_on_without_ray(config, alone, tmp_path, blow):
    command = [sys.executable, ROOT / "cli.py", "empirical", "run", "--config", config, "--out", tmp_path, "--json"]
    command += ["--executor", "ray", "--jobs", "1"]
    driver = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: list(tmp_path.glob("cells/*/cell.json")) or driver.poll() is not None)
        processes = {child: _read(Path(f"/proc/{child}/cmdline")) for child in descendants(driver.pid)}
        assert any(title.startswith(b"ray::stdcnn") for title in processes.values())
        driver.send_signal(blow)
        _, said = driver.communicate(timeout=60)
    finally:
        driver.kill()
    assert driver.returncode == (130 if blow == signal.SIGINT else -9), said
    if blow == signal.SIGKILL:  # two agents of Ray's take a minute to see that they are alone; they compute nothing
        processes = {child: title for child, title in processes.items() if b"Agent" not in title}
    wait_for(lambda: not any(Path(f"/proc/{process}/cwd").exists() for process in processes), seconds=30)
    if blow == signal.SIGINT:
        *_, stopped, again = said.splitlines()
        assert stopped.startswith("stopped: nothing that was finished is lost; the same command goes on")
        assert again == f"next: invrob empirical run --out {tmp_path} --executor ray --jobs 1"
        assert "Traceback" not in said
        assert not (tmp_path / cells_on_ray.MARKER).exists()
        assert list(Path("/tmp").glob(f"invrob-ray-{driver.pid}-*")) == []
    for folder in Path("/tmp").glob(f"invrob-ray-{driver.pid}-*"):
        shutil.rmtree(folder)
    assert run(cells_of(config), tmp_path, Execution(), Recorder()) == ()
    (tmp_path / cells_on_ray.MARKER).unlink(missing_ok=True)
    assert alone.items() <= files(tmp_path).items()
    assert set(files(tmp_path)) - set(alone) <= {"experiment.json"}
