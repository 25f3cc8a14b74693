"""The laws of the group layers, and of the filter bank that they keep."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.nn.functional import conv2d

from invrob.empirical import groups
from invrob.empirical.groups import GroupPool, P4ConvP4, P4ConvZ2, P4MConvP4M, P4MConvZ2, PlaneMaxPool2d
from invrob.errors import InputError

LAYERS = [P4ConvZ2, P4ConvP4, P4MConvZ2, P4MConvP4M]
TURN = {1: [0], 4: [3, 0, 1, 2], 8: [3, 0, 1, 2, 5, 6, 7, 4]}  # what a 90-degree turn does to the group axis
FLIP = {1: [0], 8: [4, 5, 6, 7, 0, 1, 2, 3]}

every_layer = pytest.mark.parametrize("layer_class", LAYERS, ids=lambda c: c.__name__)
forward_mode = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own, on its first use
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


def fresh_output(layer, x):
    """What a new layer with these weights computes."""
    twin = type(layer)(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding)
    twin.to(layer.weight.dtype).load_state_dict(layer.state_dict())
    return twin(x).detach()


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


# The filter bank


@pytest.fixture
def expansions(monkeypatch):
    """The calls of expand_filters so far."""
    calls = []
    expand = groups.expand_filters

    def counted(*args):
        calls.append(args)
        return expand(*args)

    monkeypatch.setattr(groups, "expand_filters", counted)
    return calls


def frozen(layer_class=P4ConvP4, *args):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return layer_class(*(args or (2, 3, 3))).eval().requires_grad_(False)


@every_layer
def test_an_attack_of_k_steps_expands_once(layer_class, expansions):
    layer = frozen(layer_class)
    x = input_for(layer)
    for _ in range(5):
        layer.eval()  # as every call of an attack does
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(layer(x).square().sum(), x)
        assert gradient.abs().max() > 0
        x = x + 0.1 * gradient.sign()
    assert len(expansions) == 1
    assert torch.equal(layer(x), fresh_output(layer, x))


def test_under_no_grad_trainable_weights_expand_once(expansions):
    layer = P4ConvP4(2, 3, 3).eval()
    with torch.no_grad():
        for _ in range(3):
            layer(input_for(layer))
    assert len(expansions) == 1


def test_training_expands_at_every_step(expansions):
    layer = P4ConvP4(2, 3, 3)
    layer(input_for(layer))
    layer(input_for(layer))
    assert len(expansions) == 2


def sgd_step(layer):
    layer.requires_grad_(True)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(input_for(layer)).square().sum().backward()
    optimizer.step()
    layer.requires_grad_(False)


def load_others(layer, **options):
    layer.load_state_dict({k: v + 1 for k, v in layer.state_dict().items()}, **options)


def assign_data(layer):
    for _ in range(3):  # so that the allocator may hand out the old address again
        layer.weight.data = layer.weight.data + 1


def write_one_entry(layer):
    layer.weight.data[-1, -1, -1, -1, -1] += 1e-3


def replace_parameter(layer):
    layer.weight = nn.Parameter(layer.weight + 1, requires_grad=False)


CHANGES = {
    "optimizer step": sgd_step,
    "load_state_dict": load_others,
    "load_state_dict(assign=True)": lambda layer: load_others(layer, assign=True),
    "weight.data =": assign_data,
    "weight.data.copy_": lambda layer: layer.weight.data.copy_(layer.weight.flip(0) * 2),
    "weight.data[...] +=": write_one_entry,
    "weight.add_ in place": lambda layer: layer.weight.add_(1),
    "weight = Parameter": replace_parameter,
    "reset_parameters": lambda layer: layer.reset_parameters(),
    "numpy memory": lambda layer: layer.weight.numpy().__imul__(2),
    "double": lambda layer: layer.double(),
    "bfloat16": lambda layer: layer.bfloat16(),
    "train and back": lambda layer: layer.train().eval(),
    "nan": lambda layer: layer.weight.fill_(float("nan")),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("layer_class", [P4ConvZ2, P4MConvP4M])
def test_kept_filters_are_never_stale(layer_class, change):
    layer = frozen(layer_class)
    layer(input_for(layer))
    CHANGES[change](layer)
    x = input_for(layer)
    for _ in range(2):
        torch.testing.assert_close(layer(x), fresh_output(layer, x), rtol=0, atol=0, equal_nan=True)


def test_eval_mode_with_trainable_weights_still_gives_their_gradient():
    layer = frozen()
    x = input_for(layer)
    layer(x)
    layer.requires_grad_(True)
    kept, twin = layer(x), copy.deepcopy(layer).train()
    kept.square().sum().backward()
    twin(x).square().sum().backward()
    assert layer.weight.grad.abs().max() > 0
    assert torch.equal(layer.weight.grad, twin.weight.grad)
    assert torch.equal(layer.bias.grad, twin.bias.grad)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_and_pickles_leave_the_kept_filters_behind(duplicate):
    layer = frozen()
    x = input_for(layer)
    expected = layer(x)
    twin = duplicate(layer)
    assert twin._bank is None
    assert torch.equal(twin(x), expected)
    twin.weight = nn.Parameter(twin.weight * 2, requires_grad=False)
    assert torch.equal(twin(x), fresh_output(twin, x))


def test_the_state_dict_is_weight_and_bias_before_and_after():
    layer = frozen()
    layer(input_for(layer))
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert list(frozen(P4ConvZ2, 1, 1, 3, 1, 0, False).state_dict()) == ["weight"]


def test_filters_first_used_in_inference_mode_serve_an_attack_later(expansions):
    layer = frozen()
    with torch.inference_mode():
        layer(input_for(layer))
    x = input_for(layer).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x).sum(), x)
    assert gradient.abs().max() > 0
    assert len(expansions) == 1


def test_functional_call_sees_the_weights_that_it_is_given():
    layer = frozen()
    x = input_for(layer)
    before = layer(x)
    other = {name: value * 2 for name, value in layer.state_dict().items()}
    torch.testing.assert_close(torch.func.functional_call(layer, other, x), 2 * before)
    assert torch.equal(layer(x), before)


def test_a_stack_of_models_under_vmap_equals_the_models_one_by_one():
    models = [frozen(), P4ConvP4(2, 3, 3).eval().requires_grad_(False)]
    x = input_for(models[0])
    expected = torch.stack([model(x) for model in models])
    weights, buffers = torch.func.stack_module_state(models)
    base = models[0]
    stacked = torch.vmap(lambda w, b: torch.func.functional_call(base, (w, b), (x,)))(weights, buffers)
    torch.testing.assert_close(stacked, expected)
    assert torch.equal(base(x), expected[0])


@forward_mode
def test_functional_gradients_are_those_of_autograd_and_leave_nothing_behind():
    layer = frozen()
    x = input_for(layer)
    by_images = torch.func.grad(lambda v: layer(v).square().sum())(x)
    weights = dict(layer.named_parameters())
    by_weights = torch.func.grad(lambda w: torch.func.functional_call(layer, w, x).square().sum())(weights)
    twin = copy.deepcopy(layer).requires_grad_(True)
    images = x.clone().requires_grad_()
    twin(images).square().sum().backward()
    torch.testing.assert_close(by_images, images.grad)
    torch.testing.assert_close(by_weights["weight"], twin.weight.grad)
    unused = frozen()  # it makes its filters inside the transform
    for _ in range(2):
        torch.func.hessian(lambda v: unused(v).square().sum())(x[:1])
        assert torch.equal(layer(x), fresh_output(layer, x))
        assert torch.equal(unused(x), fresh_output(unused, x))


@forward_mode
def test_forward_mode_derivatives_by_the_weights_are_not_mixed_up():
    layer, x = frozen(), input_for(frozen())
    weight, bias = layer.weight.detach(), layer.bias.detach()
    del layer.weight, layer.bias
    with forward_ad.dual_level():
        for scale in (1, 2):  # equal weights, another direction
            layer.weight, layer.bias = forward_ad.make_dual(weight, scale * weight), bias
            tangent = forward_ad.unpack_dual(layer(x)).tangent
            torch.testing.assert_close(tangent, scale * (layer(x) - bias[:, None, None, None]))


def test_a_run_on_fake_tensors_leaves_nothing_behind():
    layer, x = frozen(), input_for(frozen())
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert layer(x).shape == (2, 3, 4, 5, 5)
    assert torch.equal(layer(x), fresh_output(layer, x))


def test_autocast_keeps_the_filters_in_the_dtype_of_the_weights():
    layer = frozen()
    x = input_for(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first, second = layer(x), layer(x)
    assert first.dtype == torch.bfloat16
    assert torch.equal(first, second)
    assert torch.equal(layer(x), fresh_output(layer, x))


def test_a_compiled_layer_follows_its_weights():
    layer = frozen()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    x = input_for(layer)
    torch.testing.assert_close(compiled(x), layer(x))
    layer.weight.data.mul_(2)
    torch.testing.assert_close(compiled(x), fresh_output(layer, x))


def test_shapes_can_be_computed_on_the_meta_device():
    layer = frozen(P4MConvP4M).to("meta")
    for _ in range(2):
        assert layer(torch.empty(5, 2, 8, 6, 7, device="meta")).shape == (5, 3, 8, 4, 5)
