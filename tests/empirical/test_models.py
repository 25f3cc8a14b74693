"""The networks: their sizes in the paper, what `build` promises, and what a 90-degree turn does to them."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob.empirical import groups
from invrob.empirical.groups import GroupPool, P4ConvP4, P4ConvZ2, PlaneMaxPool2d
from invrob.empirical.models import MODELS, Normalize, build
from invrob.errors import InputError

NETWORKS = [("stdcnn", {}), ("gcnn", {}), ("gcnn", {"head": "invariant"}), ("madry_lenet", {})]
every_network = pytest.mark.parametrize(
    ("name", "options"), NETWORKS, ids=["stdcnn", "gcnn flatten", "gcnn invariant", "madry_lenet"]
)


def images(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


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
    size -= size % 4 if name == "gcnn" else 0
    options = {**options, "in_channels": in_channels, "classes": classes, "size": size, "width": width}
    model = build(name, **options, dropout=0.1)
    assert model(images(batch, in_channels, size, size)).shape == (batch, classes)


@every_network
def test_the_same_seed_gives_the_same_bits_and_another_seed_other_weights(name, options):
    first, again, other = (build(name, seed=seed, **options).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first if key.endswith("weight"))


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
    model = build(name, dropout=0, **options)
    x = images(16, 1, 28, 28).requires_grad_()
    nn.functional.cross_entropy(model(x), torch.arange(16) % 10).backward()
    assert x.grad.abs().max() > 0
    for parameter in model.parameters():
        assert parameter.grad.abs().max() > 0


@every_network
def test_eval_mode_is_deterministic_and_the_output_is_logits(name, options):
    model = build(name, **options).eval()
    x = images(8, 1, 28, 28)
    assert torch.equal(model(x), model(x))
    assert not torch.allclose(model(x).sum(1), torch.ones(8))  # not probabilities
    assert not torch.allclose(model(x).exp().sum(1), torch.ones(8))  # not their logarithms


@pytest.mark.parametrize(("name", "active"), [("stdcnn", True), ("gcnn", True), ("madry_lenet", False)])
def test_dropout_is_one_half_in_the_networks_of_table_1_and_absent_in_madrys(name, active):
    dropout = [m.p for m in build(name).modules() if isinstance(m, nn.Dropout)]
    assert dropout == ([0.5] if active else [0.0])
    model, x = build(name), images(4, 1, 28, 28)
    with torch.random.fork_rng():
        assert torch.equal(model(x), model(x)) != active


@every_network
def test_a_state_dict_makes_another_seed_the_same_model(name, options):
    model, twin = build(name, seed=1, **options).eval(), build(name, seed=2, **options).eval()
    x = images(4, 1, 28, 28)
    with torch.no_grad():
        twin(x)  # with filters kept from the old weights
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin(x), model(x))


@pytest.mark.parametrize("head", ["flatten", "invariant"])
def test_kept_filters_give_the_logits_of_train_mode(head):
    model = build("gcnn", head=head, dropout=0)
    x = images(4, 1, 28, 28)
    expected = model(x)
    model.eval().requires_grad_(False)
    for _ in range(2):
        assert torch.equal(model(x), expected)
    model.train().requires_grad_(True)
    assert torch.equal(model(x), expected)


def test_an_attack_of_k_steps_expands_each_filter_bank_once(monkeypatch):
    calls = []
    expand = groups.expand_filters
    monkeypatch.setattr(groups, "expand_filters", lambda *args: calls.append(args) or expand(*args))
    model = build("gcnn").eval().requires_grad_(False)
    x = images(4, 1, 28, 28)
    for _ in range(5):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(model(x).square().sum(), x)
        x = (x + 0.1 * gradient.sign()).detach()
    assert len(calls) == 4


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([16, 20, 28, 32]), st.sampled_from([0.2, 1]), st.sampled_from([1, 2, 3])
)
def test_turns_permute_the_trunk_of_gcnn_and_leave_invariant_logits_alone(seed, size, width, turns):
    x = images(2, 1, size, size, seed=seed, dtype=torch.float64)
    turned = x.rot90(turns, (2, 3))
    model = build("gcnn", head="invariant", seed=seed, size=size, width=width).double().eval()
    pool = next(i for i, layer in enumerate(model) if isinstance(layer, GroupPool))
    trunk = model[:pool]
    torch.testing.assert_close(trunk(turned), trunk(x).roll(turns, 2).rot90(turns, (3, 4)), rtol=0, atol=1e-12)
    torch.testing.assert_close(model(turned), model(x), rtol=0, atol=1e-12)


def test_the_flatten_head_of_the_paper_is_not_invariant():
    model = build("gcnn", head="flatten").double().eval()
    x = images(8, 1, 28, 28, dtype=torch.float64)
    assert (model(x.rot90(1, (2, 3))) - model(x)).abs().max() > 1e-3


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
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.zeros(2, 28, 28), "images [2, 28, 28] must be [N, 1, 28, 28]"),
        (torch.zeros(2, 3, 28, 28), "images [2, 3, 28, 28] must be [N, 1, 28, 28]"),
        (torch.zeros(2, 1, 32, 32), "images [2, 1, 32, 32] must be [N, 1, 28, 28]"),
        (torch.zeros(2, 784), "images [2, 784] must be [N, 1, 28, 28]"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), "images are torch.uint8: this model takes floats in [0, 1]"),
    ],
    ids=lambda value: "" if isinstance(value, torch.Tensor) else value,
)
def test_images_that_a_model_cannot_take_are_refused_with_what_it_expects(name, options, wrong, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        build(name, **options)(wrong)


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
