"""Training: what the network is shown, which weights stay, and that nobody else notices it.

tests/experiment has what training is for: that rotations raise invariance, and attacks robustness."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from invrob.empirical.data.datasets import Split
from invrob.empirical.models import build
from invrob.empirical.profiles import tradeoff
from invrob.empirical.training import augment
from invrob.empirical.training import loop as training
from invrob.empirical.training.loop import Recipe, train
from invrob.errors import InputError

ROOT = Path(__file__).resolve().parents[2]

RECIPES = {
    "gcnn": Recipe(rotation=60, epochs=1),
    "madry_lenet": Recipe(epsilon=0.2, attack_steps=2, epochs=1),
    "stdcnn": Recipe(rotation=20, epsilon=0.1, epochs=2, batch_size=50),  # dropout and a single step
}


pytestmark = pytest.mark.usefixtures("one_thread")


def part(split, n):
    return Split(split.images[:n], split.labels[:n])


@pytest.fixture(scope="module")
def few(digits):
    return part(digits.train, 120), part(digits.validation, 40)


def weights_of(name, splits, seed=5):
    model = build(name, seed=1, width=0.2)
    train(model, *splits, RECIPES[name], seed=seed)
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in model.state_dict().values())).hexdigest()


@pytest.mark.long
def test_another_process_trains_to_the_same_bits(few):
    script = (  # with another global random state
        "import sys, torch; sys.path.insert(0, 'tests/empirical'); import test_training as t\n"
        "from invrob.empirical.data.datasets import load\n"
        "torch.manual_seed(7); torch.set_num_threads(1); d = load('mnist-mini')\n"
        "for name in t.RECIPES: print(t.weights_of(name, (t.part(d.train, 120), t.part(d.validation, 40))))"
    )
    other = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.split() == [weights_of(name, few) for name in RECIPES]


class Watched(nn.Module):
    """A network that notes the images it is trained on."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.seen = []

    def forward(self, x):
        if self.training:
            self.seen.append(x.detach().clone())
        return self.network(x)


def test_every_image_is_seen_once_in_every_epoch_in_a_new_order(few):
    model = Watched(build("stdcnn", width=0.2))
    train(model, *few, Recipe(epochs=3, batch_size=50), seed=0)
    assert [len(x) for x in model.seen] == 3 * [50, 50, 20]
    epochs = [torch.cat(model.seen[i : i + 3]) for i in (0, 3, 6)]
    sums = few[0].images.double().flatten(1) @ torch.arange(784).double()
    orders = [epoch.double().flatten(1) @ torch.arange(784).double() for epoch in epochs]
    assert all(torch.equal(order.sort().values, sums.sort().values) for order in orders)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[1], orders[2])


@settings(deadline=None, max_examples=8)
@given(epsilon=st.floats(0.01, 1), steps=st.integers(1, 3), seed=st.integers(0, 2**31 - 1))
def test_whatever_is_trained_on_lies_in_the_ball_around_an_image_and_in_the_box(few, epsilon, steps, seed):
    model = Watched(build("madry_lenet", width=0.1))
    images = few[0].images[:30]
    train(model, part(few[0], 30), part(few[1], 10), Recipe(epsilon=epsilon, attack_steps=steps, epochs=1), seed=seed)
    shown = torch.cat(model.seen)
    assert len(shown) == 30  # the attack itself runs in eval mode
    assert shown.min() >= 0
    assert shown.max() <= 1
    distance = (shown.double()[:, None] - images.double()).abs().amax((2, 3, 4)).min(1).values
    assert (distance <= epsilon).all()
    if steps == 1:
        assert (distance > 0.9 * epsilon).all()


@settings(deadline=None, max_examples=8)
@given(limit=st.floats(0.1, 180), seed=st.integers(0, 2**31 - 1))
def test_every_image_is_turned_by_a_fresh_angle_inside_the_range(few, limit, seed):
    angles, real = [], augment.rotate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "rotate", lambda x, degrees: angles.append(degrees) or real(x, degrees))
        train(build("stdcnn", width=0.1), *few, Recipe(rotation=limit, epochs=2, batch_size=120), seed=seed)
    first, first_check, second, second_check = angles
    assert len(torch.cat([first, second]).unique()) == 240
    assert torch.equal(first_check, second_check)  # the epochs are compared on the same validation images
    for drawn in angles:
        assert drawn.abs().max() <= limit
    share = (torch.cat([first, second]) / limit / 2 + 0.5).histc(4, 0, 1) / 240
    assert (share - 0.25).abs().max() < 0.13  # five standard deviations of a uniform draw


def test_a_plain_recipe_neither_turns_nor_attacks(few, monkeypatch):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(augment, "rotate", never)
    monkeypatch.setattr(training.adversary, "ascended", never)
    course = train(build("stdcnn", width=0.2), *few, Recipe(epochs=2), seed=0)
    assert all(epoch.clean_accuracy == epoch.validation_accuracy for epoch in course.epochs)


def accuracy(model, split):
    with torch.no_grad():
        return float((model(split.images).argmax(1) == split.labels).double().mean())


def test_the_best_weights_are_kept_where_the_last_are_worse(digits):
    # Against wrong labels, a network that knows nothing does best: the better it gets, the lower its accuracy.
    wrong = Split(digits.validation.images[:200], (digits.validation.labels[:200] + 1) % 10)
    recipe = Recipe(epochs=4, learning_rate=4e-3)
    model = build("stdcnn", seed=0)
    course = train(model, part(digits.train, 1500), wrong, recipe, seed=0)
    scores = [epoch.validation_accuracy for epoch in course.epochs]
    assert course.best == scores.index(max(scores)) < 3
    assert scores[-1] < max(scores)
    assert accuracy(model, wrong) == max(scores)


def test_the_course_is_told_epoch_by_epoch_and_does_not_depend_on_the_validation(few, digits):
    def course(validation):
        told = []
        found = train(
            build("stdcnn", width=0.2),
            few[0],
            validation,
            Recipe(rotation=30, epochs=3),
            seed=2,
            on_epoch=lambda number, epoch: told.append((number, epoch)),
        )
        assert told == list(enumerate(found.epochs))
        return [epoch.loss for epoch in found.epochs]

    assert course(few[1]) == course(part(digits.test, 70))


def test_the_caller_gets_everything_back_as_it_was(few, monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("the GPUs of the caller were seeded"))
    before = [tensor.clone() for split in few for tensor in (split.images, split.labels)]
    state, grad = torch.get_rng_state(), torch.is_grad_enabled()
    model = build("stdcnn", width=0.2)
    train(model, *few, Recipe(rotation=10, epsilon=0.1, epochs=1), seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled() == grad
    after = [tensor for split in few for tensor in (split.images, split.labels)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not any(tensor.requires_grad for tensor in after)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in model.modules())


def test_a_network_lent_in_eval_mode_is_trained_all_the_same(few):
    lent = [build("stdcnn", width=0.2), build("stdcnn", width=0.2).eval()]
    for model in lent:
        train(model, *few, Recipe(epochs=1), seed=0)
    first, second = (model.state_dict() for model in lent)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_random_state_comes_back_after_an_error_too(few):
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        train(build("stdcnn", width=0.2), *few, Recipe(epochs=1), seed=0, on_epoch=lambda *_: 1 // 0)
    assert torch.equal(torch.get_rng_state(), state)


class Broken(nn.Module):
    """Logits that are `value` in one mode, and right in the other."""

    def __init__(self, value, in_training):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(784, 10))
        self.value, self.in_training = value, in_training

    def forward(self, x):
        return x.flatten(1) @ self.weight * (self.value if self.training == self.in_training else 1.0)


@pytest.mark.parametrize(
    ("value", "in_training", "said"),
    [
        (torch.nan, True, "the training loss became nan in epoch 1: take a smaller learning_rate"),
        (torch.inf, True, "the training loss became nan in epoch 1: take a smaller learning_rate"),
        (torch.nan, False, "the model returned NaN logits for 40 of 40 images"),
    ],
)
def test_a_network_that_breaks_down_is_an_error_in_words(few, value, in_training, said):
    with pytest.raises(InputError, match=said):
        train(Broken(value, in_training), *few, Recipe(epochs=1), seed=0)


@pytest.mark.parametrize("counts", [(0, 3), (3, 0)])
def test_training_without_images_is_refused_in_words(few, counts):
    splits = [part(split, n) for split, n in zip(few, counts, strict=True)]
    with pytest.raises(InputError) as caught:
        train(build("stdcnn", width=0.1), *splits, Recipe(epochs=1), seed=0)
    assert str(caught.value) == "there are no images to train on, or none to validate on: give at least one of both"


@pytest.mark.parametrize(("images", "batch_size"), [(1, 1), (33, 32), (5, 1000)])
def test_batches_need_not_divide_the_images(few, images, batch_size):
    course = train(
        build("stdcnn", width=0.1), part(few[0], images), few[1], Recipe(epochs=1, batch_size=batch_size), seed=0
    )
    assert len(course.epochs) == 1


OUTSIDE = {
    "rotation": [-1, 180.5, float("nan"), float("inf"), "north"],
    "epsilon": [-0.1, 1.01, float("nan")],
    "attack_steps": [0, 1001, 1.5],
    "epochs": [0, -3, 10_001, 2.5],
    "batch_size": [0, 1_000_001],
    "learning_rate": [0, -1, 1.1, float("nan")],
    "learning_rat": [0.1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in OUTSIDE for value in OUTSIDE[name]])
def test_a_recipe_refuses_what_is_outside_its_ranges(name, value):
    with pytest.raises(ValidationError, match=name):
        Recipe(**{name: value})


def normed():
    return nn.Sequential(nn.Conv2d(1, 4, 5, stride=4), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_attacks_move_the_statistics_of_batch_norm_only_in_madrys_mode(few, mode):
    model = normed()
    recipe = Recipe(epsilon=0.1, attack_steps=3, epochs=1, batch_size=60, batch_norm_in_attack=mode)
    train(model, *few, recipe, seed=0)
    batches = 2
    assert int(model[1].num_batches_tracked) == (batches if mode == "eval" else batches * (1 + 3))


def test_trades_attacks_the_prediction_and_not_the_label(few, monkeypatch):
    model, wrong = normed(), Split(few[0].images[:40], (few[0].labels[:40] + 1) % 10)
    recipe = Recipe(epsilon=0.1, attack_steps=3, epochs=1, trades_beta=6.0)
    shown = []
    for labels in (wrong.labels, few[0].labels[:40]):
        generator = torch.Generator().manual_seed(0)
        start = training.start_of_attack(wrong.images, recipe, 0.1, generator)
        shown.append(training.attack(model, wrong.images, labels, recipe, 0.1, start))
    assert torch.equal(*shown)
    assert not torch.equal(shown[0], wrong.images)
    with torch.no_grad():
        clean, moved = (model.eval()(x).softmax(1) for x in (wrong.images, shown[0]))
    assert (clean - moved).abs().max() > 0.01


def test_trades_without_a_second_term_is_natural_training_on_the_same_images(few):
    models = [build("madry_lenet", seed=0, width=0.1) for _ in range(2)]
    losses = [
        train(model, *few, Recipe(epsilon=epsilon, epochs=1, trades_beta=beta, attack_steps=2), seed=0).epochs[0].loss
        for model, (epsilon, beta) in zip(models, ((0.1, 1e-9), (0.0, 0.0)), strict=True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


def test_a_curriculum_shows_each_stage_its_own_share(few, monkeypatch):
    turned, attacked = [], []
    monkeypatch.setattr(training, "turned", lambda x, limit, _: turned.append(limit) or x)
    real = training.attack

    def attack(*arguments, **settings):
        if "steps" not in settings:  # those are the validation's
            attacked.append(arguments[4])
        return real(*arguments, **settings)

    monkeypatch.setattr(training, "attack", attack)
    stages = [{"until": 0.5, "rotation": 0.5, "epsilon": 0.25}, {"until": 1}]
    recipe = Recipe(rotation=90, epsilon=0.2, epochs=2, batch_size=120, curriculum=stages)
    train(build("stdcnn", width=0.1), *few, recipe, seed=0)
    assert attacked == [0.05, 0.2]
    assert turned == [45, 90, 90, 90]  # and both validations with all of it


@pytest.mark.parametrize("name", ["vgg16", "gcnn_vgg16", "madry_resnet"])
def test_colour_networks_are_handed_back_as_they_were_laid_out(name):
    generator = torch.Generator().manual_seed(0)
    some = Split(torch.rand(12, 3, 32, 32, generator=generator), torch.arange(12) % 10)
    model = build(name, width=0.07)
    recipe = Recipe(epochs=1, batch_size=6, crop=2, flip=True, optimizer="sgd", precision="bfloat16")
    course = train(model, some, some, recipe, seed=0)
    assert course.epochs[0].loss > 0
    assert all(p.is_contiguous() and p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.long
def test_bfloat16_training_comes_to_the_same_verdicts_as_float32(digits):
    cards = []
    for precision in ("float32", "bfloat16"):
        model = build("stdcnn", seed=0, width=0.5)
        recipe = Recipe(epochs=2, learning_rate=6e-3, batch_size=32, precision=precision)
        train(model, part(digits.train, 1500), part(digits.validation, 200), recipe, seed=0)
        some = part(digits.test, 100)
        cards.append(tradeoff(model, some.images, some.labels, epsilons=[0, 0.05, 0.1, 0.3], thetas=[0, 90]))
    exact, rough = cards
    assert exact.verdict == rough.verdict == "sound"
    assert exact.robustness.clean_accuracy > 0.7
    for profile in ("robustness", "invariance"):
        ours, theirs = (getattr(card, profile) for card in cards)
        assert abs(ours.clean_accuracy - theirs.clean_accuracy) < 0.1
        assert abs(ours.rate - theirs.rate).max() < 0.15


class Limited(nn.Module):
    """A network on a device that holds `most` images at a time; the memory runs out before or behind its layers."""

    def __init__(self, network, most, late=False):
        super().__init__()
        self.network, self.most, self.late = network, most, late

    def forward(self, x):
        full = self.training and len(x) > self.most
        if full and not self.late:
            raise torch.OutOfMemoryError
        outputs = self.network(x)
        if full:
            raise torch.OutOfMemoryError
        return outputs


def forgetful():
    """Dropout of pixels, of channels that lie last in memory, and of hidden units."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        convolution = nn.Conv2d(1, 6, 5, stride=2)
        layers = (nn.Dropout(0.2), nn.ReLU(), nn.Dropout2d(0.3), nn.Flatten(), nn.Linear(864, 10), nn.Dropout(0.1))
        return nn.Sequential(convolution, *layers)


AUGMENTED = {"rotation": 20, "crop": 2, "flip": True, "epochs": 1, "batch_size": 60}
PIECEWISE = {
    "natural": Recipe(**AUGMENTED, optimizer="sgd", learning_rate=0.01),
    "attacked": Recipe(**AUGMENTED, optimizer="sgd", learning_rate=0.01, epsilon=0.1, attack_steps=2),
    "attacked with dropout": Recipe(
        **AUGMENTED, optimizer="sgd", learning_rate=0.01, epsilon=0.1, batch_norm_in_attack="train"
    ),
    "TRADES": Recipe(**AUGMENTED, optimizer="sgd", learning_rate=0.01, epsilon=0.1, trades_beta=3, attack_steps=2),
}


@pytest.mark.parametrize("recipe", PIECEWISE.values(), ids=PIECEWISE.keys())
@pytest.mark.parametrize("network", [lambda: build("stdcnn", seed=0, width=0.2), forgetful], ids=["stdcnn", "maps"])
def test_a_batch_that_the_memory_does_not_hold_is_taken_in_pieces_to_the_same_weights(few, caplog, network, recipe):
    networks = [network() for _ in range(2)]
    whole, pieces = (train(Limited(n, most), *few, recipe, seed=0) for n, most in zip(networks, (60, 25), strict=True))
    assert caplog.text.count("out of memory") == 2
    assert "15 images at a time instead of 30" in caplog.text
    assert pieces.epochs[0].loss == pytest.approx(whole.epochs[0].loss, rel=1e-5)
    for ours, theirs in zip(*(n.parameters() for n in networks), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_an_attempt_that_ran_out_of_memory_leaves_no_trace_wherever_it_failed(few, caplog, mode):
    recipe = Recipe(**AUGMENTED, epsilon=0.1, attack_steps=2, batch_norm_in_attack=mode)
    states = []
    for late in (False, True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = nn.Sequential(*normed()[:2], nn.Dropout(0.5), *normed()[2:])
        train(Limited(network, 20, late), *few, recipe, seed=0)
        states.append([*network.state_dict().values()])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*states, strict=True))
    assert "batch norm sees 15 images at a time instead of 60" in caplog.text


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("error", [InputError, KeyboardInterrupt])
def test_the_layout_of_weights_comes_back_after_an_exception(few, layout, error):
    some = Split(torch.rand(12, 3, 32, 32), torch.arange(12) % 10)
    model = build("vgg16", width=0.07).to(memory_format=layout)
    before = [(p, p.stride()) for p in model.parameters()]

    def fails(*_):
        assert before[0][0].stride()[1] == 1  # inside, the channels are last: so the line below can fail
        raise error

    with pytest.raises(error):
        train(model, some, some, Recipe(epochs=1, batch_size=6), seed=0, on_epoch=fails)
    assert all(p.stride() == stride for p, stride in before)
    assert {p for p, _ in before} == {*model.parameters()}


def test_a_single_image_that_does_not_fit_is_an_error_in_words(few):
    with pytest.raises(InputError, match="a single image does not fit into memory"):
        train(Limited(build("madry_lenet", width=0.1), 0), *few, Recipe(epochs=1), seed=0)
