"""A model that misbehaves: through the library and through `invrob profile` it is refused or found out in words."""

import importlib
import json
import sys

import pytest
import torch
from small_runs import invrob as command
from torch import nn

from invrob import PGD, InputError, Rotation, invariance_profile, robustness_profile, tradeoff

IMAGES = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))

MODULE = '''
"""Models that misbehave, built by name."""
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(256, 2)

    def forward(self, x):
        return self.linear(x.flatten(1))

class Raises(Net):
    def forward(self, x):
        raise RuntimeError("this model is ill")

class Exits(Net):
    def forward(self, x):
        raise SystemExit(0)

class RaisesLater(Net):
    calls = 0
    def forward(self, x):
        self.calls += 1
        if self.calls > 3:
            raise ValueError("tired")
        return super().forward(x)

class Nan(Net):
    def forward(self, x):
        return super().forward(x) * float("nan")

class NanWhereBright(Net):
    def forward(self, x):
        z = super().forward(x)
        return torch.where(x.amax((1, 2, 3))[:, None] > 0.2, z * float("nan"), z)

class Flat(Net):
    def forward(self, x):
        return super().forward(x)[:, 0]

class Whole(Net):
    def forward(self, x):
        return super().forward(x).argmax(1, keepdim=True).repeat(1, 2)

class Text(Net):
    def forward(self, x):
        return "two"

class Pair(Net):
    def forward(self, x):
        return self.linear(x.flatten(1)).argmax(1), None

class OneRow(Net):
    def forward(self, x):
        return super().forward(x)[:1]

class Meta(Net):
    def forward(self, x):
        return super().forward(x).to("meta")

class InPlace(Net):
    def forward(self, x):
        return super().forward(x.mul_(0.5))

class Random(Net):
    def forward(self, x):
        return super().forward(x) + 3 * torch.randn(len(x), 2)

class Full(Net):
    def forward(self, x):
        raise torch.OutOfMemoryError("no memory")
'''


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory):
    """The module, to be imported by name."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "misbehaving.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(folder)
        yield importlib.import_module("misbehaving")
    sys.modules.pop("misbehaving", None)


DOORS = {
    "invariance": lambda model, x: invariance_profile(model, x, [0, 90], over=Rotation(step=90)),
    "robustness": lambda model, x: robustness_profile(model, x, [0, 0.3], attack=PGD(steps=2)),
    "tradeoff": lambda model, x: tradeoff(model, x, torch.zeros(len(x), dtype=torch.int64)),
}
REFUSED = {
    "Nan": "returned NaN logits",
    "NanWhereBright": "returned NaN logits",
    "Flat": "it must return float logits",
    "Whole": "it must return float logits",
    "Text": "the model returned str for",
    "Pair": "the model returned tuple ",
    "OneRow": "it must return float logits",
    "Full": "a single image does not fit into memory",
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_measured_is_refused_and_images_and_modes_come_back(models, door, name):
    model, before = getattr(models, name)().train(), IMAGES.clone()
    with pytest.raises(InputError, match=REFUSED[name]):
        DOORS[door](model, IMAGES)
    assert torch.equal(before, IMAGES)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("door", DOORS)
def test_what_a_model_raises_is_passed_on(models, door):
    with pytest.raises(RuntimeError, match="this model is ill"):
        DOORS[door](models.Raises(), IMAGES)


@pytest.mark.parametrize("door", ["invariance", "robustness"])
def test_a_model_that_writes_into_its_images_writes_into_a_copy(models, door):
    before, network = IMAGES.clone(), models.Net()
    wanted = DOORS[door](lambda x: network(0.5 * x), IMAGES)
    assert DOORS[door](models.InPlace(), IMAGES).to_dict() == wanted.to_dict()
    assert torch.equal(before, IMAGES)


def test_a_model_that_changes_its_mind_is_found_out(models):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        profile = robustness_profile(models.Random(), IMAGES, [0, 0.3], attack=PGD(steps=2))
    assert "random outputs" in [finding.name for finding in profile.sanity.findings]


SAID = {
    **REFUSED,
    "Raises": "this model is ill",
    "RaisesLater": "tired",
    "Exits": "ended the program with exit code 0",
    "Full": "raised OutOfMemoryError",
    "Meta": "",
    "InPlace": "",
    "Random": "",
}
CODES = {"Random": {0}, "InPlace": {0}}


@pytest.mark.parametrize("name", SAID)
def test_the_command_line_says_what_is_wrong_with_a_model_in_one_line(bars, tmp_path, name):
    options = ["--images", "6", "--steps", "1", "--epsilons", "0,0.3", "--thetas", "0,90", "--out", tmp_path / "out"]
    done = command("profile", f"misbehaving:{name}", "--data", f"npz:{bars}", "--json", *options)
    assert "Traceback" not in done.stderr
    assert done.returncode in CODES.get(name, {1, 2})
    assert SAID[name] in done.stderr
    if done.returncode:
        assert "rror" in done.stderr
        assert done.stdout == ""
        assert not (tmp_path / "out").exists()
    else:
        assert json.loads(done.stdout)


def test_a_good_model_of_the_same_kind_is_measured(models):
    assert isinstance(models.Net(), nn.Module)
    for door in ("invariance", "robustness"):
        assert DOORS[door](models.Net(), IMAGES).images == len(IMAGES)
