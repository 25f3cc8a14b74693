"""Networks of users in an experiment: trained by the command and from Python, and never run by a file alone."""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from sketches import sketched
from torch import nn

import invrob
from invrob import InputError
from invrob.cli import main
from invrob.empirical.execution import Execution, run
from invrob.empirical.execution import cell as execution_cell
from invrob.empirical.execution.work import stacks
from invrob.empirical.experiments import Store, dataset_of, model_of, read_experiment, read_run
from invrob.empirical.models import allow, lent
from invrob.empirical.training import Epoch, Training

SOURCE = """
import pathlib

import torch
from torch import nn

pathlib.Path("executed").write_text("this module was run")


def build(num_classes, channels=3, width=4):
    return nn.Sequential(
        nn.LazyConv2d(width, 5, stride=3), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
        nn.Dropout(0.1), nn.Flatten(), nn.LazyLinear(num_classes),
    )


class Writing(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.first, self.last = nn.Linear(256, 16), nn.Linear(16, num_classes)

    def forward(self, x):
        x.sub_(0.5).div_(0.25)
        return self.last(self.first(x.flatten(1)).relu_())


def tied(num_classes):
    first = nn.Linear(256, 256)
    second = nn.Linear(256, 256)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), nn.Linear(256, num_classes))


def constant(num_classes):
    network = nn.Linear(256, num_classes)
    nn.init.zeros_(network.weight)
    network.weight.requires_grad_(False)
    network.bias.data = torch.eye(num_classes)[1] * 100
    return nn.Sequential(nn.Flatten(), network)


def few():
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 2))


def listed(num_classes, widths, deep, text=""):
    assert isinstance(widths, list) and all(type(width) is int for width in widths)
    assert deep is True or isinstance(deep, str)
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(widths[0]), nn.ReLU(), nn.Linear(widths[0], num_classes))


def fixed():
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 3).requires_grad_(False))


def nothing():
    return "no network"
"""
PROFILING = """
[profiling]
thetas = [0, 90]
epsilons = [0, 0.1]
images = 12
steps = 2
angle_step = 90
audit = 0
"""


@pytest.fixture
def own(config, tmp_path, monkeypatch):
    """Makes an experiment of networks in mynet.py, in an empty current folder: its path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text(SOURCE)
    data = (
        config.read_text().splitlines()[1]
        if config.read_text().startswith("\n")
        else config.read_text().splitlines()[0]
    )

    def write(*names, more=""):
        models = "".join(f'[[models]]\nname = "{name}"\nepochs = 1\nbatch_size = 64\n{more}\n' for name in names)
        (tmp_path / "my.toml").write_text(f"{data}\n{models}{PROFILING}")
        return tmp_path / "my.toml"

    with lent({}):
        yield write
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


@pytest.fixture
def drawing_command(monkeypatch, capsys):
    """Runs a command line in this process."""

    def run(*words):
        words = [*words, *(["--jobs", "1"] if words[:2] == ("empirical", "run") else [])]  # in this process
        monkeypatch.setattr(sys, "argv", ["invrob", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        streams = capsys.readouterr()
        return SimpleNamespace(code=end.value.code or 0, out=streams.out, err=streams.err)

    return run


@pytest.fixture
def invrob_command(drawing_command):
    """The same, and what would be drawn is sketched, which saves seconds."""
    with sketched():
        yield drawing_command


GRID = "training_theta = [0, 90]\ntraining_epsilon = [0, 0.1]\n"


def test_the_command_trains_a_network_with_batch_norm_over_the_grid_and_draws_it(own, tmp_path, drawing_command):
    done = drawing_command("empirical", "run", "--config", own("mynet:build", more=GRID), "--import", "mynet", "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert (summary["computed"], summary["missing_cells"]) == (4, 0)
    assert {row["network"] for row in summary["cells"]} == {"mynet:build"}
    assert (tmp_path / "runs/my/figure-mynet-build.png").is_file()
    assert all(claim["network"].startswith("mynet:build") for claim in summary["claims"])
    with sketched():
        again = drawing_command("empirical", "run", "--config", "my.toml", "--import", "mynet.py", "--json")
    assert json.loads(again.out)["computed"] == 0


def test_without_being_named_the_code_is_run_by_nothing(own, tmp_path, invrob_command):
    own("mynet:build", more="training_theta = [0]")
    named = invrob_command("empirical", "run", "--config", "my.toml", "--import", "mynet", "--quiet")
    assert (named.code, (tmp_path / "executed").is_file()) == (0, True)
    (tmp_path / "executed").unlink()
    sys.modules.pop("mynet")
    (cell,) = (tmp_path / "runs/my/cells").iterdir()
    commands = (
        ["empirical", "run", "--config", "my.toml"],
        ["empirical", "run", "--config", "my.toml", "--dry-run"],
        ["empirical", "figures", "runs/my"],
        ["report", "runs/my"],
        ["plane", "runs/my"],
        ["profile", cell, "--data", "mnist-mini"],
    )
    with lent({}):
        from invrob.empirical.models import factories

        factories.BUILDERS.clear()
        for command in commands:
            done = invrob_command(*command)
            assert not (tmp_path / "executed").exists(), command
            assert done.code == (0 if command[0] in ("report", "plane") or command[1] == "figures" else 2), done.err
            if done.code:
                assert "--import mynet" in done.err


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("mynet:build", "other"),
        ("mynet:build", "mynet2"),
        ("./elsewhere/mynet.py:build", "mynet"),
        ("os:system", "mynet"),
        ("package.mynet:build", "pack"),
    ],
)
def test_another_module_than_the_named_one_is_not_run(own, tmp_path, name, allowed):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/mynet.py").write_text(SOURCE)
    with pytest.raises(InputError, match="add --import"):
        allow([name], [allowed])
    assert not (tmp_path / "executed").exists()


def test_a_file_that_changed_makes_other_cells(own, tmp_path):
    experiment = read_experiment(own("mynet:build", more="training_theta = [0]"))
    keys = []
    for more in ("", "# changed\n"):
        (tmp_path / "mynet.py").write_text(SOURCE + more)
        (cell,) = experiment.built_by(allow(experiment.builders, ["mynet"])).cells("f")
        keys.append(cell.key)
    assert keys[0] != keys[1]


def test_the_same_seed_builds_the_same_bits_whatever_was_drawn_before(own):
    experiment = read_experiment(own("mynet:build", more="training_theta = [0]"))
    experiment = experiment.built_by(allow(experiment.builders, ["mynet"]))
    dataset = dataset_of(experiment.dataset)
    (cell,) = experiment.cells(dataset.fingerprint)
    first = model_of(cell, dataset).state_dict()
    torch.rand(3)
    again = model_of(cell, dataset).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = model_of(cell.model_copy(update={"seed": 1}), dataset).state_dict()
    assert not all(torch.equal(first[name], other[name]) for name in first)
    assert first["0.weight"].shape[:2] == (4, 1)  # the lazy layer has seen an image


def test_networks_that_write_into_their_input_or_share_weights_are_trained_and_kept(own, tmp_path, invrob_command):
    own("mynet:Writing", "mynet:tied", more="training_theta = [90]\ntraining_epsilon = [0.1]")
    done = invrob_command("empirical", "run", "--config", "my.toml", "--import", "mynet", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["failed"] == []
    _, results, missing = read_run(tmp_path / "runs/my")
    assert (len(results), missing) == (2, 0)
    (cell,) = (result.cell for result in results if result.network == "mynet:tied")
    loaded = invrob.load_model(tmp_path / "runs/my/cells" / cell.key)
    state, _ = Store(tmp_path / "runs/my").read_training(cell.key)
    assert torch.equal(state["1.weight"], state["3.weight"])
    assert loaded.model(torch.rand(2, 1, 16, 16)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mynet:few", "returns 2 logits, but"),
        ("mynet:fixed", "has no parameter that can be trained"),
        ("mynet:nothing", "returned a str: it must return a torch.nn.Module"),
    ],
)
def test_a_network_that_cannot_be_trained_on_the_data_is_refused_before_anything_is_written(
    own, tmp_path, invrob_command, name, text
):
    done = invrob_command("empirical", "run", "--config", own(name), "--import", "mynet")
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    assert not (tmp_path / "runs/my/cells").exists()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("width = 0.5", "width is an option of stdcnn"),
        ("arguments = {widht = 2}", "has no argument 'widht'; did you mean 'width'?"),
    ],
)
def test_options_of_the_papers_networks_and_unknown_arguments_are_refused(own, invrob_command, line, text):
    done = invrob_command("empirical", "run", "--config", own("mynet:build", more=line), "--import", "mynet")
    assert done.code == 2
    assert text in done.err


def test_arguments_reach_the_builder_as_they_are_and_name_figures_of_their_own(own, tmp_path, invrob_command):
    more = "training_theta = [0]\narguments = {{widths = [3, 2], deep = true, text = '{}'}}"
    own("mynet:listed", more=more.format("a/b" * 28))
    config = tmp_path / "my.toml"
    text = config.read_text()
    for value in ("a b", "a-b"):
        other = f"arguments = {{widths = [3], deep = '{value}'}}\ntraining_theta = [0]\nepochs = 1\n"
        text = text.replace("[profiling]", f'[[models]]\nname = "mynet:listed"\n{other}[profiling]')
    config.write_text(text)
    done = invrob_command("empirical", "run", "--config", config, "--import", "mynet", "--json")
    assert done.code == 0, done.err
    figures = [name for name in json.loads(done.out)["figures"] if name.endswith(".png") and "classes" not in name]
    assert len(set(figures)) == 4  # the plane, and one for each network
    assert all(Path(figure).is_file() for figure in figures)
    options = [result.cell.options for result in read_run(tmp_path / "runs/my")[1]]
    assert {"widths": [3, 2], "deep": True, "text": "a/b" * 28} in options


def test_networks_without_buffers_are_trained_as_a_stack_and_others_alone(own):
    experiment = read_experiment(own("mynet:build", "mynet:tied", "mynet:Writing", more="training_theta = [0, 90]"))
    experiment = experiment.built_by(allow(experiment.builders, ["mynet"]))
    cells = experiment.cells(dataset_of(experiment.dataset).fingerprint)
    groups = stacks(cells, Execution(stack=8), 1, "cpu")
    assert sorted(len(group) for group in groups) == [1, 1, 2, 2]


def test_a_training_that_collapses_is_said_while_it_happens_and_in_the_table(own, tmp_path, invrob_command, caplog):
    done = invrob_command("empirical", "run", "--config", own("mynet:constant"), "--import", "mynet")
    assert done.code == 0
    assert "gives every validation image the same class" in caplog.text
    assert "collapsed" in done.out
    for text in (caplog.text, " ".join(done.out.split())):
        assert 'Train in stages that begin with easier images: curriculum = "cusp"; or' in text
    results = read_run(tmp_path / "runs/my")[1]
    assert all(result.ended_constant and result.collapsed for result in results)


@pytest.mark.parametrize(
    ("constant", "said"),
    [([0, 1, 0, 0], []), ([1, 0, 1, 0], []), ([0, 1, 1, 1], [3, 4]), ([1, 1, 0, 0], [2]), ([0, 0, 0, 1], [4])],
)
def test_one_constant_epoch_may_pass_and_two_or_the_last_are_said(own, monkeypatch, caplog, constant, said):
    experiment = read_experiment(own("stdcnn", more="training_theta = [0]\nwidth = 0.1").rename("four.toml"))
    (cell,) = experiment.cells(dataset_of(experiment.dataset).fingerprint)
    cell = cell.model_copy(update={"recipe": cell.recipe.model_copy(update={"epochs": 4})})

    def trained(model, *splits, on_epoch, **_):
        epochs = tuple(Epoch(1.0, 0.5, 0.5, bool(flag)) for flag in constant)
        for number, epoch in enumerate(epochs):
            on_epoch(number, epoch)
        return Training(epochs, 0)

    monkeypatch.setattr(execution_cell, "train", trained)
    assert run([cell], Path("run"), Execution(), MagicMock()) == ()
    assert [int(number) for number in re.findall(r"after epoch (\d)", caplog.text)] == said


class Small(nn.Module):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, num_classes))

    def forward(self, x):
        return self.net(x)


FEW = {"images": 8, "epsilons": [0, 0.1], "thetas": [0, 90], "audit": 0, "steps": 2}


def test_from_python_a_factory_is_trained_and_results_come_as_classes_and_go_on(tmp_path):
    data = tmp_path / "few.npz"
    rng, arrays = np.random.default_rng(0), {}
    for part, n in (("train", 60), ("test", 20)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(n) % 3
    np.savez(data, **arrays)
    how = {"training_theta": [0, 90], "training": {"epochs": 1}, "profiling": FEW, "out": tmp_path / "run"}
    study = invrob.experiment({"small": Small, "partial": lambda: Small(3)}, f"npz:{data}", **how)
    assert [result.network for result in study.results] == ["small:Small"] * 2 + ["partial:<lambda>"] * 2
    assert study.failures == ()
    assert {claim.network for claim in study.claims} >= {"small:Small", "partial:<lambda>"}
    assert set(study.figures()) == {"small:Small", "partial:<lambda>"}
    before = {file: os.stat(file).st_mtime_ns for file in (tmp_path / "run/cells").rglob("*")}
    again = invrob.experiment({"small": Small, "partial": lambda: Small(3)}, f"npz:{data}", **how)
    assert again == study
    assert {file: os.stat(file).st_mtime_ns for file in (tmp_path / "run/cells").rglob("*")} == before


def test_from_python_wrong_fields_and_names_are_named():
    with pytest.raises(InputError, match="epoch is unknown; did you mean 'epochs'"):
        invrob.experiment("stdcnn", training={"epoch": 1})
    with pytest.raises(InputError, match="import it, and hand the callable over"):
        invrob.experiment("mynet:build")
    with pytest.raises(InputError, match="not a callable"):
        invrob.experiment({"mynet": 3})


def test_a_stored_network_is_asked_again_where_its_code_is_named_wherever_that_lies_now(own, tmp_path, invrob_command):
    own("mynet:build", more="training_theta = [0]")
    assert invrob_command("empirical", "run", "--config", "my.toml", "--import", "mynet", "--quiet").code == 0
    (cell,) = (tmp_path / "runs/my/cells").iterdir()
    (tmp_path / "my code").mkdir()
    (tmp_path / "mynet.py").rename(tmp_path / "my code/moved.py")
    (tmp_path / "mynet.py").write_text(SOURCE.replace("width=4", "width=5"))
    data = [
        "--data",
        read_experiment(tmp_path / "my.toml").dataset,
        "--images",
        "6",
        "--audit",
        "0",
        "--epsilons",
        "0,1",
    ]
    with lent({"mynet:build": None}):  # whatever was allowed before
        refused = invrob_command("profile", cell, *data)
        other = invrob_command("profile", cell, *data, "--import", "mynet")
        right = invrob_command("profile", cell, *data, "--import", "./my code/moved.py", "--json")
        report = invrob_command("report", "runs/my", "--import", "./my code/moved.py", "--json")
    assert (refused.code, other.code, right.code) == (2, 2, 0)
    assert "add --import mynet" in refused.err
    assert "is not that with which the network was trained" in other.err
    assert json.loads(right.out)["model"]["kind"] == "run"
    assert json.loads(report.out)["networks_with_examples"] == 1
    page = Path(json.loads(report.out)["report"]).read_text(encoding="utf-8")  # how to make the run again
    assert "--config my.toml --import mynet --out runs/my" in page
    assert "invrob report runs/my --import mynet" in page


@pytest.mark.long
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_network_of_ones_own_with_batch_norm_is_killed_goes_on_and_is_drawn(own, start, process, tmp_path, jobs):
    config = own("mynet:build", more=GRID)
    whole = process(
        "empirical", "run", "--config", config, "--import", "mynet", "--out", "whole", "--jobs", "1", "--json"
    )
    assert (whole.returncode, json.loads(whole.stdout)["computed"]) == (0, 4), whole.stderr
    killed = start(config, "killed", jobs, "--import", "mynet")
    end = time.monotonic() + 120
    while not list(tmp_path.glob("killed/cells/*/cell.json")):
        assert time.monotonic() < end, "no cell was finished in time"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    again = process(
        *("empirical", "run", "--config", config, "--import", "mynet.py", "--out", "killed", "--jobs", jobs, "--json")
    )
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["missing_cells"] == 0
    assert (tmp_path / "killed/profiles.csv").read_bytes() == (tmp_path / "whole/profiles.csv").read_bytes()
    assert (tmp_path / "killed/figure-mynet-build.png").is_file()
    (tmp_path / "mynet.py").unlink()
    drawn = process("empirical", "figures", "killed")
    assert drawn.returncode == 0, drawn.stderr


def test_a_run_of_own_code_goes_on_where_that_code_is_named_and_other_code_is_another_experiment(
    own, tmp_path, invrob_command
):
    own("mynet:build", more="training_theta = [0]")
    out = tmp_path / "runs/my"
    assert invrob_command("empirical", "run", "--config", "my.toml", "--import", "mynet", "--quiet").code == 0
    next(out.glob("cells/*/profiles-*.json")).unlink()
    alone = invrob_command("empirical", "run", "--out", out)
    assert (alone.code, "add --import mynet" in alone.err) == (2, True)
    advice = invrob_command("empirical", "figures", out).err
    (words,) = re.findall("`invrob (.*)`", advice)
    assert words == f"empirical run --out {out} --import mynet"
    went_on = invrob_command(*words.split(), "--json")
    assert json.loads(went_on.out)["computed"] == 1, went_on.err
    (tmp_path / "mynet.py").write_text(SOURCE.replace("width=4", "width=5"))
    del sys.modules["mynet"]
    changed = invrob_command(*words.split())
    assert changed.code == 2
    assert f"{out} holds another experiment (code of mynet:build: changed since)" in changed.err
    forced = invrob_command(*words.split(), "--force", "--json")
    assert json.loads(forced.out)["computed"] == 1, forced.err
    assert len([*out.glob("cells/*")]) == 2


def test_a_run_from_python_goes_on_by_the_command(own, tmp_path, invrob_command, monkeypatch):
    data = read_experiment(own("mynet:build")).dataset
    monkeypatch.syspath_prepend(tmp_path)
    import mynet

    how = {"training": {"epochs": 1}, "profiling": FEW, "training_theta": [0], "out": "runs/python"}
    assert len(invrob.experiment(mynet.build, data, **how).results) == 1
    again = invrob_command("empirical", "run", "--out", "runs/python", "--import", "mynet", "--json")
    assert json.loads(again.out)["computed"] == 0, again.err
