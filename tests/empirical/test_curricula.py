"""Curricula have names, which a file may give in place of the stages; what is kept, and makes a key, are the stages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from invrob.empirical.analysis import by_training, other_settings, told_apart
from invrob.empirical.experiments import read_experiment, to_toml
from invrob.empirical.study import experiment
from invrob.empirical.training import CURRICULA, RECIPES, Recipe, Stage, curriculum_in_words, recipe_named
from invrob.errors import InputError
from tests.planted import result

NAMES = sorted(CURRICULA)


def written(path, text):
    (path / "grid.toml").write_text('dataset = "mnist-mini"\n' + text)
    return read_experiment(path / "grid.toml")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_file_stands_for_its_stages_beside_any_other_fields(name, tmp_path):
    grid = written(
        tmp_path, f'[[models]]\nname = "stdcnn"\nepochs = 3\ncurriculum = "{name}"\ntraining_epsilon = [0.2]'
    )
    cells = grid.cells("f")
    assert {cell.recipe.curriculum for cell in cells} == {CURRICULA[name]}
    assert {cell.recipe.epochs for cell in cells} == {3}
    assert (f'curriculum = "{name}"' in to_toml(grid)) == (name != "none")
    (tmp_path / "grid.toml").write_text(to_toml(grid))
    assert [cell.key for cell in read_experiment(tmp_path / "grid.toml").cells("f")] == [cell.key for cell in cells]


@pytest.mark.parametrize("name", NAMES)
def test_stages_are_kept_and_not_the_name_so_that_both_make_the_same_cells(name):
    by_name, by_value = Recipe(curriculum=name), Recipe(curriculum=CURRICULA[name])
    assert by_name == by_value == recipe_named("fast", curriculum=name)
    assert by_name.model_dump_json() == by_value.model_dump_json()
    assert Recipe.model_validate_json(by_name.model_dump_json()) == by_value


def test_the_curriculum_cusp_is_that_of_the_recipe():
    assert RECIPES["cusp"].curriculum == Recipe(curriculum="cusp").curriculum
    assert recipe_named("cusp", curriculum="none").curriculum == ()


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("warm", [(0, 0), (1, 1), (1, 1), (1, 1)]),
        ("rotations-first", [(1, 0), (1, 0), (1, 1), (1, 1)]),
        ("attacks-first", [(0, 1), (0, 1), (1, 1), (1, 1)]),
    ],
)
def test_each_order_shows_what_its_name_says(name, shares):
    recipe = Recipe(rotation=180, epsilon=0.2, curriculum=name)
    assert [recipe.at(epoch / 4) for epoch in range(4)] == [(180 * a, 0.2 * e) for a, e in shares]


def test_a_ramp_begins_with_rotations_alone_and_raises_epsilon_by_a_fifth_at_a_time():
    stages = CURRICULA["ramp"]
    assert {stage.rotation for stage in stages} == {1.0}
    assert [stage.epsilon for stage in stages] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])


@given(st.sampled_from(NAMES), st.floats(0, 1, exclude_max=True))
def test_no_curriculum_exceeds_the_recipe_and_each_ends_with_all_of_it(name, progress):
    recipe = Recipe(rotation=180, epsilon=0.2, curriculum=name)
    rotation, epsilon = recipe.at(progress)
    assert 0 <= rotation <= 180
    assert 0 <= epsilon <= 0.2
    assert recipe.at(0.999) == (180, 0.2)


@pytest.mark.parametrize("wrong", ["cups", "", "rotation-first", "CUSP "])
def test_an_unknown_name_is_told_those_that_are_known(wrong):
    known = "none, cusp, warm, rotations-first, attacks-first, ramp"
    with pytest.raises(ValidationError, match=rf"is unknown.*: one of {known}"):
        Recipe(curriculum=wrong)


def test_from_python_a_slip_of_the_name_is_told_the_nearest_one():
    with pytest.raises(InputError, match=r"curriculum.*'wram'.*is unknown; did you mean 'warm'\?"):
        experiment("stdcnn", training={"curriculum": "wram"})


@pytest.mark.parametrize("name", NAMES)
def test_people_read_the_name_of_a_known_curriculum(name):
    assert Recipe(curriculum=CURRICULA[name]).formatted("curriculum") == name


stages = st.lists(
    st.tuples(st.floats(0.01, 0.99), st.floats(0, 1), st.floats(0, 1)), max_size=6, unique_by=lambda stage: stage[0]
).map(lambda rows: (*(Stage(until=u, rotation=r, epsilon=e) for u, r, e in sorted(rows)), Stage(until=1)))


@given(stages)
def test_people_read_a_few_words_of_a_curriculum_that_has_no_name(curriculum):
    said = curriculum_in_words(curriculum)
    assert len(said) < 60
    assert not set(said) & set("()[]='")


def test_trainings_are_named_apart_by_their_curriculum_and_those_without_one_say_nothing():
    names = by_training([result(epsilon=0.2, curriculum=CURRICULA[name]) for name in NAMES])
    said = {"none": "", **{name: f", curriculum {name}" for name in NAMES if name != "none"}}
    assert list(names) == [f"stdcnn, A = 0, epsilon = 0.2{said[name]}" for name in NAMES]
    assert told_apart([seeds[0] for seeds in names.values()]) == [f"stdcnn{said[name]}" for name in NAMES]
    assert {str(seeds[0].cell) for seeds in names.values()} == {
        f"stdcnn A = 0, epsilon = 0.2{said[name]}, seed 0" for name in NAMES
    }
    assert other_settings(Recipe(trades_beta=1), ["trades_beta", "curriculum"]) == ["trades_beta 1"]
