"""The filter bank that a group layer keeps: made once per set of weights, never stale, never in anyone's way."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from invrob.empirical import groups
from invrob.empirical.groups import P4ConvP4, P4ConvZ2, P4MConvP4M, P4MConvZ2

forward_mode = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own, on its first use


def input_for(layer):
    group = () if layer.s_in == 1 else (layer.s_in,)
    shape = (2, layer.in_channels, *group, 7, 7)
    return torch.randn(shape, dtype=layer.weight.dtype, generator=torch.Generator().manual_seed(1))


def fresh_output(layer, x):
    """What a new layer with these weights computes."""
    twin = type(layer)(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding)
    twin.to(layer.weight.dtype).load_state_dict(layer.state_dict())
    return twin(x).detach()


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


@pytest.mark.parametrize("layer_class", [P4ConvZ2, P4ConvP4, P4MConvZ2, P4MConvP4M])
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
