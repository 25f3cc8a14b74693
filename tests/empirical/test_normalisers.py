"""Means and deviations among the tensors of a file: which are taken for a normaliser's, and what follows from them."""

import pytest
import torch
from torch import nn

from invrob import InputError, Preprocessing, load_model
from invrob.empirical.loading.normalisers import Normaliser, is_of_a_normaliser, normalisers_in, with_normaliser

MEAN, STD = torch.tensor([0.1307]), torch.tensor([0.3081])  # of which float32 has more digits


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        *(("mean", word) for word in ("std", "stddev", "sigma")),
        *(("mu", word) for word in ("std", "sigma")),
        *((f"{word}mean", f"{word}std") for word in ("new_", "pixel_", "image_", "_", "input_", "module.normalize.")),
        ("net.mean_", "net.std_"),
    ],
)
def test_a_mean_and_a_deviation_of_usual_names_are_a_normaliser(mean, std):
    found = normalisers_in({"conv.weight": MEAN, std: STD, mean: MEAN})
    assert found == (Normaliser((mean, std), (0.1307,), (0.3081,)),)
    assert is_of_a_normaliser(mean)
    assert is_of_a_normaliser(std)


NONE = {
    "of a batch norm": {"running_mean": MEAN, "running_std": STD},
    "alone": {"mean": MEAN},
    "apart": {"a.mean": MEAN, "b.std": STD},
    "whole numbers": {"mean": torch.tensor([0]), "std": torch.tensor([1])},
    "a deviation of whole numbers": {"mean": MEAN, "std": torch.tensor([1])},
    "of more than channels": {"mean": torch.ones(17), "std": torch.ones(17)},
    "of nothing": {"mean": torch.ones(0), "std": torch.ones(0)},
}


@pytest.mark.parametrize("tensors", NONE.values(), ids=NONE)
def test_other_tensors_are_none(tensors):
    assert normalisers_in(tensors) == ()


def test_a_weight_is_not_called_as_one():
    assert not any(map(is_of_a_normaliser, ("running_mean", "running_std", "std.weight", "meaning", "conv.bias")))


FOUND = Normaliser(("mean", "std"), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_it_stands_beside_all_else_that_is_asked_for():
    asked = Preprocessing(size=(8, 9), channels="keep")
    how, note = with_normaliser(asked, (FOUND, FOUND), "w.pt", "model.")
    assert how == Preprocessing(FOUND.mean, FOUND.std, (8, 9), "keep")
    assert note == "images are normalised as w.pt says: mean = 0.485,0.456,0.406 and std = 0.229,0.224,0.225"
    assert with_normaliser(asked, (), "w.pt", "model.") == (asked, "")


@pytest.mark.parametrize(("mean", "std"), [(-0.1, 0.5), (1.0, 0.5), (0.5, 0.0), (0.5, 1.1)])
def test_values_that_are_not_of_pixels_between_0_and_1_are_refused(mean, std):
    with pytest.raises(InputError, match=r"those are not of pixels in \[0, 1\]. Say what the network wants: `mean`"):
        with_normaliser(Preprocessing(), (Normaliser(("mean", "std"), (mean,), (std,)),), "w.pt", "")


def test_0_and_1_are_of_pixels():
    how, _ = with_normaliser(Preprocessing(), (Normaliser(("mean", "std"), (0.0,), (1.0,)),), "w.pt", "")
    assert (how.mean, how.std) == ((0.0,), (1.0,))


SOURCE = """
import torch
from torch import nn

def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5]))
        self.register_buffer("std", torch.tensor([0.5]))
        self.layer = nn.Linear(64, 10)

    def forward(self, images):
        return self.layer((images - self.mean).flatten(1) / self.std)
"""
STATE = {"1.weight": torch.arange(640.0).view(10, 64) / 640, "1.bias": torch.zeros(10)}


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Saves a state dict as w.pt, beside a module of networks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "with_own.py").write_text(SOURCE)
    return lambda content: torch.save(content, "w.pt")


@pytest.mark.parametrize("prefix", ["", "my_cnn."])
def test_a_normaliser_beside_the_network_raises_no_doubt_about_which_network_it_is(saved, prefix):
    saved({f"{prefix}{key}": value for key, value in STATE.items()} | {"mean": MEAN, "std": STD})
    loaded = load_model("with_own:plain", weights="w.pt")
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.linear((images - MEAN).flatten(1) / STD, STATE["1.weight"])
    assert torch.allclose(loaded.model(images), expected, atol=1e-5)


def test_a_network_with_a_normaliser_of_its_own_gets_no_other(saved):
    own = {"mean": MEAN, "std": STD, "layer.weight": STATE["1.weight"], "layer.bias": STATE["1.bias"]}
    network = {f"model.{key}": value for key, value in own.items()}
    saved(network | {"attacker.normalize.mean": MEAN + 0.1, "attacker.normalize.std": STD})
    loaded = load_model("with_own:Own", weights="w.pt")
    assert (loaded.mean, loaded.std) == (None, None)
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.linear((images - MEAN).flatten(1) / STD, STATE["1.weight"])
    assert torch.allclose(loaded.model(images), expected, atol=1e-5)


@pytest.mark.parametrize("asked", [None, 0.25])
def test_it_goes_before_that_of_the_library_and_after_that_which_was_asked_for(saved, asked):
    network = load_model("torchvision:squeezenet1_1", classes=10).model.network
    saved({"model": network.state_dict(), "mean": torch.full((3,), 0.4), "std": torch.full((3,), 0.2)})
    how = Preprocessing() if asked is None else Preprocessing((asked,) * 3, (0.5,) * 3)
    loaded = load_model("torchvision:squeezenet1_1", classes=10, weights="w.pt", preprocessing=how)
    assert (loaded.mean, loaded.std) == (((0.4,) * 3, (0.2,) * 3) if asked is None else ((asked,) * 3, (0.5,) * 3))
