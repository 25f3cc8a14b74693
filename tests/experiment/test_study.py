"""An experiment from Python: what is refused in words, data in memory, processes, and an interruption."""

import functools
import importlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import invrob
from invrob import InputError
from invrob.empirical.data import Split, dataset_in_memory, load
from invrob.empirical.execution import cell as execution_cell
from invrob.empirical.experiments import going_on, kept_in, read_experiment
from invrob.empirical.models import trusting

FEW = {"images": 8, "epsilons": [0, 0.1], "thetas": [0, 90], "audit": 0, "steps": 1, "angle_step": 90}
SHORT = {"training_theta": [0], "training": {"epochs": 1}, "profiling": FEW}
SOURCE = """
from torch import nn

class Small(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

    def forward(self, x):
        return self.net(x)
"""
SCRIPT = """
import invrob, ownnet

how = {"training_theta": [0, 90], "training": {"epochs": 1}, "profiling": FEW}
invrob.experiment(ownnet.Small, "npz:few.npz", **how, out="two", jobs=2)
print("once")
"""


class Small(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

    def forward(self, x):
        return self.net(x)


class Deep(Small):
    def __init__(self, num_classes, depth):
        super().__init__(num_classes)


def few(n, seed):
    """Images float32 [n, 1, 8, 8] that bytes can hold, and labels of three classes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 1, 8, 8), generator=generator) / 255, torch.arange(n) % 3


DATA = (few(60, 0), few(20, 1))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with a module and a file of data in it, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "ownnet.py").write_text(SOURCE)
    arrays = {}
    for part, (images, labels) in zip(("train", "test"), DATA, strict=True):
        arrays[f"{part}_images"] = (images[:, 0] * 255).round().byte().numpy()
        arrays[f"{part}_labels"] = labels.numpy()
    np.savez("few.npz", **arrays)
    sys.modules.pop("ownnet", None)
    yield importlib.import_module("ownnet")
    sys.modules.pop("ownnet")


@pytest.mark.parametrize(
    ("models", "line"),
    [
        (Small(), "models is a Small that is built already, .*: write models = Small$"),
        (nn.Sequential(nn.Flatten()), r"write models = lambda: torch.nn.Sequential\(...\)$"),
        ({"mine": Deep(3, 2)}, r"models: mine is a Deep .*: write models = \{'mine': lambda: Deep\(...\)\}$"),
        (["gcnn", Small()], r"models\[1\] is a Small that is built already"),
    ],
)
def test_a_network_that_is_built_already_is_refused_with_the_line_to_write(models, line):
    with pytest.raises(InputError, match=line):
        invrob.experiment(models, DATA, **SHORT)


@pytest.mark.parametrize(
    ("models", "text"),
    [
        (None, "models is a NoneType: name a network of the paper"),
        ([], "models is empty: name a network of the paper"),
        ({}, "models is empty"),
        (["gcnn", 3], r"models\[1\] is a int, not a callable"),
        ({"mine": "gcnn"}, r"in a list, as in models = \['gcnn', build\]"),
        ({3: Small}, "models has the key 3: give each callable a name"),
        ([lambda: Small(), lambda: Small()], 'tell them apart by name, as in models = {"small": build_small'),
        ("mynet:build", "import it, and hand the callable over: from mynet import build; models = build"),
        ("stdcn", "models = 'stdcn': is unknown; did you mean 'stdcnn'"),
        (Deep, "cannot be called without the argument depth: give depth=... by functools.partial"),
    ],
)
def test_what_names_or_builds_no_network_is_refused_in_words(models, text):
    with pytest.raises(InputError, match=text):
        invrob.experiment(models, DATA, **SHORT)


@pytest.mark.parametrize(
    ("argument", "value", "text"),
    [
        ("training_theta", ["60"], r"= \['60'\] must be a list of numbers in \[0, 180\], such as"),
        ("training_theta", 60, "must be a list of numbers"),
        ("training_theta", None, "must be a list of numbers"),
        ("training_theta", [200], "training_theta.0 = 200: Input should be less than or equal to 180"),
        ("training_epsilon", [True], r"must be a list of numbers in \[0, 1\]"),
        ("training_epsilon", [8], "training_epsilon.0 = 8"),
        ("seeds", 3, r"must be a list of integers in \[0, 2\^31\)"),
        ("seeds", [0.5], "must be a list of integers"),
        ("recipe", "cups", "'cups' is unknown; did you mean 'cusp'"),
        ("recipe", None, "recipe = None is unknown; choose one of fast"),
        ("training", 3, "must be a dict of fields of the recipe"),
        ("training", {"epoch": 3}, r"^training.epoch is unknown; did you mean 'epochs'\? \(known here: width"),
        ("training", {"epochs": "3"}, "training.epochs = '3' is text: write 3"),
        ("training", {"epochs": True}, "training.epochs = True is no number: write 1"),
        ("training", {"rotation": 30}, "leave it out, and write training_theta = ... beside it"),
        ("training", {"name": "gcnn"}, "training holds 'name': leave it out"),
        ("training", {"width": 0.5}, "^training: width is an option of stdcnn.*by functools.partial"),
        ("profiling", [1], "must be a dict of fields of what is measured"),
        ("profiling", {"image": 3}, "profiling.image is unknown; did you mean 'images'"),
        ("profiling", {"images": "8"}, "profiling.images = '8' is text: write 8"),
        ("out", 3, "out = 3 must be the path of a folder"),
        ("out", "/dev/null/run", "/dev/null is a device, no folder.*choose another `out`"),
        ("jobs", "2", "jobs = '2' must be an integer of at least 1"),
        ("data", None, "data is a NoneType, without images to test on: give a name such as"),
        ("data", DATA[0], "data is a tuple alone, without images to test on"),
        ("data", (DATA[0], DATA[1][0]), "data has no labels in its test part"),
        ("data", (DATA[0], (DATA[1][0][:, :, :4], DATA[1][1])), r"\[1, 8, 8\] to train on and \[1, 4, 8\] to test on"),
        ("data", ((DATA[0][0], DATA[0][1] + 1),) * 2, "labels 1, ..., 3, .* counted from 0: use labels - 1"),
        ("data", (DATA[0], (DATA[1][0], DATA[1][1] + 1)), r"labels in \[0, 3\], but 3 classes to train on"),
        ("data", ((DATA[0][0] * 255, DATA[0][1]), DATA[1]), "data, train part: .*use images / 255"),
    ],
)
def test_a_value_of_a_wrong_kind_or_outside_its_range_is_refused_with_the_way_out(argument, value, text):
    with pytest.raises(InputError, match=text):
        invrob.experiment(Small, **{"data": DATA, **SHORT, argument: value})


def test_numbers_of_numpy_and_torch_are_numbers_and_names_and_callables_may_be_mixed():
    how = {**SHORT, "training_theta": np.arange(1), "training_epsilon": torch.zeros(1), "seeds": range(1)}
    study = invrob.experiment(["madry_lenet", functools.partial(Deep, depth=3)], DATA, **how)
    assert [result.network for result in study.results] == ["madry_lenet", f"{__name__}:Deep"]
    assert study.failures == ()


def test_data_in_memory_are_known_by_their_content_and_an_experiment_on_them_goes_on(own, tmp_path, monkeypatch):
    told = []
    how = {"out": tmp_path / "run", "progress": lambda *event: told.append(event)}
    by_name = invrob.experiment(own.Small, "npz:few.npz", **SHORT, **how)
    assert told[-1][0].startswith("1/1 cells")
    assert told[-1][1] == told[-1][2] > 0
    assert invrob.load(tmp_path / "run") == by_name
    monkeypatch.setattr(execution_cell, "train", None)  # nothing is trained again
    pair = (TensorDataset(*DATA[0]), DataLoader(TensorDataset(*DATA[1]), batch_size=7, shuffle=True))
    whole = load("npz:few.npz")
    for data in (pair, whole, replace(whole, fingerprint="of something else")):
        again = invrob.experiment(own.Small, data, **SHORT, out=tmp_path / "run")
        assert [result.cell.key for result in again.results] == [result.cell.key for result in by_name.results]
    fewer = replace(whole, test=Split(whole.test.images[:9], whole.test.labels[:9]))
    assert dataset_in_memory(fewer).fingerprint != whole.fingerprint


class Drawn(TensorDataset):
    """Images that are others each time, as of a random transform."""

    def __getitem__(self, place):
        image, label = super().__getitem__(place)
        return image * torch.rand(1), label


def test_data_that_are_others_each_time_are_refused():
    with pytest.raises(InputError, match="gives other images each time that it is read: take the random transforms"):
        invrob.experiment(Small, (Drawn(*DATA[0]), DATA[1]), **SHORT)


def test_what_other_processes_cannot_reach_is_refused_before_anything_is_computed(own, tmp_path):
    how = {**SHORT, "training_theta": [0, 90], "jobs": 2, "out": tmp_path / "run"}
    with pytest.raises(InputError, match="exists in this process alone: take jobs = 1, or put the function or class"):
        invrob.experiment({"mine": lambda: Small(3)}, "npz:few.npz", **how)
    with pytest.raises(InputError, match=r"data is in the memory of this process, .*: take jobs = 1, or write"):
        invrob.experiment(own.Small, DATA, **how)
    assert not (tmp_path / "run").exists()


def test_an_interruption_loses_nothing_that_was_finished_and_the_same_call_goes_on(tmp_path, monkeypatch):
    measured, calls = execution_cell.measured, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measured(*arguments)

    monkeypatch.setattr(execution_cell, "measured", interrupted)
    how = {**SHORT, "training_theta": [0, 90], "out": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt) as stopped:
        invrob.experiment(Small, DATA, **how)
    assert stopped.value.__notes__ == ["Nothing that was finished is lost: the same call goes on where it was stopped."]
    study = invrob.experiment(Small, DATA, **how)
    assert (len(study.results), len(calls)) == (2, 3)


def test_progress_with_the_time_left_is_shown_on_a_terminal_and_nowhere_else(capsys, monkeypatch):
    invrob.experiment(Small, DATA, **SHORT)
    assert capsys.readouterr() == ("", "")
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    invrob.experiment(Small, DATA, **SHORT)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "ETA" in shown.err
    assert "1/1 cells" in shown.err


def test_a_network_that_was_handed_over_is_found_again_where_its_module_is_named(own, tmp_path):
    study = invrob.experiment(own.Small, "npz:few.npz", **SHORT, out=tmp_path / "run")
    cell = tmp_path / "run/cells" / study.results[0].cell.key
    with trusting(["ownnet"]):
        assert invrob.load_model(cell).model(torch.rand(2, 1, 8, 8)).shape == (2, 3)
        (tmp_path / "ownnet.py").write_text(SOURCE.replace("nn.Flatten()", "nn.ReLU(), nn.Flatten()"))
        with pytest.raises(InputError, match="is not that with which the network was trained"):
            invrob.load_model(cell)


@pytest.mark.long
def test_processes_give_the_same_bits_and_a_script_runs_once_without_a_guard(own, tmp_path):
    (tmp_path / "script.py").write_text(f"FEW = {FEW}\n{SCRIPT}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "once\n"), done.stderr
    assert "Error" not in done.stderr
    invrob.experiment(own.Small, "npz:few.npz", **{**SHORT, "training_theta": [0, 90]}, out=tmp_path / "one")
    files = [
        {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*") if file.name != "costs.json"}
        for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert files[0] == files[1]


def test_a_run_that_only_python_can_go_on_with_says_the_call_and_not_a_command(own, tmp_path):
    few_of = {**SHORT, "training_theta": [0, 90], "seeds": [0]}
    for name, models, data in (("code", {"small": Small}, "npz:few.npz"), ("data", own.Small, DATA)):
        path = tmp_path / name
        invrob.experiment(models, data, **few_of, out=path)
        kept = kept_in(path)
        assert going_on(path, kept.experiment) == f"invrob.experiment(..., out={str(path)!r})"
    invrob.experiment(own.Small, "npz:few.npz", **few_of, out=tmp_path / "found")
    again = going_on(tmp_path / "found", kept_in(tmp_path / "found").experiment)
    assert again == f"invrob empirical run --out {tmp_path / 'found'} --import ownnet"


def test_an_experiment_that_only_adds_goes_on_in_its_folder_and_another_one_is_refused(own, tmp_path):
    path = tmp_path / "run"

    def again(**changed):
        return invrob.experiment(Small, DATA, **{**SHORT, "out": path, **changed})

    weak = {**FEW, "weak_attacks": ["noise"]}
    (first,) = again(profiling=weak).results
    assert len(first.beside) == 1
    more = again(training_theta=[0, 90])
    assert [result.cell.recipe.rotation for result in more.results] == [0, 90]
    assert more.results[0].cell.key == first.cell.key
    assert [list(result.beside) for result in more.results] == [list(first.beside)] * 2
    kept = (path / "experiment.json").read_bytes()
    for changed, field in (
        ({"training_theta": [0]}, "Small.training_theta: 0, 90 there, 0 here"),
        ({"training_theta": [0, 90], "profiling": {**FEW, "images": 4}}, "profiling.images: 8 there, 4 here"),
        ({"training_theta": [0, 90], "seeds": [1]}, "seeds: 0 there, 1 here"),
    ):
        with pytest.raises(InputError, match="holds another experiment") as refused:
            again(**changed)
        assert field in str(refused.value)
        assert "another `out` keeps both; overwrite=True puts this one in its place" in str(refused.value)
        assert (path / "experiment.json").read_bytes() == kept
    assert not list(path.glob("experiment-*.toml"))


def test_an_experiment_takes_the_place_of_another_one_where_that_is_asked_for_and_its_configuration_is_kept(
    own, tmp_path
):
    path = tmp_path / "run"
    how = {**SHORT, "out": path}
    invrob.experiment(own.Small, "npz:few.npz", **{**how, "training_theta": [0, 90]})
    before = kept_in(path).experiment
    study = invrob.experiment(own.Small, "npz:few.npz", **how, overwrite=True)
    assert [result.cell.recipe.rotation for result in study.results] == [0]
    assert kept_in(path).experiment != before
    (file,) = path.glob("experiment-*.toml")
    assert read_experiment(file).cells("same") == before.cells("same")
    invrob.experiment(own.Small, "npz:few.npz", **{**how, "training_theta": [0, 60]}, overwrite=True)  # only adds
    assert list(path.glob("experiment-*.toml")) == [file]
