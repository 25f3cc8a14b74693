"""Files of weights as training leaves them: what `load_state_dict` takes arrives, and a network that is not alone in
its file is found, or what to say is said."""

import argparse
import copy
import threading
import warnings
from collections import OrderedDict

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from invrob import InputError, Preprocessing, load_model
from invrob.empirical.loading.fitting import put_weights
from invrob.empirical.loading.names import ATTRIBUTES, WRAPPERS
from invrob.empirical.loading.weights import read_weights

IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU())
        self.classifier = nn.Linear(36, 10)

    def forward(self, images):
        return self.classifier(self.features(images).flatten(1))


class Versioned(nn.Linear):
    _version = 2

    def forward(self, images):
        return super().forward(images.flatten(1))

    def _load_from_state_dict(self, state, prefix, metadata, *rest):
        if metadata.get("version") != 2:
            raise ValueError(f"version should be 2, not {metadata.get('version')}")
        super()._load_from_state_dict(state, prefix, metadata, *rest)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.head = nn.Linear(64, 10)

    def forward(self, images):
        return self.head(self.second(self.first(images.flatten(1)).relu()))


class Extra(nn.Linear):
    factor = 1.0

    def get_extra_state(self):
        return {"factor": self.factor}

    def set_extra_state(self, state):
        self.factor = state["factor"]

    def forward(self, images):
        return self.factor * super().forward(images.flatten(1))


class Locked(Net):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()  # of which there is no copy


def normed(make):
    return lambda: nn.Sequential(make(nn.Conv2d(1, 4, 3)), nn.ReLU(), nn.Flatten(), make(nn.Linear(144, 10)))


NETWORKS = {
    "batch norm": Net,
    "versions": lambda: Versioned(64, 10),
    "tied": Tied,
    "extra state": lambda: Extra(64, 10),
    "no copy": Locked,
    "weight_norm": normed(parametrizations.weight_norm),
    "weight_norm of before": normed(nn.utils.weight_norm),
    "spectral_norm": normed(parametrizations.spectral_norm),
    "spectral_norm of before": normed(nn.utils.spectral_norm),
    "orthogonal": lambda: nn.Sequential(nn.Flatten(), parametrizations.orthogonal(nn.Linear(64, 10))),
    "lazy": lambda: nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)
    ),
    "DataParallel": lambda: nn.DataParallel(Net()),
    "compiled": lambda: torch.compile(Net(), backend="eager"),
    "train mode": lambda: Net().train(),
}


def built(name, seed=0):
    """That network, which has seen images in train mode, in eval mode."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weight_norm of before is deprecated
        torch.manual_seed(seed)
        network = NETWORKS[name]().train()
        with torch.no_grad():
            for _ in range(2):
                network(IMAGES)
        return network.eval()


def fresh(name):
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(5)
        return NETWORKS[name]()


def read(value, folder, name="w.pt"):
    torch.save(value, folder / name)
    return read_weights((folder / name).read_bytes(), name)


def outputs(network):
    with torch.no_grad():
        return network.eval()(IMAGES)


def wrapped(state, prefix):
    """The same state dict, with its versions, inside modules of these names."""
    longer = OrderedDict((f"{prefix}{key}", value) for key, value in state.items())
    longer._metadata = OrderedDict(
        (f"{prefix}{path}" if path else prefix.removesuffix("."), about)
        for path, about in getattr(state, "_metadata", {}).items()
    )
    return longer


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "model.", "net.backbone."])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_state_dict_that_torch_loads_gives_the_outputs_of_the_network(tmp_path, name, prefix):
    network = built(name)
    if name == "extra state":
        network.factor = 3.0
    given = fresh(name)
    put_weights(given, read({"epoch": 1, "state_dict": wrapped(network.state_dict(), prefix)}, tmp_path), "w.pt")
    assert torch.equal(outputs(given), outputs(network))


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("older", [True, False])
def test_norms_of_the_older_and_the_newer_kind_take_each_others_weights(tmp_path, kind, older):
    names = [kind, f"{kind} of before"][:: -1 if older else 1]
    network, given = built(names[0]), fresh(names[1])
    put_weights(given, read({"model": wrapped(network.state_dict(), "module.")}, tmp_path), "w.pt")
    torch.testing.assert_close(outputs(given), outputs(network))


def without_counts(state):
    return OrderedDict((key, value) for key, value in state.items() if not key.endswith("num_batches_tracked"))


def test_counts_of_batches_may_lack_or_be_floats(tmp_path):
    network = built("batch norm")
    older, newer = without_counts(network.state_dict()), without_counts(network.state_dict())
    newer._metadata = network.state_dict()._metadata
    for state in (older, newer, {key: value.float() for key, value in network.state_dict().items()}):
        given = fresh("batch norm")
        put_weights(given, read(state, tmp_path), "w.pt")
        assert torch.equal(outputs(given), outputs(network))


@pytest.mark.parametrize("name", ["versions", "tied", "batch norm", "lazy"])
@pytest.mark.parametrize("holder", [nn.Identity, nn.DataParallel])
def test_files_of_safetensors_say_nothing_of_versions_nor_of_ties(tmp_path, name, holder):
    network = built(name)
    safetensors.torch.save_model(network if holder is nn.Identity else holder(network), str(tmp_path / "w.safetensors"))
    given = fresh(name)
    put_weights(given, read_weights((tmp_path / "w.safetensors").read_bytes(), "w.safetensors"), "w.safetensors")
    assert torch.equal(outputs(given), outputs(network))


def test_layers_that_are_tied_do_not_take_different_tensors(tmp_path):
    state = built("tied").state_dict() | {"second.weight": torch.ones(64, 64)}
    given = fresh("tied")
    before = {key: value.clone() for key, value in given.state_dict().items()}
    with pytest.raises(InputError, match=r"first\.weight and second\.weight are one tensor in the network, and two in"):
        put_weights(given, read(state, tmp_path), "w.pt")
    assert all(torch.equal(value, before[key]) for key, value in given.state_dict().items())


@pytest.mark.parametrize("name", ["batch norm", "no copy"])
def test_a_network_that_refuses_weights_stays_as_it_was(tmp_path, name):
    given = fresh(name)
    before = outputs(given)
    state = built(name).state_dict() | {"classifier.weight": torch.ones(10, 35)}
    with pytest.raises(InputError, match=r"1 of another shape: classifier\.weight \[10, 35\] instead of \[10, 36\]"):
        put_weights(given, read(state, tmp_path), "w.pt")
    assert torch.equal(outputs(given), before)


STATE = built("batch norm").state_dict()
OTHER = {key: value + 1 for key, value in STATE.items()}


def below(prefix, state=STATE):
    return {f"{prefix}{key}": value for key, value in state.items()}


def inside(word, state=STATE):
    return {key.replace("features.", f"features.{word}."): value for key, value in state.items()}


TOGETHER = {  # what is in the file -> what is said to be left out
    "averaged": (below("module.") | {"n_averaged": torch.tensor(3)}, "w.pt is taken; left out: n_averaged"),
    "with a loss": (
        {"state_dict": below("model.") | {"criterion.weight": torch.ones(10)}},
        "the tensors below 'state_dict.model.' of w.pt are taken; left out: state_dict.criterion.weight",
    ),
    "with another head": (
        below("backbone.") | {"head.weight": torch.ones(2, 2), "head.bias": torch.ones(2)},
        "the tensors below 'backbone.' of w.pt are taken; left out: head.weight, head.bias",
    ),
    "with a state of random numbers": (
        {"model": STATE, "rng": torch.get_rng_state(), "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        "the tensors below 'model.' of w.pt are taken; left out: rng",
    ),
    "counted": (
        STATE | {"total_ops": torch.zeros(1), "features.0.total_params": torch.zeros(1)},
        "w.pt is taken; left out: total_ops, features.0.total_params",
    ),
    "twice the same": ({"model": STATE, "ema": below("module.")}, ""),
    "a wrapper inside": (inside("module"), ""),
    "a compiled part": (inside("_orig_mod"), ""),
    "a holder inside": (inside("model"), ""),
    "prefixes on some": (
        {(f"module.{key}" if key.startswith("features") else key): value for key, value in STATE.items()},
        "",
    ),
    "a prefix of its own": (below("my_cnn."), ""),
}


@pytest.mark.parametrize(("content", "note"), TOGETHER.values(), ids=TOGETHER.keys())
def test_a_network_is_found_among_what_training_has_saved_with_it(tmp_path, content, note):
    given = fresh("batch norm")
    taken = put_weights(given, read(content, tmp_path), "w.pt")
    assert torch.equal(outputs(given), outputs(built("batch norm")))
    assert taken.note("w.pt") == note


REFUSED = {
    "two that differ": (
        {"model": STATE, "ema": OTHER},
        {},
        "w.pt holds 2 networks that fit and differ: say which by prefix = 'ema.' or prefix = 'model.'; or save",
    ),
    "two in one": (
        {"state_dict": below("model.") | below("ema_model.module.", OTHER)},
        {},
        "w.pt holds 2 networks that fit and differ: say which by prefix = 'state_dict.model.' or prefix = "
        "'state_dict.ema_model.'",
    ),
    "a part of a larger one": (
        below("cnn.") | {"head.weight": torch.ones(2)},
        {},
        "w.pt: the tensors below 'cnn.' fit the network, and head.weight would be left out: if that is meant, give "
        "prefix = 'cnn.'",
    ),
    "one tensor more": (
        {"model": below("module.") | {"module.features.0.scale": torch.ones(4)}},
        {},
        "w.pt does not fit the network (1 unexpected: features.0.scale) below 'model.'",
    ),
    "another network": (
        {"model": below("module.", {"conv.weight": torch.ones(2)})},
        {},
        "w.pt does not fit the network (8 missing: features.0.weight, features.0.bias, features.1.weight, ...; 1 "
        "unexpected: module.conv.weight) below 'model.': name the one",
    ),
    "no such prefix": (
        {"model": STATE},
        {"prefix": "modle"},
        "prefix = 'modle.' begins no name in w.pt; did you mean 'model.'?: its names begin with model., ",
    ),
}


@pytest.mark.parametrize(("content", "options", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_leaves_a_doubt_is_refused_with_the_prefix_to_give(tmp_path, content, options, text):
    given = fresh("batch norm")
    before = outputs(given)
    with pytest.raises(InputError) as caught:
        put_weights(given, read(content, tmp_path), "w.pt", **options)
    assert str(caught.value).startswith(text)
    assert torch.equal(outputs(given), before)


@pytest.mark.parametrize("prefix", ["ema", "ema.", "ema.module."])
def test_a_prefix_says_which_network_is_meant(tmp_path, prefix):
    given = fresh("batch norm")
    content = {"model": OTHER, "ema": below("module.") | {"module.n_averaged": torch.tensor(1)}}
    put_weights(given, read(content, tmp_path), "w.pt", prefix)
    assert torch.equal(outputs(given), outputs(built("batch norm")))


def test_what_torch_refuses_to_unpickle_is_named_with_a_way_out(tmp_path):
    with pytest.raises(InputError, match=r"It holds argparse\.Namespace: where you trust the file, open it by torch"):
        read({"state_dict": STATE, "args": argparse.Namespace(lr=0.1)}, tmp_path)


SOURCE = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""
MEAN, STD = torch.tensor([0.25]), torch.tensor([0.5])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "linear_net.py").write_text(SOURCE)
    return tmp_path


def robust(mean=MEAN, std=STD):
    """A checkpoint of MadryLab's robustness: the network twice, each time with a normaliser."""
    state = {"1.weight": torch.arange(640.0).view(10, 64) / 640, "1.bias": torch.zeros(10)}
    content = below("module.model.", state) | below("module.attacker.model.", state)
    content |= {"module.normalizer.new_mean": MEAN.view(1, 1, 1), "module.normalizer.new_std": STD.view(1, 1, 1)}
    content |= {"module.attacker.normalize.new_mean": mean, "module.attacker.normalize.new_std": std}
    return {"model": content, "epoch": 1}, state


def test_a_normaliser_that_was_saved_with_the_network_is_used_and_named(here):
    content, state = robust()
    torch.save(content, "w.pt")
    loaded = load_model("linear_net:build", weights="w.pt")
    assert torch.allclose(loaded.model(IMAGES), ((IMAGES - 0.25) / 0.5).flatten(1) @ state["1.weight"].T, atol=1e-5)
    assert (loaded.mean, loaded.std) == ((0.25,), (0.5,))
    assert loaded.notes == (
        "images are normalised as w.pt says: model.module.normalizer.new_mean = 0.25 and "
        "model.module.normalizer.new_std = 0.5",
    )


def test_a_mean_that_was_asked_for_stands_in_the_place_of_the_normaliser(here):
    content, state = robust()
    torch.save(content, "w.pt")
    loaded = load_model("linear_net:build", weights="w.pt", preprocessing=Preprocessing(0, 1))
    assert torch.allclose(loaded.model(IMAGES), IMAGES.flatten(1) @ state["1.weight"].T, atol=1e-5)
    assert "in its place stands the mean and deviation that was asked for" in loaded.notes[-1]


@pytest.mark.parametrize(
    ("mean", "std", "why"),
    [(MEAN + 0.1, STD, "they differ"), (MEAN, STD + 0.1, "they differ"), (MEAN + 1, STD, "they differ")],
)
def test_normalisers_that_differ_are_refused_by_name(here, mean, std, why):
    torch.save(robust(mean, std)[0], "w.pt")
    with pytest.raises(InputError) as caught:
        load_model("linear_net:build", weights="w.pt")
    assert "beside the network, which is taken by prefix = 'model.module.model.'" in str(caught.value)
    assert "model.module.attacker.normalize.new_mean" in str(caught.value)
    assert why in str(caught.value)


def test_a_normaliser_of_bytes_is_refused_by_name(here):
    state = {"1.weight": torch.ones(10, 64), "1.bias": torch.zeros(10)}
    torch.save(below("model.", state) | {"mean": torch.tensor([127.0]), "std": torch.tensor([60.0])}, "w.pt")
    with pytest.raises(InputError, match=r"mean = 127 and std = 60; those are not of pixels in \[0, 1\]"):
        load_model("linear_net:build", weights="w.pt")


KEYS = ["state_dict", "model", "net", "ema", "model_state_dict", "params", "weights", "model_ema", "teacher", "x y"]


@st.composite
def checkpoints(draw):
    """A state dict as a training script may leave it: words of wrappers before or inside its names, in dicts, beside
    other things; perhaps with another network, and then the prefix of the right one is the second value."""
    words = draw(st.lists(st.sampled_from(sorted(WRAPPERS | ATTRIBUTES)), max_size=3))
    prefix, inner = "".join(f"{word}." for word in words), draw(st.sampled_from(["", "module.", "_orig_mod."]))
    state = {
        prefix + (key.replace("features.", f"features.{inner}") if key.startswith("features.") else key): value
        for key, value in STATE.items()
    }
    path = draw(st.lists(st.sampled_from(KEYS), max_size=2))
    content = state
    for key in reversed(path):
        content = {
            key: content,
            "epoch": 3,
            "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []},
        }
    where = "".join(f"{key}." for key in path) + prefix
    if path and draw(st.booleans()):
        key = draw(st.sampled_from([key for key in KEYS if key != path[0]]))
        return content | {key: draw(st.sampled_from([OTHER, below("module.", OTHER)]))}, where
    return content, ""


@settings(deadline=None, max_examples=60)
@given(checkpoints())
def test_a_wrapped_network_gives_its_outputs_or_its_prefix_is_asked_for(tmp_path_factory, checkpoint):
    content, prefix = checkpoint
    stored, given_ = read(content, tmp_path_factory.mktemp("w")), fresh("batch norm")
    if prefix:
        with pytest.raises(InputError) as caught:
            put_weights(given_, stored, "w.pt")
        assert f"prefix = '{prefix.partition('.')[0]}." in str(caught.value)
    put_weights(given_, stored, "w.pt", prefix)
    assert torch.equal(outputs(given_), outputs(built("batch norm")))


@pytest.mark.parametrize(
    "extra", [2.0, {"factor": 2.0, "by": [1, "a", None]}, torch.ones(2)], ids=["number", "dict", "tensor"]
)
@pytest.mark.parametrize("same", [True, False])
def test_two_networks_are_the_same_only_where_what_they_keep_besides_tensors_is(tmp_path, extra, same):
    class Keeping(nn.Linear):
        def get_extra_state(self):
            return self.kept

        def set_extra_state(self, state):
            self.kept = state

    network, twin = Keeping(3, 2), Keeping(3, 2)
    network.kept, twin.kept = extra, copy.deepcopy(extra) if same else 5
    twin.load_state_dict(network.state_dict() | {"_extra_state": twin.kept})
    stored = read({"model": network.state_dict(), "ema": twin.state_dict()}, tmp_path)
    if same:
        put_weights(twin, stored, "w.pt")
        return
    with pytest.raises(InputError, match="2 networks that fit and differ"):
        put_weights(twin, stored, "w.pt")
