"""Attacks in pixel space: inside ball and box, replayable, and as strong as the truth says where that is known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob import InputError
from invrob.empirical.attacks import NORMS, fgsm, findings, judge, odds_loss, pgd, restarts, search, square
from invrob.empirical.attacks.apgd import apgd, dlr_loss
from invrob.empirical.attacks.gradients import loss_and_gradient, margins, runner_up, value_and_gradient
from invrob.empirical.attacks.pgd import attack_batch
from invrob.empirical.inference import evaluating, predict

seeds = st.integers(0, 2**32 - 1)
both = pytest.mark.parametrize("norm", NORMS)


def digits_like(seed, n=8, side=5, dtype=torch.float32):
    """Random images with many pixels exactly at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand((n, 1, side, side), generator=generator, dtype=dtype) - 0.5).clamp(0, 1)


def small_net(seed, dtype=torch.float32, classes=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(25, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, classes)).to(
            dtype
        )


def squared(model, images, epsilon, norm, queries=20, seed=0):
    with evaluating(model):
        radius = torch.full((len(images),), epsilon, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed)
        labels = predict(model, images)
        return square(model, images, labels, radius, NORMS[norm], queries=queries, generator=generator)


ATTACKS = {
    "pgd": lambda model, x, epsilon, norm: pgd(model, x, epsilon, norm=norm, steps=5, restarts=2).images,
    "long steps": lambda model, x, epsilon, norm: pgd(model, x, epsilon, norm=norm, steps=3, step_size=7.0).images,
    "fgsm": lambda model, x, epsilon, norm: fgsm(model, x, epsilon, norm=norm).images,
    "square": lambda model, x, epsilon, norm: squared(model, x, epsilon, norm)[0],
}
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


@every_attack
@both
@given(seed=seeds, dtype=st.sampled_from([torch.float32, torch.float64]), epsilon=st.floats(0, 1))
@settings(deadline=None, max_examples=15)
def test_results_lie_in_ball_and_box_to_the_last_bit(attack, norm, seed, dtype, epsilon):
    images = digits_like(seed, dtype=dtype)
    x = attack(small_net(seed, dtype), images, epsilon, norm)
    moved = (x.double() - images.double()).flatten(1)
    assert ((x >= 0) & (x <= 1)).all()
    assert ((moved.abs().amax(1) if norm == "linf" else moved.norm(dim=1)) <= epsilon).all()
    assert x.dtype == dtype


@every_attack
@both
@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_epsilon_0_is_the_identity(attack, norm, seed):
    images = digits_like(seed)
    assert torch.equal(attack(small_net(seed), images, 0.0, norm), images)


@both
def test_at_epsilon_0_only_the_wrong_labels_are_fooled(norm):
    model, images = small_net(0), digits_like(0)
    labels = model.eval()(images).argmax(1)
    labels[:3] = (labels[:3] + 1) % 3
    for attack in (pgd(model, images, 0, labels=labels, norm=norm), fgsm(model, images, 0, labels=labels, norm=norm)):
        assert attack.fooled.tolist() == [True] * 3 + [False] * 5
    assert not pgd(model, images, 0, norm=norm).fooled.any()


@both
@given(seed=seeds)
@settings(deadline=None, max_examples=15)
def test_the_same_seed_gives_the_same_bits(norm, seed):
    model, images = small_net(seed), digits_like(seed)
    first, again = (pgd(model, images, 0.05, norm=norm, steps=3, restarts=2, seed=seed) for _ in range(2))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.fooled, again.fooled)


@both
def test_another_seed_starts_elsewhere(norm):
    model, images = small_net(0), digits_like(0)
    first, other = (pgd(model, images, 0.05, norm=norm, steps=1, step_size=0.01, seed=seed) for seed in (0, 1))
    assert not torch.equal(first.images, other.images)


# ---- what an attack reports


@both
@given(seed=seeds, epsilon=st.floats(0.001, 0.5))
@settings(deadline=None, max_examples=25)
def test_fooled_says_what_the_model_says_of_the_images_and_the_best_iterate_is_kept(norm, seed, epsilon):
    model, images = small_net(seed), digits_like(seed, 20)
    attack = pgd(model, images, epsilon, norm=norm, steps=4, restarts=2, seed=seed)
    model.eval()
    with torch.no_grad():
        predictions = model(images).argmax(1)
        before, after = margins(model(images), predictions), margins(model(attack.images), predictions)
        assert torch.equal(model(attack.images).argmax(1) != predictions, attack.fooled)
    assert (after >= before - 1e-6).all()


def test_the_best_iterate_is_kept_when_later_ones_are_worse():
    # The margin has its top at 0.3; steps of 0.25 from a start within 0.5 of 0 jump about it.
    def model(x):
        brightness = x.flatten(1)[:, 0]
        return torch.stack([(brightness - 0.3).abs() + 0.01, torch.zeros_like(brightness)], 1)

    visited = []

    def watched(x):
        visited.append(margins(model(x), torch.zeros(1, dtype=torch.int64)).max().item())
        return model(x)

    attack = pgd(watched, torch.zeros(1, 1, 1, 1), 0.5, steps=10, step_size=0.25)
    assert not attack.fooled.any()
    kept = margins(model(attack.images), torch.zeros(1, dtype=torch.int64)).item()
    assert kept == max(visited)
    assert visited[-1] < kept


def test_the_label_is_the_models_own_prediction_unless_the_true_one_is_given():
    model, images = small_net(1).eval(), digits_like(1, 40)
    predictions = model(images).argmax(1)
    assert torch.equal(pgd(model, images, 0.1).fooled, pgd(model, images, 0.1, labels=predictions).fooled)
    truth = (predictions + torch.arange(40) % 2) % 3  # every other one is wrong to begin with
    attack = pgd(model, images, 0.02, labels=truth)
    wrong = predictions != truth
    assert attack.fooled[wrong].all()
    assert torch.equal(attack.images[wrong], images[wrong])
    assert 0 < attack.fooled[~wrong].sum() < (~wrong).sum()


def test_gradient_evaluations_are_the_images_that_went_through_the_model_with_a_gradient():
    model, images, counted = small_net(2).eval(), digits_like(2, 300), []

    def counting(x):
        counted.append(len(x) if x.requires_grad else 0)
        return model(x)

    for attack in (
        lambda: pgd(counting, images, 0.05, steps=4, restarts=3),
        lambda: pgd(counting, images, 0.3, norm="l2", steps=4),
        lambda: fgsm(counting, images, 0.1),
    ):
        counted.clear()
        assert attack().evaluations == sum(counted) > 0


def test_an_image_without_a_gradient_is_stuck_unless_it_is_fooled():
    images = digits_like(3, 6)
    constant = pgd(lambda x: torch.eye(3)[:1].expand(len(x), 3), images, 0.2, steps=3)
    assert constant.stuck.all()
    assert not constant.fooled.any()
    detached = pgd(lambda x: x.detach().flatten(1)[:, :2], images, 0.5, steps=3)
    assert 0 < detached.fooled.sum() < 6  # by the random start
    assert torch.equal(detached.stuck, ~detached.fooled)
    assert not pgd(small_net(3), images, 0.001, steps=3).stuck.any()


# ---- laws of strength


@given(seed=seeds)
@settings(deadline=None, max_examples=5)
def test_more_restarts_never_fool_fewer(linear, seed):
    images = digits_like(seed, 300, 3, torch.float64)  # more than one batch
    model = linear(6, 9, seed, torch.float64)
    fooled = [pgd(model, images, 0.05, steps=2, restarts=restarts, seed=seed).fooled for restarts in (1, 2, 4)]
    assert (fooled[0] <= fooled[1]).all()
    assert (fooled[1] <= fooled[2]).all()


@given(seed=seeds)
@settings(deadline=None, max_examples=5)
def test_more_steps_of_the_same_size_never_fool_fewer(linear, seed):
    # No law for the default, 2.5 epsilon / steps: there more steps are shorter steps.
    images = digits_like(seed, 40, 3, torch.float64)
    model = linear(6, 9, seed, torch.float64)
    fooled = [pgd(model, images, 0.1, steps=steps, step_size=0.02, seed=seed).fooled for steps in (1, 3, 9)]
    assert (fooled[0] <= fooled[1]).all()
    assert (fooled[1] <= fooled[2]).all()


def test_the_default_step_is_madrys():
    model, images = small_net(4), digits_like(4)
    for norm in NORMS:
        by_default = pgd(model, images, 0.2, norm=norm, steps=8)
        assert torch.equal(
            by_default.images, pgd(model, images, 0.2, norm=norm, steps=8, step_size=2.5 * 0.2 / 8).images
        )


linear_cases = {
    "classes": st.integers(2, 10),
    "seed": seeds,
    "epsilon": st.floats(0.005, 0.3),
    "dtype": st.sampled_from([torch.float32, torch.float64]),
}


def pgd_reaches_the_worst_case(linear, worst_case, classes, seed, epsilon, dtype):
    model, images = linear(classes, 25, seed, dtype), digits_like(seed, 40, dtype=dtype)
    labels = model(images).argmax(1)
    worst = worst_case(model, images, labels, epsilon)
    sure = worst.abs() > 1e-5
    restarts = 1 if classes == 2 else classes  # every start aims at another class
    attack = pgd(model, images, epsilon, restarts=restarts, seed=seed)
    assert torch.equal((worst > 0)[sure], attack.fooled[sure])
    if classes == 2:
        assert torch.equal((worst > 0)[sure], fgsm(model, images, epsilon).fooled[sure])
        reached = margins(model(attack.images), labels).detach().double()
        assert (reached[~attack.fooled] >= worst[~attack.fooled] - 1e-4).all()


@given(**linear_cases)
@settings(deadline=None, max_examples=10)
def test_pgd_reaches_the_worst_case_of_every_linear_model(linear, worst_case, **case):
    pgd_reaches_the_worst_case(linear, worst_case, **case)


@pytest.mark.long
@given(**linear_cases)
@settings(deadline=None, max_examples=100)
def test_pgd_reaches_the_worst_case_of_many_more_linear_models(linear, worst_case, **case):
    pgd_reaches_the_worst_case(linear, worst_case, **case)


def l2_pgd_reaches_what_is_certain(linear, worst_case, classes, seed, epsilon, dtype):
    # Steps that add up to 2.5 epsilon turn the start, on the sphere at an angle a of the optimum, towards it by
    # tan(a / 2) -> exp(-2.5) tan(a / 2): from a right angle (random starts) to 9 degrees, cos = 0.987. The box can cost
    # a little more. The whole optimum takes longer steps than Madry's.
    model, images = linear(classes, 25, seed, dtype), digits_like(seed, 40, dtype=dtype)
    labels = model(images).argmax(1)
    restarts = 1 if classes == 2 else classes
    attack = pgd(model, images, epsilon, norm="l2", restarts=restarts, seed=seed)
    assert attack.fooled[worst_case(model, images, labels, 0.95 * epsilon, "l2") > 1e-5].all()
    assert not attack.fooled[worst_case(model, images, labels, epsilon, "l2") < -1e-5].any()
    if classes == 2:
        longer = pgd(model, images, epsilon, norm="l2", steps=40, step_size=epsilon, seed=seed)
        worst = worst_case(model, images, labels, epsilon, "l2")
        sure = worst.abs() > 1e-3 * (1 + epsilon)
        assert torch.equal((worst > 0)[sure], longer.fooled[sure])


in_l2 = {**linear_cases, "epsilon": st.floats(0.02, 3)}


@given(**in_l2)
@settings(deadline=None, max_examples=5)
def test_l2_pgd_reaches_what_is_certain_in_a_ball_5_percent_smaller(linear, worst_case, **case):
    l2_pgd_reaches_what_is_certain(linear, worst_case, **case)


@pytest.mark.long
@given(**in_l2)
@settings(deadline=None, max_examples=100)
def test_l2_pgd_reaches_what_is_certain_for_many_more_models(linear, worst_case, **case):
    l2_pgd_reaches_what_is_certain(linear, worst_case, **case)


# ---- the black box


def test_square_counts_its_queries_and_finds_what_is_easy():
    model, images, asked = small_net(5).eval(), digits_like(5, 10), []
    predictions = model(images).argmax(1)

    def counting(x):
        asked.append(len(x))
        assert not torch.is_grad_enabled()
        return model(x)

    x, fools = squared(counting, images, 0.9, "linf", queries=30)
    assert fools.any()
    assert torch.equal(model(x).argmax(1) != predictions, fools)
    assert sum(asked) <= 10 * (30 + 2)  # and the clean and the final images
    first, second = (squared(model, images, 0.2, "linf", seed=s)[0] for s in (0, 1))
    assert torch.equal(first, squared(model, images, 0.2, "linf", seed=0)[0])
    assert not torch.equal(first, second)


# ---- no images at all: what survives an attack may be nobody


def nobody(norm):
    """Images, labels, radii, norm and generator of no images."""
    images, labels = torch.zeros(0, 1, 5, 5), torch.zeros(0, dtype=torch.int64)
    return images, labels, torch.zeros(0, dtype=torch.float64), NORMS[norm], torch.Generator().manual_seed(0)


def none_of(model, norm):
    """A search that has ended, and the indices of none of its images."""
    started = search.begin(model, digits_like(0), torch.tensor([0.1], dtype=torch.float64), NORMS[norm])
    search.run(started, steps=2, restarts=2, generator=torch.Generator().manual_seed(0))
    return started, torch.zeros(0, dtype=torch.int64)


def squared_none(model, norm):
    images, labels, radius, ball, generator = nobody(norm)
    x, fools = square(model, images, labels, radius, ball, queries=3, generator=generator)
    return x, fools


def climbed_none(model, norm, loss):
    images, labels, radius, ball, generator = nobody(norm)
    attack = apgd(model, images, labels, radius, ball, loss=loss, steps=3, generator=generator)
    return attack.images, attack.fooled, attack.stuck


def attacked_none(model, norm):
    images, labels, radius, ball, generator = nobody(norm)
    attack = attack_batch(model, images, labels, radius, ball, steps=3, stride=radius, restarts=2, generator=generator)
    return attack.images, attack.fooled, attack.stuck


def normed_none(model, norm):
    images, _, radius, ball, generator = nobody(norm)
    return (
        ball.size(images),
        ball.dual(images),
        ball.ascent(images),
        ball.draw(images, generator),
        ball.project(images, images, radius),
        ball.move(images, images, radius, images, radius),
    )


def lost_none(model, norm):
    outputs, labels = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    losses = odds_loss(outputs, labels), odds_loss(outputs, labels, labels, 20.0), dlr_loss(outputs, labels)
    return (*losses, margins(outputs, labels), runner_up(outputs, labels, 1), runner_up(outputs, labels, 5))


def searched_none(model, norm):
    started, nobody_else = none_of(model, norm)
    again = restarts.aim_at_others(started, nobody_else)
    recorded = started.record(nobody_else, started.images[:0])
    search.run(started, steps=2, restarts=2, generator=torch.Generator().manual_seed(0))
    started.withstood[:] = -1
    return again, recorded, started.radius(nobody_else), restarts.promising(started)


ANSWERS = {
    "square": squared_none,
    "apgd, cross-entropy": lambda model, norm: climbed_none(model, norm, "ce"),
    "apgd, DLR": lambda model, norm: climbed_none(model, norm, "dlr"),
    "pgd": attacked_none,
    "norm": normed_none,
    "losses": lost_none,
    "search": searched_none,
}


@both
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_of_no_images_every_helper_says_nothing_and_asks_the_model_nothing(answer, norm):
    def model(x):
        assert len(x), "a model need not answer about nothing"
        return x.flatten(1)[:, :3]

    with evaluating(model):
        assert [len(part) for part in answer(model, norm)] == [0] * len(answer(model, norm))


@both
def test_of_no_images_the_judge_has_no_reason_and_no_finding(norm):
    model = small_net(0)
    with evaluating(model):
        started, nobody_else = none_of(model, norm)
        sanity = judge(started, nobody_else, 0.0, 2, torch.Generator().manual_seed(0))
        assert findings(model, started.images[:0], False) == ()
    assert (sanity.probed, sanity.verdict, sanity.suspicious()) == (0, "sound", frozenset())


def test_gradients_of_no_images_have_the_shapes_of_some():
    model, (images, labels, *_) = small_net(0), nobody("linf")
    with evaluating(model):
        outputs, gradient = loss_and_gradient(model, images, labels, labels, 20.0)
        assert (outputs.shape, gradient.shape) == ((0, 3), images.shape)
        outputs, values, gradient = value_and_gradient(model, images, dlr_loss, labels)
        assert (outputs.shape, values.shape, gradient.shape) == ((0, 3), (0,), images.shape)


@both
def test_a_search_among_no_images_ends_at_once(norm):
    with evaluating(model := small_net(0)):
        started = search.begin(model, nobody(norm)[0], torch.tensor([0.1], dtype=torch.float64), NORMS[norm])
        search.run(started, steps=2, restarts=2, generator=torch.Generator().manual_seed(0))
        assert (len(restarts.promising(started)), started.evaluations) == (0, 0)


# ---- what is refused


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epsilon": 8}, "epsilon = 8 is outside [0, 1]: pixels are in [0, 1], so write 8 / 255, not 8"),
        ({"epsilon": -0.1}, "epsilon = -0.1 is outside [0, 1]: pixels are in [0, 1], so write 8 / 255, not 8"),
        ({"epsilon": float("nan")}, "epsilon = nan is outside [0, 1]: pixels are in [0, 1], so write 8 / 255, not 8"),
        (
            {"epsilon": float("inf"), "norm": "l2"},
            "epsilon = inf is outside [0, inf): pixels are in [0, 1], so write 8 / 255, not 8",
        ),
        ({"steps": 0}, "steps = 0 must be an integer of at least 1: for the clean predictions call the model itself"),
        (
            {"steps": 2.5},
            "steps = 2.5 must be an integer of at least 1: for the clean predictions call the model itself",
        ),
        ({"step_size": 0.0}, "step_size = 0.0 must be positive: leave it out for 2.5 epsilon / steps"),
        ({"step_size": float("nan")}, "step_size = nan must be positive: leave it out for 2.5 epsilon / steps"),
        ({"restarts": 0}, "restarts = 0 must be an integer of at least 1: 1 is a single attack"),
        ({"restarts": 1.5}, "restarts = 1.5 must be an integer of at least 1: 1 is a single attack"),
        ({"norm": "l1"}, "norm 'l1' is unknown: choose one of linf, l2; did you mean 'l2'?"),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused_in_words(options, text):
    with pytest.raises(InputError) as caught:
        pgd(small_net(0), digits_like(0), **{"epsilon": 0.1, **options})
    assert str(caught.value) == text
    if options.keys() <= {"epsilon", "norm"}:
        with pytest.raises(InputError) as caught:
            fgsm(small_net(0), digits_like(0), **{"epsilon": 0.1, **options})
        assert str(caught.value) == text
