"""What affine promises: scipy's map, whole pixels exact, torchvision's pictures, and `rotate` to the bit as ever."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as torchvision

from invrob.empirical.transforms.affine import affine, followed_by, scaled, sheared, shifted, turned
from invrob.empirical.transforms.rotation import rotate
from invrob.errors import InputError

laws = settings(deadline=None, max_examples=40)
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
seeds = st.integers(0, 2**32 - 1)
modes = st.sampled_from(["bilinear", "nearest"])
whole = st.integers(-10, 10)
maps = st.lists(st.floats(-3, 3), min_size=6, max_size=6).map(lambda six: torch.tensor(six).double().view(2, 3))


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.view(torch.uint8).equal(b.view(torch.uint8))


# ---- against other implementations


@laws
@given(sizes, maps, st.floats(-2, 2), seeds)
def test_bilinear_agrees_with_scipy_ndimage(size, matrix, fill, seed):
    image = noise(*size, seed=seed, dtype=torch.float64)
    middle = (np.array(size) - 1) / 2
    offset = matrix[:, 2].numpy() + middle - matrix[:, :2].numpy() @ middle
    theirs = ndimage.affine_transform(
        image.numpy(), matrix[:, :2].numpy(), offset, order=1, mode="grid-constant", cval=fill
    )
    ours = affine(image[None, None], matrix, fill=fill)[0, 0]
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-9)


@laws
@given(
    sizes,
    st.floats(-180, 180),
    st.tuples(st.integers(-4, 4), st.integers(-4, 4)),
    st.floats(0.3, 3),
    st.floats(-60, 60),
    seeds,
)
def test_the_maps_agree_with_torchvision(size, degrees, shift, factor, lean, seed):
    """Its angle runs clockwise, against ours; it shears, turns, scales, and shifts last."""
    images = noise(2, 3, *size, seed=seed)
    changes = [-degrees, list(shift), factor, [lean, 0.0]]
    theirs = torchvision.affine(images, *changes, interpolation=InterpolationMode.BILINEAR)
    ours = followed_by(sheared(lean), turned(degrees))
    ours = followed_by(followed_by(ours, scaled(factor)), shifted(down=shift[1], right=shift[0]))
    torch.testing.assert_close(affine(images, ours), theirs, atol=2e-5, rtol=0)


# ---- exact


@laws
@given(sizes, whole, whole, seeds, modes, st.floats(-1, 1, width=32).map(lambda fill: fill + 0.0), st.booleans())
def test_whole_shifts_move_pixels_to_the_bit(size, down, right, seed, mode, fill, repeated):
    images = noise(2, 2, *size, seed=seed)
    expected = torch.full_like(images, fill)  # of 0.0 and -0.0 the first: an interpolated zero has no sign
    for row in range(size[0]):
        for column in range(size[1]):
            if 0 <= row - down < size[0] and 0 <= column - right < size[1]:
                expected[:, :, row, column] = images[:, :, row - down, column - right]
    matrix = shifted(down, right)
    matrix = matrix.expand(2, 2, 3) if repeated else matrix
    assert same_bits(affine(images, matrix, interpolation=mode, fill=fill), expected)


@laws
@given(sizes, seeds, modes, st.sampled_from([torch.float16, torch.float32, torch.float64]))
def test_the_identity_and_reflections_are_exact(size, seed, mode, dtype):
    images = noise(3, 2, *size, seed=seed).to(dtype)
    for matrix, expected in (
        (scaled(1.0), images),
        (sheared(0.0), images),
        (turned(0.0), images),
        (shifted(0.0, 0.0), images),
        (torch.tensor([[1.0, 0, 0], [0, -1, 0]]), images.flip(3)),
        (torch.tensor([[-1.0, 0, 0], [0, 1, 0]]), images.flip(2)),
    ):
        assert same_bits(affine(images, matrix, interpolation=mode), expected.contiguous())


@laws
@given(sizes, seeds, st.lists(maps, min_size=1, max_size=5), modes)
def test_a_batch_is_its_images_one_by_one_to_the_bit(size, seed, matrices, mode):
    images = noise(len(matrices), 2, *size, seed=seed)
    alone = [affine(image[None], matrix, interpolation=mode) for image, matrix in zip(images, matrices, strict=True)]
    assert same_bits(affine(images, torch.stack(matrices), interpolation=mode), torch.cat(alone))


@laws
@given(sizes, maps, seeds, st.floats(-2, 2, width=32))
def test_no_result_leaves_the_range_of_image_and_fill(size, matrix, seed, fill):
    images = noise(2, 1, *size, seed=seed)
    result = affine(images, matrix, fill=fill)
    assert result.min() >= min(images.min().item(), fill)
    assert result.max() <= max(images.max().item(), fill)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_what_the_cpu_gives():
    images, matrices = noise(3, 2, 9, 9), torch.stack([turned(17.0), sheared(30.0), scaled(0.7)])
    result = affine(images.cuda(), matrices.cuda())
    assert result.is_cuda
    torch.testing.assert_close(result.cpu(), affine(images, matrices), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [1e9, -1e9])
def test_maps_as_large_as_they_may_be_leave_nothing_but_fill(size):
    for matrix in (torch.full((2, 3), size), shifted(size, -size), torch.tensor([[size, -size, 1], [-size, size, 0]])):
        moved = affine(noise(2, 1, 4, 4), matrix, fill=0.5)
        assert moved.isfinite().all()
        assert (moved == 0.5).all() or matrix[0, 0].abs() > 1


# ---- the maps


@laws
@given(st.lists(st.floats(0.1, 30), min_size=1, max_size=4), st.floats(-9, 9))
def test_maps_of_many_numbers_are_those_of_the_numbers_and_a_number_beside_them_serves_all(numbers, beside):
    many = torch.tensor(numbers, dtype=torch.float64)
    for of in (scaled, sheared, turned, lambda number: shifted(number, beside), lambda number: shifted(beside, number)):
        assert same_bits(of(many), torch.stack([of(number) for number in numbers]))


@pytest.mark.parametrize(
    ("matrix", "seen"),
    [
        (shifted(down=1, right=0), (3, 3)),
        (shifted(down=0, right=1), (2, 4)),
        (scaled(2.0), (2, 4)),
        (turned(90.0), (1, 2)),
        (sheared(45.0), (2, 3)),
    ],
    ids=["down", "right", "twice as large", "a quarter turn", "a lean leaves the middle row"],
)
def test_each_map_does_to_a_dot_what_its_name_says(matrix, seen):
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 3] = 1  # one to the right of the middle
    assert divmod(int(affine(image, matrix)[0, 0].argmax()), 5) == seen


def test_a_lean_to_the_right_takes_the_top_to_the_right():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, :, 2] = 1  # an upright line
    assert torch.equal(affine(image, sheared(45.0))[0, 0], torch.eye(5).flip(1))


@laws
@given(maps, maps, st.floats(-9, 9), st.floats(-9, 9))
def test_one_map_after_another_reads_through_both(first, second, y, x):
    def read(matrix, point):
        return matrix @ torch.cat([point, torch.ones(1).double()])

    point = torch.tensor([y, x]).double()
    torch.testing.assert_close(read(followed_by(first, second), point), read(first, read(second, point)))


def test_gradients_reach_images_and_maps():
    images = noise(2, 1, 3, 3, dtype=torch.float64).requires_grad_()
    matrix = (turned(17.0) + 0.013).requires_grad_()
    assert torch.autograd.gradcheck(affine, (images, matrix))


# ---- rotate, as finished runs hold it


@pytest.mark.parametrize(
    ("mode", "size", "digests"),
    [
        ("bilinear", (28, 28), ("499064c92b6de212", "6723a63a7e5b1e56")),
        ("bilinear", (9, 6), ("5bd24269259f9839", "4a66797ad0745df0")),
        ("nearest", (28, 28), ("1b5e0346238dd0b7", "c5a22e9ce5299227")),
        ("nearest", (9, 6), ("493fc7f3fefed75e", "c5655aade0168921")),
    ],
)
def test_rotate_has_the_bits_it_had_before_it_was_one_map_of_many(mode, size, digests):
    """Digests of the code before affine.py, 16 angles for 16 images and each for all of them."""
    angles = [-359, -180, -91.3, -33.25, -1e-3, 0, 7.3, 44.9, 45, 60, 90, 133.7, 179.9, 270, 301.1, 719]
    images = noise(16, 2, *size, seed=3)
    apart = rotate(images, angles, interpolation=mode, fill=0.25)
    together = torch.cat([rotate(images, angle, interpolation=mode, fill=0.25) for angle in angles])
    bits = (hashlib.sha256(turned.numpy().tobytes()).hexdigest()[:16] for turned in (apart, together))
    assert tuple(bits) == digests


# ---- what is refused


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        (
            torch.zeros(3, 2, 3),
            "maps have the shape [3, 2, 3] for 2 images: give one map [2, 3], or one per image [N, 2, 3]",
        ),
        (torch.zeros(6), "maps have the shape [6] for 2 images: give one map [2, 3], or one per image [N, 2, 3]"),
        ([[1, 0, 0], [0, float("nan"), 0]], "maps hold nan: every number must be finite, and at most 1e9 in size"),
        (scaled(0.0), "maps hold inf: every number must be finite, and at most 1e9 in size"),
        (shifted(-1e300, 0), "maps hold 1e+300: every number must be finite, and at most 1e9 in size"),
    ],
)
def test_maps_of_another_shape_or_without_an_end_are_refused_in_words(matrix, text):
    with pytest.raises(InputError) as caught:
        affine(noise(2, 1, 4, 4), matrix)
    assert str(caught.value) == text


def test_maps_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match=r"^maps = 'mirror' must be numbers \[2, 3\], or \[N, 2, 3\]"):
        affine(noise(2, 1, 4, 4), "mirror")
