"""npz:PATH: a file is read right, or refused with its name, the fault and the way out; nothing is ever unpickled."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from invrob.empirical.data import datasets as data
from invrob.empirical.data import sample
from invrob.empirical.experiments import dataset_of
from invrob.errors import InputError

laws = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def arrays(n=20, size=(4, 5), classes=3, seed=0):
    random = np.random.default_rng(seed)
    made = {"label_names": np.array([f"kind {k}" for k in range(classes)])}
    for split, count in (("train", n), ("test", n // 2)):
        made[f"{split}_images"] = random.integers(0, 256, (count, *size), dtype=np.uint8)
        made[f"{split}_labels"] = np.arange(count) % classes
    return made


def saved(folder, content):
    path = folder / "set.npz"
    np.savez(path, **content)
    return f"npz:{path}"


@laws
@given(
    st.sampled_from([(), (1,), (3,)]), st.sampled_from([np.uint8, np.float16, np.float32, np.float64, ">f4"]), st.data()
)
def test_an_npz_is_read_as_float_images_channels_first(tmp_path, channels, dtype, draw):
    content = arrays(size=(4, 5, *channels), seed=draw.draw(st.integers(0, 99)))
    if dtype != np.uint8:
        for split in ("train", "test"):
            content[f"{split}_images"] = (content[f"{split}_images"] / 255).astype(dtype)
    dataset = data.load(saved(tmp_path, content))
    expected = content["test_images"].reshape(10, 4, 5, -1).transpose(0, 3, 1, 2)
    expected = (expected / 255 if dtype == np.uint8 else expected).astype(np.float32)
    assert (dataset.test.images.numpy() == expected).all()
    assert dataset.test.images.is_contiguous()
    assert dataset.test.labels.tolist() == content["test_labels"].tolist()
    assert dataset.classes == ("kind 0", "kind 1", "kind 2")


@laws
@given(st.integers(2, 60))
def test_the_validation_set_is_a_part_of_the_training_set_that_training_never_sees(tmp_path, n):
    content = arrays(n=max(n, 2))
    content["train_images"][:, 0, 0] = np.arange(n)  # so every image is known by its corner
    dataset = data.load(saved(tmp_path, content))
    corners = [(split.images[:, 0, 0, 0] * 255).round().int().tolist() for split in (dataset.train, dataset.validation)]
    assert len(corners[1]) == max(1, n // 10)
    assert sorted(corners[0] + corners[1]) == list(range(n))
    for split, order in zip((dataset.train, dataset.validation), corners, strict=True):
        assert split.labels.tolist() == [content["train_labels"][corner] for corner in order]


def test_a_training_set_sorted_by_class_gives_splits_that_are_not(tmp_path):
    content = arrays(n=200)
    content["train_labels"].sort()
    dataset = data.load(saved(tmp_path, content))
    for split in (dataset.train, dataset.validation):
        assert set(split.labels[:10].tolist()) == {0, 1, 2}


def test_a_validation_set_in_the_file_is_taken_as_it_is(tmp_path):
    content = arrays() | {f"validation_{key}": arrays(seed=5)[f"test_{key}"] for key in ("images", "labels")}
    dataset = data.load(saved(tmp_path, content))
    assert len(dataset.train.labels) == 20
    assert (dataset.validation.images[:, 0].numpy() * 255).round().astype(int).tolist() == content[
        "validation_images"
    ].tolist()


def test_the_fingerprint_changes_with_any_content_and_with_nothing_else(tmp_path):
    content = arrays()
    reference = data.load(saved(tmp_path, content)).fingerprint
    same = content | {
        "test_images": content["test_images"][..., None],
        "train_images": content["train_images"][..., None].astype(np.float32) / 255,
        "test_labels": content["test_labels"].astype(np.uint8),
    }
    assert data.load(saved(tmp_path, same)).fingerprint == reference
    for key in content:
        changed = {name: array.copy() for name, array in content.items()}
        changed[key][0] = "new" if key == "label_names" else (changed[key][0] + 1) % 3
        assert data.load(saved(tmp_path, changed)).fingerprint != reference, key
    tall = {key: array.reshape(-1, 5, 4) if key.endswith("images") else array for key, array in content.items()}
    assert data.load(saved(tmp_path, tall)).fingerprint != reference


def nan_in(images):
    images = images / 255
    images[3, 1, 1] = np.nan
    return images


LAYOUT = "images, labels, or train_images, train_labels, test_images, test_labels (and label_names)"
NORMALISED = (
    "if they are normalised, undo it and put it inside the model: from invrob.empirical.models import Normalize; "
    "model = torch.nn.Sequential(Normalize(mean, std), model)"
)
NOT_FINITE = (
    "outside [0, 1]: they hold NaN or infinite values; use keep = np.isfinite(images).reshape(len(images), -1)"
    ".all(1); images, labels = images[keep], labels[keep] to leave such images out, and look for a division by zero"
)

FAULTS = {
    "missing": (
        {"test_labels": None, "label_names": None},
        f" has no test_labels: np.savez(path, ...) must be given {LAYOUT}",
    ),
    "half a validation set": (
        {"validation_labels": np.zeros(3, int)},
        f" has no validation_images: np.savez(path, ...) must be given {LAYOUT}",
    ),
    "integer images": (
        {"train_images": lambda a: a.astype(np.int32)},
        ": train_images are int32 but must be uint8 in 0..255 or float in [0, 1]: save images.astype('uint8')",
    ),
    "flat images": (
        {"train_images": lambda a: a.reshape(20, 20)},
        ": train_images have the shape [20, 20] but must be [N, H, W], [N, C, H, W] or [N, H, W, C]: "
        "save images.reshape(-1, C, H, W) with the C, H and W that they have",
    ),
    "channels first or last": (
        {f"{part}_images": np.zeros((n, 3, 8, 3), np.uint8) for part, n in (("train", 20), ("test", 10))},
        ": train_images have the shape [20, 3, 8, 3], which may be [N, C, H, W] or [N, H, W, C]: write layout='NCHW' "
        "or layout='NHWC' beside them into np.savez(path, ...)",
    ),
    "no test images": (
        {"test_images": np.zeros((0, 4, 5), np.uint8), "test_labels": np.zeros(0, int)},
        ": test_images have the shape [0, 4, 5]: the split is empty, it needs at least one image",
    ),
    "0 to 255 as floats": (
        {"train_images": lambda a: np.where(a == a.max(), 255.0, 0.0)},
        f": train_images span [0, 255], outside [0, 1]: use images / 255 for pixels 0..255; {NORMALISED}",
    ),
    "NaN": (
        {"train_images": nan_in},
        f": train_images span [nan, nan], {NOT_FINITE}",
    ),
    "infinite": (
        {"test_images": np.full((10, 4, 5), -np.inf)},
        f": test_images span [-inf, -inf], {NOT_FINITE}",
    ),
    "sizes differ": (
        {"test_images": np.zeros((10, 5, 4), np.uint8)},
        ": test_images are 5 x 4 but train_images are 4 x 5: every split must have images of one size",
    ),
    "labels between classes": (
        {"train_labels": lambda a: a / 2},
        ": train_labels float64 [20] must be whole numbers of shape [20], one per image: 0.5 is no class; if these are "
        "probabilities of class 1 of two, use 1 * (labels > 0.5)",
    ),
    "rows of no class": (
        {"test_labels": np.zeros((10, 3), int)},
        ": test_labels int64 [10, 3] must be whole numbers of shape [10], one per image, or one-hot rows: 10 rows are "
        "all 0, so their images have no class; use keep = labels.sum(1) == 1; images, labels = images[keep], "
        "labels[keep]",
    ),
    "too few labels": (
        {"test_labels": np.zeros(9, int)},
        ": test_labels int64 [9] must be whole numbers of shape [10], one per image: there are 10 images, give each of "
        "them one label",
    ),
    "label too large": (
        {"test_labels": lambda a: a + 1},
        ": test_labels range from 1 to 3 but label_names has 3 names: labels must be in 0..2, or names are missing",
    ),
    "negative label": (
        {"train_labels": lambda a: a - 1},
        ": train_labels range from -1 to 1 but label_names has 3 names: labels must be in 0..2, or names are missing; "
        "use keep = labels >= 0; images, labels = images[keep], labels[keep] if below 0 means unlabelled",
    ),
    "one class in training": (
        {"train_labels": np.full(20, 2)},
        ": train_labels are all 2: a classifier needs at least 2 classes",
    ),
    "one name": (
        {"label_names": np.array(["cat"])},
        ": label_names holds 1 names: a classifier needs at least 2 classes",
    ),
    "names repeat": (
        {"label_names": np.array(["cat", "dog", "cat"])},
        ": label_names ['cat', 'dog', 'cat'] repeat: give each class a name of its own",
    ),
    "names are numbers": (
        {"label_names": np.arange(3)},
        ": label_names is int64 [3] but must be strings [K], e.g. np.array(['cat', 'dog'])",
    ),
    "objects": (
        {"label_names": np.array(["cat", "dog", None], object)},
        " holds an array of Python objects, which is never unpickled: save plain numbers, and label_names as "
        "strings, e.g. np.array(['cat', 'dog'])",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_npz_is_refused_with_the_file_the_fault_and_the_way_out(tmp_path, fault):
    changes, text = FAULTS[fault]
    content = arrays()
    for key, change in changes.items():
        content[key] = change(content[key]) if callable(change) else change
    path = tmp_path / "set.npz"
    np.savez(path, **{key: array for key, array in content.items() if array is not None})
    with pytest.raises(InputError) as error:
        data.load(f"npz:{path}")
    assert str(error.value) == f"{path}{text}"


def test_a_path_that_cannot_be_read_is_named(tmp_path):
    for path, reason in (("no.npz", "No such file or directory"), ("", "Is a directory"), ("a/b", "Not a directory")):
        (tmp_path / "a").touch()
        with pytest.raises(InputError) as error:
            data.load(f"npz:{tmp_path / path}")
        assert str(error.value) == (
            f"{tmp_path / path} cannot be read ({reason}): give the path of an .npz file that holds {LAYOUT}"
        )


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(InputError) as error:
        data.load(f"npz:{tmp_path / 'x.npy'}")
    assert str(error.value) == (
        f"{tmp_path / 'x.npy'} is damaged or no .npz file (BadZipFile: File is not a zip file): "
        "write it again with np.savez"
    )


@settings(laws, max_examples=150)
@given(st.data(), st.booleans())
def test_a_damaged_npz_is_refused_or_still_holds_the_same_data(tmp_path, draw, compressed):
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays())
    content = bytearray(buffer.getvalue())
    if draw.draw(st.booleans()):
        content = content[: draw.draw(st.integers(0, len(content) - 1))]
    else:
        for position in draw.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
            content[position] = draw.draw(st.integers(0, 255))
    path = tmp_path / "damaged.npz"
    path.write_bytes(content)
    reference = data.load(saved(tmp_path, arrays())).fingerprint
    try:
        loaded = data.load(f"npz:{path}")
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert loaded.fingerprint == reference


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.mark.parametrize("where", ["array", "whole file"])
def test_nothing_in_a_file_is_ever_unpickled(tmp_path, where):
    content = arrays()
    content["train_labels"] = np.array([Malicious()], object)
    spec = saved(tmp_path, content)
    if where == "whole file":
        content["train_labels"].dump(tmp_path / "set.npz")
    with pytest.raises(InputError):
        data.load(spec)


def test_other_members_of_the_archive_are_left_alone(tmp_path):
    spec = saved(tmp_path, arrays() | {"notes": np.array([Malicious()], object)})
    with zipfile.ZipFile(tmp_path / "set.npz", "a") as archive:
        archive.writestr("README.txt", "hello")
    assert len(data.load(spec).test.labels) == 10


def test_the_summary_counts_classes_without_images_and_every_channel(tmp_path):
    content = arrays(size=(4, 5, 3), classes=4)
    content["test_labels"][:] = 1
    summary = data.summarise(data.load(saved(tmp_path, content)))
    assert summary.splits["test"].class_counts == (0, 10, 0, 0)
    pixels = content["test_images"].reshape(-1, 3) / 255
    assert summary.splits["test"].mean == pytest.approx(pixels.mean(0).tolist(), abs=1e-6)
    assert summary.splits["test"].std == pytest.approx(pixels.std(0).tolist(), abs=1e-6)
    assert summary.licence == "that of the file: ask whoever made it"


def test_classes_without_names_are_called_by_their_numbers(tmp_path):
    content = arrays(classes=4)
    del content["label_names"]
    assert data.load(saved(tmp_path, content)).classes == ("0", "1", "2", "3")
    content["train_labels"][0] = -1
    with pytest.raises(InputError, match="train_labels range from -1 to 3"):
        data.load(saved(tmp_path, content))


TEST_ONLY = arrays(n=40, size=(3, 8, 9))


@pytest.mark.parametrize("names", [("images", "labels"), ("test_images", "test_labels"), ("x_test", "y_test")])
def test_a_test_set_alone_is_a_data_set(tmp_path, names):
    dataset = data.load(
        saved(tmp_path, dict(zip(names, (TEST_ONLY["test_images"], TEST_ONLY["test_labels"]), strict=True)))
    )
    assert (dataset.test.images.numpy() * 255).round().astype(int).tolist() == TEST_ONLY["test_images"].tolist()
    assert [len(part.labels) for part in (dataset.train, dataset.validation)] == [0, 0]
    assert list(data.summarise(dataset).splits) == ["test"]
    with pytest.raises(InputError, match="has no split 'train', only test: use split = 'test'"):
        sample(dataset, split="train")
    with pytest.raises(InputError, match="has no split 'train', only test"):
        dataset_of(dataset.name)  # an experiment has nothing to train on


def test_the_layout_of_medmnist_and_that_of_keras_are_read(tmp_path):
    content = arrays(n=30) | {f"val_{part}": arrays(seed=5)[f"test_{part}"] for part in ("images", "labels")}
    columns = {key: array[:, None] if key.endswith("labels") else array for key, array in content.items()}
    dataset = data.load(saved(tmp_path, columns))
    assert [len(part.labels) for part in (dataset.train, dataset.validation, dataset.test)] == [30, 10, 15]
    assert dataset.train.labels.tolist() == content["train_labels"].tolist()
    letters = {"images": "x", "labels": "y"}
    keras = {f"{letters[part]}_{split}": content[f"{split}_{part}"] for part in letters for split in ("train", "test")}
    reference = {key: array for key, array in content.items() if not key.startswith(("val", "label_n"))}
    assert data.load(saved(tmp_path, keras)).fingerprint == data.load(saved(tmp_path, reference)).fingerprint


def test_labels_from_1_to_k_are_refused_unless_somebody_names_class_0(tmp_path):
    one = {"images": TEST_ONLY["test_images"], "labels": TEST_ONLY["test_labels"] + 1}
    with pytest.raises(
        InputError, match=r"labels are 1, \.\.\., 3, but classes are counted from 0: save labels - 1, or label"
    ):
        data.load(saved(tmp_path, one))
    assert data.load(saved(tmp_path, one | {"label_names": np.array(list("abcd"))})).test.labels.min() == 1
    with pytest.raises(InputError, match="names are missing; use labels - 1 if they count from 1"):
        data.load(saved(tmp_path, one | {"label_names": np.array(list("abc"))}))
    gaps = one | {"labels": 2 * TEST_ONLY["test_labels"]}
    assert data.load(saved(tmp_path, gaps)).classes == tuple("01234")  # classes without an image


def test_one_image_without_a_batch_is_refused_with_the_line_that_makes_one(tmp_path):
    alone = {"images": TEST_ONLY["test_images"][0], "labels": np.array([1])}
    with pytest.raises(InputError, match=r"have the shape \[3, 8, 9\], and there is one label: save images\[None\]"):
        data.load(saved(tmp_path, alone))


@pytest.mark.parametrize("shape", [(8, 8, 3, 20), (8, 8, 20), (28, 28, 1, 20)])
def test_images_that_stand_last_are_refused_with_the_line_that_turns_them(tmp_path, shape):
    images, labels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), np.arange(20) % 3
    with pytest.raises(InputError, match=r"20 labels: the images stand last; save np\.transpose") as error:
        data.load(saved(tmp_path, {"images": images, "labels": labels}))
    line = str(error.value).partition("save ")[2]
    turned = eval(line, {"np": np, "images": images})
    dataset = data.load(saved(tmp_path, {"images": turned, "labels": labels}))
    expected = (images[..., 7].reshape(*shape[:2], -1).transpose(2, 0, 1) / 255).astype(np.float32)
    assert (dataset.test.images[7].numpy() == expected).all()


@pytest.mark.parametrize("names", ["x y", "arr_0 arr_1", "X_test Y_test", "train_images train_labels"])
def test_other_names_are_refused_with_the_line_that_changes_them(tmp_path, monkeypatch, names):
    monkeypatch.chdir(tmp_path)
    content = dict(zip(names.split(), (np.random.default_rng(0).random((6, 8, 8)), np.arange(6) % 3), strict=True))
    with pytest.raises(InputError) as error:
        data.load(saved(tmp_path, content))
    exec(str(error.value).partition("such as ")[2], {"np": np})
    assert data.load("npz:named.npz").test.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_floats_up_to_16_are_told_to_be_divided_by_16(tmp_path):
    images = np.random.default_rng(0).integers(0, 17, (6, 8, 8)).astype(float)
    with pytest.raises(InputError, match=r"use images / 16 where 16 is white, images / 255 for pixels 0\.\.255"):
        data.load(saved(tmp_path, {"images": images, "labels": np.arange(6) % 3}))
