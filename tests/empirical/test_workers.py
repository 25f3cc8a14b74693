"""Many cells: which device does which, what becomes of a cell whose worker is killed, what a cluster must agree on."""

import multiprocessing
import os
import signal
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from planted import cell

from invrob.empirical.execution import Deadline, Execution, Failure, local, run
from invrob.empirical.execution import cell as execution_cell
from invrob.empirical.execution import ray_cluster as cluster
from invrob.empirical.execution import ray_connection as connection
from invrob.empirical.execution.work import Ended, EventRelay, EventSender, stacks
from invrob.empirical.experiments import Store
from invrob.empirical.inference import pinned
from invrob.errors import InputError

CPU = torch.device("cpu")
CELLS = [cell(seed=seed) for seed in range(3)]


class Recorder:
    def __init__(self):
        self.events = []

    def __getattr__(self, event):
        return lambda cell, *values: self.events.append((event, cell.seed, *values))


def test_workers_share_out_the_gpus_of_the_machine_and_keep_one_that_was_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert list(map(str, pinned(torch.device("cuda")))) == ["cuda:0", "cuda:1", "cuda:2"]
    assert pinned(torch.device("cuda:1")) == [torch.device("cuda:1")]
    assert pinned(CPU) == [CPU]


def test_stacks_leave_no_gpu_without_work_and_do_not_pay_on_a_cpu():
    cells = [cell(seed=seed) for seed in range(64)]

    def largest(stack, workers, device):
        return max(map(len, stacks(cells, Execution(stack=stack), workers, device)))

    assert [largest(None, gpus, "cuda") for gpus in (1, 2, 8, 64, 512)] == [32, 32, 8, 1, 1]
    assert largest(None, 2, "cpu") == 1
    assert largest(5, 8, "cuda") == largest(5, 2, "cpu") == 5


class FakePool:
    """A pool of one worker that does its job at once, in this process; `deaths`: how often a seed kills its worker."""

    def __init__(self, deaths, done):
        self.deaths, self.done = deaths, done

    def submit(self, _, group, path, device):
        future = local.Future()
        future.set_running_or_notify_cancel()
        if self.deaths.get(group[0].seed, 0) > 0:
            self.deaths[group[0].seed] -= 1
            future.set_exception(local.BrokenProcessPool())
        else:
            self.done.append((group[0].seed, str(device)))
            future.set_result(Ended())
        return future


@pytest.fixture
def fake(monkeypatch):
    """(deaths, done): workers that are killed as often as `deaths` says for each seed, and what was done where."""
    deaths, done, made = {}, [], []

    @contextmanager
    def worker(device, deadline):
        made.append(device)
        yield local.Worker(device, FakePool(deaths, done), SimpleNamespace(poll=lambda: False))

    monkeypatch.setattr(local, "started_worker", worker)
    return deaths, done, made


def test_each_worker_has_one_device_and_all_devices_have_workers(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    _, done, made = fake
    how = Execution("local", torch.device("cuda"), jobs=3, stack=1)
    assert run(CELLS, tmp_path, how, Recorder()) == ()
    assert list(map(str, made)) == ["cuda:0", "cuda:1", "cuda:0"]
    assert done == [(0, "cuda:0"), (1, "cuda:1"), (2, "cuda:0")]


@pytest.mark.parametrize("deaths", [1, 2, 3])
def test_a_cell_whose_worker_is_killed_is_done_again_as_often_as_asked_the_others_once(fake, tmp_path, deaths, caplog):
    planned, done, made = fake
    planned[1] = deaths
    recorder = Recorder()
    failures = run(CELLS, tmp_path, Execution("local", CPU, jobs=2, retries=2), recorder)
    ends = {seed: event for event, seed, *_ in recorder.events if event in ("finished", "failed")}
    assert sorted(done) == [(seed, "cpu") for seed in range(3) if seed != 1 or deaths < 3]
    assert caplog.text.count(f"{CELLS[1]}: its worker was killed; it is done again") == min(deaths, 2)
    assert len(made) == 2 + deaths  # a new worker for each that is lost
    if deaths < 3:
        assert failures == ()
        return
    assert [failure.cell for failure in failures] == [CELLS[1]]
    assert failures[0].reason.startswith("its worker process was killed in attempt 3 of 3, perhaps for lack ")
    assert ends[1] == "failed"


def test_the_events_of_a_worker_reach_the_observer_and_the_end_of_each_cell_once():
    recorder = Recorder()
    relay = EventRelay(CELLS, recorder)
    sender = EventSender(lambda event: relay.notify(*event))
    sender.started(CELLS[0])
    sender.advanced(CELLS[0], 0.5)
    for _ in range(2):
        sender.finished(CELLS[0])
    sender.advanced(CELLS[0], 0.9)  # of a worker that counts as lost
    sender.failed(CELLS[1], "x" * 5000)
    relay.settle(CELLS[:2], [Failure(CELLS[1], "again")])
    first, second = CELLS[0].seed, CELLS[1].seed
    assert recorder.events == [
        ("started", first),
        ("advanced", first, 0.5),
        ("finished", first),
        ("failed", second, "x" * 1000),
    ]
    relay.settle(CELLS, [])
    assert recorder.events[-1] == ("finished", CELLS[2].seed)


def test_who_trains_second_takes_the_weights_that_are_kept_and_their_profiles_stay(tmp_path):
    store, one = Store(tmp_path), CELLS[0]
    first, second = (torch.nn.Linear(2, 2) for _ in range(2))
    course = execution_cell.Training((), 0)
    execution_cell.keep(store, one, first, course)
    store.write_profiles(one.key, one.profile_key, {"of": "first"})
    execution_cell.keep(store, one, second, course)
    assert torch.equal(second.weight, first.weight)
    assert store.read_profiles(one.key, one.profile_key) == {"of": "first"}
    next(tmp_path.glob("cells/*/weights.safetensors")).write_bytes(b"damaged")
    third = torch.nn.Linear(2, 2)
    execution_cell.keep(store, one, third, course)
    assert torch.equal(store.read_training(one.key)[0]["weight"], third.weight)


def _die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.long  # two processes to start
def test_a_real_worker_that_is_killed_breaks_its_own_pool_alone():
    with local.started_worker(CPU, Deadline()) as victim, local.started_worker(CPU, Deadline()) as other:
        broken = victim.pool.submit(_die)
        assert other.pool.submit(os.getpid).result() != os.getpid()
        with pytest.raises(local.BrokenProcessPool):
            broken.result()
        assert other.pool.submit(sum, (1, 2)).result() == 3
    assert multiprocessing.active_children() == []


def test_without_ray_the_way_to_get_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError) as caught:
        run(CELLS, tmp_path, Execution("ray"), Recorder())
    assert str(caught.value) == "executor = 'ray' needs Ray on every machine: pip install 'invrob[ray]'"


@pytest.mark.parametrize("address", ["banana", "ray://localhost:10001", ":6379", "localhost", "http://a:1"])
def test_an_address_is_auto_or_host_and_port(address):
    with pytest.raises(InputError, match="must be auto or HOST:PORT, as `ray start --head` prints it"):
        connection.check_address(address)
    for known in ("auto", "local"):
        connection.check_address(known)


def test_an_address_where_nobody_listens_is_refused_at_once():
    with pytest.raises(InputError, match=r"address = 127.0.0.1:1: no Ray cluster answers, .*`ray start --head` starts"):
        connection.check_address("127.0.0.1:1")


@pytest.fixture
def terms(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.os, "chdir", lambda _: None)
    (tmp_path / cluster.MARKER).write_text("token")
    return cluster.Terms(cluster.decisive(), cluster.sources(), tmp_path, "token", tmp_path, None, gpu=False)


def test_a_worker_refuses_other_versions_other_files_and_another_folder(terms, tmp_path):
    def changed(**fields):
        return cluster.refused(cluster.replace(terms, **fields))

    assert cluster.refused(terms) == changed(sources="") == ""
    assert changed(versions={**terms.versions, "torch": "1.0"}).endswith(
        "1.0 where the run was started: install the same on every machine"
    )
    assert "the files of invrob differ" in changed(sources="0")
    for path in (tmp_path / "elsewhere", tmp_path):
        assert f"does not see {path} as the driver does" in changed(path=path, token="other")


def fake_ray(*nodes):
    return SimpleNamespace(
        nodes=lambda: [{"NodeID": name, "Alive": alive, "Resources": has} for name, alive, has in nodes]
    )


def test_the_places_of_a_cluster_are_counted_by_what_a_cell_takes():
    ray = fake_ray(("a", True, {"CPU": 8, "GPU": 2}), ("b", True, {"CPU": 4}), ("c", False, {"CPU": 99, "GPU": 9}))
    assert cluster.places(ray, {"CPU": 1, "GPU": 0}) == {"a": 8, "b": 4}
    assert cluster.places(ray, {"CPU": 1, "GPU": 0.25}) == {"a": 8}
    assert cluster.places(ray, {"CPU": 1, "GPU": 1}) == {"a": 2}
    assert cluster.places(ray, {"CPU": 3, "GPU": 0}) == {"a": 2, "b": 1}
    assert cluster.places(ray, {"CPU": 9, "GPU": 0}) == cluster.places(ray, {"CPU": 0, "GPU": 0}) == {}
    assert cluster.no_room(ray, {"CPU": 9, "GPU": 0}).startswith(
        "no node of the cluster has room for a cell (it takes 9 CPUs, 0 GPUs; a node has at most 8 CPUs, 2 GPUs)"
    )
