"""Models that answer in their own way are measured, or what is wrong with them is said with a way out that works."""

import json
import sys

import numpy as np
import pytest

from invrob.cli import main

pytestmark = pytest.mark.usefixtures("sketched")  # what pictures look like is asked elsewhere
MODULE = """
import os
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, channels=1):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784 * channels, 10))

    def forward(self, x):
        return self.net(x)

class ByNumpy(Net):
    def forward(self, x):
        return self.net(torch.from_numpy(x.numpy()))

class Differentiating(Net):
    def forward(self, x):
        x = x.requires_grad_()
        slope = torch.autograd.grad(self.net(x).sum(), x, create_graph=True)[0]
        return self.net(x) + 0 * slope.sum()

class Enabled(Differentiating):
    def forward(self, x):
        with torch.enable_grad():
            return super().forward(x)

def colour():
    return Net(3)

class OfBytes(Net):
    def forward(self, x):
        return self.net(x / 255)
"""
GOING = "import os; os.makedirs('elsewhere'); os.chdir('elsewhere'); from others import Net"
NUMBERS = ["--images", "6", "--epsilons", "0,0.1", "--thetas", "0,90", "--audit", "0"]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "others.py").write_text(MODULE)
    (tmp_path / "going.py").write_text(GOING)
    for name in ("others", "going"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def run(*words, data="mnist-mini"):
        monkeypatch.setattr(sys, "argv", ["invrob", "profile", *words, "--data", data, *NUMBERS])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        told = capsys.readouterr()
        return code, " ".join((told.out + told.err).split())

    return run


def test_a_module_that_goes_to_another_folder_takes_no_result_with_it(run, tmp_path):
    assert run("going:Net", "--out", "out", "-q")[0] == 0
    assert json.loads((tmp_path / "out" / "profile.json").read_text())["model"]["spec"] == "going:Net"
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_model_that_cannot_be_differentiated_is_measured_by_the_attack_that_is_named(run):
    code, told = run("others:ByNumpy", "--out", "out")
    assert code == 1
    assert "where the model cannot be differentiated, --attack black-box measures it" in told
    assert run("others:ByNumpy", "--out", "out", "--attack", "black-box", "--queries", "5")[0] == 0


def test_a_model_that_differentiates_by_itself_is_told_how(run):
    code, told = run("others:Differentiating", "--out", "out")
    assert (code, "torch.enable_grad()" in told) == (1, True)
    assert run("others:Enabled", "--out", "out")[0] == 0


def test_channels_that_are_at_fault_are_not_taken_for_the_size(run, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 3), dtype=np.uint8)
    np.savez(tmp_path / "colour.npz", images=images, labels=np.arange(8), label_names=[*"abcdefghij"])
    for words, data, text in (
        (("others:colour", "--channels", "keep"), "mnist-mini", "takes C = 3: leave --channels keep out"),
        (("others:Net",), "npz:colour.npz", "takes C = 1: give grey images, or make them grey inside the model"),
    ):
        code, told = run(*words, "--out", "out", data=data)
        assert (code, "--size" in told) == (1, False)
        assert text in told


def test_a_mean_of_other_channels_is_no_fault_of_the_model(run):
    code, told = run("others:Net", "--mean", "0.1,0.2", "--std", "1,1", "--out", "out")
    assert code == 2
    assert "with C = 2, one per mean" in told
    assert "raised" not in told


def test_an_accuracy_of_guessing_is_said_with_what_may_lack(run):
    code, told = run("others:OfBytes", "--out", "out")
    assert code == 0
    assert "no better than guessing among 10 classes" in told
