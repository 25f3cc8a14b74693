"""A measurement: what it gives comes back from a file, its work is foreseen, and a table says which ones there are."""

import json

import pytest
import torch
from torch import nn

from invrob.empirical.experiments import Profiling
from invrob.empirical.profiles import PGD, Counted, Grid, Measurement, Rotation, Square, Weak, WorstOf, change_of
from invrob.empirical.transforms import TRANSFORMATIONS

THETAS, EPSILONS = (0.0, 40.0, 90.0), (0.0, 0.05, 0.2)
KINDS = [
    Measurement("invariance", THETAS, over=Rotation(step=30)),
    Measurement("disc", THETAS, over=Rotation(border="disc", step=30)),
    Measurement("rotation:grid", THETAS, over=Rotation(), against=Grid()),
    Measurement("rotation:worst-of-3", THETAS, over=Rotation(), against=WorstOf(3)),
    *(Measurement(name, family.values, over=change_of(name)) for name, family in TRANSFORMATIONS.items()),
    Measurement("robustness", EPSILONS, attack=PGD(steps=5)),
    Measurement("l2", (0.0, 0.5, 2.0), norm="l2", attack=PGD(steps=5)),
    Measurement("black box", EPSILONS, attack=Square(queries=20)),
    Measurement("weak:paper", EPSILONS, attack=Weak("paper")),
]


@pytest.fixture(scope="module")
def asked():
    """A linear model that small changes move, images and labels."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with torch.no_grad():
        model[1].weight.copy_(torch.rand((3, 64), generator=generator) - 0.5)
        model[1].bias.zero_()
    return model, torch.rand((60, 1, 8, 8), generator=generator), torch.arange(60) % 3


@pytest.mark.parametrize("measurement", KINDS, ids=lambda measurement: measurement.name)
def test_what_is_measured_comes_back_from_json_equal_and_as_its_class(asked, measurement):
    rates = measurement.measure(*asked)
    again = measurement.read(json.loads(json.dumps(rates.to_dict())))
    assert (type(again), again) == (type(rates), rates)
    assert (again.axis, tuple(again.values), again.seed) == (measurement.axis, measurement.values, measurement.seed)
    assert again.rate[-1] < 1 or "flip" in measurement.name  # or nothing was changed


@pytest.mark.parametrize("measurement", KINDS, ids=lambda measurement: measurement.name)
def test_the_work_that_is_foreseen_is_about_the_work_that_is_done(asked, measurement):
    model, images, labels = asked
    done = []
    measurement.measure(Counted(model, done.append), images, labels)
    foreseen, passes = measurement.work.passes, sum(done) / len(images)
    if measurement.attack is None and measurement.against is None:
        assert 0.5 <= passes / foreseen <= 2
    else:  # an image that has moved is not asked again; some more are asked to check the labels
        assert passes <= 1.1 * foreseen


def test_no_two_measurements_of_a_run_have_one_title():
    measurements = [measurement for measurement in KINDS if measurement.name != "rotation"]
    assert len({measurement.title for measurement in measurements}) == len(measurements)


def test_a_table_of_names_is_read_into_settings_once():
    profiling = Profiling(
        thetas=THETAS,
        epsilons=EPSILONS,
        attack="pgd",
        audit=9,
        steps=3,
        restarts=2,
        angle_step=30,
        confounds=("disc", "there-and-back"),
        weak_attacks=("few-steps",),
        norms=("l2",),
        transformations=("shear",),
        worst_case=("rotation:worst-of-3", "translation:grid"),
        values={"translation": (0.0, 1.0), "l2": (0.0, 0.2)},
    )
    assert profiling.card == (
        Measurement("invariance", THETAS, over=Rotation(step=30)),
        Measurement("robustness", EPSILONS, attack=PGD(steps=3, restarts=2), audit=9),
    )
    assert list(profiling.beside.values()) == [
        Measurement("disc", THETAS, over=Rotation(border="disc", step=30)),
        Measurement("there-and-back", THETAS, over=Rotation(path="there-and-back", step=30)),
        Measurement("weak:few-steps", EPSILONS, attack=Weak("few-steps"), audit=9),
        Measurement("l2", (0.0, 0.2), norm="l2", attack=PGD(steps=3, restarts=2), audit=9),
        Measurement("shear", TRANSFORMATIONS["shear"].values, over=change_of("shear")),
        Measurement("rotation:worst-of-3", THETAS, over=Rotation(), against=WorstOf(3)),
        Measurement("translation:grid", (0.0, 1.0), over=change_of("translation"), against=Grid()),
    ]
