"""robustness_profile: exact where the truth is known, a curve that never rises, and the work it says it took."""

import json
from math import inf, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import nn

from invrob import PGD, Auto, InputError, Square, Weak, robustness_profile
from invrob.empirical import groups
from invrob.empirical.attacks import search
from invrob.empirical.models import build
from invrob.empirical.profiles import RobustnessProfile

seeds = st.integers(0, 2**32 - 1)
ELEVEN = np.linspace(0, 0.3, 11)


def digits_like(seed, n, side=5, dtype=torch.float32):
    """Random images with many pixels exactly at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand((n, 1, side, side), generator=generator, dtype=dtype) - 0.5).clamp(0, 1)


def fooled_for_certain(worst_case, model, images, epsilons, norm):
    """[N, T] bool: the worst case changes the prediction; and where that is beyond rounding."""
    labels = model(images).argmax(1)
    worst = torch.stack([worst_case(model, images, labels, float(e), norm) for e in epsilons], 1)
    return (worst > 0).numpy(), (worst.abs() > 1e-5).numpy()


# ---- the truth


@given(
    classes=st.integers(2, 10),
    seed=seeds,
    epsilons=st.lists(st.floats(0, 1), min_size=1, max_size=7, unique=True).map(sorted),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    n=st.sampled_from([1, 30, 120, 300]),
)
@settings(deadline=None, max_examples=8)
def test_the_profile_of_a_linear_model_is_the_closed_form(linear, worst_case, classes, seed, epsilons, dtype, n):
    model, images = linear(classes, 25, seed, dtype), digits_like(seed, n, dtype=dtype)
    profile = robustness_profile(model, images, epsilons, seed=seed, attack=PGD(steps=10))
    fooled, sure = fooled_for_certain(worst_case, model, images, epsilons, "linf")
    ours = profile.levels[:, None] <= np.arange(len(epsilons))
    assert (ours == fooled)[sure].all()
    assert np.abs(profile.rate - (1 - fooled.mean(0))).max() <= (~sure).mean(0).max() + 1e-12
    assert profile.verdict == "sound"


@given(seed=seeds, epsilons=st.lists(st.floats(0.01, 4), min_size=1, max_size=6, unique=True).map(sorted))
@settings(deadline=None, max_examples=6)
def test_in_l2_two_linear_classes_are_exact_too(linear, worst_case, seed, epsilons):
    model, images = linear(2, 25, seed), digits_like(seed, 100)
    profile = robustness_profile(model, images, epsilons, norm="l2", seed=seed, audit=0)
    ours = profile.levels[:, None] <= np.arange(len(epsilons))
    fooled, _ = fooled_for_certain(worst_case, model, images, epsilons, "l2")
    within, beyond = (
        fooled_for_certain(worst_case, model, images, np.multiply(epsilons, scale), "l2")[0] for scale in (0.998, 1.001)
    )
    assert (ours >= within).all()  # 20 steps leave 0.2 % of the ball where many pixels end at the box
    assert (ours <= beyond).all()
    assert (ours != fooled).mean() < 0.02


@pytest.mark.long
@given(classes=st.integers(3, 10), seed=seeds)
@settings(deadline=None, max_examples=8)
def test_in_l2_many_linear_classes_are_within_5_percent_of_epsilon(linear, worst_case, classes, seed):
    epsilons = [0.05, 0.1, 0.2, 0.4, 0.8]
    model, images = linear(classes, 25, seed), digits_like(seed, 100)
    profile = robustness_profile(model, images, epsilons, norm="l2", seed=seed, audit=0)
    ours = profile.levels[:, None] <= np.arange(len(epsilons))
    within, beyond = (
        fooled_for_certain(worst_case, model, images, np.multiply(epsilons, scale), "l2")[0] for scale in (0.95, 1.001)
    )
    assert (within & ~ours).mean() <= 0.01  # a class that is farther by far can still be missed
    assert (ours <= beyond).all()


@given(seed=seeds, factor=st.sampled_from([1e-4, 0.1, 10.0, 1e4]), offset=st.sampled_from([0.0, 100.0]))
@settings(deadline=None, max_examples=5)
def test_scaling_or_shifting_the_logits_of_a_linear_model_changes_nothing(linear, seed, factor, offset):
    model, images, epsilons = linear(4, 25, seed, torch.float64), digits_like(seed, 60, dtype=torch.float64), ELEVEN / 4
    plain, changed = (
        robustness_profile(network, images, epsilons, attack=PGD(steps=8), audit=0).levels.tolist()
        for network in (model, lambda x: factor * model(x) + offset)
    )
    assert plain == changed


@given(seed=seeds, extra=st.lists(st.floats(0.001, 0.3), min_size=1, max_size=4))
@settings(deadline=None, max_examples=5)
def test_a_finer_grid_gives_the_same_rates_where_they_are_exact(linear, seed, extra):
    # No law for every network: the search takes another path through another grid.
    model, images, coarse = linear(3, 25, seed, torch.float64), digits_like(seed, 60, dtype=torch.float64), [0.02, 0.1]
    fine = sorted({*coarse, *extra})
    rates = dict(zip(fine, robustness_profile(model, images, fine, audit=0).rate, strict=True))
    assert [rates[e] for e in coarse] == robustness_profile(model, images, coarse, audit=0).rate.tolist()


@given(seed=seeds)
@settings(deadline=None, max_examples=5)
def test_the_order_of_the_images_does_not_matter_where_rates_are_exact(linear, seed):
    model, images = linear(3, 25, seed, torch.float64), digits_like(seed, 300, dtype=torch.float64)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(seed))
    levels, shuffled = (
        robustness_profile(model, x, [0.02, 0.1, 0.2], attack=PGD(steps=8), audit=0).levels
        for x in (images, images[order])
    )
    assert (levels[order.numpy()] == shuffled).all()


# ---- what a profile is


@pytest.fixture(scope="module")
def profile(_trained, digits):
    return robustness_profile(_trained, digits.test.images[:60], ELEVEN, digits.test.labels[:60])


def test_a_profile_has_the_fields_that_others_rely_on(profile):
    assert profile.epsilons.tolist() == ELEVEN.tolist()
    for values in (profile.rate, profile.low, profile.high, profile.accuracy):
        assert values.shape == (11,)
        assert values.dtype == np.float64
    assert isinstance(profile.gradient_evaluations, float)
    assert profile.verdict == profile.sanity.verdict == "sound"
    assert (profile.images, profile.norm, profile.steps, profile.restarts, profile.seed) == (60, "linf", 20, 1, 0)


def test_rates_come_from_one_level_per_image_and_never_rise(profile):
    assert (np.diff(profile.rate) <= 0).all()
    assert 0.3 < profile.rate[3] < 0.9  # not a trivial curve
    for i, rate in enumerate(profile.rate):
        assert rate == (profile.levels > i).mean()
    assert profile.per_image == pytest.approx(profile.levels / 11)


def test_at_epsilon_0_every_prediction_stays_for_certain(profile):
    assert (profile.rate[0], profile.low[0], profile.high[0]) == (1, 1, 1)
    assert all((row.rate[0], row.low[0], row.high[0]) == (1, 1, 1) for row in profile.classes)
    assert profile.accuracy_low[0] < profile.accuracy[0] < profile.accuracy_high[0] < 1


def test_intervals_are_those_of_clopper_and_pearson(profile):
    for i in range(1, 11):
        exact = binomtest(int((profile.levels > i).sum()), 60).proportion_ci(0.95, method="exact")
        assert (profile.low[i], profile.high[i]) == pytest.approx((exact.low, exact.high), abs=1e-12)
        exact = binomtest(round(60 * profile.accuracy[i]), 60).proportion_ci(0.95, method="exact")
        assert (profile.accuracy_low[i], profile.accuracy_high[i]) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert (profile.low <= profile.rate).all()
    assert (profile.rate <= profile.high).all()


def test_accuracy_under_attack_counts_what_is_right_and_stays(profile, net, digits):
    predictions, truth = net(digits.test.images[:60]).argmax(1).numpy(), digits.test.labels[:60].numpy()
    assert profile.clean_accuracy == profile.accuracy[0] == (predictions == truth).mean() > 0.9
    for i, accuracy in enumerate(profile.accuracy):
        assert accuracy == ((predictions == truth) & (profile.levels > i)).mean()
    assert (profile.accuracy <= profile.rate).all()


def test_the_rows_of_the_classes_sum_to_the_whole(profile, net, digits):
    assert [row.label for row in profile.classes] == [*range(10)]
    assert [row.images for row in profile.classes] == digits.test.labels[:60].bincount().tolist()
    assert sum(row.images * row.rate for row in profile.classes) / 60 == pytest.approx(profile.rate)
    unlabelled = robustness_profile(net, digits.test.images[:60], ELEVEN)
    assert unlabelled.rate.tolist() == profile.rate.tolist()
    assert (unlabelled.accuracy, unlabelled.clean_accuracy) == (None, None)
    assert [r.images for r in unlabelled.classes] == net(digits.test.images[:60]).argmax(1).bincount().tolist()


def test_to_dict_is_plain_json(profile):
    plain = json.loads(json.dumps(profile.to_dict(), allow_nan=False))
    assert plain["rate"] == profile.rate.tolist()
    assert plain["levels"] == profile.levels.tolist()
    assert plain["verdict"] == "sound"
    assert plain["sanity"]["reasons"] == []
    assert plain["classes"][3]["rate"] == profile.classes[3].rate.tolist()


def test_the_same_seed_gives_the_same_profile_also_as_a_numpy_integer(net, digits):
    first, again = (
        robustness_profile(net, digits.test.images[:8], ELEVEN, attack=PGD(steps=5, restarts=2), seed=seed, audit=3)
        for seed in (3, np.int64(3))
    )
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict())


def test_l2_profiles_work(net, digits):
    profile = robustness_profile(net, digits.test.images[:30], [0, 0.5, 1, 2, 4], norm="l2")
    assert profile.rate[0] == 1
    assert profile.rate[1] > profile.rate[2] > profile.rate[3] > profile.rate[4]
    assert profile.verdict == "sound"


# ---- unusual sizes


@pytest.mark.parametrize(
    ("epsilons", "rates"),
    [([0], [1]), ([0.9], [0]), ([0.9, 1], [0, 0]), ([1e-9, 1e-8], [1, 1]), ([0, 1e-9], [1, 1]), ((0, 1), [1, 0])],
)
def test_grids_of_one_value_and_curves_without_a_slope(net, digits, epsilons, rates):
    profile = robustness_profile(net, digits.test.images[:20], epsilons, digits.test.labels[:20])
    assert profile.rate.tolist() == rates
    assert profile.verdict == "sound"


@pytest.mark.parametrize("n", [1, 2, 257])
@pytest.mark.parametrize("classes", [2, 1000])
def test_any_number_of_images_and_classes(n, classes):
    model = nn.Sequential(nn.Flatten(), nn.Linear(25, classes))
    profile = robustness_profile(model, digits_like(0, n), [0, 0.01, 0.5], attack=PGD(steps=5), audit=1000)
    assert profile.images == profile.audited == len(profile.levels) == n
    assert profile.sanity.probed == min(n, 32)
    assert profile.rate[0] == 1


def test_epsilons_come_as_any_numbers(linear):
    model, images = linear(3, 25, 0), digits_like(0, 20)
    rates = robustness_profile(model, images, [0, 0.125, 0.5], audit=0).rate.tolist()
    for epsilons in ((0, 0.125, 0.5), np.array([0, 0.125, 0.5]), torch.tensor([0, 0.125, 0.5]), iter([0, 0.125, 0.5])):
        assert robustness_profile(model, images, epsilons, audit=0).rate.tolist() == rates


# ---- the work


def test_the_price_hardly_grows_with_the_number_of_epsilons(net, digits):
    images, how = digits.test.images[:200], {"attack": PGD(), "audit": 0}  # of the search: an audit has its own price
    coarse, fine = (robustness_profile(net, images, np.linspace(0, 0.5, n), **how) for n in (11, 41))
    assert fine.gradient_evaluations <= 1.5 * coarse.gradient_evaluations
    assert np.abs(fine.rate[::4] - coarse.rate).max() <= 0.015  # and it is not bought with strength


def test_giving_up_on_a_hopeless_attack_saves_work_and_loses_next_to_nothing(net, digits, monkeypatch):
    def measured():
        return robustness_profile(net, digits.test.images[:200], ELEVEN, attack=PGD(), audit=0)

    hasty = measured()
    monkeypatch.setattr(search, "HOPELESS", np.inf)
    patient = measured()
    assert hasty.gradient_evaluations < 0.9 * patient.gradient_evaluations
    assert np.abs(hasty.rate - patient.rate).max() <= 0.01


def test_eleven_epsilons_cost_less_than_a_sixth_of_a_loop_over_pgd(net, digits):
    with_gradient = []

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            with_gradient.append(len(x) if x.requires_grad else 0)
            return self.net(x)

    profile = robustness_profile(Counting(), digits.test.images[:200], ELEVEN, attack=PGD(steps=20), audit=0)
    assert profile.gradient_evaluations == sum(with_gradient) / 200
    assert profile.gradient_evaluations < 10 * 20 / 6


def test_a_k_step_attack_expands_the_filters_once_per_layer(monkeypatch):
    expanded, calls, expand = [], [], groups.expand_filters
    monkeypatch.setattr(groups, "expand_filters", lambda *args: expanded.append(1) or expand(*args))
    model = build("gcnn", width=0.1)
    model.register_forward_hook(lambda *_: calls.append(1))
    robustness_profile(model, digits_like(0, 3, 28), [0.1, 0.2], attack=PGD(steps=10))
    assert len(expanded) == 4
    assert len(calls) > 20


# ---- what is refused

EPSILONS = "must be at least one number, each larger than the one before: sort them"
RANGE = "outside [0, 1]: pixels are in [0, 1], so write 8 / 255, not 8"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"epsilons": [0.2, 0.1]}, f"epsilons = [0.2, 0.1] {EPSILONS}"),
        ({"epsilons": [0.1, 0.1]}, f"epsilons = [0.1, 0.1] {EPSILONS}"),
        ({"epsilons": []}, f"epsilons = [] {EPSILONS}"),
        ({"epsilons": [0, 8]}, f"epsilons holds 8.0, {RANGE}"),
        ({"epsilons": [-0.1, 0]}, f"epsilons holds -0.1, {RANGE}"),
        ({"epsilons": [0, nan]}, f"epsilons holds nan, {RANGE}"),
        ({"epsilons": [0, inf], "norm": "l2"}, f"epsilons holds inf, {RANGE.replace('1]:', 'inf):')}"),
        ({"epsilons": 0.1}, "epsilons = 0.1 must be a list of numbers, such as [0, 0.1, 0.2]"),
        ({"epsilons": ["a"]}, "epsilons = ['a'] must be a list of numbers, such as [0, 0.1, 0.2]"),
        ({"norm": "l1"}, "norm 'l1' is unknown: choose one of linf, l2; did you mean 'l2'?"),
        (
            {"attack": "pgdd"},
            "attack = 'pgdd' is unknown; did you mean 'pgd'?: use auto, pgd, square, weak, or a value such as "
            "PGD(steps=100)",
        ),
        ({"seed": -1}, "seed = -1 must be an integer in [0, 2^63)"),
        ({"seed": 0.5}, "seed = 0.5 must be an integer in [0, 2^63)"),
        ({"confidence": 95}, "confidence = 95 is outside (0, 1): write 0.95 for 95 %"),
        ({"confidence": nan}, "confidence = nan is outside (0, 1): write 0.95 for 95 %"),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused_in_words(linear, arguments, text):
    with pytest.raises(InputError) as caught:
        robustness_profile(linear(3, 25, 0), digits_like(0, 3), **{"epsilons": [0, 0.1], **arguments})
    assert str(caught.value) == text


@pytest.mark.parametrize(("kind", "setting"), [(PGD, "steps"), (PGD, "restarts"), (Auto, "steps"), (Auto, "limit")])
@pytest.mark.parametrize("count", [0, 2.5, -3, "20", None])
def test_attacks_without_a_whole_number_of_steps_restarts_or_gradients_are_refused(kind, setting, count):
    with pytest.raises(InputError) as caught:
        kind(**{setting: count})
    assert str(caught.value) == f"{setting} = {count!r} must be an integer of at least 1"


@pytest.mark.parametrize(("name", "value"), [("auto", Auto()), ("pgd", PGD()), ("square", Square()), ("weak", Weak())])
def test_a_name_stands_for_the_default_of_its_kind(linear, name, value):
    model, images = linear(3, 25, 0), digits_like(0, 5)
    assert robustness_profile(model, images, [0, 0.1], attack=name) == robustness_profile(
        model, images, [0, 0.1], attack=value
    )


def test_settings_are_given_by_keyword(linear):
    with pytest.raises(TypeError, match="positional arguments"):
        robustness_profile(linear(3, 25, 0), digits_like(0, 3), [0.1], None, "linf")


def test_each_image_says_whether_its_clean_prediction_is_right() -> None:
    images = torch.tensor([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]]).reshape(3, 1, 1, 2)
    labelled = robustness_profile(lambda x: x.flatten(1), images, [0, 0.1], torch.tensor([1, 1, 1]))
    assert labelled.right is not None
    assert labelled.right.tolist() == [1, 0, 1]
    assert labelled.clean_accuracy == labelled.right.mean()
    assert robustness_profile(lambda x: x.flatten(1), images, [0, 0.1]).right is None


def test_a_profile_of_before_right_answers_were_kept_is_still_read() -> None:
    images = torch.tensor([[0.2, 0.8], [0.9, 0.1]]).reshape(2, 1, 1, 2)
    plain = robustness_profile(lambda x: x.flatten(1), images, [0, 0.1], torch.tensor([1, 1])).to_dict()
    del plain["right"]
    assert RobustnessProfile.from_dict(plain).right is None
