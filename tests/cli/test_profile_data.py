"""`invrob profile --data`: the same images as in Python, files and folders of all kinds, splits that are not there."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import invrob
from invrob.cli import main
from invrob.empirical.data import load

pytestmark = pytest.mark.usefixtures("sketched")  # what pictures look like is asked elsewhere
SOURCE = """
import torch
from torch import nn

def build(size=784, classes=10):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(size, classes))

def small():
    return build(75, 5)
"""
QUICK = ("--thetas", "0,90", "--epsilons", "0,4/255", "--audit", 0, "--quiet")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Call the command line in a folder of an odd name with a network: run(...) -> (code, out, err)."""
    folder = tmp_path / "my földer"
    folder.mkdir()
    (folder / "linear_nets.py").write_text(SOURCE)
    monkeypatch.chdir(folder)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["invrob", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    yield call
    sys.modules.pop("linear_nets", None)


def profile_of(run, spec, data, *more):
    code, _, err = run("profile", spec, "--data", data, *QUICK, "--out", "out", "--force", *more)
    assert (code, err) == (0, "")
    with open("out/profile.json", encoding="utf-8") as file:
        return json.load(file)


def save_npz(name="tëst set.npz", n=40, classes=5, **more):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (n, 3, 5, 5), dtype=np.uint8)
    np.savez(name, **{"images": images, "labels": np.arange(n) % classes, **more})
    return f"npz:{name}"


@pytest.mark.parametrize("data", ["mnist-mini", "npz"])
def test_the_numbers_of_python_are_those_of_the_command_line(run, data):
    spec, data = ("linear_nets:build", data) if data == "mnist-mini" else ("linear_nets:small", save_npz())
    told = profile_of(run, spec, data, "--images", 12)
    images, labels = invrob.sample(data, 12)
    assert told["data"]["chosen"] == {"of": len(load(data).test.labels), "seed": 0}
    model = invrob.load_model(spec).model
    kept = {"epsilons": [0, 4 / 255], "thetas": [0, 90]}
    card = invrob.tradeoff(model, images, labels, **kept)
    ours = json.loads(card.to_json())
    for part in ("invariance", "robustness"):
        for key in ("rate", "low", "high", "accuracy", "classes"):
            assert told[part].get(key) == ours[part].get(key), (part, key)
    assert told["data"]["images_fingerprint"] == card.measured_on.images_fingerprint


def test_a_file_of_a_test_set_whose_classes_nobody_names_may_miss_some(run):
    told = profile_of(run, "linear_nets:small", save_npz(classes=3))
    assert told["data"]["classes"] == ["0", "1", "2"]
    code, _, err = run(
        "profile", "linear_nets:small", "--data", save_npz(label_names=np.array(list("abcdefg"))), *QUICK
    )
    assert code == 2
    assert "the model has 5 classes, but npz:tëst set.npz has 7" in err
    code, _, err = run("profile", "linear_nets:small", "--data", save_npz(labels=1 + np.arange(40) % 2 * 4), *QUICK)
    assert code == 2
    assert "the model has 5 classes, but npz:tëst set.npz has 6" in err
    assert "; save labels - 1 if they count from 1" in err


def test_a_split_that_is_not_there_is_refused_and_an_experiment_needs_all(run):
    data = save_npz()
    code, _, err = run("profile", "linear_nets:small", "--data", data, "--split", "train", *QUICK)
    assert (code, err) == (2, f"error: {data} has no split 'train', only test: use --split 'test'\n")
    with open("my.toml", "w", encoding="utf-8") as file:
        file.write(f'dataset = "{data}"\n[[models]]\nname = "stdcnn"\n')
    code, _, err = run("empirical", "run", "--config", "my.toml", "--out", "runs")
    assert code == 2
    assert f"{data} has no split 'train', only test" in err


def test_pictures_of_a_folder_get_the_side_of_size_and_the_model_sees_it(run):
    random = np.random.default_rng(0)
    for k in range(20):
        shape = (5 + k % 3, 6, 3)
        os.makedirs(f"pictures/{k % 5}", exist_ok=True)
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(f"pictures/{k % 5}/{k}.png")
    code, _, err = run("profile", "linear_nets:small", "--data", "folder:pictures", *QUICK)
    assert code == 2
    assert "several sizes, such as" in err
    assert "give the side that they get, as --size 32" in err
    told = profile_of(run, "linear_nets:small", "folder:pictures", "--size", 5, "--images", 9)
    assert (told["data"]["shape"], told["data"]["images"]) == ([3, 5, 5], 9)
    images, _ = invrob.sample("folder:pictures", 9, size=5)
    assert (
        told["data"]["images_fingerprint"]
        == invrob.tradeoff(
            invrob.load_model("linear_nets:small").model, images, epsilons=[0], thetas=[0]
        ).measured_on.images_fingerprint
    )
    code, out, _ = run("data", "info", "folder:pictures", "--size", 5, "--json")
    assert code == 0
    assert json.loads(out)["splits"]["test"]["shape"] == [3, 5, 5]


def test_images_that_are_as_dark_as_they_say_are_measured_with_a_note(run):
    data = save_npz(images=np.random.default_rng(0).random((40, 3, 5, 5)) / 255, white=np.array(1))
    code, _, err = run("profile", "linear_nets:small", "--data", data, *QUICK, "--out", "out")
    assert code == 0
    assert err.startswith(f"note: of the images of {data}, the brightest of all pixels is 0.0039")
    assert err.count("\n") == 1


@pytest.mark.long
def test_the_commands_about_data_need_no_home_directory(tmp_path):
    program = (
        "import pwd, sys\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "from invrob import cli\n"
        "sys.argv[0] = 'invrob'\n"
        "cli.main()\n"
    )
    bare = {name: value for name, value in os.environ.items() if name not in ("HOME", "INVROB_DATA", "XDG_CACHE_HOME")}

    def ended(*words):
        return subprocess.run(
            [sys.executable, "-c", program, *words], env=bare, cwd=tmp_path, capture_output=True, text=True
        )

    listed = ended("data", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "There is no home directory for fetched data: set INVROB_DATA, or give --root." in listed.stdout
    fetched = ended("data", "fetch", "mnist")
    assert fetched.returncode == 2
    assert "set INVROB_DATA to a folder for them, or give --root" in fetched.stderr
    assert fetched.stderr.count("\n") == 1
