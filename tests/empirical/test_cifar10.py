"""CIFAR-10 in torchvision's folder: what is read is what torchvision reads, and nothing is unpickled unverified."""

import hashlib
import io
import pickle
import re
import tarfile

import numpy as np
import pytest
import torch
import torchvision
from mirror import publish, serving

from invrob.empirical import data
from invrob.empirical.data import cifar10
from invrob.errors import InputError

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
PER_BATCH = 4


def python_2(value):
    """`value` as cPickle of Python 2 wrote it (protocol 2): strings are bytes, numpy goes by its old names, and what
    may come again is remembered (q)."""
    if isinstance(value, dict):
        return b"}q\x01(" + b"".join(python_2(k) + python_2(v) for k, v in value.items()) + b"u"
    if isinstance(value, list):  # in portions, which have a thousand entries in the published files
        portions = [value[i : i + 3] for i in range(0, len(value), 3)]
        return b"]q\x02" + b"".join(b"(" + b"".join(map(python_2, portion)) + b"e" for portion in portions)
    if isinstance(value, int):
        return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, str | bytes):
        raw = value.encode("latin1") if isinstance(value, str) else value
        length = b"U" + bytes([len(raw)]) if len(raw) < 256 else b"T" + len(raw).to_bytes(4, "little")
        return length + raw + b"q\x03"
    made = b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85U\x01b\x87R"
    kind = b"cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = python_2(value.shape[0]) + python_2(value.shape[1]) + b"\x86"
    return made + b"(K\x01" + shape + kind + b"\x89" + python_2(value.tobytes()) + b"tb"


@pytest.fixture
def small_cifar(monkeypatch):
    """24 random images in CIFAR-10's format, whose sums are taken for the true ones."""
    random = np.random.default_rng(0)
    files = {"batches.meta": {"label_names": CLASSES, "num_vis": 3072}}
    for name in BATCHES:
        pixels = random.integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8)
        files[name] = {"batch_label": name, "labels": random.integers(0, 10, PER_BATCH).tolist(), "data": pixels}
    files["data_batch_1"]["labels"][:2] = [3, 5]
    files = {name: b"\x80\x02" + python_2(content) + b"." for name, content in files.items()}
    sums = {name: hashlib.md5(file).hexdigest() for name, file in files.items()}
    for name, digest in sums.items():
        monkeypatch.setitem(cifar10.FILES.sums, name, digest)
    theirs = torchvision.datasets.CIFAR10
    monkeypatch.setattr(theirs, "train_list", [[name, sums[name]] for name in BATCHES[:5]])
    monkeypatch.setattr(theirs, "test_list", [[name, sums[name]] for name in BATCHES[5:]])
    monkeypatch.setitem(theirs.meta, "md5", sums["batches.meta"])
    monkeypatch.setenv("no_proxy", "*")
    return files


@pytest.fixture
def mirror(small_cifar, tmp_path, monkeypatch):
    """A web server with the archive, taken for that of the makers. Yields its file."""
    archive = tmp_path / "mirror/cifar-10-python.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in {**small_cifar, "readme.html": b"<html>"}.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    with serving(archive.parent) as (url, asked):
        publish(monkeypatch, cifar10.FILES, {archive.name: archive.read_bytes()}, url)
        yield archive, asked


@pytest.fixture
def folder(small_cifar, tmp_path):
    """The files, put there by hand."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, content in small_cifar.items():
        (folder / name).write_bytes(content)
    return folder


def test_the_sums_and_names_are_those_of_torchvision():
    theirs = torchvision.datasets.CIFAR10
    lists = [*theirs.train_list, *theirs.test_list, [theirs.meta["filename"], theirs.meta["md5"]]]
    assert dict(cifar10.FILES.sums) == dict(lists)
    assert cifar10.FILES.folder == theirs.base_folder


def test_fetch_then_load_gives_what_torchvision_reads(mirror, small_cifar, tmp_path):
    assert not data.SOURCES["cifar10"].is_present(tmp_path)
    folder = data.fetch("cifar10", tmp_path)
    assert folder == tmp_path / "cifar-10-batches-py"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == small_cifar
    assert data.SOURCES["cifar10"].is_present(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar-10-batches-py", "mirror"]  # nothing half-done

    dataset = data.load("cifar10", tmp_path)
    train, test = (torchvision.datasets.CIFAR10(tmp_path, train=train) for train in (True, False))
    order = data.fixed_order(20)
    held, rest = order[:2], order[2:]
    for split, theirs, chosen in (
        (dataset.train, train, rest),
        (dataset.validation, train, held),
        (dataset.test, test, range(4)),
    ):
        images = torch.from_numpy(theirs.data[np.array(chosen)]).permute(0, 3, 1, 2) / 255
        assert torch.equal(split.images, images)
        assert split.labels.tolist() == [theirs.targets[i] for i in chosen]
    assert dataset.classes == tuple(train.classes)


def test_images_are_channels_rows_columns_of_the_batches(folder, small_cifar, tmp_path):
    arrays = cifar10.read_cifar10(folder)
    assert arrays["train_images"].shape == (5 * PER_BATCH, 32, 32, 3)
    assert arrays["train_labels"][:2].tolist() == [3, 5]
    raw = np.frombuffer(small_cifar["test_batch"][-6 - PER_BATCH * 3072 : -6], np.uint8).reshape(PER_BATCH, 3, 32, 32)
    images = data.load("cifar10", tmp_path).test.images
    assert (images * 255).round().to(torch.uint8).numpy().tobytes() == raw.tobytes()


def test_an_npz_of_the_same_content_is_the_same_data_set(folder, tmp_path):
    np.savez(tmp_path / "cifar.npz", **cifar10.read_cifar10(folder))
    assert data.load(f"npz:{tmp_path / 'cifar.npz'}").fingerprint == data.load("cifar10", tmp_path).fingerprint


def test_what_is_there_is_not_fetched_again_and_needs_no_network(mirror, folder, tmp_path):
    _, asked = mirror
    assert data.fetch("cifar10", tmp_path) == data.fetch("cifar10", tmp_path, offline=True) == folder
    assert not asked


def test_an_archive_cut_short_is_an_error_and_the_next_fetch_mends_it(mirror, small_cifar, tmp_path):
    archive, _ = mirror
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-9])
    with pytest.raises(InputError, match=r"cifar10 could not be fetched .*sent [\d,]+ bytes that are not the archive"):
        data.fetch("cifar10", tmp_path)
    assert not (tmp_path / "cifar-10-batches-py").exists()
    archive.write_bytes(whole)
    folder = data.fetch("cifar10", tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == small_cifar


def test_an_archive_that_was_whole_is_not_fetched_twice(mirror, tmp_path):
    archive, asked = mirror
    part = tmp_path / ".cifar10-part"
    part.mkdir()
    (part / archive.name).write_bytes(archive.read_bytes())
    data.fetch("cifar10", tmp_path)
    assert not asked


def test_a_mirror_that_sends_something_else_is_found_out(mirror, tmp_path, monkeypatch):
    monkeypatch.setitem(cifar10.FILES.sums, "test_batch", "0" * 32)
    with pytest.raises(InputError, match="what the mirrors of cifar10 sent is not CIFAR-10: test_batch damaged"):
        data.fetch("cifar10", tmp_path)
    assert not (tmp_path / "cifar-10-batches-py").exists()


def test_an_unreachable_mirror_is_an_error_that_says_how_to_do_it_by_hand(small_cifar, tmp_path, monkeypatch):
    publish(monkeypatch, cifar10.FILES, {"cifar-10-python.tar.gz": b"x"}, "http://127.0.0.1:9/")
    with pytest.raises(InputError) as error:
        data.fetch("cifar10", tmp_path)
    text = re.sub(r"\[Errno \d+\] ", "", str(error.value))
    assert text == (
        "cifar10 could not be fetched (http://127.0.0.1:9/cifar-10-python.tar.gz: Connection refused). Try again, or "
        f"put the 7 files of CIFAR-10, unpacked, into {tmp_path / 'cifar-10-batches-py'} by hand: data_batch_1, "
        "data_batch_2, data_batch_3, data_batch_4, data_batch_5, test_batch, batches.meta"
    )


class Exploit:
    def __reduce__(self):
        return pytest.fail, ("this was unpickled",)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "replaced"])
def test_damaged_files_are_named_and_never_unpickled(folder, small_cifar, tmp_path, damage):
    content = bytearray(small_cifar["data_batch_3"])
    content[999] ^= damage == "flipped"
    (folder / "data_batch_3").unlink()
    if damage == "replaced":
        content = pickle.dumps(Exploit())
    if damage != "gone":
        (folder / "data_batch_3").write_bytes(content[: -1 if damage == "cut" else None])
    with pytest.raises(InputError) as error:
        data.load("cifar10", tmp_path)
    assert str(error.value) == (
        f"cifar10 is not in {folder} (data_batch_3 {'missing' if damage == 'gone' else 'damaged'}): "
        "run `invrob data fetch cifar10`, or set INVROB_DATA to the folder that holds cifar-10-batches-py"
    )


@pytest.mark.parametrize("content", [Exploit(), np.random.PCG64(1)], ids=["another module", "another part of numpy"])
def test_even_bytes_with_the_right_sum_are_never_unpickled(folder, tmp_path, monkeypatch, content):
    pickled = pickle.dumps({"data": content, "labels": []})
    (folder / "data_batch_1").write_bytes(pickled)
    monkeypatch.setitem(cifar10.FILES.sums, "data_batch_1", hashlib.md5(pickled).hexdigest())
    with pytest.raises(InputError, match="data_batch_1 holds 0 labels and 0 bytes of pixels: it is no CIFAR-10 batch"):
        data.load("cifar10", tmp_path)


def test_the_archive_is_the_one_of_torchvision():
    theirs = torchvision.datasets.CIFAR10
    ((name, archive),) = cifar10.FILES.archives.items()
    assert [mirror + name for mirror in archive.mirrors] == [theirs.url]
