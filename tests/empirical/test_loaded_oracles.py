"""A user's model, from its spec to its profile, against foolbox and torchattacks: whom they fool, the profile fools.

Their model is put together by their own means: foolbox normalises as it says, torchattacks gets a plain module."""

import sys
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from invrob import PGD, Preprocessing, load_model, robustness_profile

with warnings.catch_warnings():  # foolbox imports gaussian_filter from where SciPy 2 will not have it
    warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
    import foolbox
import torchattacks

STEPS, N = 20, 80
MEAN, STD = 0.1307, 0.3081
BALLS = {"linf": [0.04, 0.08, 0.15], "l2": [0.5, 1.0, 2.0]}
SOURCE = """
from torch import nn

class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU(), nn.Flatten(),
            nn.Dropout(0.1), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, images):
        return self.body(images * 0.3081 + 0.1307)
"""


class Expects(nn.Module):
    """A network that wants normalised images, as the file above has it."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, images):
        return self.body(images * STD + MEAN)


@pytest.fixture(scope="module")
def raw(_trained):
    return Expects(_trained).eval()


@pytest.fixture
def loaded(raw, tmp_path, monkeypatch, request):
    """The model by its spec: from Python and weights, or from a file of TorchScript."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strangers.py").write_text(SOURCE)
    safetensors.torch.save_file(raw.state_dict(), "strange.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.trace(raw, torch.rand(2, 1, 28, 28)).save("strange.ts")
    options = {"preprocessing": Preprocessing(MEAN, STD)}
    yield (
        load_model("strangers:Normalised", weights="strange.safetensors", **options).model
        if request.param == "Python"
        else load_model("strange.ts", **options).model
    )
    sys.modules.pop("strangers", None)


def by_foolbox(raw, images, own, norm):
    attack = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    model = foolbox.PyTorchModel(raw, (0, 1), device="cpu", preprocessing={"mean": [MEAN], "std": [STD], "axis": -3})
    return attack(steps=STEPS, rel_stepsize=2.5 / STEPS)(model, images, own, epsilons=BALLS[norm])[2].numpy()


def by_torchattacks(raw, images, own, norm):
    class Whole(nn.Module):
        def forward(self, x):
            return raw((x - MEAN) / STD)

    model, attack = Whole().eval(), {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}[norm]
    return np.stack(
        [
            (model(attack(model, eps=e, alpha=2.5 * e / STEPS, steps=STEPS)(images, own)).argmax(1) != own).numpy()
            for e in BALLS[norm]
        ]
    )


@pytest.mark.parametrize(
    ("loaded", "norm"),
    [("Python", "linf"), pytest.param("TorchScript", "l2", marks=pytest.mark.long)],
    indirect=["loaded"],
)
def test_whom_foolbox_or_torchattacks_fool_the_profile_fools(loaded, raw, digits, norm):
    images = digits.test.images[:N]
    own = raw((images - MEAN) / STD).argmax(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = {attack.__name__: attack(raw, images, own, norm) for attack in (by_foolbox, by_torchattacks)}
    profile = robustness_profile(loaded, images, BALLS[norm], norm=norm, attack=PGD(STEPS))
    ours = profile.levels <= np.arange(len(BALLS[norm]))[:, None]
    assert profile.verdict == "sound"
    for name, fooled in theirs.items():
        assert (profile.rate <= 1 - fooled.mean(1) + 1e-9).all(), name
    union = np.logical_or(*theirs.values())
    assert (union & ~ours).sum(1).max() <= 0.02 * N  # of those that either of them fools
    assert 0.1 < union.mean() < 0.9  # something was at stake
