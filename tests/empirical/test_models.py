"""The networks: their sizes in the papers, and what `build` promises of all of them."""

import inspect
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob.empirical.groups import P4ConvP4, P4ConvZ2, PlaneMaxPool2d
from invrob.empirical.models import MODELS, build
from invrob.errors import InputError

NETWORKS = [
    ("stdcnn", {}),
    ("gcnn", {}),
    ("gcnn", {"head": "invariant"}),
    ("vgg16", {"width": 0.1}),
    ("gcnn_vgg16", {"width": 0.1}),
    ("gcnn_vgg16", {"width": 0.1, "head": "invariant"}),
    ("madry_lenet", {}),
    ("madry_resnet", {"width": 0.25}),
]
every_network = pytest.mark.parametrize(
    ("name", "options"), NETWORKS, ids=[f"{name} {options.get('head', '')}".rstrip() for name, options in NETWORKS]
)


def images(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def images_for(name, n):
    usual = inspect.signature(MODELS[name]).parameters
    return images(n, usual["in_channels"].default, usual["size"].default, usual["size"].default)


def parameters_of(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("stdcnn", {}, 23_010),
        ("gcnn", {"head": "flatten"}, 89_910),
        ("gcnn", {}, 89_910),
        ("gcnn", {"head": "invariant"}, 25_350 + 20 * 50 + 50 + 50 * 10 + 10),
        ("madry_lenet", {}, 3_274_634),
        ("vgg16", {}, 14_728_266),
        ("gcnn_vgg16", {}, 14_726_186),
        ("gcnn_vgg16", {"head": "invariant"}, 14_718_506),
        ("madry_resnet", {}, 464_154),
        ("madry_resnet", {"width": 10}, 45_901_914),
        ("madry_lenet", {"width": 0.25}, 8 * 26 + 16 * (8 * 25 + 1) + 256 * (16 * 49 + 1) + 10 * 257),
    ],
)
def test_parameter_counts_are_those_of_the_papers(name, options, count):
    assert parameters_of(build(name, **options)) == count


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        ("stdcnn", [(10, 26, 26), (10, 24, 24), (10, 12, 12), (20, 10, 10), (20, 8, 8), (20, 4, 4), (50,), (10,)]),
        (
            "gcnn",
            [
                *[(10, 4, 26, 26), (10, 4, 24, 24), (10, 4, 12, 12)],
                *[(20, 4, 10, 10), (20, 4, 8, 8), (20, 4, 4, 4), (50,), (10,)],
            ],
        ),
        ("madry_lenet", [(32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7), (1024,), (10,)]),
    ],
)
def test_feature_maps_have_the_sizes_of_table_1(name, maps):
    sized = (nn.Conv2d, nn.MaxPool2d, nn.Linear, P4ConvZ2, P4ConvP4, PlaneMaxPool2d)
    x, seen = images(2, 1, 28, 28), []
    for layer in build(name):
        x = layer(x)
        if isinstance(layer, sized):
            seen.append(tuple(x.shape[1:]))
    assert seen == maps


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(NETWORKS),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(2, 12),
    st.integers(16, 41),
    st.sampled_from([0.05, 0.25, 0.5]),
)
def test_every_option_gives_logits_of_the_asked_shape(network, batch, in_channels, classes, size, width):
    name, options = network
    size += -size % {"gcnn": 4, "madry_resnet": 4, "vgg16": 32, "gcnn_vgg16": 32}.get(name, 1)
    width *= options.get("width", 1)
    own = {"in_channels": in_channels, "classes": classes, "size": size, "width": width, "normalization": "image"}
    model = build(name, **{**options, **own}, dropout=0.1).eval()  # batch norm cannot train on a single pixel
    assert model(images(batch, in_channels, size, size)).shape == (batch, classes)


@every_network
def test_the_same_seed_gives_the_same_bits_and_another_seed_other_weights(name, options):
    first, again, other = (dict(build(name, seed=seed, **options).named_parameters()) for seed in (5, 5, 6))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(value, other[key]) for key, value in first.items() if value.ndim > 1)


@every_network
def test_building_leaves_the_random_state_as_it_was_and_does_not_depend_on_it(name, options):
    expected = build(name, **options).state_dict()
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        before = torch.get_rng_state()
        model = build(name, **options)
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


def test_a_model_is_built_on_the_cpu_under_any_default_device():
    with torch.device("meta"):
        model = build("gcnn")
    assert model(images(1, 1, 28, 28)).device.type == "cpu"


@every_network
def test_gradients_reach_every_parameter_and_the_images(name, options):
    model = build(name, dropout=0, **options).eval()  # in train mode batch norm takes the biases before it away
    x = images_for(name, 16).requires_grad_()
    nn.functional.cross_entropy(model(x), torch.arange(16) % 10).backward()
    assert x.grad.abs().max() > 0
    for parameter in model.parameters():
        assert parameter.grad.abs().max() > 0


@every_network
def test_eval_mode_is_deterministic_and_the_output_is_logits(name, options):
    model = build(name, **options).eval()
    x = images_for(name, 8)
    assert torch.equal(model(x), model(x))
    assert not torch.allclose(model(x).sum(1), torch.ones(8))  # not probabilities
    assert not torch.allclose(model(x).exp().sum(1), torch.ones(8))  # not their logarithms


@every_network
def test_dropout_is_one_half_in_the_networks_of_table_1_and_absent_in_the_others(name, options):
    active = name in ("stdcnn", "gcnn")
    model, x = build(name, **options), images_for(name, 4)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == ([0.5] if active else [0.0])
    with torch.random.fork_rng():
        assert torch.equal(model(x), model(x)) != active


@every_network
def test_a_state_dict_makes_another_seed_the_same_model(name, options):
    model, twin = build(name, seed=1, **options).eval(), build(name, seed=2, **options).eval()
    x = images_for(name, 4)
    with torch.no_grad():
        twin(x)  # with filters kept from the old weights
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin(x), model(x))


@every_network
def test_images_in_channels_last_order_give_the_same_logits(name, options):
    model, x = build(name, **options).double().eval(), images_for(name, 4).double()
    torch.testing.assert_close(model(x.contiguous(memory_format=torch.channels_last)), model(x), rtol=0, atol=1e-12)


def test_lenet_starts_with_weights_normal_within_two_deviations_and_biases_one_tenth():
    for name, value in build("madry_lenet").named_parameters():
        if name.endswith("bias"):
            assert torch.equal(value, torch.full_like(value, 0.1))
        else:
            assert value.abs().max() <= 0.2
            # the standard deviation of a normal cut at two of its own is 0.8796 times its own
            assert value.std().item() == pytest.approx(0.08796, rel=0.05)
            assert value.mean().item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "stdcn",
            {},
            f"model 'stdcn' is unknown; did you mean 'stdcnn'?; choose one of {', '.join(MODELS)}, "
            "or pass your own nn.Module where a model is asked for",
        ),
        (
            "stdcnn",
            {"widht": 2},
            "option 'widht' of model 'stdcnn' is unknown; did you mean 'width'?; "
            "its options are in_channels, classes, size, width, dropout, normalization",
        ),
        (
            "gcnn",
            {"head": "invariance"},
            "head = 'invariance' is unknown; did you mean 'invariant'?; choose one of flatten, invariant",
        ),
        (
            "gcnn",
            {"size": 30},
            "size = 30 must be a multiple of 4 of at least 16: on other sizes a 2x2 pool meets an odd map and breaks "
            "the 90-degree symmetry; pad or resize the images to 32",
        ),
        (
            "stdcnn",
            {"size": 15},
            "size = 15 must be at least 16: four valid 3x3 convolutions and two pools leave no pixel",
        ),
        ("gcnn", {"classes": 1}, "classes = 1 must be an integer of at least 2"),
        ("madry_lenet", {"size": 28.0}, "size = 28.0 must be an integer of at least 1"),
        ("madry_lenet", {"seed": -1}, "seed = -1 must be an integer in [0, 2^64)"),
        *[
            (
                "stdcnn",
                {"width": width},
                f"width = {width!r} must be a finite number above 0: 1 is the paper's, 0.25 a quarter of its channels",
            )
            for width in (float("nan"), float("inf"), 0, "1")
        ],
        ("stdcnn", {"dropout": 1}, "dropout = 1 must be a number in [0, 1): 0 switches it off"),
        ("stdcnn", {"dropout": float("nan")}, "dropout = nan must be a number in [0, 1): 0 switches it off"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_way_out(name, options, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        build(name, **options)


@every_network
@pytest.mark.parametrize("wrong", ["[N, S, S]", "channels", "size", "flat"])
def test_images_of_another_shape_are_refused_with_the_one_the_model_expects(name, options, wrong):
    x = images_for(name, 2)
    _, c, size, _ = x.shape
    x = {"[N, S, S]": x[:, 0], "channels": x.repeat(1, 2, 1, 1), "size": x[..., 1:], "flat": x.flatten(1)}[wrong]
    message = f"images {[*x.shape]} must be [N, {c}, {size}, {size}]"
    with pytest.raises(InputError, match=f"^{re.escape(message)}: reshape them, or build the model with other"):
        build(name, **options)(x)


@every_network
def test_images_that_are_no_floats_are_refused(name, options):
    message = re.escape("images are torch.uint8: this model takes floats in [0, 1], so pass x / 255")
    with pytest.raises(InputError, match=f"^{message}$"):
        build(name, **options)(images_for(name, 2).to(torch.uint8))
