"""A stack of networks comes to what its networks come to when trained alone, and refuses what cannot be stacked."""

import pytest
import torch

from invrob.empirical.data.datasets import Split
from invrob.empirical.models import build
from invrob.empirical.training.loop import train
from invrob.empirical.training.recipes import Recipe
from invrob.empirical.training.stack import alike, stackable, train_stack
from invrob.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def few(digits):
    splits = (digits.train, 200), (digits.validation, 60)
    return tuple(Split(split.images[:n], split.labels[:n]) for split, n in splits)


KINDS = {
    "stdcnn": [Recipe(rotation=a, epochs=2, batch_size=50) for a in (0, 60, 180)],
    "gcnn": [Recipe(rotation=a, epochs=1, batch_size=64, optimizer="sgd", weight_decay=0.01) for a in (0, 90)],
    "madry_lenet": [Recipe(epsilon=e, epochs=1, attack_steps=2) for e in (0.1, 0.3)],
}


class Limited(torch.nn.Module):
    """A network on a device that holds `most` images at a time; the memory runs out before or behind its layers."""

    def __init__(self, network, most, late):
        super().__init__()
        self.network, self.most, self.late = network, most, late

    def forward(self, x):
        full = self.training and len(x) > self.most
        outputs = None if full and not self.late else self.network(x)
        if full:
            raise torch.OutOfMemoryError
        return outputs


def built(name, seed):
    return build(name, seed=seed, width=0.2, dropout=0.0)


@pytest.mark.parametrize("name", KINDS)
def test_a_stack_comes_to_what_its_networks_come_to_alone(few, name):
    recipes, seeds = KINDS[name], range(3, 3 + len(KINDS[name]))
    stacked = [built(name, seed) for seed in seeds]
    told = []
    courses = train_stack(stacked, *few, recipes, seeds=seeds, on_epoch=lambda n, epochs: told.append((n, epochs)))
    assert [n for n, _ in told] == list(range(recipes[0].epochs))
    for i, (recipe, seed) in enumerate(zip(recipes, seeds, strict=True)):
        alone = built(name, seed)
        course = train(alone, *few, recipe, seed=seed)
        assert courses[i].best == course.best
        assert tuple(epochs[i] for _, epochs in told) == courses[i].epochs
        for ours, theirs in zip(courses[i].epochs, course.epochs, strict=True):
            assert ours.loss == pytest.approx(theirs.loss, abs=1e-4)
        for ours, theirs in zip(stacked[i].parameters(), alone.parameters(), strict=True):
            assert torch.allclose(ours, theirs, atol=2e-4)
        assert not stacked[i].training


def test_the_networks_of_a_stack_drop_out_different_units(few):
    twins = [build("stdcnn", seed=0, width=0.2, dropout=0.5) for _ in range(2)]
    train_stack(twins, *few, [Recipe(epochs=1)] * 2, seeds=[0, 0])
    assert not torch.equal(*(dict(twin.named_parameters())["12.weight"] for twin in twins))


@pytest.mark.parametrize("epsilon", [0, 0.1])
@pytest.mark.parametrize("late", [False, True])
def test_a_stack_that_the_memory_does_not_hold_is_trained_in_pieces_to_the_same_weights(few, caplog, epsilon, late):
    recipes = [Recipe(rotation=a, epsilon=epsilon, batch_size=60, epochs=1, optimizer="sgd") for a in (0, 40)]
    stacks = [[build("stdcnn", seed=s, width=0.2) for s in (1, 2)] for _ in range(2)]
    for models, most in zip(stacks, (60, 25), strict=True):
        train_stack([Limited(model, most, late) for model in models], *few, recipes, seeds=[3, 4])
    assert caplog.text.count("out of memory") == 2
    for whole, pieces in zip(*stacks, strict=True):
        for ours, theirs in zip(whole.parameters(), pieces.parameters(), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "recipes"),
    [
        ("stdcnn", [Recipe(epochs=1), Recipe(epochs=2)]),
        ("stdcnn", [Recipe(epsilon=0.1), Recipe()]),
        ("stdcnn", [Recipe(epsilon=0.1, trades_beta=1), Recipe(epsilon=0.1, trades_beta=1)]),
        ("vgg16", [Recipe(), Recipe()]),
    ],
)
def test_what_cannot_be_one_stack_is_refused(few, name, recipes):
    models = [build(name, width=0.1) for _ in recipes]
    with pytest.raises(InputError, match="cannot be trained as one stack"):
        train_stack(models, *few, recipes, seeds=[0, 1])


def test_recipes_are_alike_when_only_angle_and_size_of_the_attack_differ():
    assert alike(Recipe(rotation=30, epsilon=0.1)) == alike(Recipe(epsilon=0.3))
    assert alike(Recipe(epsilon=0.1)) != alike(Recipe())
    assert alike(Recipe(epochs=3)) != alike(Recipe())
    assert stackable(build("gcnn", width=0.1), Recipe())
    assert not stackable(build("gcnn_vgg16", width=0.1), Recipe())


def test_a_network_with_fixed_weights_is_not_stacked_where_they_would_be_trained():
    network = build("gcnn", width=0.1)
    next(network.parameters()).requires_grad_(False)
    assert not stackable(network, Recipe())
