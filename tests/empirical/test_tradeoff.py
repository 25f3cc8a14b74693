"""The card: both profiles of one model on the same images, as a figure and as JSON."""

import json

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import invrob
from invrob.empirical.profiles.grids import EPSILONS, L2_EPSILONS, usual_epsilons
from invrob.empirical.transforms import TRANSFORMATIONS

SMALL = torch.rand((4, 1, 5, 5), generator=torch.Generator().manual_seed(0))
WEIGHTS = torch.rand((25, 3), generator=torch.Generator().manual_seed(1))
LINEAR = lambda x: x.flatten(1) @ WEIGHTS  # noqa: E731
GRIDS = {"epsilons": [0, 0.1, 0.3], "thetas": [0, 30, 180]}


@pytest.fixture(scope="module")
def card(_trained, digits):
    return invrob.tradeoff(_trained, digits.test.images[:30], digits.test.labels[:30], seed=4, **GRIDS)


def test_a_card_holds_the_two_profiles_as_each_function_gives_them(card, net, digits):
    images, labels = digits.test.images[:30], digits.test.labels[:30]
    robustness = invrob.robustness_profile(net, images, GRIDS["epsilons"], labels, seed=4)
    invariance = invrob.invariance_profile(net, images, GRIDS["thetas"], labels, seed=4)
    assert json.dumps(card.robustness.to_dict()) == json.dumps(robustness.to_dict())
    assert json.dumps(card.invariance.to_dict()) == json.dumps(invariance.to_dict())
    assert isinstance(card, invrob.Card)


def test_the_verdict_is_that_of_the_attack(card, net, digits):
    assert card.verdict == "sound"
    masked = invrob.tradeoff(lambda x: net(x.detach()), digits.test.images[:20], **GRIDS)
    assert masked.verdict == masked.robustness.verdict == "masked"


def test_to_json_reads_back_as_the_same_numbers(card):
    read = json.loads(card.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert read["invariance"]["thetas"] == GRIDS["thetas"]
    assert read["robustness"]["epsilons"] == GRIDS["epsilons"]
    for half, profile in (("invariance", card.invariance), ("robustness", card.robustness)):
        for name in ("rate", "low", "high", "accuracy", "accuracy_low", "accuracy_high", "per_image"):
            assert read[half][name] == getattr(profile, name).tolist()
    assert read["robustness"]["verdict"] == "sound"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_plot_is_a_figure_that_can_be_saved(card, tmp_path, suffix):
    figure = card.plot()
    assert isinstance(figure, Figure)
    left, right = figure.axes
    for axes, profile, x in ((left, card.robustness, "epsilons"), (right, card.invariance, "thetas")):
        drawn = {tuple(line.get_ydata()): tuple(line.get_xdata()) for line in axes.lines}
        assert drawn[tuple(profile.rate)] == drawn[tuple(profile.accuracy)] == tuple(getattr(profile, x))
    path = tmp_path / f"card.{suffix}"
    figure.savefig(path)
    assert path.stat().st_size > 2000


def test_a_card_without_labels_and_with_one_value_each_can_be_drawn_too(net, digits, tmp_path):
    card = invrob.tradeoff(net, digits.test.images[:5], epsilons=[0], thetas=[0])
    assert card.robustness.accuracy is None
    json.loads(card.to_json())
    card.plot().savefig(tmp_path / "card.png")


def test_colours_get_the_epsilons_of_the_command_line():
    card = invrob.tradeoff(lambda x: x.flatten(1)[:, :3], torch.rand(3, 3, 4, 4), thetas=[0])
    assert (
        tuple(card.robustness.epsilons)
        == usual_epsilons("linf", 3)
        == tuple(k / 255 for k in (0, 0.5, 1, 2, 4, 8, 12, 16))
    )


def test_the_default_grids_are_those_of_the_norm_and_the_transformation():
    usual = invrob.tradeoff(LINEAR, SMALL)
    other = invrob.tradeoff(LINEAR, SMALL, norm="l2", over="scaling")
    assert tuple(usual.robustness.epsilons) == EPSILONS
    assert tuple(usual.invariance.thetas) == tuple(range(0, 181, 15))
    assert (tuple(other.robustness.epsilons), other.robustness.norm) == (L2_EPSILONS, "l2")
    assert tuple(other.invariance.thetas) == TRANSFORMATIONS["scaling"].values
    assert (EPSILONS[0], EPSILONS[-1], L2_EPSILONS[0]) == (0, 0.5, 0)
    assert (np.diff(EPSILONS) > 0).all()
    assert (np.diff(L2_EPSILONS) > 0).all()


def test_the_axes_of_the_plot_say_what_was_measured():
    grids = {"epsilons": [0, 0.1], "thetas": [0, 1]}
    card = invrob.tradeoff(LINEAR, SMALL, norm="l2", over="translation", **grids)
    assert [axes.get_xlabel() for axes in card.plot().axes] == [
        r"$\epsilon$, L2 norm of the perturbation (pixels in [0, 1])",
        "B: shifted by up to B pixels along both axes",
    ]
    assert [axes.get_xlabel() for axes in invrob.tradeoff(LINEAR, SMALL, **grids).plot().axes] == [
        r"$\epsilon$, L-inf norm of the perturbation (pixels in [0, 1])",
        "B: rotated by angles in [-B, B] (degrees)",
    ]
