"""The two norms: projections that never leave ball and box and are the nearest point, steepest steps, uniform draws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob import InputError
from invrob.empirical.attacks.norms import NORMS, norm_named, per_image

both = pytest.mark.parametrize("name", NORMS)
DTYPES = [torch.float32, torch.float64]
seeds = st.integers(0, 2**32 - 1)


def size_of(perturbation, name):
    flat = perturbation.double().flatten(1)
    return flat.abs().amax(1) if name == "linf" else flat.norm(dim=1)


def images_of(seed, shape=(6, 1, 4, 4), dtype=torch.float32):
    """Images with pixels inside the box and, as in digits, many exactly at its ends."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(shape, generator=generator, dtype=dtype) - 0.5).clamp(0, 1)


def epsilons_of(seed, name, n=6):
    """One epsilon per image, of every size, 0 among them."""
    exponents = -40 * torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    epsilons = 10**exponents * (1.0 if name == "linf" else 5.0)
    epsilons[0] = 0
    return epsilons


@both
@given(seed=seeds, dtype=st.sampled_from(DTYPES), far=st.sampled_from([1e-30, 1e-9, 1e-3, 1.0, 1e3, 1e9]))
@settings(deadline=None, max_examples=80)
def test_a_projection_lies_in_ball_and_box_to_the_last_bit(name, seed, dtype, far):
    images, epsilons = images_of(seed, dtype=dtype), epsilons_of(seed, name)
    away = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * far
    x = NORMS[name].project(images, images + away, epsilons)
    assert x.dtype == dtype
    assert ((x >= 0) & (x <= 1)).all()
    assert (size_of(x.double() - images.double(), name) <= epsilons).all()
    assert (NORMS[name].size(x - images).double() <= epsilons).all()  # as the search measures it
    assert torch.equal(x[0], images[0])  # epsilon 0


@both
@given(seed=seeds, dtype=st.sampled_from(DTYPES))
@settings(deadline=None, max_examples=60)
def test_what_is_inside_stays_where_it_is(name, seed, dtype):
    images, epsilons = images_of(seed, dtype=dtype), epsilons_of(seed, name)
    x = NORMS[name].project(images, images_of(seed + 1, dtype=dtype), epsilons)
    again = NORMS[name].project(images, x, epsilons)
    assert (again - x).abs().max() <= 8 * torch.finfo(dtype).eps


@both
@given(seed=seeds, epsilon=st.floats(0.01, 1.5))
@settings(deadline=None, max_examples=12)
def test_a_projection_is_the_nearest_point_of_ball_and_box(name, seed, epsilon):
    # p is the nearest point of a convex set to x if and only if <x - p, z - p> <= 0 for all z of the set
    epsilon = min(epsilon, NORMS[name].largest)
    images = images_of(seed, (4, 1, 3, 3), torch.float64)
    generator = torch.Generator().manual_seed(seed)
    x = images + torch.randn(images.shape, generator=generator, dtype=torch.float64)
    radius = torch.full((4,), epsilon, dtype=torch.float64)
    p = NORMS[name].project(images, x, radius)
    reached = size_of(p - images, name) >= epsilon - 1e-6
    assert (reached | ((p - x.clamp(0, 1)).abs().flatten(1).amax(1) < 1e-6)).all()
    for _ in range(40):
        z = images + torch.randn(images.shape, generator=generator, dtype=torch.float64)
        z = NORMS[name].project(images, z, radius)
        assert (((x - p) * (z - p)).flatten(1).sum(1) <= 1e-7).all()


@both
@given(seed=seeds)
@settings(deadline=None, max_examples=40)
def test_no_step_of_size_one_gains_more_than_the_steepest_and_that_gains_the_dual_size(name, seed):
    generator = torch.Generator().manual_seed(seed)
    norm, gradient = NORMS[name], torch.randn((5, 2, 3, 3), generator=generator, dtype=torch.float64)
    steepest = norm.ascent(gradient)
    assert norm.size(steepest) == pytest.approx(torch.ones(5))
    assert (gradient * steepest).flatten(1).sum(1) == pytest.approx(norm.dual(gradient))
    other = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
    other = other / per_image(norm.size(other))
    assert ((gradient * other).flatten(1).sum(1) <= norm.dual(gradient) + 1e-12).all()


@both
@given(seed=seeds, exponent=st.floats(-36, 36))
@settings(deadline=None, max_examples=40)
def test_the_steepest_step_does_not_depend_on_the_scale_of_the_gradient(name, seed, exponent):
    # squares of 1e-25 or 1e25 are outside the range of float32
    gradient = torch.rand((5, 1, 3, 3), generator=torch.Generator().manual_seed(seed)) + 0.5
    scaled = NORMS[name].ascent(gradient * 10**exponent)
    assert torch.allclose(scaled, NORMS[name].ascent(gradient), rtol=1e-4)


@both
def test_a_zero_gradient_gives_no_step(name):
    assert not NORMS[name].ascent(torch.zeros(2, 1, 3, 3)).any()


def test_draws_are_uniform_in_the_unit_ball_and_replayable():
    images = torch.zeros(4000, 1, 2, 2, dtype=torch.float64)

    def drawn(name, seed=0):
        return NORMS[name].draw(images, torch.Generator().manual_seed(seed))

    for name in NORMS:
        noise = drawn(name)
        assert torch.equal(noise, drawn(name))
        assert not torch.equal(noise, drawn(name, 1))
        # the share of the ball's volume within a size r is r to the number of pixels: uniform in [0, 1]
        volumes = (size_of(noise, name) ** 4).sort().values
        steps = torch.arange(1, 4001) / 4000
        assert (volumes - steps).abs().max() < 1.63 / 4000**0.5 + 1 / 4000  # Kolmogorov-Smirnov, 1 %
        assert noise.mean((0, 2, 3)).abs().max() < 0.03


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Linf", "norm 'Linf' is unknown: choose one of linf, l2; did you mean 'linf'?"),
        ("L2", "norm 'L2' is unknown: choose one of linf, l2; did you mean 'l2'?"),
        ("euclid", "norm 'euclid' is unknown: choose one of linf, l2"),
        (2, "norm 2 is unknown: choose one of linf, l2; did you mean 'l2'?"),
        (float("inf"), "norm inf is unknown: choose one of linf, l2; did you mean 'linf'?"),
        (None, "norm None is unknown: choose one of linf, l2"),
        (["linf"], "norm ['linf'] is unknown: choose one of linf, l2; did you mean 'linf'?"),
    ],
)
def test_another_norm_is_refused_with_the_nearest_name(name, text):
    with pytest.raises(InputError) as caught:
        norm_named(name)
    assert str(caught.value) == text
