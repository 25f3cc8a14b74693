"""Models of ONNX as converters write them: several outputs, other inputs than floats, free shapes, any ending."""

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from invrob import InputError, load_model
from invrob.empirical.inference import logits

IMAGES = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
WEIGHT = torch.rand(10, 16, generator=torch.Generator().manual_seed(1))
FREE = ("n", "c", "h", "w")


def write(path, before=(), after=(), outputs=(("z", TensorProto.FLOAT),), shape=("n", 1, 4, 4), kind=TensorProto.FLOAT):
    """z, the logits of a linear network, of x; between x and what is flattened come the nodes `before`."""
    flat = before[-1].output[0] if before else "x"
    nodes = [
        *before,
        helper.make_node("Flatten", [flat], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["z"], transB=1),
        *after,
    ]
    given = [helper.make_tensor_value_info(name, output, None) for name, output in outputs]
    entry = helper.make_tensor_value_info("x", kind, shape)
    graph = helper.make_graph(nodes, "g", [entry], given, [numpy_helper.from_array(WEIGHT.numpy(), "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def test_of_several_outputs_the_logits_are_taken_whatever_comes_first(tmp_path):
    features = helper.make_node("Relu", ["flat"], ["features"])
    write(tmp_path / "m.onnx", (), [features], [("features", TensorProto.FLOAT), ("logits", TensorProto.FLOAT)])
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.node[1].output[0] = "logits"
    onnx.save(model, tmp_path / "m.onnx")
    torch.testing.assert_close(logits(load_model(tmp_path / "m.onnx").model, IMAGES), IMAGES.flatten(1) @ WEIGHT.T)


def test_beside_predicted_classes_the_logits_are_taken(tmp_path):
    classes = helper.make_node("ArgMax", ["z"], ["label"], axis=1, keepdims=0)
    write(tmp_path / "m.onnx", (), [classes], [("label", TensorProto.INT64), ("z", TensorProto.FLOAT)])
    torch.testing.assert_close(logits(load_model(tmp_path / "m.onnx").model, IMAGES), IMAGES.flatten(1) @ WEIGHT.T)


def test_two_outputs_that_both_can_be_logits_are_refused_by_name(tmp_path):
    write(tmp_path / "m.onnx", (), [], [("flat", TensorProto.FLOAT), ("z", TensorProto.FLOAT)])
    with pytest.raises(InputError, match=r"\['flat'\] and \['z'\] are of that shape: say which"):
        logits(load_model(tmp_path / "m.onnx").model, IMAGES)


def test_a_model_of_bytes_is_refused_by_its_kind(tmp_path):
    cast = helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT)
    write(tmp_path / "m.onnx", [cast], kind=TensorProto.UINT8)
    with pytest.raises(InputError, match=r"takes tensor\(uint8\), and images are floats in \[0, 1\]: export a model"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("shape", [FREE, ("n", "c", 4, 4)])
def test_a_free_shape_hides_no_channels_that_are_last(tmp_path, shape):
    turn = helper.make_node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2])
    write(tmp_path / "m.onnx", [turn], shape=shape)
    with pytest.raises(InputError, match=r"m\.onnx takes channels last, \[any, "):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("turns", [[[0, 2, 3, 1]], [[0, 2, 3, 1], [0, 3, 1, 2]], [[0, 1, 3, 2]]])
def test_a_model_that_turns_images_otherwise_is_read(tmp_path, turns):
    """A layer norm over channels turns them there and back."""
    names = ["x", *(f"turned{place}" for place, _ in enumerate(turns))]
    nodes = [
        helper.make_node("Transpose", [before], [after], perm=perm)
        for before, after, perm in zip(names, names[1:], turns, strict=False)
    ]
    write(tmp_path / "m.onnx", nodes, shape=FREE)
    expected = IMAGES
    for perm in turns:
        expected = expected.permute(perm)
    torch.testing.assert_close(load_model(tmp_path / "m.onnx").model(IMAGES), expected.flatten(1) @ WEIGHT.T)


def test_the_ending_may_be_of_capitals(tmp_path):
    write(tmp_path / "m.ONNX")
    loaded = load_model(tmp_path / "m.ONNX")
    assert (loaded.kind, loaded.name) == ("ONNX", "m")
    torch.testing.assert_close(loaded.model(IMAGES), IMAGES.flatten(1) @ WEIGHT.T)
