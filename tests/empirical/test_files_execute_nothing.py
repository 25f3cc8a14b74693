"""Files from strangers: whatever would run code as it is read is refused before it is read, whatever it is called.

Each attack leaves a mark on the disk where it succeeds; those against torch.export are shown to succeed against
`torch.export.load` itself, so that a test that passes means something."""

import io
import json
import os
import pickle
import sys
import warnings
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from invrob import InputError, load_model
from invrob.empirical.loading.torch_export import is_arithmetic, read_pt2
from invrob.empirical.loading.weights import read_weights

CPU = torch.device("cpu")
READ = "only plain tensors and graphs of ATen operators are read, since anything else could run code"


class Marks:
    """Unpickling it makes the folder `path`."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "executed"


def torch_saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pt2", ".ts", ".onnx", ".safetensors", ".ckpt", ".pkl"])
@pytest.mark.parametrize("write", [pickle.dumps, torch_saved], ids=["pickle", "torch.save"])
def test_a_pickle_under_any_name_is_refused_and_not_executed(tmp_path, mark, suffix, write):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(write({"weight": torch.ones(2), "bias": Marks(mark)}))
    with pytest.raises(InputError, match=path.name):
        load_model(path)
    with pytest.raises(InputError, match=path.name):
        load_model("torch.nn:Identity", weights=path)
    assert not mark.exists()
    if write is pickle.dumps:
        pickle.loads(path.read_bytes())
    else:
        torch.load(io.BytesIO(path.read_bytes()), weights_only=False)
    assert mark.exists()  # so it would have been


@pytest.fixture(scope="module")
def exported():
    """A small network in a file of torch.export: the bytes."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    buffer = io.BytesIO()
    free = {0: torch.export.Dim("n")}
    torch.export.save(torch.export.export(network, (torch.rand(2, 1, 2, 2),), dynamic_shapes=(free,)), buffer)
    return buffer.getvalue()


def changed(content, *, change=None, **members):
    """The archive with `change` applied to its graph (JSON), and with more or other members."""
    source, target = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    root = source.namelist()[0].partition("/")[0]
    contents = {name.partition("/")[2]: source.read(name) for name in source.namelist()}
    if change is not None:
        graph = json.loads(contents["models/model.json"])
        change(graph)
        contents["models/model.json"] = json.dumps(graph).encode()
    contents |= {name.replace("__", "/"): value for name, value in members.items()}
    with zipfile.ZipFile(target, "w") as archive:
        for name, value in contents.items():
            archive.writestr(f"{root}/{name}", value)
    return target.getvalue()


def pickled_weight(content, mark):
    config = json.loads(zipfile.ZipFile(io.BytesIO(content)).read("archive/data/weights/model_weights_config.json"))
    config["config"]["1.weight"]["use_pickle"] = True
    weights = {"data/weights/model_weights_config.json": json.dumps(config), "data/weights/weight_0": saved(mark)}
    return changed(content, **weights)


def saved(mark):
    return torch_saved(Marks(mark))


def opaque_constant(content, mark):
    constant = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    config = {"config": {"c": constant}}
    path = "data/constants/"
    return changed(
        content,
        **{f"{path}model_constants_config.json": json.dumps(config), f"{path}opaque_obj_0": pickle.dumps(Marks(mark))},
    )


def sample_inputs(content, mark):
    return changed(content, **{"data/sample_inputs/model.pt": saved(mark)})


def size_that_is_code(content, mark):
    text = f"__import__('os').mkdir('{mark}') or Integer(2)"

    def change(graph):
        values = graph["graph_module"]["graph"]["tensor_values"]
        images = next(value for value in values.values() if value["sizes"] and "as_expr" in value["sizes"][0])
        images["sizes"][0]["as_expr"]["expr_str"] = text

    return changed(content, change=change)


def guard_that_is_code(content, mark):
    def change(graph):
        graph["guards_code"] = [f"__import__('os').mkdir('{mark}')"]

    return changed(content, change=change)


ATTACKS = {
    "a pickled weight": (pickled_weight, "use_pickle = 'True'"),
    "an opaque object": (opaque_constant, "'data/constants/opaque_obj_0', which is not read"),
    "sample inputs": (sample_inputs, "holds Python objects, which are never unpickled"),
    "a size that is code": (size_that_is_code, "expr_str = \"__import__('"),
}
every_attack = pytest.mark.parametrize(("attack", "text"), ATTACKS.values(), ids=ATTACKS.keys())


@every_attack
def test_an_exported_file_that_would_run_code_is_refused(exported, mark, attack, text):
    with pytest.raises(InputError) as caught:
        read_pt2(attack(exported, mark), "model.pt2", CPU)
    assert text in str(caught.value)
    assert not mark.exists()


@every_attack
def test_torch_itself_would_have_run_it(exported, mark, attack, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.export.load(io.BytesIO(attack(exported, mark)))
        except Exception as error:  # what it makes of the rest of the file does not matter
            print(error)
    assert mark.exists()


def test_guards_are_not_run(exported, mark):
    network, _ = read_pt2(guard_that_is_code(exported, mark), "model.pt2", CPU)
    assert network(torch.rand(5, 1, 2, 2)).shape == (5, 3)
    assert not mark.exists()


def node(target):
    def change(graph):
        graph["graph_module"]["graph"]["nodes"][0]["target"] = target

    return change


def tree(text):
    def change(graph):
        graph["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = text

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (node("torch.hub.load"), "target = 'torch.hub.load'"),
        (node("torch.ops.aten.from_file.default"), "target = 'torch.ops.aten.from_file.default'"),
        (node("_operator.methodcaller"), "target = '_operator.methodcaller'"),
        (node("torch.ops.higher_order.wrap_with_set_grad_enabled"), "target = 'torch.ops.higher_order"),
        (tree('[1, {"type": "collections.defaultdict", "context": "os"}]'), "in_spec = "),
    ],
)
def test_graphs_that_name_more_than_operators_are_refused(exported, change, said):
    with pytest.raises(InputError) as caught:
        read_pt2(changed(exported, change=change), "model.pt2", CPU)
    assert said in str(caught.value)
    assert str(caught.value).endswith(READ)


SIZES = ("s31", "Symbol('s31', positive=True, integer=True)", "Mul(Integer(2), Symbol('u0', integer=True))", "2*s0 + 1")


@pytest.mark.parametrize("size", SIZES)
@given(data=st.data())
def test_a_sizeis_arithmetic_or_it_is_refused(size, data):
    assert is_arithmetic(size)
    place = data.draw(st.integers(0, len(size)))
    name = data.draw(st.sampled_from(["eval", "exec", "open", "__import__", "getattr", "chr", "x", "preview"]))
    rest = data.draw(st.sampled_from(["(1)", "(s0)", "('s0')", ".a", "[0]", ""]))
    assert not is_arithmetic(f"{size[:place]} {name}{rest} {size[place:]}")
    assert not is_arithmetic(f"{size} + s0.{name}")


@pytest.mark.parametrize("member", ["data/aotinductor/model/lib.so", "data/weights/model.pt", "extra/run.py"])
def test_members_that_are_no_tensors_are_refused(exported, member):
    with pytest.raises(InputError) as caught:
        read_pt2(changed(exported, **{member: b"x"}), "model.pt2", CPU)
    assert str(caught.value) == f"model.pt2 holds {member!r}, which is not read: {READ}"


@pytest.mark.parametrize("cut", [0, 1, 100, 3000])
def test_a_damaged_export_is_refused(exported, tmp_path, cut):
    (tmp_path / "m.pt2").write_bytes(exported[:cut])
    with pytest.raises(InputError, match=r"m\.pt2"):
        load_model(tmp_path / "m.pt2")


class Writes(nn.Module):
    def forward(self, x):
        torch.save(x, "written.pt")
        return x.flatten(1)


def test_torchscript_that_writes_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(Writes()).save("writes.pt")
        torch.jit.load("writes.pt")(torch.rand(1, 1, 2, 2))
    (tmp_path / "written.pt").unlink()  # so it can
    with pytest.raises(InputError) as caught:
        load_model("writes.pt")
    assert str(caught.value) == "writes.pt calls 'torch.save', which may write or read files: it is not loaded"
    assert not (tmp_path / "written.pt").exists()


def test_weights_are_tensors_and_nothing_else():
    with pytest.raises(InputError, match=r"holds a dict with 'epoch', not a state dict of tensors"):
        read_weights(torch_saved({"epoch": 3}), "w.pt")
    assert read_weights(torch_saved({}), "w.pt").tensors == {}
    with pytest.raises(InputError, match="looks like safetensors: rename it"):
        read_weights(b"\x40\0\0\0\0\0\0\0{" + b" " * 100, "w.pt")


def test_a_module_that_ends_the_process_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "ends_here.py").write_text("import sys; sys.exit(0)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        load_model("ends_here:build")
    assert str(caught.value) == (
        "module 'ends_here' ended the process as it was imported: put what it does under if __name__ == '__main__'"
    )
    assert "ends_here" not in sys.modules
