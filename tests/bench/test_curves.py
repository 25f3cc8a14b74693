"""The part "curves" of the benchmarks: what is counted, what is believed, and what is compared with what."""

import json
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from benchmarks import curves
from benchmarks.peers import PEERS, Case, Counted, at_once, epsilon_by_epsilon, rivals
from benchmarks.timing import Setting
from invrob import PGD, robustness_profile

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]  # the peers' own warnings
EPSILONS = {"linf": (0.0, 0.05, 0.1, 0.2, 0.4), "l2": (0.0, 0.3, 0.6, 1.2, 2.4)}
both = pytest.mark.parametrize("norm", EPSILONS)


@pytest.fixture
def case(linear, request):
    """A linear model of ten classes and eight images of 4 x 4; the norm is the parameter of the test."""
    images = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    norm = request.node.callspec.params["norm"] if hasattr(request.node, "callspec") else "linf"
    return Case(linear(10, 16, seed=0).eval().requires_grad_(False), images, EPSILONS[norm], norm)


def test_an_image_counts_forward_and_once_for_every_way_back():
    counted = Counted(nn.Flatten())
    with torch.no_grad():
        counted(torch.zeros(3, 1, 2, 2))
    assert (counted.forwards, counted.gradients) == (3, 0)
    x = torch.zeros(5, 1, 2, 2, requires_grad=True)
    logits = counted(x)
    assert (counted.forwards, counted.gradients) == (8, 0)  # nothing went back yet
    for column in (0, 1):  # as DeepFool does, and FAB: a way back for each class
        torch.autograd.grad(logits[:, column].sum(), x, retain_graph=True)
    assert (counted.forwards, counted.gradients) == (8, 10)


@both
def test_our_own_count_of_gradients_is_the_one_that_all_are_held_to(case, norm):
    profiles = []

    def ours(model, case):
        attack = PGD(steps=10, restarts=2)
        profiles.append(robustness_profile(model, case.images, case.epsilons, norm=norm, attack=attack))
        return np.array([*case.epsilons, np.inf])[profiles[0].levels]

    curve = curves.measured(case, "ours", "ours", ours)
    assert curve.gradients == profiles[0].gradient_evaluations > 0
    assert np.array_equal(curve.standing.mean(1), profiles[0].rate)


def cheapest(found):
    """One of each family, so that a test takes seconds."""
    return {rival.family: rival for rival in sorted(found, key=lambda rival: rival.price, reverse=True)}.values()


@pytest.mark.parametrize("peer", PEERS)
@both
def test_no_peer_finds_what_is_not_there_and_each_is_counted_by_its_steps(case, norm, peer, worst_case):
    """On a linear model the truth is known: there is no perturbation smaller than it, and each attack finds some."""
    try:
        found = cheapest(PEERS[peer](case))
    except ImportError as error:
        pytest.skip(f"{peer} is not installed: {error}")
    for rival in found:
        if rival.price > 200:  # the long ones, AutoAttack among them: tests/empirical/test_attack_oracles.py has that
            continue
        counted = Counted(case.model).eval()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            sizes = rival.attack(counted, case)
        assert np.isfinite(sizes).any(), rival.name
        for image, label, size in zip(case.images, case.labels, sizes, strict=True):
            if np.isfinite(size):
                assert worst_case(case.model, image[None], label[None], size + 1e-5, norm) > 0, rival.name
        assert counted.forwards >= counted.gradients, rival.name
        steps = counted.gradients / len(case.images)
        assert steps == rival.price if rival.family != "minimal APGD" else 0 < steps <= rival.price, rival.name


def test_what_is_not_installed_or_too_dear_is_named(case, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    every, _ = rivals(case)
    found, missing = rivals(case, most=90)
    assert [rival.name for rival in found] == [rival.name for rival in every if rival.price <= 90]
    named = [rival.name for rival in every if rival.price > 90]
    assert all(f"{name} (its price)" in missing for name in named)
    assert any(name.startswith("pyautoattack (") for name in missing)


def test_a_perturbation_is_believed_only_where_the_model_says_so_again(case):
    beyond = at_once(lambda model, x, y: x + 2)(case.model, case)  # fools some, but is no image
    nothing = at_once(lambda model, x, y: x)(case.model, case)
    assert np.isinf(beyond).all()
    assert np.isinf(nothing).all()
    target = case.images[(case.labels != case.labels[0]).nonzero()[0]]
    other = at_once(lambda model, x, y: target.expand_as(x))(case.model, case)
    moved = (target - case.images).abs().flatten(1).amax(1).numpy()
    fooled = (case.labels != case.model(target).argmax(1)).numpy()
    assert np.allclose(other, np.where(fooled, moved, np.inf))


def test_a_loop_keeps_the_smallest_of_what_it_found(case):
    target = case.images[(case.labels != case.labels[0]).nonzero()[0]][0]

    def attack(model, x, y, epsilon):
        return target.expand_as(x).clone() if epsilon > 0.1 else x

    alone = at_once(lambda model, x, y: target.expand_as(x).clone())(case.model, case)
    assert np.array_equal(epsilon_by_epsilon(attack)(case.model, case), alone)


standings = st.integers(1, 12).flatmap(
    lambda n: st.lists(arrays(np.float64, n, elements=st.floats(0, 1)), min_size=1, max_size=4)
)


@given(standings)
def test_excess_is_against_the_image_wise_best_of_all(sizes):
    epsilons = np.linspace(0, 1, 5)
    found = [curves.Curve(str(i), "", size > epsilons[:, None], 1, 1, 1.0) for i, size in enumerate(sizes)]
    best = curves.Curve("best", "", np.min(sizes, axis=0) > epsilons[:, None], 1, 1, 1.0)
    for curve in found:
        missed = curves.excess(curve, found)
        assert (missed >= 0).all()
        assert np.allclose(curve.standing.mean(1) - missed, best.standing.mean(1))
        assert curve.area(tuple(epsilons)) >= best.area(tuple(epsilons)) - 1e-12
    assert (curves.excess(best, [*found, best]) == 0).all()


def test_the_area_is_the_mean_robustness_over_epsilon():
    standing = np.array([[True] * 4, [True, True, False, False], [False] * 4])
    curve = curves.Curve("", "", standing, 1, 1, 1.0)
    assert curve.area((0.0, 0.1, 0.4)) == pytest.approx((0.1 * 0.75 + 0.3 * 0.25) / 0.4)


def test_a_network_without_its_images_is_left_out_by_name(tmp_path, monkeypatch, case):
    """Without CIFAR-10 the part goes on with the digits, says what it left out, and its figure has their panels."""
    monkeypatch.setattr(curves, "digits_cases", lambda setting: [("linear", case)])
    monkeypatch.setattr(curves, "rivals", lambda case, most: ([], ["adv-lib (No module named 'adv_lib')"]))
    picture = tmp_path / "curves.png"
    setting = Setting(8, 1, 1, 0.25, torch.device("cpu"), f"npz:{tmp_path / 'none.npz'}", picture)
    left_out, first = curves.tables(setting)
    assert "No module named 'adv_lib'" in first.note
    assert [row["attack"] for row in first.rows] == ["invrob, the search alone", "invrob, audited"]
    assert "none.npz" in left_out.note
    assert left_out.rows
    assert picture.read_bytes().startswith(b"\x89PNG")
    json.dumps([row for table in (first, left_out) for row in table.rows])
