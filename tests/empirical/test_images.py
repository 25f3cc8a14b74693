"""Layout, scale and labels: whatever the arrays are, they are read as their maker meant them, or refused by cause."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical.data.arrays import read_images
from invrob.empirical.inference.images import checked_images, is_channels_last, layout_of
from invrob.empirical.inference.labels import checked_labels, class_numbers, out_of_range
from invrob.errors import InputError

laws = settings(deadline=None, max_examples=150)
SIDES = st.integers(5, 40)
CHANNELS = st.sampled_from([1, 3, 4])


def pictures(n, channels, height, width, seed=0):
    """Floats in [0, 1], [N, C, H, W], that reach both ends."""
    made = np.random.default_rng(seed).random((n, channels, height, width), dtype=np.float32)
    made[0, 0, 0, 0], made[0, 0, 0, 1] = 0, 1
    return made


# ---- layout


@laws
@given(SIDES, SIDES, CHANNELS)
def test_pictures_of_a_usual_number_of_channels_have_a_layout_without_a_doubt(height, width, channels):
    if min(height, width) * 2 >= max(height, width):
        assert layout_of((7, channels, height, width)) == "NCHW"
        assert layout_of((7, height, width, channels)) == "NHWC"
    assert is_channels_last((7, height, width, channels))
    assert not is_channels_last((7, channels, height, width))


@pytest.mark.parametrize(
    "shape", [(9, 3, 32, 3), (9, 4, 4, 4), (9, 1, 28, 1), (9, 8, 8, 8), (9, 28, 1, 1), (9, 3, 3, 8)]
)
def test_a_shape_that_leaves_a_doubt_is_read_only_where_the_file_says_its_layout(shape):
    images = np.random.default_rng(0).random(shape)
    with pytest.raises(
        InputError, match=r"may be \[N, C, H, W\] or \[N, H, W, C\]: write layout='NCHW' or layout='NHWC'"
    ):
        read_images({"x.npz: images": images}, None, None)
    for layout, expected in (("NHWC", images), ("NCHW", images.transpose(0, 2, 3, 1))):
        (read,) = read_images({"x.npz: images": images}, None, np.array(layout))
        assert (read == expected).all()


@pytest.mark.parametrize("shape", [(5, 8, 3, 3), (5, 2, 28, 28), (5, 13, 64, 64), (5, 1, 28, 28), (5, 784, 1, 1)])
def test_a_tensor_of_many_channels_is_no_picture_with_its_channels_last(shape):
    assert not is_channels_last(shape)
    assert torch.equal(checked_images(images := torch.rand(shape)), images)


@laws
@given(st.integers(1, 3), SIDES, CHANNELS)
def test_a_tensor_with_its_channels_last_is_refused_with_the_line_that_turns_it(n, side, channels):
    images = torch.from_numpy(pictures(n, channels, side, side))
    with pytest.raises(InputError, match="look like") as error:
        checked_images(images.permute(0, 2, 3, 1))
    line = str(error.value).rpartition("use ")[2]
    assert torch.equal(checked_images(eval(line, {"images": images.permute(0, 2, 3, 1)})), images)


@pytest.mark.parametrize(
    ("shape", "line"),
    [
        ((3, 32, 32), "images[None]"),
        ((32, 32, 3), "images.permute(2, 0, 1)[None]"),
        ((28, 28), "images[None, None]"),
        ((6, 784), "images.reshape(-1, 1, 28, 28)"),
        ((6, 3072), "images.reshape(-1, 3, 32, 32)"),
        ((6, 28, 28), "images[:, None]"),
    ],
)
def test_images_of_another_number_of_dimensions_are_refused_with_a_line_that_works(shape, line):
    images = torch.rand(shape)
    with pytest.raises(InputError) as error:
        checked_images(images)
    assert f"use {line}" in str(error.value)
    checked_images(eval(line, {"images": images}))


# ---- scale

SCALES = {  # what people do to pixels in [0, 1], and the words of the cause
    "unit": (lambda x: x, None),
    "double": (lambda x: x.astype(np.float64), None),
    "bytes": (lambda x: (255 * x).round().astype(np.uint8), None),
    "bits": (lambda x: x > 0.5, None),
    "bits as bytes": (lambda x: (x > 0.5).astype(np.uint8), "no pixel of any split is above 1, where white is 255"),
    "0..16": (lambda x: (16 * x).round().astype(np.uint8), "no pixel of any split is above 16, where white is 255"),
    "0..255 as int64": (lambda x: (255 * x).round().astype(np.int64), r"save images.astype\('uint8'\)"),
    "0..16 as int64": (lambda x: (16 * x).round().astype(np.int64), "write white=16"),
    "16 bits": (lambda x: (65535 * x).round().astype(np.uint16), "write white=65535"),
    "0..255 as floats": (lambda x: 255 * x, "images / 255 for pixels 0..255"),
    "in [-1, 1]": (lambda x: 2 * x - 1, r"use \(images \+ 1\) / 2"),
    "standardised": (lambda x: (x - 0.13) / 0.3, "if they are normalised, undo it"),
    "NaN": (lambda x: np.where(x == 1, np.nan, x), "they hold NaN or infinite values"),
    "infinite": (lambda x: np.where(x == 1, np.inf, x), "they hold NaN or infinite values"),
    "divided twice": (lambda x: x / 255, "no pixel of any split is above 0.003922, where white is 1"),
    "constant": (lambda x: np.full_like(x, 0.5), "all pixels of all images are 0.5"),
    "complex": (lambda x: x.astype(np.complex64), "complex64 but must be"),
}


@laws
@given(st.sampled_from(sorted(SCALES)), SIDES, CHANNELS, st.integers(0, 99))
def test_arrays_in_files_are_read_at_the_right_scale_or_refused_by_cause(name, side, channels, seed):
    change, cause = SCALES[name]
    images = pictures(4, channels, side, side, seed)
    stored = {"x.npz: images": change(images)}
    if cause:
        with pytest.raises(InputError, match=cause):
            read_images(stored, None, None)
        return
    (read,) = read_images(stored, None, None)
    expected = images.transpose(0, 2, 3, 1)
    tolerance = 0.5 if name == "bits" else 0.5 / 255 + 1e-6
    assert np.abs((read / 255 if read.dtype == np.uint8 else read) - expected).max() <= tolerance


@laws
@given(st.sampled_from([1, 15, 16, 63, 100, 127, 4095]), st.sampled_from([np.uint8, np.int32, np.float64]))
def test_what_is_white_can_be_stated(white, dtype):
    images = pictures(3, 1, 6, 6)
    if np.iinfo(np.uint8).max < white and dtype == np.uint8:
        dtype = np.uint16
    stored = (white * images).round().astype(dtype)
    (read,) = read_images({"x.npz: images": stored}, np.array(white), None)
    assert np.abs(read.transpose(0, 3, 1, 2) - stored / white).max() < 1e-6
    for wrong in (0, -3, np.nan, np.ones(2)):
        with pytest.raises(InputError, match="must be one number above 0"):
            read_images({"x.npz: images": stored}, np.array(wrong), None)


@laws
@given(st.sampled_from(sorted(set(SCALES) - {"complex", "16 bits"})), st.integers(0, 99))
def test_tensors_are_taken_as_they_are_or_refused_by_cause(name, seed):
    images = pictures(3, 1, 8, 8, seed)
    tensor = torch.from_numpy(SCALES[name][0](images))
    if name in ("unit", "double"):
        assert torch.equal(checked_images(tensor), tensor)
    elif name in ("divided twice", "constant"):
        with pytest.warns(UserWarning, match=r"nearly black: use images \* 255|all pixels of all images are 0\.5"):
            checked_images(tensor)
    else:
        with pytest.raises(InputError, match=r"must be floats|outside \[0, 1\]"):
            checked_images(tensor)


def test_all_splits_together_say_what_is_white():
    bright = (255 * pictures(4, 1, 8, 8)).astype(np.uint8)
    read = read_images({"x: train_images": bright, "x: test_images": bright // 4}, None, None)
    assert [part.max() for part in read] == [255, 63]


# ---- labels


def described(labels):
    return f"labels {labels.dtype} {[*labels.shape]}"


@laws
@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.sampled_from([np.int8, np.uint16, np.int64, np.float32]))
def test_labels_of_any_numbers_in_a_row_a_column_or_one_hot_are_the_same(classes, dtype):
    plain = np.array(classes, dtype)
    for labels in (plain, plain[:, None], np.eye(6, dtype=dtype)[classes], np.eye(6, dtype=bool)[classes]):
        assert class_numbers(labels, len(classes), described(labels)).tolist() == classes


@pytest.mark.parametrize(
    ("labels", "cause"),
    [
        (np.array([0, 1, np.nan, 1]), "1 are NaN"),
        (np.array([0.2, 0.8, 0.1, 0.9]), "0.2 is no class"),
        (np.array([[0.2, 0.8]] * 4), "these are probabilities; use labels.argmax"),
        (np.array([[1, 1, 0]] + [[1, 0, 0]] * 3), "1 rows hold several 1"),
        (np.array([[0, 0, 0]] + [[1, 0, 0]] * 3), "1 rows are all 0"),
        (np.array([[3, 1]] * 4), "keep the column that holds the class"),
        (np.array(["cat", "dog", "cat", "dog"]), r"np.unique\(labels, return_inverse=True\)"),
        (np.array([True, False, True, True]), r"labels.astype\('int64'\)"),
        (np.array([0, 1, 2]), "there are 4 images"),
        (np.array([[0, 1, 1, 0]]), r"use labels.reshape\(-1\)"),
        (np.full((4, 2), np.nan), "NaN, infinite"),
    ],
)
def test_labels_that_are_no_classes_are_refused_by_cause(labels, cause):
    with pytest.raises(InputError, match=cause):
        class_numbers(labels, 4, described(labels))


def test_a_column_of_labels_is_never_taken_for_one_hot_rows():
    images, three = torch.rand(4, 1, 5, 5), lambda x: x.flatten(1)[:, :3]
    for labels in (torch.tensor([[2], [0], [1], [2]]), torch.eye(3)[[2, 0, 1, 2]], torch.tensor([2.0, 0, 1, 2])):
        assert checked_labels(labels, images, three).tolist() == [2, 0, 1, 2]


@pytest.mark.parametrize(("classes", "line"), [(2, "(labels + 1) // 2 for -1 and 1"), (3, "keep = labels >= 0")])
def test_labels_of_minus_1_and_1_are_two_classes_where_there_are_two(classes, line):
    assert line in out_of_range(np.array([-1, 1, 1]), classes)
