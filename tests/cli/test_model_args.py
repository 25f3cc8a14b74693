"""--model-args, --prefix and --channels: what is written on the command line reaches the network, or is refused."""

import json
import sys

import pytest
import torch

from invrob import InputError
from invrob.cli import main
from invrob.commands.model_args import arguments


def test_values_are_numbers_truths_or_words():
    texts = ["num_classes=10, width=0.5", "head=linear,bias=False,norm=none", "scale=1e-3,n=-2,name='a=b c',width=0.5"]
    given = arguments(texts)
    assert given == {
        "num_classes": 10,
        "width": 0.5,
        "head": "linear",
        "bias": False,
        "norm": None,
        "scale": 1e-3,
        "n": -2,
        "name": "a=b c",
    }
    assert (type(given["num_classes"]), type(given["n"]), type(given["width"])) == (int, int, float)
    assert arguments(None) == {}


def test_values_in_brackets_are_lists_tuples_and_dicts_with_commas_of_their_own():
    text = 'layers=[2,2,2],pairs=[[1,2],[3]],opts={"a": [1, 2], "b": null},size=(3, 4),names=["a,b"],width=2'
    lists = {"layers": [2, 2, 2], "pairs": [[1, 2], [3]], "names": ["a,b"], "on": [True]}
    assert arguments([text, "on=[true]"]) == {**lists, "opts": {"a": [1, 2], "b": None}, "size": (3, 4), "width": 2}


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        (["10"], "--model-args '10' is no argument with its value: write --model-args num_classes=10,width=0.5"),
        (["width"], "--model-args 'width' is no argument with its value: write --model-args num_classes=10,width=0.5"),
        (["a=1,,b=2"], "--model-args '' is no argument with its value"),
        (["a b=1"], "--model-args 'a b=1' is no argument with its value"),
        (["a=1", "a=2"], "--model-args gives two values for a: leave one out"),
        (["a=1", "a=true"], "--model-args gives two values for a: leave one out"),
        (["a=[2,2"], "--model-args '[2,2' is no list: write layers=[2,2]"),
        (["a=[x,y]"], '--model-args \'[x,y]\' is no list: write layers=[2,2] for numbers, names=["a","b"] for text'),
        (["a=[2],b"], "--model-args 'b' is no argument with its value"),
    ],
)
def test_what_is_no_list_of_arguments_is_refused(texts, text):
    with pytest.raises(InputError) as caught:
        arguments(texts)
    assert str(caught.value).startswith(text)


pytestmark = pytest.mark.usefixtures("sketched")  # what pictures look like is asked elsewhere
SOURCE = """
import torch
from torch import nn

def build(num_classes, width):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, int(8 * width)), nn.Linear(int(8 * width), num_classes))

class Ten(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 10, 3)

    def forward(self, images):
        return self.conv(images).mean((2, 3))

class Last(nn.Sequential):
    def forward(self, images):
        return super().forward(images.permute(0, 3, 1, 2))

last = Last(nn.Flatten(), nn.Linear(784, 10))

def layered(k):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

def deep(k):
    return nn.Sequential(*[nn.Flatten(k) for _ in range(k)], nn.Linear(784, 10))
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "argued.py").write_text(SOURCE)
    linear = {"1.weight": torch.ones(4, 784), "1.bias": torch.ones(4)}
    linear |= {"2.weight": torch.ones(10, 4), "2.bias": torch.arange(10.0)}
    torch.save({"model": linear, "ema": {name: value + 1 for name, value in linear.items()}}, tmp_path / "two.pt")
    return tmp_path


QUICK = ["--data", "mnist-mini", "--images", "4", "--epsilons", "0,0.1", "--thetas", "0,90", "--out", "out", "-q"]
QUICK += ["--steps", "1", "--restarts", "1", "--audit", "0"]
WORDS = {
    "arguments": (["argued.py:build", "--model-args", "width=0.5"], None),
    "none": (["argued.py:build"], "cannot be called without the argument width: give width=... by --model-args"),
    "wrong ones": (["argued.py:build", "--model-args", "widht=1"], "did you mean 'width'?: correct --model-args"),
    "a prefix": (["argued:build", "--model-args", "width=0.5", "--weights", "two.pt", "--prefix", "ema"], None),
    "no prefix": (
        ["argued:build", "--model-args", "width=0.5", "--weights", "two.pt"],
        "say which by --prefix 'ema.' or --prefix 'model.'",
    ),
    "repeated": (["argued:Ten"], None),
    "channels last": (["argued:last"], "it takes channels last, [N, H, W, C], and images are [N, C, H, W]; use model"),
    "a factory": (
        ["argued:layered"],
        "returned a Sequential for images: where k is an argument for building",
    ),
    "a factory that fails": (
        ["argued:deep"],
        "where k is an argument for building the model, give k=... by --model-args",
    ),
    "a factory with its argument": (["argued:deep", "--model-args", "k=1"], None),
    "a model is not built": (
        ["argued:last", "--model-args", "k=1"],
        "argued:last is a model, and no callable that builds one: leave --model-args out",
    ),
    "kept": (["argued:Ten", "--channels", "keep"], "to have 3 channels, but got 1 channels instead"),
}


@pytest.mark.parametrize(("words", "text"), WORDS.values(), ids=WORDS.keys())
def test_the_profile_hands_on_what_is_said_of_the_model(here, monkeypatch, capsys, words, text):
    monkeypatch.setattr(sys, "argv", ["invrob", "profile", *words, *QUICK])
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code == 0) == (text is None)
    said = capsys.readouterr().err
    if text is not None:
        assert text in said.replace("`k`", "k")
        assert "`" not in said.replace("`k`", "k")
        assert (end.value.code == 1) == ("--traceback" in said) == (words[-1] in ("keep", "argued:deep"))
        return
    kept = json.loads((here / "out" / "profile.json").read_text())["model"]
    assert kept["channels"] == (3 if "Ten" in words[0] else 1)
    left = "the tensors below 'ema.' of two.pt are taken; left out: model.1.weight, model.1.bias, model.2.weight, "
    assert kept["notes"] == ([left + "model.2.bias"] if "ema" in words else [])
