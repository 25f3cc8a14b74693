"""The laws of the group layers: what turns and flips do to them, what they refuse, how their weights start."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from invrob.empirical import groups
from invrob.empirical.groups import GroupPool, P4ConvP4, P4ConvZ2, P4MConvP4M, P4MConvZ2, PlaneMaxPool2d
from invrob.errors import InputError

LAYERS = [P4ConvZ2, P4ConvP4, P4MConvZ2, P4MConvP4M]
TURN = {1: [0], 4: [3, 0, 1, 2], 8: [3, 0, 1, 2, 5, 6, 7, 4]}  # what a 90-degree turn does to the group axis
FLIP = {1: [0], 8: [4, 5, 6, 7, 0, 1, 2, 3]}

every_layer = pytest.mark.parametrize("layer_class", LAYERS, ids=lambda c: c.__name__)
laws = settings(deadline=None, max_examples=40)


def turn(x):
    """The action of a 90-degree turn on an image [N, C, H, W] or a feature map [N, C, S, H, W]."""
    return x.rot90(1, (-2, -1)) if x.ndim == 4 else x[:, :, TURN[x.shape[2]]].rot90(1, (-2, -1))


def flip(x):
    return x.flip(-2) if x.ndim == 4 else x[:, :, FLIP[x.shape[2]]].flip(-2)


def normal(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def input_for(layer, batch=2, height=7, width=7, seed=1):
    group = () if layer.s_in == 1 else (layer.s_in,)
    return normal(seed, batch, layer.in_channels, *group, height, width, dtype=layer.weight.dtype)


@st.composite
def layers_and_inputs(draw, layer_class):
    k, stride, padding = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 2))
    fitting = [side for side in range(1, 13) if side + 2 * padding >= k and (side + 2 * padding - k) % stride == 0]
    height, width = draw(st.sampled_from(fitting)), draw(st.sampled_from(fitting))
    layer = layer_class(draw(st.integers(1, 3)), draw(st.integers(1, 3)), k, stride, padding, draw(st.booleans()))
    seed = draw(st.integers(0, 2**32 - 1))
    layer.double()
    for i, parameter in enumerate(layer.parameters()):
        parameter.data = normal(seed + i, *parameter.shape)
    layer.train(draw(st.booleans())).requires_grad_(draw(st.booleans()))
    return layer, input_for(layer, draw(st.integers(0, 2)), height, width, seed)


@every_layer
@laws
@given(data=st.data())
def test_turning_the_input_turns_the_output_and_permutes_its_group_axis(layer_class, data):
    layer, x = data.draw(layers_and_inputs(layer_class))
    torch.testing.assert_close(layer(turn(x)), turn(layer(x)), rtol=0, atol=1e-10)
    if layer.order == 4:  # the law as the original library states it
        expected = layer(x).roll(1, 2).rot90(1, (-2, -1))
        torch.testing.assert_close(layer(turn(x)), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("layer_class", [P4MConvZ2, P4MConvP4M])
@laws
@given(data=st.data())
def test_flipping_the_input_flips_the_output_and_swaps_the_halves_of_its_group_axis(layer_class, data):
    layer, x = data.draw(layers_and_inputs(layer_class))
    torch.testing.assert_close(layer(flip(x)), flip(layer(x)), rtol=0, atol=1e-10)
    torch.testing.assert_close(layer(flip(turn(x))), flip(turn(layer(x))), rtol=0, atol=1e-10)


@every_layer
@laws
@given(data=st.data())
def test_the_untransformed_plane_is_the_ordinary_convolution_with_the_stored_weights(layer_class, data):
    layer, x = data.draw(layers_and_inputs(layer_class))
    planes = x if x.ndim == 4 else x.flatten(1, 2)
    expected = conv2d(planes, layer.weight.flatten(1, 2), layer.bias, layer.stride, layer.padding)
    torch.testing.assert_close(layer(x)[:, :, 0], expected, rtol=0, atol=1e-10)


@every_layer
@laws
@given(data=st.data())
def test_pooled_over_group_and_space_the_output_is_invariant(layer_class, data):
    layer, x = data.draw(layers_and_inputs(layer_class))
    moved = [turn(x), turn(turn(x))] + ([flip(x)] if layer.order == 8 else [])
    for reduce in ("max", "mean"):
        pool = GroupPool(reduce)
        for other in moved:
            torch.testing.assert_close(pool(layer(other)).amax((2, 3)), pool(layer(x)).amax((2, 3)), rtol=0, atol=1e-10)


@laws
@given(
    st.sampled_from([4, 8]), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0)
)
def test_pooling_commutes_with_turns_and_flips_to_the_bit(order, k, stride, rows, columns, seed):
    x = normal(seed % 2**32, 2, 3, order, k + stride * rows, k + stride * columns)
    pool = PlaneMaxPool2d(k, stride)
    assert torch.equal(pool(turn(x)), turn(pool(x)))
    assert torch.equal(GroupPool("max")(turn(x)), turn(GroupPool("max")(x)))
    if order == 8:
        assert torch.equal(pool(flip(x)), flip(pool(x)))
        assert torch.equal(GroupPool("max")(flip(x)), flip(GroupPool("max")(x)))


@every_layer
def test_the_error_of_a_stride_that_breaks_the_law_is_true_and_its_ways_out_work(layer_class):
    layer = layer_class(1, 2, 3, stride=2, padding=1).double()
    with pytest.raises(InputError) as caught:
        layer(input_for(layer, height=9, width=8))
    assert str(caught.value) == (
        f"stride 2 of {layer_class.__name__}(1, 2, kernel_size=3, stride=2, padding=1, bias=True) breaks equivariance "
        "at width 8: (8 + 2 * 1 - 3) mod 2 = 1, so the far border is left out but not the near one. "
        "Use width 7 or 9, kernel_size 4, or stride 1 followed by a pool that fits"
    )
    bank = groups.expand_filters(layer.weight, layer._index, layer.order)
    x = input_for(layer, height=8, width=8)

    def unchecked(x):
        y = conv2d(x if x.ndim == 4 else x.flatten(1, 2), bank, stride=2, padding=1)
        return y.unflatten(1, (2, layer.order))

    assert (unchecked(turn(x)) - turn(unchecked(x))).abs().max() > 1e-2  # the refusal is not for nothing
    for width in (7, 9):
        layer(input_for(layer, height=9, width=width))
    even = layer_class(1, 2, 4, stride=2, padding=1).double()
    torch.testing.assert_close(even(turn(x)), turn(even(x)), rtol=0, atol=1e-10)


def test_a_pool_that_would_cut_off_a_border_is_refused():
    with pytest.raises(InputError, match=r"breaks equivariance at height 7: .* Use height 6 or 8, kernel_size 3,"):
        PlaneMaxPool2d(2)(torch.zeros(1, 1, 4, 7, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": (3, 3)}, "kernel_size = (3, 3) must be one integer of at least 1"),
        ({"kernel_size": 0}, "kernel_size = 0 must be one integer of at least 1"),
        ({"in_channels": 2.0}, "in_channels = 2.0 must be one integer of at least 1"),
        ({"out_channels": True}, "out_channels = True must be one integer of at least 1"),
        ({"stride": 0}, "stride = 0 must be one integer of at least 1"),
        ({"padding": -1}, "padding = -1 must be one integer of at least 0"),
        ({"padding": "same"}, "padding = 'same' must be one integer of at least 0"),
    ],
)
def test_arguments_outside_their_range_are_named(arguments, message):
    with pytest.raises(InputError) as caught:
        P4ConvP4(**{"in_channels": 1, "out_channels": 1, "kernel_size": 3, **arguments})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (P4ConvZ2(2, 3, 3), (1, 1, 5, 5), "[N, 2, H, W]"),
        (P4ConvZ2(2, 3, 3), (2, 5, 5), "[N, 2, H, W]"),
        (P4ConvP4(2, 3, 3), (1, 2, 5, 5), "[N, 2, 4, H, W]"),
        (P4ConvP4(2, 3, 3), (1, 2, 8, 5, 5), "[N, 2, 4, H, W]"),
        (P4MConvP4M(2, 3, 3), (1, 2, 4, 5, 5), "[N, 2, 8, H, W]"),
        (PlaneMaxPool2d(2), (1, 2, 4, 4), "[N, C, S, H, W]"),
        (GroupPool(), (1, 2, 4, 4), "[N, C, S, H, W]"),
    ],
    ids=str,
)
def test_an_input_of_another_shape_is_refused_with_the_shape_expected(layer, shape, expected):
    with pytest.raises(InputError) as caught:
        layer(torch.zeros(shape))
    assert str(list(shape)) in str(caught.value)
    assert expected in str(caught.value)


def test_a_map_smaller_than_the_filter_is_refused():
    with pytest.raises(InputError, match=r"^width 2 \+ 2 \* padding 0 is less than kernel_size 3 of P4ConvZ2"):
        P4ConvZ2(1, 1, 3)(torch.zeros(1, 1, 5, 2))


def test_group_pool_knows_max_and_mean_only():
    with pytest.raises(InputError, match=r"^reduce = 'sum' must be 'max' or 'mean'$"):
        GroupPool("sum")


@every_layer
def test_weights_start_uniform_within_one_over_the_root_of_the_true_fan_in(layer_class):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = layer_class(8, 64, 3)
    bound = (8 * layer.s_in * 9) ** -0.5
    for parameter in (layer.weight, layer.bias):
        assert parameter.abs().max() <= bound
        assert parameter.abs().max() > 0.9 * bound
    assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


@every_layer
@pytest.mark.parametrize("kept", [False, True])
def test_memory_layout_of_the_input_does_not_matter(layer_class, kept):
    layer = layer_class(3, 4, 3).double()
    if kept:
        layer.eval().requires_grad_(False)
    x = input_for(layer)
    layouts = [x.mT.contiguous().mT, torch.stack([x, x + 1], -1)[..., 0], x[:1].expand(2, *x.shape[1:])]
    if x.ndim == 4:
        layouts.append(x.contiguous(memory_format=torch.channels_last))
    for other in layouts:
        assert not other.is_contiguous()
        torch.testing.assert_close(layer(other), layer(other.contiguous()))


def test_channels_last_goes_through_a_network_without_copies_of_the_maps():
    x = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    y = P4ConvZ2(3, 4, 3)(x)
    z = P4ConvP4(4, 5, 3)(y)
    for out in (y, z):
        assert out.flatten(1, 2).data_ptr() == out.data_ptr()
        assert out.flatten(1, 2).is_contiguous(memory_format=torch.channels_last)
