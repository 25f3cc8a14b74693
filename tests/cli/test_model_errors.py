"""An error of a model says what is at fault: an argument, a dtype, a device, the number of images, or their size."""

import re
import sys

import pytest
import torch

from invrob.cli import main
from invrob.empirical.inference import FixedBatch
from invrob.empirical.loading import load_model

MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    def forward(self, x):
        return self.net(x)

def half():
    return Net().half()

def double():
    return Net().double()

class Asking(Net):
    def forward(self, x, mask):
        return self.net(x)

class Inner(Net):
    def forward(self, x):
        return self.masked(x)

    def masked(self, x, mask):
        return self.net(x)

class Mixed(Net):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 20).half(), nn.Linear(20, 10))

class Elsewhere(Net):
    def forward(self, x):
        return self.net(x + torch.zeros(1, device="meta"))

class Eight(Net):
    def forward(self, x):
        return self.net(x.view(8, -1))

class Small(Net):
    def forward(self, x):
        return self.net(x[:, :, :20])

class Ill(Net):
    def forward(self, x):
        return {}["weights"]

class Single(Net):
    def forward(self, x):
        return self.net(x)[:, :1]

class Pair(Net):
    def forward(self, x):
        return {"features": x.flatten(1), "logits": self.net(x)}
"""
FEW = ["--data", "mnist-mini", "--images", "4", "--epsilons", "0,0.1", "--thetas", "0,90", "--audit", "0"]
ERRORS = {
    "Asking": "the model is called with images alone, and needs 'mask' as well",
    "Inner": "(images are [2, 1, 28, 28])",
    "Mixed": "images are float32, weights and buffers float16, float32, and no single dtype suits all layers: "
    "model.float() makes them one",
    "Elsewhere": "images and weights are on cpu; what forward() makes itself must be, too",
    "Eight": "it answers for 8 images at a time and not for 2: from invrob.empirical.inference import FixedBatch; "
    "model = FixedBatch(model, 8)",
    "Small": "images are [2, 1, 28, 28]; --size resizes them inside the model",
    "Ill": "(images are [2, 1, 28, 28])",
    "Single": "two logits",
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """`invrob profile slips:NAME` in a folder with that module: exit code and stderr."""
    (tmp_path / "slips.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)

    def call(name):
        monkeypatch.setattr(sys, "argv", ["invrob", "profile", f"slips:{name}", *FEW])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, " ".join("".join(capsys.readouterr()).split())

    yield call
    sys.modules.pop("slips", None)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_says_what_is_at_fault_and_does_not_blame_the_size(run, name):
    code, said = run(name)
    assert code in (1, 2)
    assert ERRORS[name] in said
    assert ("--size" in said) == (name == "Small")


NOTES = {
    "half": "note: the network computes in float16: images are converted to it",
    "double": "note: the network computes in float64: images are converted to it",
    "Pair": "note: the model returns a dict and not a tensor: its ['logits'] is taken for the logits",
}


@pytest.mark.parametrize("name", NOTES)
def test_how_a_model_answers_is_a_note_on_its_card(run, name):
    code, said = run(name)
    assert code == 0
    assert NOTES[name] in said


def test_the_line_for_a_fixed_number_of_images_works(run):
    said, images = run("Eight")[1], torch.rand(3, 1, 28, 28)
    names = {"model": load_model("slips:Eight").model}
    exec(re.search(r"from invrob\S* import FixedBatch; model = FixedBatch\(model, 8\)", said)[0], names)
    assert isinstance(names["model"], FixedBatch)
    assert torch.allclose(names["model"](images), load_model("slips:Net").model(images), atol=1e-6)
