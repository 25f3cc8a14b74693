"""Running cells: the same bits however many processes work, nothing done twice, nothing kept of what failed."""

import json
import multiprocessing
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from invrob.empirical.data.datasets import Split
from invrob.empirical.execution import Execution, run
from invrob.empirical.execution import cell as execution_cell
from invrob.empirical.execution.work import stacks
from invrob.empirical.experiments import Cell, Profiling, Store, dataset_of, model_of, profiled, read_result
from invrob.empirical.experiments import cells as experiment_cells
from invrob.empirical.inference import chosen_device, single_thread
from invrob.empirical.models import build
from invrob.empirical.training.loop import train
from invrob.empirical.training.recipes import Recipe
from invrob.errors import InputError

CPU = torch.device("cpu")
HOW = Profiling(thetas=[0, 180], epsilons=[0, 0.1], steps=2, angle_step=90, images=16, audit=0)
CELLS = {  # (model, options) -> recipe
    ("gcnn", 0.2): Recipe(rotation=90, epochs=1),
    ("stdcnn", 0.3): Recipe(rotation=30, epsilon=0.1, epochs=2),
    ("madry_lenet", 0.1): Recipe(epsilon=0.2, attack_steps=2, epochs=1),
}


@pytest.fixture(scope="module")
def spec(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "few.npz"
    splits = {"train": (digits.train, 120), "test": (digits.test, 40)}
    arrays = {f"{name}_images": s.images[:n, 0].numpy() for name, (s, n) in splits.items()}
    arrays |= {f"{name}_labels": s.labels[:n].numpy() for name, (s, n) in splits.items()}
    np.savez(path, **arrays)
    return f"npz:{path}"


@pytest.fixture(scope="module")
def cells(spec):
    shared = {"dataset": spec, "fingerprint": dataset_of(spec).fingerprint, "seed": 3, "profiling": HOW}
    return [Cell(model=m, options={"width": w}, recipe=recipe, **shared) for (m, w), recipe in CELLS.items()]


class Recorder:
    """An observer that keeps its events."""

    def __init__(self):
        self.events = []

    def started(self, cell):
        self.events.append((cell.key, "started"))

    def advanced(self, cell, fraction):
        self.events.append((cell.key, fraction))

    def finished(self, cell):
        self.events.append((cell.key, "finished"))

    def failed(self, cell, reason):
        self.events.append((cell.key, "failed", reason))

    def of(self, cell):
        return [event for key, event, *_ in self.events if key == cell.key]


def recorded_run(cells, path, jobs=1, **how):
    recorder = Recorder()
    how = Execution("local" if jobs > 1 else "inline", CPU, jobs, **how)
    recorder.failures = run(cells, path, how, recorder)
    return recorder


def files(path):
    """What must be the same in every run: all but the notes of how long it took."""
    kept = (file for file in path.rglob("*") if file.is_file() and file.name != "costs.json")
    return {str(file.relative_to(path)): file.read_bytes() for file in kept}


@pytest.fixture(scope="module")
def alone(cells, tmp_path_factory):
    """(path, what the observer recorded) of all cells in this process."""
    path = tmp_path_factory.mktemp("alone")
    return path, recorded_run(cells, path)


@pytest.fixture
def copied(alone, tmp_path):
    return shutil.copytree(alone[0], tmp_path / "run")


def check_events(recorder, cells):
    assert recorder.failures == ()
    assert {key for key, *_ in recorder.events} == {cell.key for cell in cells}
    for cell in cells:
        first, *fractions, last = recorder.of(cell)
        assert (first, last) == ("started", "finished")
        assert fractions == sorted(fractions)
        assert 0 < fractions[0] <= fractions[-1] < 1
        assert len(fractions) == cell.recipe.epochs + 1


@pytest.mark.long
def test_two_processes_write_the_same_bytes_as_this_one(alone, cells, tmp_path):
    recorder = recorded_run(cells, tmp_path, jobs=2)
    assert files(tmp_path) == files(alone[0])
    assert len(files(tmp_path)) == 3 * len(cells)
    check_events(recorder, cells)
    check_events(alone[1], cells)


def test_the_weights_are_those_that_train_gives(alone, cells):
    for cell in cells:
        data = dataset_of(cell.dataset)
        model = build(cell.model, seed=cell.seed, classes=len(data.classes), **cell.options)
        with single_thread():
            course = train(model, data.train, data.validation, cell.recipe, seed=cell.seed)
        state, body = Store(alone[0]).read_training(cell.key)
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
        assert [epoch["validation_accuracy"] for epoch in body["epochs"]] == [
            epoch.validation_accuracy for epoch in course.epochs
        ]
        assert body["best"] == course.best
        assert Cell.model_validate(body["cell"]) == cell


def test_the_threads_of_the_caller_change_nothing_and_are_given_back(alone, cells, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        recorded_run(cells[:1], tmp_path)
        assert torch.get_num_threads() == 2
        with pytest.raises(InputError):
            recorded_run([cells[0].model_copy(update={"fingerprint": "other"})], tmp_path)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert files(tmp_path).items() <= files(alone[0]).items()


def forbidden(*_, **__):
    raise AssertionError


def test_what_is_there_is_not_done_again(copied, alone, cells, monkeypatch):
    for name in ("train", "measured"):
        monkeypatch.setattr(execution_cell, name, forbidden)
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    recorded_run(cells, copied)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before


def test_a_cell_that_was_trained_is_only_profiled(copied, alone, cells, monkeypatch):
    for path in copied.glob("cells/*/profiles-*.json"):
        path.unlink()
    monkeypatch.setattr(execution_cell, "train", forbidden)
    recorded_run(cells, copied)
    assert files(copied) == files(alone[0])


def test_other_profiles_of_the_same_training_stand_beside_the_first(copied, alone, cells, monkeypatch):
    monkeypatch.setattr(execution_cell, "train", forbidden)
    finer = cells[0].model_copy(update={"profiling": HOW.model_copy(update={"images": 8})})
    recorded_run([finer], copied)
    assert files(alone[0]).items() < files(copied).items()
    body = Store(copied).read_profiles(finer.key, finer.profile_key)
    assert body["invariance"]["images"] == body["robustness"]["images"] == 8


@pytest.mark.parametrize(
    "name",
    ["weights.safetensors", *(pytest.param(name, marks=pytest.mark.long) for name in ("cell.json", "profiles-*.json"))],
)
def test_a_damaged_cell_is_done_again_to_the_same_bytes(copied, alone, cells, name):
    path = next(copied.glob(f"cells/{cells[0].key}/{name}"))
    path.write_bytes(path.read_bytes()[:-9])
    recorded_run(cells, copied)
    assert files(copied) == files(alone[0])


class Diverging(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(torch.nan))

    def forward(self, x):
        return x.flatten(1)[:, :10] * self.weight


def test_of_a_training_that_diverges_nothing_is_kept_and_the_other_cells_go_on(cells, alone, tmp_path, monkeypatch):
    real = experiment_cells.build
    monkeypatch.setattr(
        experiment_cells, "build", lambda name, **rest: Diverging() if name == "gcnn" else real(name, **rest)
    )
    recorder = recorded_run(cells, tmp_path)
    (failure,) = recorder.failures
    assert failure.cell == cells[0]
    assert failure.reason.startswith("the training loss became nan in epoch 1: take a smaller learning_rate")
    assert failure.trace == ""
    assert (cells[0].key, "failed", failure.reason) in recorder.events
    others = {name: content for name, content in files(alone[0]).items() if cells[0].key not in name}
    assert files(tmp_path) == others
    assert len(others) == 6


def test_a_bug_in_a_cell_is_reported_with_its_traceback(cells, tmp_path, monkeypatch):
    def measured(name, model, *_):
        raise ZeroDivisionError(name)

    monkeypatch.setattr(execution_cell, "measured", measured)
    (failure,) = recorded_run(cells[:1], tmp_path).failures
    assert failure.reason == "ZeroDivisionError: profiles"
    assert "in measured" in failure.trace


def test_a_disk_that_is_full_stops_the_run(cells, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "write_training", full)
    with pytest.raises(OSError, match="No space left"):
        recorded_run(cells, tmp_path)


@pytest.mark.long
def test_data_that_changed_stop_the_run_from_a_worker_too_and_what_others_finished_stays(cells, tmp_path):
    changed = [cell.model_copy(update={"fingerprint": "other"}) for cell in cells[1:]]
    with pytest.raises(InputError, match="changed while the run was on: start it again"):
        recorded_run([changed[0], cells[2]], tmp_path, jobs=2)
    assert multiprocessing.active_children() == []
    assert all(json.loads(content) for name, content in files(tmp_path).items() if name.endswith("json"))


def test_the_profiled_images_are_the_same_choice_each_time_and_a_mixture_of_sorted_classes():
    test = Split(torch.arange(1000.0).reshape(1000, 1, 1, 1), torch.arange(1000) // 100)
    images, labels = profiled(test, 100)
    assert torch.equal(images, profiled(test, 100)[0])
    assert torch.equal(images.flatten(), images.flatten().unique())  # in their order, none twice
    assert torch.equal(labels, images.flatten().long() // 100)
    assert len(labels.unique()) == 10


def test_more_images_than_there_are_means_all_of_them(digits):
    images, labels = profiled(digits.test, 10**6)
    assert torch.equal(images, digits.test.images)
    assert torch.equal(labels, digits.test.labels)


def test_devices_are_found_by_name_or_refused_with_the_names_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert chosen_device("auto") == chosen_device("cpu") == CPU
    for name in ("banana", "", "gpu", "cuda:x", "cuda:-1"):
        with pytest.raises(InputError, match="is unknown: use auto, cpu, cuda or cuda:1"):
            chosen_device(name)
    for name in ("meta", "mps"):
        with pytest.raises(InputError, match="is not supported: use auto, cpu, cuda or cuda:1"):
            chosen_device(name)
    with pytest.raises(InputError, match="'cuda' is not there: this machine has 0 CUDA devices"):
        chosen_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device("auto") == torch.device("cuda")
    assert chosen_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match="'cuda:2' is not there: this machine has 2 CUDA devices"):
        chosen_device("cuda:2")


def test_images_that_are_not_square_are_refused(cells):
    data = dataset_of(cells[0].dataset)
    wide = data.train.images[..., :20, :]
    stretched = type(data)(**{**vars(data), "train": type(data.train)(wide, data.train.labels)})
    with pytest.raises(InputError, match="has images of 20 x 28: rotations and models need square ones"):
        model_of(cells[0], stretched)


def test_the_seconds_of_every_stage_are_noted(alone, cells):
    for cell in cells:
        costs = Store(alone[0]).read_costs(cell.key)
        assert set(costs) == {"training", "profiles"}
        assert all(cost["seconds"] > 0 and cost["device"] == "cpu" for cost in costs.values())


def test_what_is_asked_for_later_is_measured_beside_what_is_there(copied, alone, cells, monkeypatch):
    monkeypatch.setattr(execution_cell, "train", forbidden)
    how = HOW.model_copy(update={"confounds": ("disc",), "weak_attacks": ("few-steps",)})
    more = cells[1].model_copy(update={"profiling": how})
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("profiles-*.json")}
    recorded_run([more], copied)
    assert before.items() <= {path: path.stat().st_mtime_ns for path in copied.rglob("profiles-*.json")}.items()
    assert len(files(copied)) == len(files(alone[0])) + 2
    result = read_result(Store(copied), more)
    assert result.complete
    assert list(result.beside) == ["disc", "weak:few-steps"]
    assert not read_result(Store(alone[0]), more).complete


def test_a_p4_network_is_measured_at_exact_quarter_turns_and_no_other(alone, cells):
    found = {cell.model: read_result(Store(alone[0]), cell).quarter_turns for cell in cells}
    assert found["stdcnn"] is found["madry_lenet"] is None
    assert len(found["gcnn"].rate) == 3


@pytest.fixture(scope="module")
def sweep(cells):
    """Five cells of two kinds, and one that cannot be stacked with any."""
    recipes = [Recipe(rotation=a, epochs=1) for a in (0, 90, 180)] + [Recipe(epsilon=e, epochs=1) for e in (0.1, 0.2)]
    plain = [cells[0].model_copy(update={"model": "stdcnn", "recipe": recipe}) for recipe in recipes]
    return [*plain, cells[0].model_copy(update={"model": "stdcnn", "recipe": Recipe(epochs=2)})]


def test_cells_are_stacked_by_kind_and_never_beyond_the_size(sweep):
    kinds = [
        [c.recipe.rotation or c.recipe.epsilon for c in group] for group in stacks(sweep, Execution(stack=2), 1, "cpu")
    ]
    assert kinds == [[0, 90], [180], [0.1, 0.2], [0]]
    assert stacks(sweep, Execution(stack=1), 1, "cpu") == [[cell] for cell in sweep]


@pytest.mark.long
def test_a_stack_that_does_not_fit_into_the_memory_is_halved_and_said(sweep, tmp_path, monkeypatch, caplog):
    asked, real = [], execution_cell.train_stack

    def limited(models, *arguments, **settings):
        asked.append(len(models))
        if len(models) > 2:
            raise torch.OutOfMemoryError
        return real(models, *arguments, **settings)

    monkeypatch.setattr(execution_cell, "train_stack", limited)
    monkeypatch.setattr(execution_cell, "train", forbidden)
    recorder = recorded_run(sweep[:3], tmp_path, stack=8)
    check_events_of_stack(recorder, sweep[:3])
    assert asked == [3, 1, 2]
    assert "out of memory: 1 networks at a time instead of 3" in caplog.text
    assert all(read_result(Store(tmp_path), cell).complete for cell in sweep[:3])


def check_events_of_stack(recorder, cells):
    for cell in cells:
        assert recorder.of(cell)[0] == "started"
        assert recorder.of(cell)[-1] == "finished"
