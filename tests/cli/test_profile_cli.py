"""`invrob profile`: what a person reads, what a script reads, what is written, and one line for whatever goes wrong."""

import json
import sys
from pathlib import Path

import numpy as np
import planted
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper

import invrob
from invrob.cli import main
from invrob.commands.grids import by_name, numbers
from invrob.commands.profile_summary import verdict_lines
from invrob.progress import WorkProgress

pytestmark = pytest.mark.usefixtures("sketched")  # what pictures look like is asked elsewhere
SOURCE = """
import torch
from torch import nn

def build():
    print("building")
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10))

def two_classes():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 2))

def detached():
    network = build().eval()
    return lambda images: network(images.detach())

def raises(images):
    raise ValueError("nothing\\nfits")

def not_a_number(images):
    return images.flatten(1)[:, :10] * float("nan")

def interrupts(images):
    raise KeyboardInterrupt

def breaks():
    return nothing

def lost():
    return open("no/such/weights")

def misused():
    from invrob.empirical.models import build
    return build("stdcn")

def unreadable(images):
    return open("no/such/table")

def keyless(images):
    return {}["logits"]

class Backwards(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        raise OSError("no gradient on this disk")

def backwards():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), Activation())

class Activation(nn.Module):
    def forward(self, x):
        return Backwards.apply(x)

def alone(images):
    if len(images) > 2 and torch.get_num_threads() > 1:  # two are asked about before it is known to be small
        raise ValueError("small work waits for many threads")
    return images.flatten(1)[:, :10]
"""
FEW = ("--data", "mnist-mini", "--images", 16, "--thetas", "0,90,180", "--epsilons", "0,2/255,0.1,0.2")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, _trained):
    """Call the command line in this process, in a folder with a network: run(spec, ...) -> (code, stdout, stderr)."""
    (tmp_path / "my_nets.py").write_text(SOURCE)
    safetensors.torch.save_file(_trained.state_dict(), tmp_path / "net.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["invrob", "profile", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    yield call
    sys.modules.pop("my_nets", None)


@pytest.fixture
def linear_onnx(tmp_path):
    """A linear classifier of digits in net.onnx, put together by hand."""
    weight = np.random.default_rng(0).normal(size=(784, 10)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["images"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])],
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())


OURS = ("my_nets:build", "--weights", "net.safetensors")


def test_the_numbers_are_those_of_the_functions(run, net, digits, tmp_path):
    code, out, _ = run(*OURS, *FEW, "--audit", 0, "--json")
    document = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert code == 0
    read = json.loads((tmp_path / "runs/profile-my_nets-build-net-mnist-mini/profile.json").read_text())
    assert read == {key: value for key, value in document.items() if key != "written"}
    assert document["written"] == [
        "runs/profile-my_nets-build-net-mnist-mini/profile.json",
        "runs/profile-my_nets-build-net-mnist-mini/card.png",
    ]

    order = torch.randperm(2000, generator=torch.Generator().manual_seed(0))[:16].sort().values
    images, labels = digits.test.images[order], digits.test.labels[order]
    robustness = invrob.robustness_profile(net, images, [0, 2 / 255, 0.1, 0.2], labels, audit=0)
    invariance = invrob.invariance_profile(net, images, [0, 90, 180], labels)
    assert read["robustness"] == json.loads(json.dumps(robustness.to_dict()))
    assert read["invariance"] == json.loads(json.dumps(invariance.to_dict()))
    assert (read["verdict"], read["model"]["kind"], read["data"]["name"]) == ("unaudited", "Python", "mnist-mini")
    assert [Path(file).name for file in read["model"]["files"]] == ["my_nets.py", "net.safetensors"]
    assert read["versions"]["invrob"] == invrob.__version__


def test_a_person_reads_accuracy_rates_verdict_and_where_the_files_are(run):
    code, out, err = run(*OURS, *FEW, "--per-class")
    assert code == 0
    assert err.startswith("building\n")  # and progress, on a machine that is slow
    for text in (
        "my_nets:build (Python) on 16 test images of mnist-mini",
        "accuracy: 100.0% [79.4, 100.0]; all intervals are of 95 %",
        "Rate of invariance, rotation",
        "Robustness, L-inf (attack: sound): 1 - fooling rate",
        "2/255",
        "class   images",
        "gradients per image",
        "written: runs/profile-my_nets-build-net-mnist-mini/profile.json, "
        "runs/profile-my_nets-build-net-mnist-mini/card.png",
    ):
        assert text in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("written: ")) <= 80


@pytest.mark.long
def test_the_same_command_writes_the_same_bytes(run, tmp_path):
    for folder in ("one", "two"):
        assert run(*OURS, *FEW, "--images", 10, "--out", folder, "--quiet")[:2] == (0, "")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["card.png", "profile.json"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


@pytest.mark.long
def test_other_norms_transformations_and_adversaries_stand_beside_the_card(run, tmp_path):
    code, out, _ = run(
        *OURS,
        *("--data", "mnist-mini", "--images", 5, "--norm", "linf", "--norm", "l2", "--transformation", "rotation"),
        *("--transformation", "translation", "--adversary", "worst-of-3", "--thetas", "rotation=0,90"),
        *("--thetas", "translation=0:2:2", "--epsilons", "l2=0,1", "--epsilons", "linf=0,0.1", "--out", "o"),
    )
    assert code == 0
    read = json.loads((tmp_path / "o/profile.json").read_text())
    assert read["robustness"]["epsilons"] == [0, 0.1]
    beside = read["beside"]
    assert [*beside] == ["robustness l2", "worst-of-3 rotation", "translation", "worst-of-3 translation"]
    assert (beside["robustness l2"]["norm"], beside["robustness l2"]["epsilons"]) == ("l2", [0, 1])
    assert beside["translation"]["thetas"] == beside["worst-of-3 translation"]["thetas"] == [0, 2]
    pictures = {f"{'-'.join(name.split())}.png" for name in beside} | {"card.png"}
    assert {path.name for path in (tmp_path / "o").iterdir()} == pictures | {"profile.json"}
    assert "Robustness, L2 (attack: sound)" in out


def test_a_model_without_gradients_is_measured_as_a_black_box_where_asked(run):
    code, out, _ = run("my_nets:detached", *FEW, "--images", 10, "--attack", "black-box", "--queries", 20)
    assert code == 0
    assert "Robustness, L-inf (black box, an upper bound): 1 - fooling rate" in out
    assert "black-box: an upper bound: 20 queries per image and epsilon, no gradients" in " ".join(out.split())
    assert "finding" not in out


@pytest.mark.long
def test_a_gradient_attack_without_gradients_is_masked_and_says_why(run):
    code, out, _ = run("my_nets:detached", *FEW, "--images", 10)
    assert code == 0
    assert "Robustness, L-inf (attack: masked)" in out
    assert "masked: detached input: no gradient reaches the input" in " ".join(out.split())


def test_the_audit_is_told_with_its_images_its_gap_and_its_floor(run):
    code, out, _ = run(*OURS, *FEW, "--images", 12)
    told = " ".join(out.split())
    document = json.loads(run(*OURS, *FEW, "--images", 12, "--json")[1])
    robustness, (heading, *_) = document["robustness"], [line for line in out.splitlines() if "stays" in line][1:]
    assert code == 0
    assert heading.split() == ["epsilon", "stays", "interval", "floor", "is", "right"]
    assert f"{robustness['rate'][3]:.1%} [" in told
    assert f"] {robustness['floor'][3]:.1%} {robustness['accuracy'][3]:.1%}" in told
    assert f"audit: 12 images, chosen by chance: {robustness['strength']}" in told
    assert f"gap: the rates are about {100 * max(robustness['gap']):.1f} points too high at worst" in told
    assert f"{100 * max(robustness['gap_high']):.1f} points at most there, with 95 % confidence" in told
    assert "sound: the audit found a gap of 2 points at most" in told
    assert max(len(line) for line in out.splitlines() if not line.startswith("written: ")) <= 80


def test_without_an_audit_there_is_no_floor_and_the_verdict_says_so(run):
    code, out, _ = run(*OURS, *FEW, "--images", 12, "--audit", "0")
    assert code == 0
    assert "Robustness, L-inf (attack: unaudited)" in out
    assert "unaudited: nothing says what the attack missed" in out
    assert "floor" not in out
    assert "gap:" not in out


@pytest.mark.long
def test_steps_or_restarts_ask_for_a_fixed_effort_and_an_audit_for_its_images(run, net, digits):
    images = digits.test.images[torch.randperm(2000, generator=torch.Generator().manual_seed(0))[:6].sort().values]
    few = ("--data", "mnist-mini", "--images", 6, "--thetas", "0,90", "--epsilons", "0,0.1", "--audit", "3")
    for options, attack in (
        ((), invrob.Auto()),
        (("--steps", 5), invrob.PGD(5, 1)),
        (("--restarts", 2), invrob.PGD(20, 2)),
    ):
        document = json.loads(run(*OURS, *few, *options, "--json", "--force")[1])
        wanted = invrob.robustness_profile(net, images, [0, 0.1], attack=attack, audit=3)
        assert document["robustness"]["audited"] == 3
        assert document["robustness"]["gradient_evaluations"] == wanted.gradient_evaluations
        assert document["robustness"]["steps"] == wanted.steps


def test_a_weak_attack_says_how_much_it_missed_and_the_way_out():
    weak = planted.robustness(missed=0.2, shortfall="the audit found too much")
    assert verdict_lines(weak) == [
        "weak: the audit found too much",
        "try: --steps 100 --restarts 5",
        "audit: 32 images, chosen by chance: planted",
        "gap: the rates are about 10.0 points too high at worst, at epsilon 0; 20.0 points at most there, with 95 % "
        "confidence",
        "floor: no attack as strong as the audit brings the rate of the population below it",
    ]
    masked = verdict_lines(planted.robustness(missed=0.2, judged=planted.sanity("why")))
    assert masked[-1] == "masked: why"
    assert not any(line.startswith(("weak", "sound", "floor")) for line in masked)


def test_a_small_model_is_measured_on_one_thread(run):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        code, _, err = run("my_nets:alone", *FEW, "--images", 10)
        assert (code, torch.get_num_threads()) == (0, 2), err
    finally:
        torch.set_num_threads(threads)


def test_colour_data_get_epsilons_of_colour_data(run, tmp_path):
    images, labels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8), np.arange(20) % 2
    np.savez("own.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    (tmp_path / "colour.py").write_text("from torch.nn import *\nmodel = Sequential(Flatten(), Linear(192, 2))\n")
    code, out, _ = run("colour:model", "--data", "npz:own.npz", "--json", "--split", "train")
    document = json.loads(out)
    assert code == 0
    assert document["robustness"]["epsilons"] == [k / 255 for k in (0, 0.5, 1, 2, 4, 8, 12, 16)]
    assert (document["data"]["images"], document["data"]["split"]) == (18, "train")


WRONG = {
    "an unknown data set": (OURS, ("--data", "mnist-mimi"), "did you mean 'mnist-mini'?"),
    "another number of classes": (
        ("my_nets:two_classes",),
        FEW,
        "the model has 2 classes, but mnist-mini has 10: give weights of a model for these classes, or data with "
        "label_names for all 2",
    ),
    "NaN": (("my_nets:not_a_number",), FEW, "the model returned NaN logits for 2 of 2 images"),
    "no list": (
        OURS,
        (*FEW, "--thetas", "0,x"),
        "--thetas '0,x' is no list of numbers: write 0,2/255,8/255 or 0:180:15",
    ),
    "two lists": (OURS, (*FEW, "--thetas", "0,9"), "--thetas gives two lists for rotation: leave one out"),
    "epsilons in 0..255": (
        OURS,
        ("--data", "mnist-mini", "--epsilons", "0,8"),
        "epsilons of linf holds 8.0, outside [0, 1]: write",
    ),
    "an unknown norm": (OURS, (*FEW, "--norm", "l3"), "norm 'l3' is unknown: choose one of linf, l2"),
    "an unknown transformation": (OURS, ("--data", "mnist-mini", "--transformation", "rotate"), "rotation"),
    "an unknown adversary": (
        OURS,
        (*FEW, "--adversary", "worst"),
        "--adversary 'worst' is unknown: use 'average',",
    ),
    "an unknown device": (OURS, (*FEW, "--device", "gpu"), "device 'gpu' is unknown: use auto, cpu, cuda or cuda:1"),
    "mean without std": (OURS, (*FEW, "--mean", "0.1"), "belong together: give both, or neither"),
    "an audit in words": (OURS, (*FEW, "--audit", "all"), "--audit 'all' must be auto, a number of images, or 0 for"),
    "a negative audit": (OURS, (*FEW, "--audit", "-3"), "--audit '-3' must be auto, a number of images, or 0 for none"),
    "an audit of a black box": (
        OURS,
        (*FEW, "--attack", "black-box", "--audit", "9"),
        "--audit 9 needs an attack by gradients, and this one is black-box: leave it out",
    ),
    "no weights": (("my_nets:build", "--weights", "no.pt"), FEW, "no.pt cannot be read (No such file or directory)"),
}


@pytest.mark.parametrize(("spec", "options", "text"), WRONG.values(), ids=WRONG.keys())
def test_bad_usage_is_one_line_and_exit_code_2(run, tmp_path, spec, options, text):
    code, out, err = run(*spec, *options)
    assert (code, out) == (2, "")
    assert err.replace("building\n", "").startswith("error: ")
    assert text in err
    assert err.replace("building\n", "").count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_model_that_raises_is_one_line_with_its_place_and_exit_code_1(run):
    code, out, err = run("my_nets:raises", *FEW)
    assert (code, out) == (1, "")
    assert err == (
        "error: my_nets:raises raised ValueError in my_nets.py, line 19: nothing fits (images are [2, 1, 28, 28]; "
        "--size resizes them inside the model); --traceback shows where\n"
    )
    code, out, err = run("my_nets:breaks", *FEW)
    assert (code, out) == (1, "")
    assert err.startswith(
        "error: my_nets:breaks raised NameError in my_nets.py, line 28: name 'nothing' is not defined"
    )


def line_of(text):
    return next(i for i, line in enumerate(SOURCE.splitlines(), start=1) if text in line)


OF_THE_MODEL = {
    "lost": ("FileNotFoundError", line_of('open("no/such/weights")')),
    "misused": ("InputError", line_of('build("stdcn")')),
    "unreadable": ("FileNotFoundError", line_of('open("no/such/table")')),
    "keyless": ("KeyError", line_of('{}["logits"]')),
    "backwards": ("OSError", line_of("no gradient on this disk")),
    "breaks": ("NameError", line_of("return nothing")),
}


@pytest.mark.parametrize(("name", "kind", "line"), [(name, *place) for name, place in OF_THE_MODEL.items()])
def test_whatever_the_code_of_the_model_raises_is_exit_code_1_with_its_line_and_a_traceback_for_those_who_ask(
    run, tmp_path, name, kind, line
):
    code, out, err = run(f"my_nets:{name}", *FEW)
    assert (code, out) == (1, "")
    assert f"error: my_nets:{name} raised {kind} in my_nets.py, line {line}: " in err
    code, out, err = run(f"my_nets:{name}", *FEW, "--traceback")
    assert (code, out) == (1, "")
    assert "Traceback (most recent call last)" in err
    assert f'my_nets.py", line {line}' in err
    assert kind in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("source", "kind"), [("open('no/such/file')", "FileNotFoundError"), ("{}[1]", "KeyError")])
def test_what_the_import_of_a_model_raises_is_its_failure(run, tmp_path, source, kind):
    (tmp_path / "half.py").write_text(f"import torch\n{source}\n")
    code, out, err = run("half:build", *FEW)
    assert (code, out) == (1, "")
    assert f"error: half:build raised {kind} in half.py, line 2: " in err


def test_what_is_not_the_fault_of_the_model_is_not_put_down_to_it(run, tmp_path, monkeypatch):
    (tmp_path / "taken").touch()
    code, out, err = run(*OURS, *FEW, "--images", 2, "--out", "taken")
    assert (code, out) == (2, "")
    assert "my_nets:build" not in err

    monkeypatch.setattr("invrob.empirical.profiles.work.AUTO", None)  # so that this package fails
    monkeypatch.setattr(sys, "argv", ["invrob", "profile", *map(str, (*OURS, *FEW))])
    with pytest.raises(TypeError, match="NoneType"):
        main()


def test_ctrl_c_is_exit_code_130_and_leaves_nothing(run, tmp_path):
    code, _, err = run("my_nets:interrupts", *FEW)
    assert code == 130
    assert err.startswith("stopped: nothing is written\n")
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_help_says_what_a_spec_executes(run):
    code, out, _ = run("--help")
    told = " ".join(out.split())
    assert code == 0
    assert "Examples:" in told
    for text in ("runs the code of that module", "no Python", "Nothing is ever unpickled"):
        assert text in told


def test_numbers_are_read_as_people_write_them():
    assert numbers("--thetas", "0:180:60") == (0, 60, 120, 180)
    assert numbers("--epsilons", "0,2/255,8/255") == (0, 2 / 255, 8 / 255)
    assert numbers("--epsilons", "0:0.3:0.1") == (0, 0.1, 0.2, 0.3)
    assert by_name("--epsilons", ["l2=0,1", "linf=0,0.1"], ["linf", "l2"]) == {"l2": (0, 1), "linf": (0, 0.1)}
    for text in ("", "a", "1/0", "nan", "inf", "0:1:0", "0:1:-1", "0:1", "0:1e9:1", "1::2"):
        with pytest.raises(invrob.InputError):
            numbers("--thetas", text)
    for texts, names in ((["0,1"], ["linf", "l2"]), (["l1=0,1"], ["linf"])):
        with pytest.raises(invrob.InputError):
            by_name("--epsilons", texts, names)


def test_progress_moves_the_end_where_more_is_done_than_was_foreseen():
    told = []
    progress = WorkProgress(lambda *event: told.append(event), {"invariance": 10.0, "robustness": 30.0})
    progress.begins("invariance")
    progress.advanced(8)
    progress.begins("robustness")
    progress.advanced(6)
    progress.advanced(40)
    assert told == [("invariance", 8, 40), ("robustness", 14, 38), ("robustness", 54, 54)]


def test_onnx_is_measured_by_queries_and_the_output_says_so(run, linear_onnx):
    few = (*FEW, "--images", 10, "--queries", 20)
    code, out, _ = run("net.onnx", *few)
    told = " ".join(out.split())
    assert code == 0
    assert "net.onnx (ONNX) on 10 test images" in told
    assert (
        "note: ONNX gives no gradients: invariance and black-box attacks only, so robustness is an upper bound" in told
    )
    assert "Robustness, L-inf (black box, an upper bound): 1 - fooling rate" in told
    code, out, err = run("net.onnx", *few, "--attack", "gradient")
    assert (code, out) == (2, "")
    assert err == "error: --attack gradient needs gradients, and ONNX gives none: use auto or black-box\n"
