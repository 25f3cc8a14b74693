"""How a model is asked: with a copy that it may destroy, in its dtype and its number, for the logits in its outputs."""

import copy
import dataclasses
import importlib
import inspect
import logging
import pkgutil
from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import invrob
from invrob import PGD, InputError, Rotation, Square, Weak, WorstOf
from invrob.empirical import attacks, inference, profiles, training
from invrob.empirical.data import Split, load
from invrob.empirical.execution.cost import measured_speed
from invrob.empirical.experiments import Experiment
from invrob.empirical.inference import evaluating, logits, logits_note
from invrob.empirical.inference import outputs as returned

IMAGES = torch.rand(6, 1, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
LINF = attacks.norm_named("linf")
RADIUS = torch.full((6,), 0.1, dtype=torch.float64)


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def linear():
    return seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3)))


class Clean(nn.Module):
    """Normalises, cuts and bends its images, and leaves them alone."""

    def __init__(self):
        super().__init__()
        self.net = linear()

    def forward(self, x):
        return self.net(((x - 0.4) / 0.3).clamp(-1, 1.5).relu())


class Destroying(Clean):
    """The same in place."""

    def forward(self, x):
        x.sub_(0.4).div_(0.3).clamp_(-1, 1.5)
        z = self.net(torch.relu_(x))
        if not torch.is_grad_enabled():  # a gradient needs the values that a layer has seen
            x.fill_(float("nan"))
        return z


def generator():
    return torch.Generator().manual_seed(0)


def asked(call):
    """A door that must be inside `evaluating`."""

    def door(model):
        with evaluating(model):
            return call(model)

    return door


def searched(model):
    search = attacks.search.begin(model, IMAGES, torch.tensor([0.1, 0.3], dtype=torch.float64), LINF)
    attacks.search.run(search, steps=3, restarts=2, generator=generator())
    attacks.aim_where_it_helps(search)
    attacks.strengthen(search, 50.0, 0.02, 3, generator())
    audited = attacks.audit(search, torch.arange(2), generator())
    return search.perturbed, search.fooled, audited.before, attacks.judge(search, torch.arange(6), None, 3, generator())


def trained(train):
    """A door that trains a copy; what comes of it and the weights."""

    def door(model):
        network = copy.deepcopy(model)
        data = Split(IMAGES, LABELS)
        return train(network, data), [p.detach() for p in network.parameters()]

    return door


FAST = training.Recipe(epochs=2, batch_size=4, epsilon=0.1, attack_steps=2, rotation=20)
DOORS = {
    "invariance_profile": lambda m: [
        invrob.invariance_profile(m, IMAGES, [0, 40], LABELS, against=against)
        for against in ("average", "worst-of-3", "grid")
    ],
    "worst_case_profile": lambda m: invrob.worst_case_profile(m, IMAGES, [0, 40], LABELS, against=WorstOf(2)),
    "robustness_profile": lambda m: [
        invrob.robustness_profile(m, IMAGES, [0, 0.1, 0.3], LABELS, attack=attack, audit=2)
        for attack in ("auto", PGD(steps=3, restarts=2), Square(5), Weak("paper"))
    ],
    "black_box_profile": lambda m: invrob.black_box_profile(m, IMAGES, [0, 0.1], LABELS, attack=Square(4)),
    "tradeoff": lambda m: invrob.tradeoff(m, IMAGES, LABELS, epsilons=[0, 0.1], thetas=[0, 90], attack=PGD(steps=2)),
    "quarter_turn_consistency": lambda m: profiles.quarter_turn_consistency(m, IMAGES),
    "pgd": lambda m: attacks.pgd(m, IMAGES, 0.1, labels=LABELS, steps=3, restarts=2),
    "fgsm": lambda m: attacks.fgsm(m, IMAGES, 0.1),
    "apgd": asked(lambda m: attacks.apgd(m, IMAGES, LABELS, RADIUS, LINF, loss="dlr", steps=4, generator=generator())),
    "square": asked(lambda m: attacks.square(m, IMAGES, LABELS, RADIUS, LINF, queries=4, generator=generator())),
    "findings": asked(lambda m: attacks.findings(m, IMAGES, False)),
    "all_logits": asked(lambda m: inference.all_logits(m, IMAGES)),
    "predict": asked(lambda m: inference.predict(m, IMAGES)),
    "logits": asked(lambda m: logits(m, IMAGES)),
    "called": asked(lambda m: inference.called(m, IMAGES)),
    "logits_note": lambda m: logits_note(m, IMAGES),
    "checked_labels": asked(lambda m: inference.checked_labels(LABELS, IMAGES, m)),
    "in_pieces": asked(lambda m: inference.in_pieces(m, IMAGES, lambda piece: logits(m, IMAGES[piece]))),
    "suited_threads": lambda m: inference.suited_threads(m, IMAGES).__enter__(),
    "train": trained(lambda m, data: training.train(m, data, data, FAST, seed=0)),
    "train_stack": trained(
        lambda m, data: training.train_stack([m, linear_like(m)], data, data, [FAST] * 2, seeds=[0, 1])
    ),
}
OTHERS = {  # that are no functions on a face with an argument `model`
    "trades": trained(
        lambda m, data: training.train(m, data, data, FAST.model_copy(update={"trades_beta": 1.0}), seed=0)
    ),
    "trades before its attack begins": trained(
        lambda m, data: training.train(
            m, data, data, FAST.model_copy(update={"trades_beta": 1.0, "epsilon": 0.0}), seed=0
        )
    ),
    "attack in train mode": trained(
        lambda m, data: training.train(m, data, data, FAST.model_copy(update={"batch_norm_in_attack": "train"}), seed=0)
    ),
    "search": asked(searched),
    "Measurement": lambda m: profiles.Measurement("i", (0.0, 90.0), over=Rotation()).measure(m, IMAGES, LABELS),
    "Counted": lambda m: asked(lambda c: [c(IMAGES), logits(c, IMAGES)])(profiles.Counted(m, lambda passes: None)),
    "FixedBatch": lambda m: attacks.fgsm(inference.FixedBatch(m, 4), IMAGES, 0.1),
    "L2": lambda m: invrob.robustness_profile(m, IMAGES, [0, 0.5], norm="l2", audit=2),
}
NEVER_ASK = {
    "channels_last",
    "evaluating",
    "floating_dtypes",
    "is_own",
    "set_training",
    "stackable",
    "weights_fingerprint",
}


def linear_like(model):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.net[1].weight.mul_(0.5)
    return other


def public_functions_with_a_model():
    rooms = pkgutil.iter_modules(importlib.import_module("invrob.empirical").__path__)
    faces = [invrob, *(importlib.import_module(f"invrob.empirical.{room.name}") for room in rooms)]
    found = set()
    for face in faces:
        for name in getattr(face, "__all__", ()):
            if inspect.isfunction(named := getattr(face, name)):
                parameters = inspect.signature(named).parameters
                asks = "model" in parameters or name == "train_stack"
                found |= {name} if asks else set()
    return found


def test_no_public_function_that_takes_a_model_is_missing_here():
    assert public_functions_with_a_model() - NEVER_ASK == set(DOORS)


def plain(result):
    """Numbers and words of a result, to be compared bit for bit."""
    if isinstance(result, (torch.Tensor, np.ndarray)):
        return [
            str(result.dtype),
            *np.asarray(result.detach() if isinstance(result, torch.Tensor) else result).tolist(),
        ]
    if hasattr(result, "to_dict"):
        return result.to_dict()
    if dataclasses.is_dataclass(result):
        return {field.name: plain(getattr(result, field.name)) for field in dataclasses.fields(result)}
    return [plain(part) for part in result] if isinstance(result, (list, tuple)) else result


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # of vmap, for clamp_
@pytest.mark.parametrize("door", (DOORS | OTHERS).values(), ids=(DOORS | OTHERS).keys())
def test_a_model_that_destroys_its_images_gives_the_numbers_of_one_that_does_not(door):
    before, labels, threads = IMAGES.clone(), LABELS.clone(), torch.get_num_threads()
    try:
        assert plain(door(Destroying())) == plain(door(Clean()))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(IMAGES, before)
    assert torch.equal(LABELS, labels)


def test_a_model_may_ask_for_gradients_of_its_images():
    class Wanting(Clean):
        def forward(self, x):
            return super().forward(x.requires_grad_())

    profiles = [invrob.robustness_profile(model, IMAGES, [0, 0.1], audit=2) for model in (Wanting(), Clean())]
    assert profiles[0].to_dict() == profiles[1].to_dict()
    assert not IMAGES.requires_grad


def test_the_plan_of_a_run_survives_a_model_that_destroys_its_images():
    dataset = load("mnist-mini")
    cell = Experiment(dataset="mnist-mini", models=["stdcnn"]).cells(dataset.fingerprint)[0]
    model, before = Destroying(), dataset.train.images.clone()
    model.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    assert measured_speed(model, cell, dataset, torch.device("cpu")).forward > 0
    assert torch.equal(dataset.train.images, before)


# ---- dtypes

DTYPES = [torch.float16, torch.bfloat16, torch.float64]


def convolutional(dtype=torch.float32):
    layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    return seeded(lambda: nn.Sequential(*layers)).eval().to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("wrapped", [False, True], ids=["module", "function"])
def test_a_network_of_another_dtype_is_measured_in_it(dtype, wrapped):
    network = convolutional(dtype)
    model = (lambda x: network(x)) if wrapped else network
    reference = lambda x: network(x.to(dtype)).to(torch.promote_types(dtype, torch.float32))  # noqa: E731
    with inference.suited_threads(model, IMAGES), evaluating(model):
        answers = logits(model, IMAGES)
    assert answers.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(answers, reference(IMAGES))
    options = {"attack": PGD(steps=3), "audit": 2}
    profile = invrob.robustness_profile(model, IMAGES, [0, 0.05, 0.3], LABELS, **options)
    wanted = invrob.robustness_profile(reference, IMAGES, [0, 0.05, 0.3], LABELS, **options)
    assert profile.to_dict() == wanted.to_dict()
    assert {p.dtype for p in network.parameters()} == {dtype}


def test_gradients_of_a_half_network_reach_float32_images():
    x = IMAGES.clone().requires_grad_()
    with evaluating(network := convolutional(torch.float16)):
        gradient = torch.autograd.grad(logits(network, x).sum(), x)[0]
    assert gradient.dtype == torch.float32
    assert gradient.abs().max() > 0


def test_float64_images_are_taken_by_a_float32_network_and_keep_their_dtype():
    network = convolutional()
    attack = attacks.pgd(network, IMAGES.double(), 0.1, steps=2)
    assert attack.images.dtype == torch.float64
    assert torch.equal(attack.fooled, attacks.pgd(lambda x: network(x.float()), IMAGES.double(), 0.1, steps=2).fooled)


class Casting(nn.Module):
    """Normalises in float32 and goes on in float16: images that came in float16 would be rounded before."""

    def __init__(self):
        super().__init__()
        self.net, self.seen = convolutional(torch.float16), set()

    def forward(self, x):
        self.seen.add(x.dtype)
        return self.net(((x - 0.13) / 0.31).half()).float()


def test_a_network_that_casts_by_itself_gets_images_as_they_are():
    network = Casting()
    invrob.robustness_profile(network, IMAGES, [0, 0.1], attack=PGD(steps=2), audit=0)
    assert network.seen == {torch.float32}


def test_what_fits_is_found_once_in_a_block():
    network, seen = convolutional(torch.float64), []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    with evaluating(network):
        for _ in range(3):
            logits(network, IMAGES)
    assert seen == [torch.float32] + 3 * [torch.float64]


def test_what_a_model_raises_for_other_reasons_is_raised():
    def model(x):
        raise KeyError("mask")

    with pytest.raises(KeyError, match="mask"):
        logits(model, IMAGES)
    mixed = nn.Sequential(nn.Flatten(), nn.Linear(36, 4).half(), nn.Linear(4, 3))
    with pytest.raises(RuntimeError, match="dtype"):
        logits(mixed, IMAGES)


# ---- outputs

Pair = namedtuple("Pair", ["features", "out"])


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    hidden: tuple = ()
    loss: float | None = None


@dataclasses.dataclass
class Mapped(OrderedDict):
    """As those of libraries, but that nothing is kept in the dict itself."""

    logits: torch.Tensor

    def __len__(self):
        return 0


Z = torch.linspace(-1, 1, 18).view(6, 3)
WIDE = torch.zeros(6, 64)
TAKEN = {
    "the only one": ((Z, None, 3.0), "[0]"),
    "the first of a kind": ((Z, Z.flip(1)), "[0]"),
    "by name, not by place": ({"features": WIDE, "logits": Z}, "['logits']"),
    "by name in an ordered dict": (OrderedDict(loss=torch.zeros(()), logits=Z, hidden=(WIDE,)), "['logits']"),
    "out": ({"aux": Z.flip(1), "out": Z}, "['out']"),
    "dataclass": (Output(Z, (WIDE, WIDE)), ".logits"),
    "dataclass and dict": (Mapped(Z), ".logits"),
    "namedtuple": (Pair(WIDE, Z), ".out"),
    "object": (SimpleNamespace(logits=Z), ".logits"),
    "nested": ([None, {"logits": Z}], "[1]['logits']"),
    "a list of one": ([Z], "[0]"),
}


@pytest.mark.parametrize(("outputs", "path"), TAKEN.values(), ids=TAKEN.keys())
def test_logits_are_taken_out_of_what_holds_them_with_a_note(outputs, path, caplog, monkeypatch):
    monkeypatch.setattr(returned, "NOTED", set())
    model = lambda x: outputs  # noqa: E731
    assert path in logits_note(model, IMAGES)
    assert not caplog.messages
    returned.NOTED.clear()
    with caplog.at_level(logging.WARNING, "invrob"):
        assert torch.equal(logits(model, IMAGES), Z)
        logits(model, IMAGES)
    assert len(caplog.messages) == 1
    assert path in caplog.messages[0]


def test_a_tensor_needs_no_note():
    assert logits_note(lambda x: Z, IMAGES) is None


REFUSED = {
    "could be either": ((WIDE, Z), "[0] and [1] are of that shape: say which"),
    "named, of another shape": ({"logits": Z[:, :1], "features": WIDE}, "two logits"),
    "no floats": ({"labels": Z.long()}, "['labels']: torch.int64 [6, 3]"),
    "nothing": ({"loss": 1.0}, "returned dict for 6 images"),
}


@pytest.mark.parametrize(("outputs", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_outputs_whose_logits_are_open_are_refused_with_what_there_is(outputs, text):
    with pytest.raises(InputError) as caught:
        logits(lambda x: outputs, IMAGES)
    assert text in str(caught.value)


def test_predicted_classes_in_the_place_of_logits_are_called_so():
    with pytest.raises(InputError, match="look like predicted classes: return what their argmax is taken of"):
        logits(lambda x: Z.argmax(1), IMAGES)


def test_the_line_that_says_which_part_works():
    class Both(Clean):
        def forward(self, x):
            return x.flatten(1), super().forward(x)

    model = Both().eval()
    with pytest.raises(InputError) as caught:
        logits(model, IMAGES)
    line = str(caught.value).partition("such as ")[2].replace("outputs[0]", "outputs[1]")
    exec(line, {"model": model})
    assert torch.equal(logits(model, IMAGES), Clean().eval()(IMAGES))


@pytest.mark.parametrize("flat", [False, True], ids=["[N, 1]", "[N]"])
@pytest.mark.parametrize("module", [False, True], ids=["function", "module"])
@pytest.mark.parametrize("sigmoid", [False, True], ids=["logit", "sigmoid"])
def test_the_line_that_makes_two_logits_of_one_works(flat, module, sigmoid):
    layers = [nn.Flatten(), nn.Linear(36, 1), *([nn.Sigmoid()] * sigmoid), *([nn.Flatten(0)] * flat)]
    network = seeded(lambda: nn.Sequential(*layers)).eval()
    positive = (network(IMAGES).reshape(-1) > (0.5 if sigmoid else 0)).long()
    shares = network(IMAGES).reshape(-1) if sigmoid else network(IMAGES).reshape(-1).sigmoid()
    names = {"torch": torch, "model": network if module else (lambda x: network(x))}
    with pytest.raises(InputError) as caught:
        logits(names["model"], IMAGES)
    of_logit, of_share = str(caught.value).partition("0 and z: ")[2].split(" -- but for a sigmoid's output p, ")
    exec(of_share.partition("or use ")[2] if sigmoid else of_logit, names)
    two = logits(names["model"], IMAGES)
    assert torch.equal(two.argmax(1), positive)
    assert torch.allclose(two.softmax(1)[:, 1], shares, atol=1e-6)


def test_axes_of_length_one_behind_the_logits_are_named():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 3, 1))
    with pytest.raises(InputError, match=r"model = torch.nn.Sequential\(model, torch.nn.Flatten\(\)\)"):
        logits(model, IMAGES)


def test_a_network_that_squeezes_answers_for_a_single_image():
    network = Clean().eval()
    model = lambda x: network(x).squeeze()  # noqa: E731
    assert invrob.invariance_profile(model, IMAGES[:1], [0, 40], LABELS[:1]).images == 1
    with pytest.raises(InputError, match=r"torch.float32 \[3\] for 6 images"):
        logits(lambda x: torch.zeros(3), IMAGES)


# ---- batches


class Viewed(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x.view(8, 1, 6, 6))


def example(batch):
    return torch.rand(batch, 1, 6, 6, generator=generator())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("kind", ["exported", "inside", "traced"])
def test_a_graph_of_a_fixed_batch_is_asked_in_such_batches(kind):
    network = Clean().eval()
    if kind == "traced":
        model = torch.jit.trace(nn.Sequential(nn.Unflatten(1, (1, 1)), Viewed(network)).eval(), example(8))
    else:
        model = torch.export.export(network, (example(8),)).module()
        model = nn.Sequential(nn.Identity(), model) if kind == "inside" else model
    options = {"attack": PGD(steps=2), "audit": 0}
    wanted = invrob.robustness_profile(network, IMAGES, [0, 0.1], LABELS, **options)
    assert invrob.robustness_profile(model, IMAGES, [0, 0.1], LABELS, **options).to_dict() == wanted.to_dict()
    assert "8 images at a time" in logits_note(model, IMAGES)


@torch.jit.ignore
def doubled(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


class CallsPython(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return doubled(x).flatten(1)


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated")
def test_torchscript_without_weights_that_cannot_be_written_to_a_file_is_asked_as_it_is():
    images = torch.rand(3, 1, 2, 2)
    scripted = torch.jit.script(CallsPython())
    with evaluating(scripted):
        assert torch.equal(logits(scripted, images), 2 * images.flatten(1))
