"""MNIST in torchvision's folder: a fetch is whole or an error, and what is read is what torchvision reads."""

import gzip
import hashlib
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from mirror import publish, serving

from invrob.empirical import data
from invrob.empirical.data import download as fetching
from invrob.empirical.data import mnist
from invrob.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY / "../shared/data"

CLOSED = ("http://127.0.0.1:9/", "http://127.0.0.1:9/second/")

needs_mnist = pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason="the canonical MNIST files are not at hand")


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def small_mnist(monkeypatch):
    """Forty random digits in MNIST's format, whose sums are taken for the true ones."""
    random = np.random.default_rng(0)
    files = {}
    for prefix, n in (("train", 30), ("t10k", 10)):
        files[f"{prefix}-images-idx3-ubyte"] = idx(random.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        files[f"{prefix}-labels-idx1-ubyte"] = idx((np.arange(n) % 10).astype(np.uint8))
    monkeypatch.setenv("no_proxy", "*")
    for name, file in files.items():
        monkeypatch.setitem(mnist.FILES.sums, name, hashlib.sha256(file).hexdigest())
    return files


@pytest.fixture
def mirror(small_mnist, tmp_path, monkeypatch):
    """A web server with the four archives, the one mirror of MNIST. Yields its folder."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    packed = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in small_mnist.items()}
    for name, content in packed.items():
        (folder / name).write_bytes(content)
    with serving(folder) as (url, asked):
        publish(monkeypatch, mnist.FILES, packed, url)
        yield folder, asked


def test_fetch_then_load(mirror, small_mnist, tmp_path):
    assert not data.SOURCES["mnist"].is_present(tmp_path)
    raw = data.fetch("mnist", tmp_path)
    assert raw == tmp_path / "MNIST/raw"
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == small_mnist
    assert data.SOURCES["mnist"].is_present(tmp_path)
    dataset = data.load("mnist", tmp_path)
    theirs = torchvision.datasets.MNIST(tmp_path, train=False)
    assert torch.equal(dataset.test.images[:, 0], theirs.data / 255)
    assert torch.equal(dataset.test.labels, theirs.targets)
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [27, 3, 10]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MNIST", "mirror"]  # nothing half-done is left


def test_what_is_there_is_not_fetched_again_and_needs_no_network(mirror, tmp_path):
    _, asked = mirror
    data.fetch("mnist", tmp_path)
    asked.clear()
    assert data.fetch("mnist", tmp_path) == data.fetch("mnist", tmp_path, offline=True) == tmp_path / "MNIST/raw"
    assert not asked


def test_an_interrupted_fetch_is_not_whole_and_the_next_one_goes_on(mirror, small_mnist, tmp_path):
    folder, asked = mirror
    last = folder / "t10k-labels-idx1-ubyte.gz"
    archive = last.read_bytes()
    last.write_bytes(archive[:-9])
    with pytest.raises(InputError, match="mnist could not be fetched"):
        data.fetch("mnist", tmp_path)
    with pytest.raises(InputError, match="all 4 files are missing"):
        data.load("mnist", tmp_path)
    killed = tmp_path / ".mnist-part/.t10k-labels-idx1-ubyte.abc.tmp.gz"
    killed.write_bytes(b"what a process that was killed leaves")
    last.write_bytes(archive)
    asked.clear()
    data.fetch("mnist", tmp_path)
    assert set(asked) == {"/t10k-labels-idx1-ubyte.gz"}  # the other three were whole
    assert {path.name: path.read_bytes() for path in (tmp_path / "MNIST/raw").iterdir()} == small_mnist


def test_a_mirror_that_sends_something_else_is_found_out(mirror, tmp_path, monkeypatch):
    monkeypatch.setitem(mnist.FILES.sums, "t10k-labels-idx1-ubyte", "0" * 64)
    with pytest.raises(InputError, match="what the mirrors of mnist sent is not MNIST: t10k-labels-idx1-ubyte damaged"):
        data.fetch("mnist", tmp_path)
    assert not (tmp_path / "MNIST").exists()


def test_an_unreachable_mirror_is_an_error_that_says_how_to_do_it_by_hand(small_mnist, tmp_path, monkeypatch):
    publish(monkeypatch, mnist.FILES, {"train-images-idx3-ubyte.gz": b"x"}, *CLOSED)
    with pytest.raises(InputError) as error:
        data.fetch("mnist", tmp_path)
    text = re.sub(r"\[Errno \d+\] ", "", str(error.value))
    assert text == (
        "mnist could not be fetched (http://127.0.0.1:9/train-images-idx3-ubyte.gz: Connection refused; "
        "http://127.0.0.1:9/second/train-images-idx3-ubyte.gz: Connection refused). Try again, or put the "
        "4 files of MNIST, unpacked, into "
        f"{tmp_path / 'MNIST/raw'} by hand: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
        "t10k-labels-idx1-ubyte"
    )


def test_a_mirror_that_never_answers_is_given_up_and_the_callers_timeout_is_kept(small_mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publish(monkeypatch, mnist.FILES, {"a.gz": b"x"}, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        socket.setdefaulttimeout(77)
        try:
            with pytest.raises(InputError, match=r"mnist could not be fetched .*timed out"):
                data.fetch("mnist", tmp_path)
            assert socket.getdefaulttimeout() == 77
        finally:
            socket.setdefaulttimeout(before)


def test_offline_refuses_to_fetch_what_is_not_there(mirror, tmp_path):
    _, asked = mirror
    with pytest.raises(InputError) as error:
        data.fetch("mnist", tmp_path, offline=True)
    assert str(error.value).startswith(
        "mnist cannot be fetched offline (all 4 files are missing): leave out `offline`, or put the 4 files"
    )
    assert not asked


def test_loading_never_fetches(mirror, tmp_path):
    _, asked = mirror
    with pytest.raises(InputError) as error:
        data.load("mnist", tmp_path)
    assert str(error.value) == (
        f"mnist is not in {tmp_path / 'MNIST/raw'} (all 4 files are missing): run `invrob data fetch mnist`, "
        "or set INVROB_DATA to the folder that holds MNIST/raw"
    )
    assert not asked


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_damaged_mnist_files_are_named_and_a_fetch_repairs_them(mirror, small_mnist, tmp_path, damage):
    raw = data.fetch("mnist", tmp_path)
    name = "train-images-idx3-ubyte"
    content = bytearray(small_mnist[name])
    content[99] ^= damage == "flipped"
    (raw / name).unlink()
    if damage != "gone":
        (raw / name).write_bytes(content[: -1 if damage == "cut" else None])
    with pytest.raises(InputError, match=f"{name} {'missing' if damage == 'gone' else 'damaged'}"):
        data.load("mnist", tmp_path)
    data.fetch("mnist", tmp_path)
    assert (raw / name).read_bytes() == small_mnist[name]


@needs_mnist
def test_mnist_has_the_papers_split_and_equals_its_npz(tmp_path):
    dataset = data.load("mnist", SHARED)
    assert [tuple(split.images.shape) for split in (dataset.train, dataset.validation, dataset.test)] == [
        (55_000, 1, 28, 28),
        (5_000, 1, 28, 28),
        (10_000, 1, 28, 28),
    ]
    subprocess.run([sys.executable, SHARED / "prepare.py", "mnist", tmp_path / "mnist.npz"], check=True)
    assert data.load(f"npz:{tmp_path / 'mnist.npz'}").fingerprint == dataset.fingerprint
