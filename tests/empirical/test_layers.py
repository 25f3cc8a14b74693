"""The layers that networks share: normalisation by a fixed mean and deviation, or per image, and the first layer."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob.empirical.models import MODELS, Normalize, Standardize, build
from invrob.errors import InputError


def images(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("mean", "std"), [(0.1307, 0.3081), ([0.4, 0.5, 0.6], [0.2, 0.3, 0.4])])
def test_normalize_is_the_affine_map_per_channel(mean, std):
    layer = Normalize(mean, std).double()
    x = images(4, 3, 5, 6, dtype=torch.float64)
    for channel in range(3):
        m, s = (v if isinstance(v, float) else v[channel] for v in (mean, std))
        torch.testing.assert_close(layer(x)[:, channel], (x[:, channel] - m) / s, rtol=1e-6, atol=1e-6)


def test_normalize_moves_and_saves_its_values_with_the_model():
    model = nn.Sequential(Normalize(0.1307, 0.3081), build("stdcnn")).half()
    assert model[0](images(1, 1, 28, 28).half()).dtype == torch.float16
    twin = nn.Sequential(Normalize(0, 1), build("stdcnn", seed=1)).half()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin[0].mean, model[0].mean)
    assert not list(Normalize(0, 1).parameters())


@pytest.mark.parametrize(
    ("mean", "std"),
    [(0, 0), (0, -1), (0, float("nan")), (float("inf"), 1), ([0, 0], [1]), ([], []), ("0.1", "0.3"), (None, 1)],
)
def test_normalize_refuses_values_that_cannot_normalise(mean, std):
    with pytest.raises(InputError, match=f"^{re.escape(f'mean = {mean!r} and std = {std!r} must be')}"):
        Normalize(mean, std)


def test_normalize_does_not_invent_channels():
    with pytest.raises(InputError, match=r"^images \[2, 1, 5, 5\] must be \[N, C, H, W\] with C = 3, one per mean$"):
        Normalize([0, 0, 0], [1, 1, 1])(torch.zeros(2, 1, 5, 5))


def test_standardize_is_madrys_formula_on_pixels_up_to_255():
    x = images(5, 3, 8, 6, dtype=torch.float64)
    x[1] = 0.5 + 1e-5 * (x[1] - 0.5)  # its deviation is below 1 / sqrt(144) of 255
    x[2] = 0.1  # constant
    for ours, image in zip(Standardize()(x).numpy(), 255 * x.numpy(), strict=True):
        expected = (image - image.mean()) / max(np.std(image), 1 / np.sqrt(image.size))
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1), st.floats(0, 1))
def test_standardize_takes_brightness_and_contrast_away(seed, contrast, brightness):
    x = images(2, 3, 6, 6, seed=seed, dtype=torch.float64)
    other = contrast * x + brightness * (1 - contrast)
    torch.testing.assert_close(Standardize()(other), Standardize()(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("spread", [1, 1e-5, 0], ids=["ordinary", "below the floor", "constant"])
def test_gradients_flow_through_mean_and_deviation(spread):
    x = (0.5 + spread * (images(2, 2, 3, 3, dtype=torch.float64) - 0.5)).requires_grad_()
    assert torch.autograd.gradcheck(Standardize(), x, eps=1e-7)
    value = Standardize()(x)[0, 0, 0, 0]
    (gradient,) = torch.autograd.grad(value, x)
    assert (gradient[0] != 0).all()  # every pixel of the image, by way of the mean
    assert not gradient[1].any()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", [0, 0.1, 1])
def test_constant_images_give_finite_logits_and_gradients(name, value):
    model = build(name, width=0.1, in_channels=3, size=32, normalization="image").eval()
    x = torch.full((2, 3, 32, 32), float(value), requires_grad=True)
    logits = model(x)
    (gradient,) = torch.autograd.grad(logits.square().sum(), x)
    assert logits.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 0.01), (torch.bfloat16, 0.05)])
def test_standardize_keeps_coarse_types_and_does_not_under_or_overflow_in_them(dtype, bound):
    x = images(2, 3, 32, 32).round(decimals=1)
    x[1] = 0.5
    y = Standardize()(x.to(dtype))
    assert y.dtype == dtype
    torch.testing.assert_close(y[0].float(), Standardize()(x)[0], rtol=bound, atol=bound)
    assert not y[1].any()
    assert Standardize()(x[:0]).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("normalization", "channels", "layer"),
    [
        ("image", 2, Standardize()),
        ("mnist", 1, Normalize(0.1307, 0.3081)),
        ("cifar10", 3, Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))),
    ],
)
def test_normalization_is_a_layer_in_front_of_the_same_network(name, normalization, channels, layer):
    options = {"width": 0.1, "in_channels": channels, "size": 32}
    plain = build(name, normalization="none", **options).eval()
    normalised = build(name, normalization=normalization, **options).eval()
    x = images(2, channels, 32, 32)
    assert torch.equal(normalised(x), plain[1:](layer(x)))
    weights, more = plain.state_dict(), normalised.state_dict()
    assert all(torch.equal(more.pop(key), value) for key, value in weights.items())  # weights can be handed on
    assert list(more) == ([] if normalization == "image" else ["0.1.mean", "0.1.std"])


def test_the_papers_normalisation_is_the_default():
    firsts = {name: build(name, width=0.1)[0] for name in MODELS}
    kinds = {name: type(first[1]) if isinstance(first, nn.Sequential) else None for name, first in firsts.items()}
    assert kinds == {
        "stdcnn": None,
        "gcnn": None,
        "vgg16": Normalize,
        "gcnn_vgg16": Normalize,
        "madry_lenet": None,
        "madry_resnet": Standardize,
    }


def test_the_names_of_weights_on_record_stay_as_they_are():
    assert list(build("stdcnn").state_dict()) == [f"{i}.{kind}" for i in (1, 3, 6, 8, 12, 15) for kind in KINDS]
    assert list(build("gcnn").state_dict()) == [f"{i}.{kind}" for i in (1, 3, 6, 8, 12, 15) for kind in KINDS]
    assert list(build("madry_lenet").state_dict()) == [f"{i}.{kind}" for i in (1, 4, 8, 11) for kind in KINDS]


KINDS = ("weight", "bias")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"normalization": "cifar"},
            "normalization = 'cifar' is unknown; did you mean 'cifar10'?; choose one of none, image, mnist, cifar10",
        ),
        (
            {"normalization": None},
            "normalization = None is unknown; did you mean 'none'?; choose one of none, image, mnist, cifar10",
        ),
        (
            {"in_channels": 1, "normalization": "cifar10"},
            "normalization = 'cifar10' is for images with 3 channels, not in_channels = 1: "
            "choose one of image, none, mnist",
        ),
        (
            {"in_channels": 3, "normalization": "mnist"},
            "normalization = 'mnist' is for images with 1 channel, not in_channels = 3: "
            "choose one of image, none, cifar10",
        ),
        (
            {"in_channels": 2, "normalization": "mnist"},
            "normalization = 'mnist' is for images with 1 channel, not in_channels = 2: choose one of image, none",
        ),
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_a_normalisation_that_does_not_fit_is_refused_with_those_that_do(name, options, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        build(name, **options)
