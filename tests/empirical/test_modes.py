"""Modes: a network is measured in eval mode as it understands that; its modes, buffers and weights come back."""

import copy
from functools import cache

import pytest
import torch
from torch import nn

import invrob
from invrob import PGD
from invrob.empirical.data import Split
from invrob.empirical.inference import evaluating, logits, set_training
from invrob.empirical.training import Recipe, train

IMAGES = torch.rand(6, 1, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


class Net(nn.Module):
    """With dropout and batch norm, whose modes matter."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop, self.last = seeded(
            lambda: (nn.Linear(36, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3))
        )
        self.norm.running_mean.copy_(torch.linspace(-0.1, 0.1, 16))

    def forward(self, x):
        return self.last(self.drop(self.norm(self.first(x.flatten(1))).relu()))


class Expanding(Net):
    """A steerable CNN in small: eval() expands what forward() then uses, train() takes it away."""

    def __init__(self):
        super().__init__()
        self.register_buffer("expanded", self._expand())

    def _expand(self):
        return 2 * self.first.weight.clone()

    def train(self, mode=True):
        if mode and hasattr(self, "expanded"):
            del self.expanded
        elif not mode and self.training:
            self.register_buffer("expanded", self._expand())
        return super().train(mode)

    def forward(self, x):
        weight = 2 * self.first.weight if self.training else self.expanded
        hidden = nn.functional.linear(x.flatten(1), weight, self.first.bias)
        return self.last(self.drop(self.norm(hidden).relu()))


class Merging(Net):
    """A low-rank update, merged in train(False) and taken out in train(True): up to rounding."""

    def __init__(self):
        super().__init__()
        self.low = nn.Parameter(seeded(lambda: torch.randn(16, 36)))
        self.merged = False

    def train(self, mode: bool = True):
        super().train(mode)
        if mode == self.merged:
            self.first.weight.data += (-1 if mode else 1) * self.low.data
            self.merged = not mode
        return self

    def forward(self, x):
        assert self.merged
        return super().forward(x)


class Deploying(Net):
    """Reparametrised in eval(): a module and a parameter go, others come; train() does not bring them back."""

    def eval(self):
        if "first" in self._modules:
            self.fused = nn.Linear(36, 16)
            self.fused.weight = nn.Parameter(3 * self.first.weight.detach())
            self.fused.bias = nn.Parameter(self.first.bias.detach())
            del self.first
        return super().eval()

    def forward(self, x):
        return self.last(self.drop(self.norm(self.fused(x.flatten(1))).relu()))


class Preparing(Net):
    """eval() alone is overridden, by a method that does not call that of nn.Module."""

    scale = None

    def eval(self):
        self.scale = torch.tensor(3.0)
        for part in self.children():
            part.train(False)
        return self

    def forward(self, x):
        return self.scale * super().forward(x)


class Freezing(Net):
    """train() leaves batch norm in eval mode, as detectors do."""

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


class Fitting(Net):
    """Its train() is what others call fit()."""

    fitted = 0

    def train(self, data, epochs=3):
        self.fitted += 1
        raise RuntimeError(f"{data} is no data set")


class FittingByDefault(Fitting):
    def train(self, epochs=3):
        self.fitted += 1


class Raising(Net):
    def train(self, mode=True):
        raise NotImplementedError("train() is not supported")


class Restless(Net):
    """Counts its calls in one buffer, and puts another tensor in the place of a second."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(36))

    def forward(self, x):
        self.calls += 1
        self.mean = 0.9 * self.mean + 0.1 * x.detach().flatten(1).mean(0)
        return super().forward(x)


def inside(network):
    """Behind a layer, as a user wraps it."""
    return nn.Sequential(nn.Identity(), network)


def around(network):
    """An owner with modes of its own around it."""
    outer = Expanding()
    outer.last = nn.Sequential(outer.last, nn.Unflatten(1, (1, 1, 3)), nn.ZeroPad2d((0, 33, 0, 0)), network)
    return outer


def compiled(network):
    return torch.compile(network, backend="eager")


NETWORKS = {
    "plain": Net,
    "expanding": Expanding,
    "expanding, behind a layer": lambda: inside(Expanding()),
    "expanding, in DataParallel": lambda: nn.DataParallel(Expanding()),
    "expanding, compiled": lambda: compiled(Expanding()),
    "merging": Merging,
    "deploying": Deploying,
    "deploying, behind a layer": lambda: inside(Deploying()),
    "preparing": Preparing,
    "preparing, behind a layer": lambda: inside(Preparing()),
    "freezing": Freezing,
    "fitting": Fitting,
    "fitting by default": FittingByDefault,
    "fitting, behind a layer": lambda: inside(Fitting()),
    "fitting, in a network that expands": lambda: around(Fitting()),
    "raising": Raising,
    "raising, behind a layer": lambda: inside(Raising()),
    "restless": Restless,
}
EVALUATED = {  # what each is like in eval mode
    "plain": lambda: Net().eval(),
    "expanding": lambda: Expanding().train().eval(),
    "merging": lambda: Merging().eval(),
    "deploying": lambda: Deploying().eval(),
    "preparing": lambda: Preparing().eval(),
    "freezing": lambda: Net().eval(),
    "fitting": lambda: Net().eval(),
    "raising": lambda: Net().eval(),
    "restless": lambda: Net().eval(),
}


def stopping(network, error):
    logits(network, IMAGES)
    raise error("stop")


def fitted(network):
    return [module.fitted for module in network.modules() if hasattr(module, "fitted")]


def held(network):
    """Every object that a network holds by name, its values, and its modes."""
    objects, values = [], []
    for name, module in network.named_modules():
        parts = {**module._parameters, **module._buffers, **module._modules}
        objects += [(name, key, id(part)) for key, part in parts.items()]
        objects += [(name, "training", module.training), (name, "names", sorted(vars(module)))]
        values += [(key, part.detach().clone()) for key, part in parts.items() if isinstance(part, torch.Tensor)]
    flags = [(p.requires_grad, id(p.grad)) for p in network.parameters()]
    return objects, flags, [*network.state_dict()], values


def assert_same(before, after):
    assert before[:3] == after[:3]
    for (name, old), (_, new) in zip(before[3], after[3], strict=True):
        assert torch.equal(old, new), name
        assert torch.equal(torch.signbit(old.float()), torch.signbit(new.float())), name


def mode_of(network, mode):
    if mode == "as built":
        return network
    if mode == "mixed":  # whatever its owner had in mind
        for index, module in enumerate(network.modules()):
            module.training = index % 2 == 0 or hasattr(module, "running_mean") or type(module).train != nn.Module.train
        return network
    set_training(network, mode == "train")
    return network


def rates_of(model):
    return invrob.robustness_profile(model, IMAGES, [0, 0.1, 0.4], LABELS, attack=PGD(steps=2), audit=0).to_dict()


@cache
def wanted_rates(kind):
    """Of that network in eval mode, asked as a function, which has no modes."""
    wanted = EVALUATED[kind]()
    return rates_of(lambda x: wanted(x))


@pytest.mark.parametrize("mode", ["as built", "train", "mixed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_measured_as_after_its_own_eval_and_comes_back_as_it_was(name, mode):
    network = mode_of(NETWORKS[name](), mode)
    before, kind = held(network), name.partition(",")[0].removesuffix(" by default")
    rates = rates_of(network)
    assert_same(before, held(network))
    assert not any(fitted(network))
    assert "in a network" in name or rates == wanted_rates(kind)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS.keys())
def test_it_comes_back_after_an_exception_as_well(build, error):
    network = build()
    before = held(network)
    with pytest.raises(error, match="stop"), evaluating(network):
        stopping(network, error)
    assert_same(before, held(network))


def test_a_network_that_is_in_eval_mode_is_not_switched_again():
    network, switched = Expanding().train().eval(), []
    network.eval = lambda: switched.append("eval")
    network.train = lambda mode=True: switched.append(mode)
    invrob.invariance_profile(network, IMAGES, [0, 90])
    assert switched == []


def test_the_network_takes_its_own_way_back():
    class Caching(Net):
        def __init__(self):
            super().__init__()
            self.cache = {}

        def eval(self):  # which leaves the flag alone
            self.cache["weight"] = self.first.weight.detach().clone()
            return self

        def train(self, mode=True):
            self.cache.clear()
            return super().train(mode)

    network = Caching()
    with evaluating(network):
        assert "weight" in network.cache
    assert network.cache == {}


def test_a_weight_of_minus_zero_comes_back_with_its_sign():
    network = Merging()
    network.low.data = torch.eye(16, 36)
    network.first.weight.data = -0.0 * torch.ones(16, 36)
    with evaluating(network):
        pass
    assert network.first.weight.signbit().all()


def test_frozen_weights_and_gradients_of_the_owner_stay():
    network = Merging()
    network.first.bias.requires_grad_(False)
    network.last.weight.grad = torch.ones(3, 16)
    before = held(network)
    with evaluating(network):
        assert not any(p.requires_grad for p in network.parameters())
    assert_same(before, held(network))
    assert network.last.weight.grad.eq(1).all()


def test_what_eval_makes_under_inference_mode_has_gradients():
    network = Expanding()
    with torch.inference_mode():
        images = IMAGES.clone()
        profile = invrob.robustness_profile(network, images, [0, 0.1], attack=PGD(steps=2), audit=0)
    assert not profile.sanity.zero_gradient


def test_a_lazy_network_stays_materialised():
    network = seeded(lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3), nn.LazyBatchNorm1d()))
    invrob.invariance_profile(network, IMAGES, [0, 90])
    assert network[1].weight.shape == (3, 36)
    assert network.training


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["scripted", "frozen", "exported", "compiled", "parallel"])
def test_networks_that_torch_has_wrapped_are_measured_like_the_network(kind):
    network = Net().eval()
    wrapped = {
        "scripted": lambda: torch.jit.script(network),
        "frozen": lambda: torch.jit.freeze(torch.jit.script(network)),
        "exported": lambda: torch.export.export(
            network, (IMAGES,), dynamic_shapes={"x": {0: torch.export.Dim.AUTO}}
        ).module(),
        "compiled": lambda: compiled(copy.deepcopy(network).train()),
        "parallel": lambda: nn.DataParallel(copy.deepcopy(network).train()),
    }[kind]()
    for profile in (
        lambda model: invrob.robustness_profile(model, IMAGES, [0, 0.1, 0.4], LABELS, attack=PGD(steps=3), audit=2),
        lambda model: invrob.invariance_profile(model, IMAGES, [0, 90], LABELS),
    ):
        assert profile(wrapped).to_dict() == profile(network).to_dict()
    assert getattr(wrapped, "training", None) is {"frozen": None, "compiled": True, "parallel": True}.get(
        kind, wrapped.training if kind != "frozen" else None
    )


@pytest.mark.parametrize("build", [Expanding, Freezing, Fitting, FittingByDefault], ids=lambda build: build.__name__)
def test_a_network_with_modes_of_its_own_is_trained(build):
    network, data = build(), Split(IMAGES, LABELS)
    before = network.first.weight.detach().clone()
    train(network, data, data, Recipe(epochs=2, batch_size=3, epsilon=0.1, attack_steps=1), seed=0)
    assert not network.training
    assert not any(fitted(network))
    assert not torch.equal(network.first.weight, before)
    if build is Expanding:
        assert torch.equal(network.expanded, 2 * network.first.weight)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("build", [Fitting, FittingByDefault, Raising], ids=lambda build: build.__name__)
def test_flags_are_set_where_train_is_another_method(build, training):
    network = build()
    set_training(network, not training)
    set_training(network, training)
    assert {module.training for module in network.modules()} == {training}
    assert not any(fitted(network))


def test_switching_calls_what_the_owner_has_written():
    network = Freezing()
    set_training(network, True)
    assert network.training
    assert not network.norm.training
