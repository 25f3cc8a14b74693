"""Data sets by name: the embedded digits are the canonical ones, names and folders are found, summaries count."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical import data
from invrob.empirical.data import datasets, sources
from invrob.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY / "../shared/data"

needs_mnist = pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason="the canonical MNIST files are not at hand")


@pytest.fixture(scope="module")
def mini():
    return data.load("mnist-mini")


def stored_mini():
    with np.load(REPOSITORY / "invrob/empirical/data/assets/mnist-mini.npz", allow_pickle=False) as stored:
        return dict(stored)


def test_mnist_mini_has_13000_digits_balanced_over_the_classes(mini):
    for name, per_class in (("train", 1000), ("validation", 100), ("test", 200)):
        split = getattr(mini, name)
        assert split.images.shape == (10 * per_class, 1, 28, 28)
        assert split.images.dtype == torch.float32
        assert split.labels.dtype == torch.int64
        assert torch.bincount(split.labels).tolist() == [per_class] * 10
        assert (split.images.min(), split.images.max()) == (0, 1)
    assert mini.classes == tuple("0123456789")


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 100), st.sampled_from(["train", "validation", "test"]))
def test_every_beginning_of_a_mini_split_is_balanced(mini, per_class, name):
    labels = getattr(mini, name).labels[: 10 * per_class]
    assert torch.bincount(labels, minlength=10).tolist() == [per_class] * 10


def test_mini_training_and_validation_share_no_image():
    stored = stored_mini()
    assert not set(stored["train_indices"]) & set(stored["validation_indices"])
    images = np.concatenate([stored[f"{split}_images"] for split in ("train", "validation", "test")])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == 13_000


@needs_mnist
def test_every_embedded_digit_is_the_canonical_one_at_its_index():
    stored = stored_mini()
    for split, prefix in (("train", "train"), ("validation", "train"), ("test", "t10k")):
        raw = SHARED / "MNIST/raw"
        images = np.fromfile(raw / f"{prefix}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28, 28)
        labels = np.fromfile(raw / f"{prefix}-labels-idx1-ubyte", np.uint8, offset=8)
        assert (stored[f"{split}_images"] == images[stored[f"{split}_indices"]]).all()
        assert (stored[f"{split}_labels"] == labels[stored[f"{split}_indices"]]).all()


@needs_mnist
def test_the_tool_makes_the_embedded_file_again(tmp_path, monkeypatch):
    tool = str(REPOSITORY / "tools/make_mnist_mini.py")
    for out in ("first.npz", "second.npz"):
        monkeypatch.setattr("sys.argv", [tool, str(SHARED / "MNIST/raw"), str(tmp_path / out)])
        runpy.run_path(tool, run_name="__main__")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    stored = stored_mini()
    with np.load(tmp_path / "first.npz") as made:  # the bytes themselves also depend on the version of zlib
        assert set(made) == set(stored)
        assert all((made[key] == stored[key]).all() and made[key].dtype == stored[key].dtype for key in stored)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_embedded_file_is_an_error(tmp_path, monkeypatch, damage):
    content = bytearray(sources.MINI.read_bytes())
    copy = tmp_path / "mnist-mini.npz"
    if damage == "flipped":
        content[1_000_000] ^= 1
    if damage != "gone":
        copy.write_bytes(content[: -1 if damage == "cut" else None])
    monkeypatch.setattr(sources, "MINI", copy)
    with pytest.raises(InputError) as error:
        data.load("mnist-mini")
    assert str(error.value) == (
        f"{copy} is damaged or missing: install invrob again, by pip install --force-reinstall invrob"
    )


def test_loading_twice_gives_equal_and_independent_data(mini):
    again = data.load("mnist-mini")
    assert again.fingerprint == mini.fingerprint
    again.train.images.zero_()
    assert mini.train.images.any()


def test_the_result_cannot_be_changed_by_accident(mini):
    with pytest.raises(AttributeError):
        mini.train = None


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            "mnist-mimi",
            "dataset 'mnist-mimi' is unknown: use mnist-mini, mnist, cifar10, or npz:PATH or folder:PATH for your own; "
            "did you mean 'mnist-mini'?",
        ),
        ("x", "dataset 'x' is unknown: use mnist-mini, mnist, cifar10, or npz:PATH or folder:PATH for your own"),
        ("npz:", "dataset 'npz:' is unknown: use mnist-mini, mnist, cifar10, or npz:PATH or folder:PATH for your own"),
        (
            "my/cats.npz",
            "dataset 'my/cats.npz' is unknown: use mnist-mini, mnist, cifar10, or npz:PATH or folder:PATH for your "
            "own; "
            "did you mean 'npz:my/cats.npz'?",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(spec, text):
    with pytest.raises(InputError) as error:
        data.load(spec)
    assert str(error.value) == text


def test_the_data_folder_is_the_argument_then_the_environment_then_the_cache(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setenv("INVROB_DATA", "/data")
    assert data.data_root("/here") == Path("/here")
    assert data.data_root("~/here") == Path("/home/someone/here")
    assert data.data_root() == Path("/data")
    monkeypatch.setenv("INVROB_DATA", "")
    assert data.data_root() == Path("/cache/invrob")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data.data_root() == Path("/home/someone/.cache/invrob")


def test_fetch_of_the_embedded_set_has_nothing_to_do_and_of_an_unknown_one_says_so():
    assert data.fetch("mnist-mini", offline=True).is_file()
    with pytest.raises(InputError) as error:
        data.fetch("minst")
    assert str(error.value) == (
        "dataset 'minst' is not one to fetch: use mnist-mini, mnist, cifar10; npz:PATH is a file of your own; "
        "did you mean 'mnist'?"
    )


@pytest.mark.parametrize(
    ("n", "size", "held"),
    [(60_000, (28, 28), 5_000), (60_000, (1, 1), 6_000), (50_000, (1, 1, 3), 10_000), (999, (1, 1), 99)],
)
def test_the_usual_data_sets_get_their_usual_validation_size(n, size, held):
    images = np.broadcast_to(np.zeros(size, np.uint8), (n, *size))
    split = datasets.with_validation({"train_images": images, "train_labels": np.zeros(n, np.int64)})
    assert len(split["validation_labels"]) == len(split["validation_images"]) == held
    assert len(split["train_labels"]) == len(split["train_images"]) == n - held


def test_the_choice_of_the_validation_set_is_pinned():
    assert data.fixed_order(12).tolist() == [0, 3, 6, 11, 7, 9, 10, 4, 1, 2, 8, 5]  # results on record depend on it
    assert sorted(data.fixed_order(1000)) == list(range(1000))


def test_the_summary_counts_and_averages(mini):
    summary = data.summarise(mini)
    train = summary.splits["train"]
    assert (train.images, train.shape, train.class_counts) == (10_000, (1, 28, 28), (1000,) * 10)
    pixels = stored_mini()["train_images"] / 255
    assert train.mean == pytest.approx([pixels.mean()], abs=1e-6)
    assert train.std == pytest.approx([pixels.std()], abs=1e-6)
    assert summary.fingerprint == mini.fingerprint
    assert "CC BY-SA 3.0" in summary.licence


def test_a_data_set_that_is_not_there_has_a_stand_in_of_its_size_and_shape_for_plans(tmp_path):
    for name, source in data.SOURCES.items():
        found = data.stand_in(name, tmp_path)
        if name == "mnist-mini":
            assert found is None  # it is in the package
            continue
        splits = (found.train, found.validation, found.test)
        assert tuple(len(split.labels) for split in splits) == source.sizes
        assert all(split.images.shape == (n, *source.shape) for split, n in zip(splits, source.sizes, strict=True))
    assert data.stand_in("npz:nowhere.npz", tmp_path) is None


def test_the_shapes_that_are_promised_are_those_that_are_loaded(mini):
    assert mini.train.images.shape[1:] == data.SOURCES["mnist-mini"].shape
    assert len(mini.classes) == 10


@pytest.fixture
def _homeless(monkeypatch):
    """A process without HOME under a user id that the system has no entry for."""
    for name in ("HOME", "INVROB_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.mark.usefixtures("_homeless")
def test_without_a_home_directory_only_fetched_data_are_missing_and_the_way_out_is_named(tmp_path):
    assert len(data.load("mnist-mini").test.labels) == 2000
    assert data.fetch("mnist-mini").is_file()
    assert data.data_root(tmp_path) == tmp_path
    for call in (lambda: data.load("mnist"), lambda: data.fetch("cifar10"), lambda: data.stand_in("mnist")):
        with pytest.raises(InputError, match=r"no home directory for fetched data: set INVROB_DATA .* or give `root`"):
            call()
    with pytest.raises(InputError, match="begins with ~, and there is no such home directory: write the whole path"):
        data.load("npz:~/x.npz")


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_downloaded(tmp_path):
    (tmp_path / "file").touch()  # root may write into any folder, but not into a file
    with pytest.raises(
        InputError, match=r"cannot be written, because .*file cannot: give `root`, .* or set INVROB_DATA"
    ):
        data.fetch("mnist", tmp_path / "file" / "data")
