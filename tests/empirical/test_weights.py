"""Weights from a file: they arrive in the network bit by bit, or they are refused by name and the network stays."""

import io
import signal
import sys
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob import InputError, load_model
from invrob.empirical.loading.fitting import put_weights
from invrob.empirical.loading.names import WRAPPERS
from invrob.empirical.loading.tensors import same
from invrob.empirical.loading.weights import read_weights

PREFIXES = [*(f"{word}." for word in sorted(WRAPPERS)), "model.", "net."]
NESTED = ["state_dict", "model_state_dict", "model", "net", "ema", "params", "model_ema", "something else"]


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


FORMATS = {"w.safetensors": safetensors.torch.save, "w.pt": saved}


@contextmanager
def within(seconds):
    """Ends what is inside after so long, since a loop without an end would stop all tests."""

    def late(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_without_tensors_is_for_networks_without_tensors(tmp_path, name):
    (tmp_path / name).write_bytes(FORMATS[name]({}))
    with within(60):
        flat = load_model("torch.nn:Flatten", weights=tmp_path / name)
    assert flat.model(torch.ones(2, 1, 2, 2)).tolist() == [[1, 1, 1, 1]] * 2
    with within(60), pytest.raises(InputError, match=r"does not fit the network \(8 missing: 0\.weight, "):
        put_weights(network(), read_weights(FORMATS[name]({}), name), name)


def of_another(tensor):
    """Tensors that say other things than numbers of this kind and shape."""
    return [
        tensor[None] if tensor.ndim else tensor[None, None],  # PyTorch takes [1] for a number, as its old files have it
        tensor.flatten()[:0],
        tensor.to(torch.complex64),
        tensor.to(torch.int8) if tensor.is_floating_point() else tensor.double() + 0.5,
        tensor.to("meta"),
        tensor[None].to_sparse(),
        tensor.to_sparse(),
        "no tensor",
    ]


@st.composite
def states(draw):
    """What a file may hold: the weights of a network, changed in no place or in a few, and wrapped.

    Returns the state, the prefix of its names, and whether it still fits the network."""
    original = network(seed=1).state_dict()
    state, fits = dict(original), True
    for key in draw(st.lists(st.sampled_from(list(original)), max_size=2, unique=True)):
        change = draw(st.sampled_from(["missing", "unexpected", "other", "precision"]))
        fits &= change == "precision" or (change == "missing" and key == "1.num_batches_tracked")
        if change == "missing":
            del state[key]
        elif change == "unexpected":
            state[draw(st.sampled_from(["x", f"{key}x", f"module.{key}", ""]))] = torch.full((2,), 2.5)
        elif change == "other":
            state[key] = draw(st.sampled_from(of_another(original[key])))
        elif original[key].is_floating_point():
            state[key] = original[key].to(draw(st.sampled_from([torch.float64, torch.float16, torch.bfloat16])))
    prefix = "".join(draw(st.lists(st.sampled_from(PREFIXES), max_size=3)))
    return {f"{prefix}{key}": value for key, value in state.items()}, prefix, fits


@pytest.mark.long
@settings(deadline=None, max_examples=100)
@given(states(), st.sampled_from(list(FORMATS)), st.sampled_from([None, *NESTED]))
@pytest.mark.filterwarnings("ignore:Sparse")
def test_weights_arrive_as_they_are_or_are_refused_by_name_and_the_network_stays(wrapped, name, nested):
    state, prefix, fits = wrapped
    loaded, before = network(), network().state_dict()
    try:
        content = FORMATS[name]({nested: state, "epoch": 3} if nested and name == "w.pt" else state)
    except (ValueError, AttributeError, NotImplementedError, RuntimeError):
        return  # safetensors keeps no such tensors
    try:
        put_weights(loaded, read_weights(content, name), name)
    except InputError as error:
        assert str(error).startswith(name)  # noqa: PT017
        assert not fits
        expected = before
    else:
        assert fits
        expected = {"1.num_batches_tracked": torch.tensor(0)}
        expected |= {key.removeprefix(prefix): value for key, value in state.items()}
    after = loaded.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, expected[key].to(value.dtype)) for key, value in after.items())


@pytest.mark.long
@settings(deadline=None, max_examples=60)
@given(st.sampled_from(list(FORMATS)), st.data())
def test_any_bytes_are_weights_of_this_network_or_refused_by_name(name, data):
    content = bytearray(FORMATS[name](network(seed=1).state_dict()))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=9))
    loaded = network()
    try:
        put_weights(loaded, read_weights(bytes(content), name), name)
    except InputError as error:
        assert str(error).startswith(name)  # noqa: PT017
        assert all(torch.equal(value, network().state_dict()[key]) for key, value in loaded.state_dict().items())


def test_layers_that_wait_for_their_first_images_take_the_shapes_of_the_weights():
    lazy = nn.Sequential(nn.LazyConv2d(2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.LazyLinear(3))
    put_weights(lazy, network(seed=1).state_dict(), "w.pt")
    images = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(lazy(images), network(seed=1)(images))


def test_what_training_scripts_keep_beside_the_weights_is_no_obstacle():
    """Numbers and arrays of numpy, a pair with the epoch: values, and no code."""
    weights = network().state_dict()
    beside = {"best": np.float64(0.9), "epoch": np.int64(3), "history": np.arange(3.0)}
    for stored in ({"model": weights, **beside}, (weights, 3), [weights, {"lr": 0.1}, 3]):
        net = network(1)
        put_weights(net, read_weights(saved(stored), "w.pt"), "w.pt")
        assert same(net.state_dict(), weights)


def test_a_state_dict_of_arrays_is_one_of_tensors():
    weights = network().state_dict()
    net = network(1)
    arrays = {name: value.numpy() for name, value in weights.items()}
    put_weights(net, read_weights(saved(arrays), "w.pt"), "w.pt")
    assert same(net.state_dict(), weights)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "a pointer of git lfs .*git lfs pull"),
        (b"\n<!DOCTYPE html><html>not found</html>", "a web page .*download that again"),
    ],
)
def test_what_is_downloaded_in_the_place_of_weights_is_called_so(name, content, text):
    with pytest.raises(InputError, match=text):
        read_weights(content, name)


def test_a_network_of_torchscript_given_as_weights_is_called_so(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network()).save(tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"is a network of TorchScript.*without `weights`"):
        load_model("torch.nn:Flatten", weights=tmp_path / "w.pt")


def test_weights_that_are_not_there_are_not_taken_for_a_model():
    with pytest.raises(InputError, match=r"none\.pt cannot be read .*: `weights` takes FILE\.safetensors, or"):
        load_model("torch.nn:Flatten", weights="none.pt")


class Expanding(nn.Module):
    """As steerable CNNs have it: the filter is a buffer in eval mode, and does not exist in train mode."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.rand(3, 4))
        self.register_buffer("filter", torch.zeros(3, 4))

    def train(self, mode=True):
        if mode and hasattr(self, "filter"):
            del self.filter
        elif not mode and self.training:
            self.register_buffer("filter", self.weights.detach().clone())
        return super().train(mode)

    def forward(self, x):
        return x.flatten(1) @ (self.weights if self.training else self.filter).T


@pytest.mark.parametrize("saved_in", ["train", "eval"])
@pytest.mark.parametrize("built_in", ["train", "eval", "neither"])
def test_weights_of_either_mode_fit_a_network_that_has_other_tensors_there(tmp_path, monkeypatch, saved_in, built_in):
    trained, images = Expanding().train(), torch.rand(2, 1, 2, 2)
    wanted = trained(images)
    torch.save(trained.train(saved_in == "train").state_dict(), tmp_path / "w.pt")
    network = Expanding() if built_in == "neither" else Expanding().train().train(built_in == "train")
    monkeypatch.setattr(sys.modules[__name__], "built", network, raising=False)
    torch.testing.assert_close(load_model(f"{__name__}:built", weights=tmp_path / "w.pt").model(images), wanted)


def test_a_file_of_safetensors_may_end_in_capitals_and_an_empty_one_is_called_so():
    weights = network().state_dict()
    assert same(dict(read_weights(safetensors.torch.save(weights), "w.SafeTensors").tensors), dict(weights))
    with pytest.raises(InputError, match=r"w\.pt is empty: copy or download it again"):
        read_weights(b"", "w.pt")
