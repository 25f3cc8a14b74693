"""Each name beside the two profiles is measured as the public function of that name does it."""

import json

import pytest
import torch
from planted import cell
from torch import nn

from invrob import invariance_profile, robustness_profile, worst_case_profile
from invrob.empirical.execution.measure import PROFILE_SEED, measured
from invrob.empirical.experiments.experiment import Profiling

HOW = Profiling(
    thetas=[0, 40],
    epsilons=[0, 0.1],
    steps=3,
    norms=("l2",),
    transformations=("shear", "vertical-flip"),
    worst_case=("rotation:worst-of-3", "translation:grid"),
    values={"translation": (0.0, 1.0), "l2": (0.0, 0.2), "shear": (0.0, 30.0)},
)
DIRECTLY = {
    "l2": (robustness_profile, (0, 0.2), {"norm": "l2", "steps": 3}),
    "shear": (invariance_profile, (0, 30), {"transformation": "shear"}),
    "vertical-flip": (invariance_profile, (0, 1), {"transformation": "vertical-flip"}),
    "rotation:worst-of-3": (worst_case_profile, (0, 40), {"adversary": "worst-of-3"}),
    "translation:grid": (worst_case_profile, (0, 1), {"transformation": "translation", "adversary": "grid"}),
}


@pytest.mark.parametrize("name", DIRECTLY)
def test_a_measurement_is_what_the_public_function_gives(name):
    assert tuple(DIRECTLY) == HOW.beside
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand((20, 1, 6, 6), generator=generator), torch.arange(20) % 3
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    with torch.no_grad():
        model[1].weight.copy_(torch.rand((3, 36), generator=generator) - 0.5)
        model[1].bias.zero_()
    profile, grid, options = DIRECTLY[name]
    expected = profile(model, images, grid, labels, seed=PROFILE_SEED, **options).to_dict()
    assert json.dumps(measured(name, model, images, labels, cell(profiling=HOW))) == json.dumps(expected)
    assert expected["rate"][-1] < 1
