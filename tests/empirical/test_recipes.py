"""Recipes: the named ones are what their sources say, schedules and curricula do what they promise."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from invrob.empirical.training.loop import make_optimizer, make_schedule
from invrob.empirical.training.recipes import RECIPES, Recipe, Stage, recipe_named
from invrob.errors import InputError


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_is_valid(name):
    assert Recipe.model_validate(RECIPES[name].model_dump()) == RECIPES[name] == recipe_named(name)


def test_the_named_recipes_are_those_of_their_sources():
    madry, trades, cusp = RECIPES["madry"], RECIPES["trades"], RECIPES["cusp"]
    assert (madry.epsilon, madry.attack_steps, madry.step_size) == (8 / 255, 10, 2 / 255)
    assert (madry.weight_decay, madry.decayed, madry.crop, madry.flip) == (2e-4, "weights", 2, True)
    assert madry.batch_norm_in_attack == "eval"
    assert (trades.trades_beta, trades.step_size) == (6, 0.007)
    assert [cusp.at(epoch / 120) for epoch in (0, 73, 74, 88, 89, 119)] == [
        *[(120, pytest.approx(2 / 255))] * 2,
        *[(150, pytest.approx(4 / 255))] * 2,
        *[(180, pytest.approx(8 / 255))] * 2,
    ]


def rates(recipe, steps):
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = make_optimizer({"weight": parameter}, recipe)
    schedule = make_schedule(optimizer, recipe, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_step_schedule_of_the_authors_falls_at_epochs_50_and_100():
    found = rates(RECIPES["paper"], 120)
    assert found[:50] == pytest.approx([0.1] * 50)
    assert found[50:100] == pytest.approx([0.01] * 50)
    assert found[100:] == pytest.approx([0.001] * 20)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "step", "constant"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_no_schedule_exceeds_its_peak_or_goes_below_zero(schedule, optimizer):
    found = rates(Recipe(schedule=schedule, optimizer=optimizer, learning_rate=0.3), 40)
    assert max(found) == pytest.approx(0.3)
    assert min(found) >= 0
    if schedule in ("one-cycle", "cosine"):
        assert found[-1] < 0.01
        assert found[20:] == sorted(found[20:], reverse=True)
    if schedule == "constant":
        assert set(found) == {0.3}


def test_decay_of_weights_only_leaves_biases_and_batch_norm_alone():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Linear(3, 4))
    names = dict(model.named_parameters())
    decayed, free = make_optimizer(names, Recipe(weight_decay=0.1, decayed="weights")).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0)
    assert {id(p) for p in decayed["params"]} == {id(names["0.weight"]), id(names["2.weight"])}
    everything = make_optimizer(names, Recipe(weight_decay=0.1)).param_groups
    assert {group["weight_decay"] for group in everything} == {0.1}


@given(st.floats(0, 1, exclude_max=True))
def test_a_curriculum_never_exceeds_the_recipe_and_ends_with_all_of_it(progress):
    recipe = RECIPES["cusp"]
    rotation, epsilon = recipe.at(progress)
    later = recipe.at(min(0.999, progress + 0.3))
    assert rotation <= later[0] <= recipe.rotation
    assert epsilon <= later[1] <= recipe.epsilon
    assert recipe.at(0.999) == (recipe.rotation, recipe.epsilon)
    assert Recipe(rotation=40, epsilon=0.1).at(progress) == (40, 0.1)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("curriculum", (Stage(until=0.5),), "the last must be 1"),
        ("curriculum", (Stage(until=1), Stage(until=1)), "they must increase"),
        ("milestones", (0.5, 0.5), "larger than the one before"),
        ("milestones", (1.0,), "in \\(0, 1\\)"),
        ("schedule", "linear", "one-cycle"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_in_words(field, value, said):
    with pytest.raises(ValidationError, match=said):
        Recipe(**{field: value})


def test_an_unknown_name_is_told_the_nearest_one():
    with pytest.raises(InputError, match=r"recipe 'cups' is unknown; did you mean 'cusp'\?; choose one of fast, "):
        recipe_named("cups")
