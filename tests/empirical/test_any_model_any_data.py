"""The law about models and data as their owners have them: whatever they are disguised as, the numbers are those of the
network and the images inside, or the disguise is refused, or warned about, by its cause; and all comes back as it
was."""

import itertools
import re
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import disguises as kinds
import numpy as np
import pytest
import torch
from disguises import CLASSES, DTYPES, Disguise, N
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader

import invrob
from invrob import PGD, InputError, load_model

SLOW = (HealthCheck.too_slow, HealthCheck.filter_too_much)
THETAS, EPSILONS = [0, 60, 180], [0, 0.01, 0.04]
MEASURES = {
    "invariance": lambda model, x, y: [invrob.invariance_profile(model, x, THETAS, y)],
    "robustness": lambda model, x, y: [
        invrob.robustness_profile(model, x, EPSILONS, y, attack=PGD(steps=3), audit=0),
    ],
    "queries": lambda model, x, y: [invrob.black_box_profile(model, x, EPSILONS, y, attack=invrob.Square(10))],
    "tradeoff": lambda model, x, y: list(
        vars(invrob.tradeoff(model, x, y, epsilons=EPSILONS[:2], thetas=THETAS[:2], attack=invrob.Square(10))).values()
    )[:2],
}
PLAIN = {
    "inside": kinds.INSIDE[0],
    "mode": kinds.MODES[0],
    "network_mode": kinds.NETWORK_MODES[0],
    "outputs": kinds.OUTPUTS[0],
    "around": kinds.AROUND[0],
    "images": kinds.IMAGES[0],
    "labels": kinds.LABELS[0],
    "weights": kinds.WEIGHTS[0],
}
OPTIONS = {
    "inside": kinds.INSIDE,
    "mode": kinds.MODES,
    "network_mode": kinds.NETWORK_MODES,
    "outputs": kinds.OUTPUTS,
    "around": kinds.AROUND,
    "images": kinds.IMAGES + kinds.DOUBTFUL,
    "labels": kinds.LABELS,
    "weights": kinds.WEIGHTS,
}


@dataclass(frozen=True)
class Case:
    """A network and its images, and all that hides them."""

    inside: Disguise = PLAIN["inside"]
    mode: Disguise = PLAIN["mode"]
    network_mode: Disguise = PLAIN["network_mode"]
    outputs: Disguise = PLAIN["outputs"]
    around: Disguise = PLAIN["around"]
    images: Disguise = PLAIN["images"]
    labels: Disguise = PLAIN["labels"]
    weights: Disguise = PLAIN["weights"]
    dtype: torch.dtype = torch.float32
    channels: int = 1
    flat: bool = False
    repeated: bool = False  # the network takes three channels, and the images are grey
    missing: bool = False  # one of the classes has no image
    door: str = "tensor"  # of the images
    loaded: str = ""  # "" for a model in memory; else what it is loaded from: "weights", or TorchScript
    measure: str = "invariance"

    @property
    def disguises(self):
        return [getattr(self, name) for name in OPTIONS]

    @property
    def causes(self):
        found = [d.cause.get(self.door) if isinstance(d.cause, dict) else d.cause for d in self.disguises]
        return [cause for cause in found if cause]

    @property
    def exact(self):
        exact = all(disguise.exact for disguise in self.disguises)
        return exact and self.dtype == torch.float32 and not self.repeated and self.loaded in ("", "weights")

    def __repr__(self):
        plain = Case()
        return f"Case({', '.join(f'{k}={v!r}' for k, v in vars(self).items() if v != getattr(plain, k))})"

    def _repr_pretty_(self, printer, cycle):
        printer.text(repr(self))


@cache
def reference_data(channels, levels, doubtful, missing, flat, repeated):
    """The images in [0, 1], and labels that are right for two of three of them."""
    images = kinds.pictures(channels, levels)
    if doubtful:
        images = doubtful.make(images)
    with torch.no_grad():
        answers = network(channels, flat, repeated)(images.expand(-1, 3 if repeated else channels, -1, -1)).argmax(1)
    labels = torch.where(torch.arange(N) % 3 == 0, (answers + 1) % CLASSES, answers)
    labels[:3] = torch.arange(3)
    return images, labels.clamp(max=CLASSES - 2) if missing else labels


def network(channels, flat, repeated):
    """A network whose classes are about as frequent on these images, so that little changes a prediction."""
    net = kinds.Net(3 if repeated else channels, flat).eval()
    with torch.no_grad():
        net.last.bias -= net(kinds.pictures(channels, 255).expand(-1, 3 if repeated else channels, -1, -1)).mean(0)
    return net


def data_of(case):
    doubtful = case.images if case.images in kinds.DOUBTFUL else None
    return reference_data(case.channels, case.images.levels, doubtful, case.missing, case.flat, case.repeated)


@cache
def wanted(measure, channels, levels, doubtful, missing, flat, repeated, dtype, labelled):
    """What the network inside says of the images inside."""
    images, labels = reference_data(channels, levels, doubtful, missing, flat, repeated)
    plain = kinds.of_dtype(network(channels, flat, repeated), dtype)
    model = (lambda x: plain(x.expand(-1, 3, -1, -1))) if repeated else plain
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MEASURES[measure](model, images, labels if labelled else None)


def model_of(case):
    """The model as its owner has it."""
    net = case.network_mode.make(network(case.channels, case.flat, case.repeated))
    model = case.outputs.make(case.inside.make(net)).to(case.dtype)
    return case.mode.make(model)


def example_of(case):
    images = data_of(case)[0][:2]
    images = images.expand(-1, 3, -1, -1) if case.repeated and case.inside.name != "repeats channels itself" else images
    return (images.permute(0, 2, 3, 1) if case.inside.last else images).to(case.dtype).clone()


def given_data(case, folder):
    """Images and labels as their owner has them, and a call that takes them through the door."""
    images, labels = data_of(case)
    x = images if case.images in kinds.DOUBTFUL else case.images.make(images)
    y = case.labels.make(labels)
    array = lambda value: np.asarray(value.detach() if isinstance(value, torch.Tensor) else value)  # noqa: E731
    held = [value for value in (x, y) if value is not None]
    if case.door == "tensor":
        return held, lambda: (x, y)
    if case.door == "images_of":
        return held, lambda: invrob.images_of(x if y is None else (x, y))
    if case.door in ("dataset", "loader"):
        pairs = kinds.Pairs(x, y)
        source = DataLoader(pairs, batch_size=5) if case.door == "loader" else pairs
        return held, lambda: invrob.images_of(source)
    extra = {"label_names": np.array(["a", "b", "c"])} if case.missing else {}
    np.savez(folder / "data.npz", images=array(x), labels=array(y), **extra)
    return held, lambda: invrob.sample(f"npz:{folder / 'data.npz'}")


def given_model(case, folder):
    """The model as its owner has it, and a call that takes it through the door."""
    model = model_of(case)
    if not case.loaded:
        model = case.around.make(model, example_of(case))
        return model, lambda: model
    if case.loaded != "weights":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(kinds.script(model, case.loaded, example_of(case)), folder / "model.pt")
        return None, lambda: load_model(folder / "model.pt").model
    state = case.weights.make(kinds.saved(model.state_dict()))
    torch.save(state, folder / "weights.pt")
    blank = model_of(case)
    for value in blank.state_dict().values():
        value.zero_()
    (folder / "own.py").write_text("import sys\ndef build():\n    return sys.modules['any_model'].build()\n")
    sys.modules["any_model"] = SimpleNamespace(build=lambda: blank)
    return None, lambda: load_model(f"{folder / 'own.py'}:build", weights=folder / "weights.pt").model


def snapshot(model, held):
    """All of a model and of data that an owner could find changed."""
    modules = [*model.modules()] if isinstance(model, nn.Module) else []
    modes = [getattr(module, "training", None) for module in modules]
    tensors = [*model.named_parameters(), *model.named_buffers()] if modules else []
    kept = [(name, t.dtype, t.requires_grad, t.grad is None, t.data_ptr(), bits(t)) for name, t in tensors]
    return modes, kept, [bits(value) for value in held], torch.get_rng_state().tolist(), torch.is_grad_enabled()


def bits(value):
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return str(value.dtype), value.stride(), value.contiguous().flatten().view(torch.uint8).tolist()
    return str(value.dtype), value.strides, value.tobytes()


def check(case, folder):
    """The law about one case; what was refused or warned about, or None."""
    sys.modules.pop("any_model", None)
    held, take_data = given_data(case, folder)
    model, take_model = given_model(case, folder)
    before = snapshot(model, held)
    found = said = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            taken = take_model()
            images, labels = take_data()
            found = MEASURES[case.measure](taken, images, labels)
        except InputError as error:
            said = str(error)
    for warning in caught:
        said = f"{said or ''}\n{warning.message}".strip()
    assert snapshot(model, held) == before
    if said is not None:
        assert any(re.search(cause, said) for cause in case.causes), f"refused by no cause of these: {said}"
    if found is not None and not (said and case.inside.cause):  # about a layout that may be wrong there is a warning
        compare(found, case)
    return said


def compare(found, case):
    doubtful = case.images if case.images in kinds.DOUBTFUL else None
    labelled = case.labels.name != "none"
    key = (case.images.levels, doubtful, case.missing, case.flat, case.repeated, case.dtype, labelled)
    expected = wanted(case.measure, case.channels, *key)
    for one, other in zip(found, expected, strict=True):
        if case.exact:
            assert one.to_dict() == other.to_dict()
            continue
        slack = (1 if case.dtype in (torch.float32, torch.float64) else 2) / N + 1e-9
        assert np.abs(one.rate - other.rate).max() <= slack
        assert (one.clean_accuracy is None) == (other.clean_accuracy is None)
        assert abs((one.clean_accuracy or 0) - (other.clean_accuracy or 0)) <= slack
        assert (np.abs(one.per_image - other.per_image) > 1e-9).sum() <= N * slack


# ---- each disguise alone


def suits(case):
    """Whether there is such a case."""
    only = {name: value for disguise in case.disguises for name, value in disguise.only.items()}
    for name, value in only.items():
        if getattr(case, name) not in (value if isinstance(value, tuple) else (value,)):
            return False
    if case.repeated and not (case.channels == 1 and (case.loaded or case.inside.name == "repeats channels itself")):
        return False
    if case.flat and case.inside.name == "repeats channels itself":
        return False
    if case.missing and case.labels.name.startswith("1..K"):  # nobody can know: they are 1 and 2 of 0, 1 and 2
        return False
    traceable = case.outputs.name in ("tensor", "tuple", "dict", "squeezed") and case.mode.name == "in eval mode"
    return traceable or not (case.loaded in ("traced", "frozen") or "TorchScript" in case.around.name)


def alone():
    """Cases with one disguise each; colour and grey images, the kinds of network and of profile in turn."""
    cases, turn = [], itertools.count()
    for name, disguises in OPTIONS.items():
        doors = ("tensor", "images_of", "npz") if name in ("images", "labels") else ("tensor",)
        ways = {"weights": ("weights",), "inside": ("", "weights")}.get(name, ("",))
        for disguise, door, loaded in itertools.product(disguises, doors, ways):
            number = next(turn)
            case = Case(
                channels=disguise.only.get("channels", (1, 3)[number % 2]),
                flat=(name == "inside" or number % 4 > 1) and "repeated" not in disguise.only,
                repeated=disguise.only.get("repeated", False),
                measure=list(MEASURES)[0 if name == "labels" else number % 3],
                **{name: disguise, "door": door, "loaded": loaded},
            )
            cases.append(case)
    for dtype in DTYPES:
        cases += [Case(dtype=dtype), Case(dtype=dtype, measure="robustness", channels=3)]
    cases += [
        Case(loaded="frozen"),
        Case(loaded="traced", channels=3, flat=True),
        Case(loaded="weights", repeated=True),
    ]
    cases += [Case(loaded="weights", repeated=True, flat=True), Case(missing=True, door="npz"), Case(missing=True)]
    cases += [Case(measure="tradeoff"), Case(door="dataset"), Case(door="loader", channels=3)]
    return [case for case in cases if suits(case)]


@pytest.mark.parametrize("case", alone(), ids=repr)
def test_a_disguise_alone_changes_nothing_or_is_refused_by_its_cause(case, tmp_path):
    said = check(case, tmp_path)
    assert (said is not None) == bool(case.causes)


# ---- several at once


def mostly(disguises, door=None):
    """One of them; often one without a cause, so that numbers are compared."""

    def is_plain(disguise):
        return not (disguise.cause.get(door) if isinstance(disguise.cause, dict) else disguise.cause)

    plain = [disguise for disguise in disguises if is_plain(disguise)]
    return st.integers(0, 11).flatmap(lambda n: st.sampled_from(plain if n else disguises))


@st.composite
def cases(draw, long=False):
    """Models and data of owners who have done several of these things."""
    loaded = draw(st.sampled_from(["", "", "weights", "traced", "frozen"]))
    scripted = loaded in ("traced", "frozen")
    # What is frozen in memory is tried by itself: PyTorch may end the process where such a network raises an error.
    others = [kind for kind in kinds.AROUND if kind.name != "frozen TorchScript"] + [kinds.COMPILED] * long
    around = [PLAIN["around"]] if loaded else others
    door = draw(st.sampled_from(kinds.EVERYWHERE))
    repeated = draw(st.sampled_from([False, False, True]))
    case = Case(
        inside=draw(mostly(kinds.INSIDE)),
        mode=PLAIN["mode"] if scripted else draw(st.sampled_from(kinds.MODES)),
        network_mode=draw(st.sampled_from(kinds.NETWORK_MODES)),
        outputs=draw(mostly(kinds.OUTPUTS)),
        around=draw(st.sampled_from(around)),
        images=draw(mostly(kinds.IMAGES + kinds.DOUBTFUL, door)),
        labels=draw(mostly(kinds.LABELS, door)),
        weights=draw(mostly(kinds.WEIGHTS)) if loaded == "weights" else PLAIN["weights"],
        dtype=draw(st.sampled_from([torch.float32, *DTYPES])),
        channels=1 if repeated else draw(st.sampled_from([1, 3])),
        flat=draw(st.booleans()),
        repeated=repeated,
        missing=draw(st.booleans()),
        door=door,
        loaded=loaded,
        measure=draw(st.sampled_from([*MEASURES])),
    )
    assume(suits(case))
    return case


many = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, *SLOW])


@pytest.mark.long
@given(case=cases())
@settings(many, max_examples=45, derandomize=True)
def test_disguises_together_change_nothing_or_are_refused_by_one_of_their_causes(case, tmp_path):
    check(case, tmp_path)


@pytest.mark.long
@given(case=cases(long=True))
@settings(many, max_examples=500)
def test_many_disguises_together_change_nothing_or_are_refused_by_one_of_their_causes(case, tmp_path):
    check(case, tmp_path)


def test_the_references_tell_a_right_answer_from_a_wrong_one():
    for channels, flat in itertools.product((1, 3), (False, True)):
        for measure in ("invariance", "robustness"):
            (profile,) = wanted(measure, channels, 255, None, False, flat, False, torch.float32, True)
            assert 0.2 < profile.rate[1] < 0.8
            assert 0.4 < profile.clean_accuracy < 0.7
