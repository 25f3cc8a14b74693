"""What rotate promises: quarter turns exact, equal to scipy, torchvision and PIL, linear, bounded, differentiable."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as torchvision

from invrob.empirical.transforms.rotation import rotate
from invrob.errors import InputError

laws = settings(deadline=None, max_examples=40)
angles = st.floats(-720, 720)
squares = st.integers(1, 9).map(lambda size: (size, size))
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
seeds = st.integers(0, 2**32 - 1)
modes = st.sampled_from(["bilinear", "nearest"])


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.view(torch.uint8).equal(b.view(torch.uint8))


@laws
@given(squares, st.integers(-9, 9), seeds, modes, st.sampled_from([torch.float32, torch.float64, torch.int64]))
def test_multiples_of_90_degrees_equal_rot90_to_the_bit(size, turns, seed, mode, angle_dtype):
    images = noise(3, 2, *size, seed=seed)
    turned = torch.rot90(images, turns, (2, 3)).contiguous()
    assert same_bits(rotate(images, 90 * turns, interpolation=mode), turned)
    assert same_bits(rotate(images, torch.tensor(90 * turns, dtype=angle_dtype), interpolation=mode), turned)
    assert same_bits(rotate(images, [90 * turns] * 3, interpolation=mode), turned)


@laws
@given(squares, seeds, st.lists(st.one_of(angles, st.integers(-8, 8).map(lambda k: 90.0 * k)), min_size=1, max_size=6))
def test_quarter_turns_stay_exact_beside_other_angles_in_a_batch(size, seed, degrees):
    images = noise(len(degrees), 1, *size, seed=seed)
    together = rotate(images, degrees)
    for image, angle, result in zip(images, degrees, together, strict=True):
        if angle % 90 == 0:
            assert same_bits(result, torch.rot90(image, int(angle // 90), (1, 2)).contiguous())


@laws
@given(sizes, seeds, st.integers(-3, 3))
def test_half_turns_are_exact_for_images_that_are_not_square(size, seed, turns):
    images = noise(2, 3, *size, seed=seed)
    assert same_bits(rotate(images, 180 * turns), torch.rot90(images, 2 * turns, (2, 3)).contiguous())
    assert same_bits(rotate(images, [180.0 * turns, 180.0]), rotate(images, [180.0 * turns, -180.0]))


def test_quarter_turn_of_a_wide_image_keeps_the_canvas_and_cuts_off_its_ends():
    image = torch.arange(1.0, 9).view(1, 1, 2, 4)  # 1 2 3 4 / 5 6 7 8
    assert rotate(image, 90).tolist() == [[[[0, 3, 7, 0], [0, 2, 6, 0]]]]
    assert rotate(image, 270).tolist() == [[[[0, 6, 2, 0], [0, 7, 3, 0]]]]


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize(
    ("degrees", "row", "column"),
    [(90, 0, 2), (180, 2, 0), (270, 4, 2), (-90, 4, 2), (30, 1, 4), (-30, 3, 4), (60, 0, 3)],
)
def test_positive_angles_turn_counter_clockwise(degrees, row, column, mode):
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 4] = 1  # the middle of the right edge
    assert divmod(int(rotate(image, degrees, interpolation=mode)[0, 0].argmax()), 5) == (row, column)


@laws
@given(sizes, angles, seeds)
def test_bilinear_agrees_with_scipy_ndimage(size, degrees, seed):
    images = noise(2, 2, *size, seed=seed, dtype=torch.float64)
    theirs = ndimage.rotate(images.numpy(), degrees, axes=(3, 2), reshape=False, order=1, mode="grid-constant")
    np.testing.assert_allclose(rotate(images, degrees).numpy(), theirs, atol=1e-9)


@laws
@given(sizes, angles, st.floats(-2, 2), seeds)
def test_the_border_blends_with_the_fill_as_scipy_does(size, degrees, fill, seed):
    images = noise(1, 1, *size, seed=seed, dtype=torch.float64)
    theirs = ndimage.rotate(
        images.numpy(), degrees, axes=(3, 2), reshape=False, order=1, mode="grid-constant", cval=fill
    )
    np.testing.assert_allclose(rotate(images, degrees, fill=fill).numpy(), theirs, atol=1e-9)


@laws
@given(sizes, angles, seeds)
def test_bilinear_agrees_with_torchvision(size, degrees, seed):
    images = noise(2, 3, *size, seed=seed)
    theirs = torchvision.rotate(images, degrees, interpolation=InterpolationMode.BILINEAR)
    torch.testing.assert_close(rotate(images, degrees), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(28, 28), (9, 9), (6, 9)])
@pytest.mark.parametrize("degrees", [0, 7.3, -33, 90, 101.7, 180, 199, 270, 301.1])
def test_nearest_agrees_with_pil_which_the_papers_authors_used(size, degrees):
    image = noise(*size, seed=int(degrees) + 360)
    theirs = torch.from_numpy(np.array(Image.fromarray(image.numpy()).rotate(degrees)))
    ours = rotate(image[None, None], degrees, interpolation="nearest")[0, 0]
    assert (ours != theirs).sum() <= 1  # PIL works in 1 / 65536 of a pixel


@pytest.mark.parametrize("degrees", [0, 7.3, -33, 90, 101.7, 180, 199, 270, 301.1])
def test_nearest_with_fill_agrees_with_torchvision(degrees):
    images = noise(2, 3, 28, 28)
    theirs = torchvision.rotate(images, degrees, fill=0.25)
    assert torch.equal(rotate(images, degrees, interpolation="nearest", fill=0.25), theirs)


@laws
@given(squares, angles, seeds, modes)
def test_turning_on_by_90_degrees_is_an_exact_turn_of_the_result(size, degrees, seed, mode):
    images = noise(2, 1, *size, seed=seed, dtype=torch.float64)
    if mode == "nearest":
        degrees = round(degrees) + 0.377  # no pixel centre falls between two pixels
    on = rotate(rotate(images, degrees, interpolation=mode), 90)
    torch.testing.assert_close(on, rotate(images, degrees + 90, interpolation=mode), atol=1e-9, rtol=0)


@laws
@given(sizes, st.lists(angles, min_size=1, max_size=5), seeds, modes, st.sampled_from([torch.float32, torch.float64]))
def test_a_batch_is_its_images_one_by_one_to_the_bit(size, degrees, seed, mode, dtype):
    images = noise(len(degrees), 2, *size, seed=seed, dtype=dtype)
    together = rotate(images, degrees, interpolation=mode)
    alone = [rotate(image[None], angle, interpolation=mode) for image, angle in zip(images, degrees, strict=True)]
    assert same_bits(together, torch.cat(alone))


@pytest.mark.parametrize("pixels", [150_000, 80_000])
def test_a_batch_that_does_not_fit_into_a_cache_is_its_images_one_by_one(pixels):
    """A pass on a CPU takes 200,000 values: an image of these at a time, or two."""
    images, degrees = noise(3, 1, 50, pixels // 50), [12.0, -101.5, 270.0]
    alone = [rotate(image[None], angle) for image, angle in zip(images, degrees, strict=True)]
    assert same_bits(rotate(images, degrees), torch.cat(alone))
    assert same_bits(rotate(images, 33.0), torch.cat([rotate(image[None], 33.0) for image in images]))
    assert same_bits(rotate(images.requires_grad_(), degrees).detach(), torch.cat(alone))


@laws
@given(sizes, angles, seeds, modes, st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]))
def test_one_angle_for_all_is_that_angle_for_each(size, degrees, seed, mode, dtype):
    images = noise(3, 2, *size, seed=seed).to(dtype)
    assert same_bits(
        rotate(images, degrees, interpolation=mode),
        rotate(images, torch.full((3,), degrees, dtype=torch.float64), interpolation=mode),
    )


@laws
@given(sizes, angles, seeds, st.floats(-3, 3), st.floats(-3, 3))
def test_rotation_is_linear_in_the_images(size, degrees, seed, a, b):
    x, y = noise(2, 2, 1, *size, seed=seed, dtype=torch.float64)
    torch.testing.assert_close(
        rotate(a * x + b * y, degrees), a * rotate(x, degrees) + b * rotate(y, degrees), atol=1e-12, rtol=0
    )


@laws
@given(sizes, angles, st.floats(-1e6, 1e6, width=32), modes)
def test_a_constant_image_with_that_fill_stays_constant_to_the_bit(size, degrees, value, mode):
    images = torch.full((2, 1, *size), value)
    assert torch.equal(rotate(images, degrees, interpolation=mode, fill=value), images)


@laws
@given(sizes, angles, seeds, st.floats(-2, 2, width=32), st.floats(-9, 9, width=32), st.floats(1e-3, 99))
def test_no_result_leaves_the_range_of_image_and_fill(size, degrees, seed, fill, shift, scale):
    images = noise(2, 1, *size, seed=seed) * scale + shift
    result = rotate(images, degrees, fill=fill)
    assert result.min() >= min(images.min().item(), fill)
    assert result.max() <= max(images.max().item(), fill)


@laws
@given(sizes, st.lists(angles, min_size=2, max_size=2), seeds)
def test_black_and_white_images_stay_in_0_1_to_the_last_bit(size, degrees, seed):
    images = noise(2, 1, *size, seed=seed).round()
    result = rotate(images, degrees)
    assert result.min() >= 0
    assert result.max() <= 1


@laws
@given(sizes, st.lists(angles, min_size=2, max_size=2), seeds, st.booleans())
def test_the_gradient_is_the_adjoint(size, degrees, seed, shared):
    """<rotate(x), y> = <x, gradient of that in x>: what holds for every linear map, and only for its true gradient."""
    x, y = noise(2, 2, 2, *size, seed=seed, dtype=torch.float64)
    x.requires_grad_()
    product = (rotate(x, degrees[0] if shared else degrees) * y).sum()
    (adjoint,) = torch.autograd.grad(product, x)
    assert product.item() == pytest.approx((x * adjoint).sum().item(), abs=1e-11)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("degrees", [90, 33.3, [90.0, 33.3]])
def test_gradients_in_the_images_match_finite_differences(degrees, mode):
    images = noise(2, 1, 4, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rotate(x, degrees, interpolation=mode, fill=0.3), (images,))


@pytest.mark.parametrize("degrees", [33.3, [12.0, 101.0], [-200.0, 289.0]])
def test_gradients_in_the_angles_match_finite_differences(degrees):
    images = noise(2, 2, 5, 5, dtype=torch.float64)
    angle = torch.tensor(degrees, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: rotate(images, a), (angle,))


@laws
@given(st.integers(-(10**9), 10**9), st.sampled_from([1, -1]))
def test_whole_turns_change_nothing_and_negative_angles_turn_back(turns, sign):
    images = noise(1, 1, 6, 6)
    assert same_bits(rotate(images, sign * 33.0 + 360 * turns), rotate(images, sign * 33.0))
    assert same_bits(rotate(images, 360.0 * turns), images)
    assert same_bits(rotate(images, [2.0**60 * 90 * turns]), images)  # a float that is a multiple of 360, and huge


def test_fast_and_general_path_of_a_quarter_turn_give_the_same_bits():
    images = noise(2, 1, 8, 8)
    for degrees in (0.0, 90.0, 180.0, 270.0):
        angle = torch.tensor(degrees, dtype=torch.float64, requires_grad=True)  # so it never takes rot90
        general, fast = rotate(images, angle), rotate(images, degrees)
        assert same_bits(general.detach(), fast)
        assert fast.is_contiguous()
        assert torch.autograd.grad(general[0, 0, 1, 1], angle)[0] != 0


@pytest.mark.parametrize("degrees", [0, 90, 12.5, [0.0, 12.5]])
def test_the_result_is_new_and_the_arguments_are_untouched(degrees):
    images = noise(2, 1, 6, 6)
    before = images.clone()
    rotate(images, degrees).zero_()
    assert torch.equal(images, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_of_the_images_is_kept(dtype):
    images = noise(2, 1, 6, 6).to(dtype)
    result = rotate(images, [10.0, 90.0])
    assert result.dtype == dtype
    torch.testing.assert_close(
        result.double(), rotate(images.double(), [10.0, 90.0]), atol=torch.finfo(dtype).eps * 8, rtol=0
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("degrees", [90.0, 33.3, [90.0, 33.3, -12.0]])
def test_a_gpu_gives_what_the_cpu_gives(degrees):
    images = noise(3, 2, 9, 9)
    for angle in (degrees, torch.tensor(degrees, device="cuda")):
        result = rotate(images.cuda(), angle)
        assert result.is_cuda
        torch.testing.assert_close(result.cpu(), rotate(images, degrees), atol=1e-5, rtol=0)


def test_an_empty_batch_stays_empty():
    assert rotate(torch.empty(0, 3, 8, 8), 30).shape == (0, 3, 8, 8)
    assert rotate(torch.empty(0, 3, 8, 8), []).shape == (0, 3, 8, 8)


WANTED = "but must be a float tensor [N, C, H, W]: x / 255 for bytes, x[None] for one image"
PER_IMAGE = "give one number, or one angle per image"
NEAREST = "use 'bilinear' or 'nearest'; did you mean 'bilinear'?"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images": torch.zeros(2, 1, 4, 4).byte()}, f"images are torch.uint8 [2, 1, 4, 4] {WANTED}"),
        ({"images": torch.zeros(1, 4, 4)}, f"images are torch.float32 [1, 4, 4] {WANTED}"),
        ({"images": np.zeros((2, 1, 4, 4))}, f"images are ndarray {WANTED}"),
        ({"degrees": [1.0, 2.0, 3.0]}, f"degrees has the shape [3] for 2 images: {PER_IMAGE}"),
        ({"degrees": torch.zeros(2, 1)}, f"degrees has the shape [2, 1] for 2 images: {PER_IMAGE}"),
        ({"degrees": math.nan}, "degrees holds nan: every angle must be finite"),
        ({"degrees": [0.0, -math.inf]}, "degrees holds -inf: every angle must be finite"),
        ({"degrees": "30"}, "degrees = '30' must be a number or one number per image (new(): invalid data type 'str')"),
        ({"interpolation": "bilinaer"}, f"interpolation = 'bilinaer' is unknown: {NEAREST}"),
        ({"fill": math.nan}, "fill = nan must be a finite number: it is the value of the pixels outside the image"),
    ],
)
def test_bad_arguments_are_refused_with_the_way_out(change, text):
    arguments = {"images": torch.zeros(2, 1, 4, 4), "degrees": 30.0} | change
    images, degrees = arguments.pop("images"), arguments.pop("degrees")
    with pytest.raises(InputError) as error:
        rotate(images, degrees, **arguments)
    assert str(error.value) == text
