"""The lines for MLflow and Weights & Biases, as the page has them, against stand-ins with the real signatures."""

import json
import sys

import trackers
from blocks import ROOT, blocks

import invrob

PAGE = ROOT / "docs" / "how-to" / "frameworks.md"
SMALL = """
import invrob
import torch
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
images, labels = torch.rand(12, 1, 4, 4), torch.randint(3, (12,))
"""


def test_the_lines_for_trackers_hand_over_the_card_its_picture_and_the_numbers(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("mlflow", "wandb"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, name, None)  # so that what is installed below goes away again
    trackers.CALLS.clear()
    trackers.install()
    found = [block.text for block in blocks(PAGE) if "import mlflow" in block.text or "import wandb" in block.text]
    assert len(found) == 2
    namespace = {}
    for text in (SMALL, *found):
        exec(compile(text, str(PAGE), "exec"), namespace)
    card, calls = namespace["card"], dict(trackers.CALLS[:3])
    numbers = {"robustness_0.1": card.robustness.rate[1]}
    assert calls["mlflow.log_dict"] == (json.loads(card.to_json()), "card.json")
    assert calls["mlflow.log_figure"][0].startswith(b"\x89PNG")
    assert calls["mlflow.log_metrics"] == numbers
    (_, logged), (_, (text, *named)) = trackers.CALLS[3:]
    assert logged.pop("card").picture.startswith(b"\x89PNG")
    assert logged == numbers
    assert invrob.Card.from_dict(json.loads(text)["result"]) == card
    assert named == ["card", "invrob-card"]


def test_each_tracker_takes_three_lines():
    for tracker in ("import mlflow", "import wandb"):
        text = next(block.text for block in blocks(PAGE) if tracker in block.text)
        assert len(text.strip().rpartition("\n\n")[2].splitlines()) == 3
