"""Where `invrob profile` writes: tried before anything is computed, of one measurement alone, and printed where the
disk refuses after all."""

import errno
import json
import os
import sys

import numpy as np
import pytest
import torch

from invrob.cli import main
from invrob.files import write_atomically

pytestmark = pytest.mark.usefixtures("sketched")  # what pictures look like is asked elsewhere
SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=784):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(784, 10)
        self.width = width

    def forward(self, x):
        with open("asked", "a") as log:
            log.write("x" * len(x))
        return self.net(x.flatten(1))

def other():
    network = Net()
    network.net.weight.data.neg_()
    return network
"""
QUICK = ("--images", 4, "--thetas", "0,90", "--epsilons", "0,0.1", "--audit", "0", "--steps", 2, "--data", "mnist-mini")
TRIAL = 8  # images that a model is asked about before it is measured, at most; for these few it is asked about dozens


@pytest.fixture
def profile(monkeypatch, capsys, tmp_path):
    """Call `invrob profile` in this process, in a folder with a network: profile(spec, ...) -> (code, out, err)."""
    (tmp_path / "out_nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        (tmp_path / "asked").unlink(missing_ok=True)
        monkeypatch.setattr(sys, "argv", ["invrob", "profile", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            return end.code or 0, *capsys.readouterr()
        return 0, *capsys.readouterr()

    yield call
    sys.modules.pop("out_nets", None)


def saved(name, seed):
    """Weights of Net in a file."""
    torch.manual_seed(seed)
    torch.save({"net.weight": torch.randn(10, 784), "net.bias": torch.zeros(10)}, name)
    return name


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def asked(tmp_path):
    """How many images the network was asked about."""
    return len((tmp_path / "asked").read_text()) if (tmp_path / "asked").exists() else 0


@pytest.mark.parametrize(
    ("out", "cause"),
    [
        ("taken", "taken/profile.json cannot be written (taken is a file, no folder)"),
        ("taken/deep/er", "taken/deep/er/profile.json cannot be written (taken is a file, no folder)"),
        ("link", "link/profile.json cannot be written (link is a link that leads nowhere)"),
        ("full", "full/profile.json cannot be written (it is a folder, no file)"),
        ("half", "half/card.png cannot be written (it is a folder, no file)"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_computed(profile, tmp_path, out, cause):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "full/profile.json").mkdir(parents=True)
    (tmp_path / "half/card.png").mkdir(parents=True)
    before = sorted(map(str, tmp_path.rglob("*")))
    code, printed, err = profile("out_nets:Net", *QUICK, "--out", out, "--json")
    assert (code, printed) == (2, "")
    assert cause in err
    assert err.endswith("choose another --out\n")
    assert asked(tmp_path) == 0
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_a_failure_leaves_no_empty_folder_behind(profile, tmp_path):
    code, _, _ = profile("out_nets:nothing", *QUICK, "--out", "new/er/folder")
    assert code == 2
    assert not (tmp_path / "new").exists()


def refusing(monkeypatch, name):
    """Make every file of that name one for which the disk is full, at the end of the command alone."""

    def full(path, write):
        if os.fspath(path).endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_atomically(path, write)

    monkeypatch.setattr("invrob.commands.profile_folder.write_atomically", full)
    monkeypatch.setattr("invrob.pictures.write_atomically", full)


@pytest.mark.parametrize("name", ["profile.json", "card.png"])
@pytest.mark.parametrize("how", [(), ("--json",), ("--quiet",)])
def test_what_the_disk_refuses_after_all_is_printed(profile, monkeypatch, name, how):
    refusing(monkeypatch, name)
    code, printed, err = profile("out_nets:Net", *QUICK, "--out", "o", *how)
    assert code == 1
    assert err == f"error: o/{name} could not be written (No space left on device); the numbers are printed above\n"
    written = [] if name == "profile.json" else ["o/profile.json"]
    if how == ("--json",):
        document = json.loads(printed)
        assert document["robustness"]["epsilons"] == [0, 0.1]
        assert document["written"] == written
    else:
        assert "Rate of invariance, rotation" in printed
        assert ("written: o/profile.json" in printed) == bool(written)


def test_missing_folders_are_made_when_there_is_something_to_write(profile, tmp_path):
    code, _, err = profile("out_nets:Net", *QUICK, "--out", "a/b/c", "--quiet")
    assert code == 0, err
    assert sorted(contents(tmp_path / "a/b/c")) == ["card.png", "profile.json"]
    assert asked(tmp_path) > 3 * TRIAL


def test_other_weights_go_into_a_folder_of_their_own_and_the_same_into_the_same_with_the_same_bytes(profile, tmp_path):
    for seed in (0, 1, 0):
        weights = saved(f"w{seed}.pt", seed)
        assert profile("out_nets:Net", "--weights", weights, *QUICK, "--quiet")[0] == 0
        if seed == 0:
            before = contents(tmp_path / "runs/profile-out_nets-Net-w0-mnist-mini")
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "profile-out_nets-Net-w0-mnist-mini",
        "profile-out_nets-Net-w1-mnist-mini",
    ]
    assert contents(tmp_path / "runs/profile-out_nets-Net-w0-mnist-mini") == before


def five_classes(name, seed):
    rng = np.random.default_rng(seed)
    np.savez(name, test_images=rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), test_labels=np.arange(20) % 10)
    return f"npz:{name}"


OTHERS = {  # what differs from the measurement before, and the words for it
    "weights": (lambda: ["--weights", saved("w.pt", 1)], "files of the model: "),
    "data": (lambda: ["--data", five_classes("x.npz", 1)], "data: "),
    "split": (lambda: ["--split", "train"], "split: test there, train here"),
    "images": (lambda: ["--images", 5], "number of images: 4 there, 5 here"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_model_or_other_images_in_a_folder_are_an_error_before_anything_is_computed(profile, tmp_path, name):
    change, words = OTHERS[name]
    ours = ["out_nets:Net", "--weights", saved("w.pt", 0), *QUICK, "--data", five_classes("x.npz", 0), "--out", "o"]
    if name == "split":
        ours[ours.index("--data", 8) :] = ["--data", "mnist-mini", "--out", "o"]
    assert profile(*ours, "--quiet")[0] == 0
    before = contents(tmp_path / "o")
    code, printed, err = profile(*ours, *change())
    assert (code, printed) == (2, "")
    assert "o already holds the profile of another measurement (" in err
    assert words in err
    assert err.endswith("): --force replaces it, another --out keeps it\n")
    assert asked(tmp_path) <= TRIAL
    assert contents(tmp_path / "o") == before
    assert profile(*ours, *change(), "--force", "--quiet")[0] == 0
    assert contents(tmp_path / "o")["profile.json"] != before["profile.json"]


def test_in_the_usual_folder_other_settings_are_an_error_too(profile, tmp_path):
    assert profile("out_nets:Net", *QUICK, "--quiet")[0] == 0
    code, _, err = profile("out_nets:Net", *QUICK, "--seed", 1, "--steps", 3)
    assert code == 2
    assert "runs/profile-out_nets-Net-mnist-mini already holds the profile of another measurement (" in err
    assert "steps: 2 there, 3 here; seed: 0 there, 1 here" in err


def test_in_a_folder_that_the_user_names_the_numbers_with_other_settings_are_kept_beside(profile, tmp_path):
    ours = ("out_nets:Net", *QUICK, "--out", "o", "--quiet")
    assert profile(*ours)[0] == 0
    before = contents(tmp_path / "o")
    code, _, err = profile(*ours, "--seed", 1)
    assert code == 0
    (kept,) = (tmp_path / "o").glob("profile-*.json")
    assert err == f"note: the numbers of the profile that was there before are now in o/{kept.name}\n"
    assert kept.read_bytes() == before["profile.json"]
    assert json.loads((tmp_path / "o/profile.json").read_text())["settings"]["seed"] == 1
    for spec in ("out_nets:Net", "out_nets:other"):  # the same file, and another network in it
        assert profile(spec, *QUICK, "--out", "o", "--quiet")[0] == 0
    assert {json.loads(path.read_text())["settings"]["seed"] for path in (tmp_path / "o").glob("*.json")} == {0, 1}


def test_no_picture_of_an_earlier_profile_and_every_file_of_the_user_stays(profile, tmp_path):
    both = ("--norm", "linf", "--norm", "l2", "--epsilons", "linf=0,0.1", "--epsilons", "l2=0,1")
    few = [*QUICK]
    del few[few.index("--epsilons") : few.index("--epsilons") + 2]
    assert profile("out_nets:Net", *few, *both, "--out", "o", "--quiet")[0] == 0
    for name in ("mine.png", "notes.txt"):
        (tmp_path / "o" / name).write_text("mine")
    assert (tmp_path / "o/robustness-l2.png").exists()
    assert (
        profile("out_nets:Net", *few, "--epsilons", "0,0.1", "--images", 5, "--out", "o", "--force", "--quiet")[0] == 0
    )
    assert sorted(contents(tmp_path / "o")) == ["card.png", "mine.png", "notes.txt", "profile.json"]


def test_a_name_in_an_earlier_profile_leads_nowhere(profile, tmp_path):
    (tmp_path / "o").mkdir()
    for name in ("valued.png", "o/inside.png"):
        (tmp_path / name).write_text("mine")
    planted = {"beside": {"../valued": {}, str(tmp_path / "valued"): {}, "a/../inside": {}, "inside/": {}}}
    (tmp_path / "o/profile.json").write_text(json.dumps(planted))
    code, _, err = profile("out_nets:Net", *QUICK, "--out", "o", "--force", "--quiet")
    assert code == 0, err
    assert (tmp_path / "valued.png").read_text() == "mine"
    assert (tmp_path / "o/inside.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("profile.json", "{", "already holds a profile.json that cannot be read"),
        ("profile.json", "[]", "already holds a profile.json that cannot be read"),
        ("profile.json", '{"model": 3}', "already holds the profile of another measurement (model: not kept there"),
        ("card.png", "mine", "already holds card.png, which no profile.json accounts for"),
    ],
)
def test_what_is_no_profile_of_ours_is_not_replaced_unasked(profile, tmp_path, name, text, words):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / name).write_text(text)
    code, _, err = profile("out_nets:Net", *QUICK, "--out", "o")
    assert code == 2
    assert words in err
    assert contents(tmp_path / "o") == {name: text.encode()}
    assert profile("out_nets:Net", *QUICK, "--out", "o", "--force", "--quiet")[0] == 0


def test_the_weights_are_known_by_their_numbers_whatever_door_they_came_through(profile, tmp_path):
    from invrob.empirical.inference import weights_fingerprint

    state = torch.load(saved("w.pt", 3), weights_only=True)
    document = json.loads(profile("out_nets:Net", "--weights", "w.pt", *QUICK, "--json")[1])
    network = torch.nn.Module()
    network.net = torch.nn.Linear(784, 10)
    network.load_state_dict(state)
    assert document["model"]["fingerprint"] == weights_fingerprint(network)
    drawn = json.loads(profile("out_nets:Net", *QUICK, "--json")[1])
    assert drawn["model"]["fingerprint"] != document["model"]["fingerprint"]


def test_a_folder_is_called_after_the_model_and_the_data_also_in_unicode_and_with_spaces(
    profile, tmp_path, monkeypatch
):
    here = tmp_path / "mes réseaux" / "ünï"
    here.mkdir(parents=True)
    (here / "ré seau.py").write_text(SOURCE)
    five_classes(here / "mes images.npz", 0)
    monkeypatch.chdir(here)
    few = [*QUICK]
    del few[few.index("--data") :]
    code, _, err = profile("./ré seau.py:Net", *few, "--data", "npz:mes images.npz", "--quiet")
    assert code == 0, err
    assert sorted(contents(here / "runs/profile-ré-seau-Net-mes-images")) == ["card.png", "profile.json"]
    assert profile("./ré seau.py:Net", *few, "--data", "npz:mes images.npz", "--quiet", "--out", "où ça/ünï")[0] == 0
    assert sorted(contents(here / "où ça/ünï")) == ["card.png", "profile.json"]


def test_the_earlier_numbers_stay_in_their_place_where_the_disk_refuses_the_new_ones(profile, monkeypatch, tmp_path):
    ours = ("out_nets:Net", *QUICK, "--out", "o", "--quiet")
    assert profile(*ours)[0] == 0
    before = contents(tmp_path / "o")
    refusing(monkeypatch, "/profile.json")
    assert profile(*ours, "--seed", 1)[0] == 1
    assert contents(tmp_path / "o")["profile.json"] == before["profile.json"]
