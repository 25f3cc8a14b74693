"""A training that is paused anywhere, kept and gone on with ends with the same bits as one that nothing disturbed."""

from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob.empirical.data import Split
from invrob.empirical.experiments import read_halfway, write_halfway
from invrob.empirical.models import build
from invrob.empirical.training import Paused, Recipe, Stage, train, train_stack

SMALL = 12  # pixels
DATA = Split(torch.rand(22, 1, SMALL, SMALL, generator=torch.Generator().manual_seed(0)), torch.arange(22) % 3)
HELD_OUT = Split(torch.rand(6, 1, SMALL, SMALL, generator=torch.Generator().manual_seed(1)), torch.arange(6) % 3)
SPLITS = DATA, HELD_OUT
STEPS = 3 * 3  # three epochs of three batches
TINY = {"epochs": 3, "batch_size": 8}


pytestmark = pytest.mark.usefixtures("one_thread")


def plain():
    """A network with convolutions, batch norm and dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(300, 3)]
        return nn.Sequential(*layers)


def without_norm():
    """The same without batch norm, for stacks."""
    return nn.Sequential(*(layer for layer in plain() if not isinstance(layer, nn.BatchNorm2d)))


RECIPES = {
    "one cycle of Adam": Recipe(**TINY, rotation=90),
    "momentum, and steps down": Recipe(
        **TINY, optimizer="sgd", schedule="step", milestones=(0.3, 0.6), weight_decay=0.1, decayed="weights"
    ),
    "cosine, shifted and mirrored": Recipe(**TINY, schedule="cosine", crop=2, flip=True, optimizer="sgd", momentum=0),
    "attacked from random starts": Recipe(**TINY, rotation=30, epsilon=0.1, attack_steps=2),
    "attacks that move batch norm": Recipe(**TINY, epsilon=0.1, batch_norm_in_attack="train"),
    "TRADES": Recipe(**TINY, epsilon=0.1, attack_steps=2, trades_beta=6, schedule="constant"),
    "a curriculum": Recipe(
        **TINY,
        rotation=180,
        epsilon=0.2,
        curriculum=(Stage(until=0.4, rotation=0, epsilon=0.5), Stage(until=1)),
    ),
    "bfloat16": Recipe(**TINY, precision="bfloat16", epsilon=0.1),
}


class Interrupting:
    """A keeper that pauses after so many steps, through files as runs have them; `breaks`: in that many validations."""

    def __init__(self, folder, steps, breaks=0):
        self.folder, self.steps, self.breaks, self.looks = folder, steps, breaks, 0

    def read(self):
        return read_halfway(self.folder, ["k"])

    def asks(self):
        self.looks += 1
        return "stop" if self.looks == self.steps else ""

    def keep(self, state):
        write_halfway(self.folder, ["k"], *state)

    def breakable(self):
        self.breaks -= 1
        return Broken() if self.breaks >= 0 else nullcontext()


class Broken:
    """A block that is broken off at its end, when all random numbers in it were drawn."""

    def __enter__(self): ...

    def __exit__(self, *_):
        raise Paused


def bits(model, course):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return {name: value.numpy().tobytes() for name, value in state.items()}, course


def whole(make, recipe, keeper=None):
    torch.manual_seed(keeper.looks if keeper else 1)  # whatever the caller's random state is
    model = make()
    return bits(model, train(model, *SPLITS, recipe, seed=3, keeper=keeper))


def in_parts(make, recipe, folder, steps, breaks=0):
    """Paused after each of so many `steps`, then to the end."""
    for pause in steps:
        with pytest.raises(Paused):
            whole(make, recipe, Interrupting(folder, pause))
    for _ in range(breaks):
        with pytest.raises(Paused):
            whole(make, recipe, Interrupting(folder, -1, breaks=1))
        assert list(folder.glob("halfway/*"))  # and not from the start
    return whole(make, recipe, Interrupting(folder, -1))


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_that_was_paused_twice_ends_with_the_same_bits(tmp_path, name):
    assert in_parts(plain, RECIPES[name], tmp_path, (4, 3)) == whole(plain, RECIPES[name])


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_it_may_be_paused_after_any_step(tmp_path, step):
    recipe = RECIPES["attacked from random starts"]
    assert in_parts(plain, recipe, tmp_path, (step,)) == whole(plain, recipe)


def test_a_validation_that_is_broken_off_is_done_again_from_before_it(tmp_path):
    recipe = RECIPES["attacks that move batch norm"]
    assert in_parts(plain, recipe, tmp_path, (), breaks=3) == whole(plain, recipe)


@pytest.mark.parametrize("name", ["gcnn", "madry_lenet", pytest.param("madry_resnet", marks=pytest.mark.long)])
def test_networks_of_the_paper_go_on_too(tmp_path, name):
    recipe = Recipe(epochs=2, batch_size=11, rotation=60, epsilon=0.1, attack_steps=1)
    digits = [Split(nn.functional.pad(split.images, (8,) * 4), split.labels) for split in SPLITS]

    def trained(keeper=None):
        model = build(name, seed=1, width=0.1, size=28, in_channels=1, classes=3)
        return bits(model, train(model, *digits, recipe, seed=3, keeper=keeper))

    with pytest.raises(Paused):
        trained(Interrupting(tmp_path, 3))
    assert trained(Interrupting(tmp_path, -1)) == trained()


@given(pauses=st.lists(st.integers(1, 3), max_size=3), seed=st.integers(0, 3))
@settings(max_examples=5, deadline=None)
def test_a_stack_goes_on_to_the_same_bits(tmp_path_factory, pauses, seed):
    folder = tmp_path_factory.mktemp("stack")
    recipes = [Recipe(**TINY, rotation=a, epsilon=0.1 * (1 + a / 90)) for a in (0, 90)]

    def trained(keeper=None):
        models = [without_norm(), without_norm()]
        courses = train_stack(models, *SPLITS, recipes, seeds=[seed, 8], keeper=keeper)
        return [bits(model, course) for model, course in zip(models, courses, strict=True)]

    for steps in pauses:
        with pytest.raises(Paused):
            trained(Interrupting(folder, steps))
    assert trained(Interrupting(folder, -1)) == trained()


def test_only_epochs_that_were_not_told_are_told(tmp_path):
    told = []

    def trained(steps):
        keeper = Interrupting(tmp_path, steps)
        train(plain(), *SPLITS, RECIPES["TRADES"], seed=0, keeper=keeper, on_epoch=lambda n, _: told.append(n))

    with pytest.raises(Paused):
        trained(4)
    trained(-1)
    assert told == [0, 1, 2]


def test_what_was_kept_of_another_network_is_passed_over(tmp_path):
    with pytest.raises(Paused):
        whole(without_norm, RECIPES["TRADES"], Interrupting(tmp_path, 4))
    assert whole(plain, RECIPES["TRADES"], Interrupting(tmp_path, -1)) == whole(plain, RECIPES["TRADES"])


@pytest.mark.parametrize("damage", ["truncated", "a bit", "empty", "text", "of other cells"])
def test_a_damaged_checkpoint_reads_as_absent(tmp_path, damage):
    recipe = RECIPES["one cycle of Adam"]
    with pytest.raises(Paused):
        whole(plain, recipe, Interrupting(tmp_path, 4))
    (path,) = tmp_path.glob("halfway/*.safetensors")
    content = bytearray(path.read_bytes())
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    changed = {"truncated": content[:-9], "a bit": flipped, "empty": b"", "text": b"not tensors at all"}
    if damage == "of other cells":
        path.rename(path.with_name("other.safetensors"))
        assert read_halfway(tmp_path, ["other"]) is None
        return
    path.write_bytes(changed[damage])
    assert read_halfway(tmp_path, ["k"]) is None
    assert in_parts(plain, recipe, tmp_path, ()) == whole(plain, recipe)
