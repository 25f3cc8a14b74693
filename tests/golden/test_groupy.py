"""The four group convolutions against numbers that the PyTorch port of GrouPy computed in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch

from invrob.empirical.groups import P4ConvP4, P4ConvZ2, P4MConvP4M, P4MConvZ2

CASES = {
    "p4convz2_k3": P4ConvZ2,
    "p4convp4_k3": P4ConvP4,
    "p4convp4_k5": P4ConvP4,
    "p4mconvz2_k3": P4MConvZ2,
    "p4mconvp4m_k3": P4MConvP4M,
}


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).with_name("groupy.npz")) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def test_every_golden_case_is_tested(golden):
    assert {name.split("/")[0] for name in golden} == set(CASES)


@pytest.mark.parametrize("frozen", [False, True], ids=["training", "kept filters"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_groupy(golden, case, frozen):
    x, weight, bias, y, cotangent, grad_x, grad_weight = (
        golden[f"{case}/{name}"] for name in ("x", "weight", "bias", "y", "cotangent", "grad_x", "grad_weight")
    )
    out, in_channels, _, k, _ = weight.shape
    layer = CASES[case](in_channels, out, k, int(golden[f"{case}/stride"]), int(golden[f"{case}/padding"])).double()
    layer.load_state_dict({"weight": weight, "bias": bias})
    if frozen:
        layer.eval().requires_grad_(False)
    for _ in range(2):  # the second time with the filters kept, where they are
        images = x.clone().requires_grad_()
        layer.zero_grad()
        output = layer(images)
        (output * cotangent).sum().backward()
        torch.testing.assert_close(output, y, rtol=0, atol=1e-10)
        torch.testing.assert_close(images.grad, grad_x, rtol=0, atol=1e-10)
        if not frozen:
            torch.testing.assert_close(layer.weight.grad, grad_weight, rtol=0, atol=1e-10)
            torch.testing.assert_close(layer.bias.grad, cotangent.sum((0, 2, 3, 4)), rtol=0, atol=1e-10)
