"""Files of every format that is read: whatever they hold, they are read or refused by name, and never executed."""

import gzip
import io
import pickle
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import cases, network

from invrob import InputError
from invrob.empirical.data import datasets as data
from invrob.empirical.loading.spec import load_model

SUFFIXES = [".npz", ".pt", ".pt2", ".ts", ".onnx", ".safetensors"]


class Exploit:
    def __reduce__(self):
        return pytest.fail, ("this was unpickled",)


def archive():
    """A TorchScript file, in which there is something of everything: a ZIP, pickles, code."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), file)
    return file.getvalue()


@pytest.fixture(scope="module")
def seeds(bars):
    """Valid files to start from."""
    state = io.BytesIO()
    torch.save(network().state_dict(), state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch would rather have torch.export
        script = archive()
    tensors = safetensors.torch.save(network().state_dict())
    return [bars.read_bytes(), state.getvalue(), script, tensors, pickle.dumps(Exploit()), gzip.compress(b"x"), b""]


@st.composite
def broken(draw, seeds):
    """A valid file or a pickle, with bytes changed, cut off or put in."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        content[place : place + draw(st.integers(0, 99))] = draw(st.binary(max_size=9))
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)


@cases(150)
@given(st.data())
def test_any_bytes_are_a_data_set_or_refused_by_name(tmp_path, seeds, data_):
    path = tmp_path / "any.npz"
    path.write_bytes(data_.draw(broken(seeds)))
    try:
        read = data.load(f"npz:{path}")
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert ((read.train.images >= 0) & (read.train.images <= 1)).all()


@cases(100)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_are_a_model_or_refused_by_name(tmp_path, seeds, data_):
    path = tmp_path / f"any{data_.draw(st.sampled_from(SUFFIXES))}"
    path.write_bytes(data_.draw(broken(seeds)))
    try:
        load_model(path)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017


@cases(60)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_are_weights_or_refused_by_name(tmp_path, seeds, data_):
    valid = [(".pt", [seeds[1]]), (".safetensors", [seeds[3]])]
    suffix, contents = data_.draw(st.sampled_from([*valid, *((suffix, seeds) for suffix in SUFFIXES)]))
    path = tmp_path / f"any{suffix}"
    path.write_bytes(data_.draw(broken(contents)))
    try:
        load_model("small_runs:network", weights=path)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_npz_members_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", train_images=np.array([Exploit()], dtype=object))
    with pytest.raises(InputError, match="never unpickled"):
        data.load(f"npz:{tmp_path / 'x.npz'}")
