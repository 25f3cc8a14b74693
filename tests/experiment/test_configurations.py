"""Experiments: presets are what they are said to be, a TOML file is read or refused with the way out, keys address."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical.experiments.cells import Cell
from invrob.empirical.experiments.experiment import Profiling, read_experiment
from invrob.empirical.experiments.presets import PRESETS
from invrob.empirical.models import MODELS, build
from invrob.empirical.training.recipes import Recipe
from invrob.errors import InputError


def grid(experiment):
    return {m.name: (m.training_theta, m.training_epsilon) for m in experiment.models}


def test_the_presets_have_the_grids_that_are_promised():
    assert grid(PRESETS["mini"]) == {
        "stdcnn": ((0, 30, 60, 90, 180), (0,)),
        "gcnn": ((0, 60, 180), (0,)),
        "madry_lenet": ((0,), (0, 0.1, 0.2, 0.3)),
    }
    assert grid(PRESETS["both"]) == {
        "stdcnn": ((0, 60, 180), (0, 0.2)),
        "madry_lenet": ((0, 60, 180), (0, 0.2)),
        "gcnn": ((0, 180), (0, 0.2)),
    }
    angles = (0, 30, 60, 90, 120, 150, 180)
    assert grid(PRESETS["paper-mnist"]) == {
        "stdcnn": (angles, (0,)),
        "gcnn": (angles, (0,)),
        "madry_lenet": ((0,), (0, 0.1, 0.2, 0.3, 0.4)),
    }
    assert PRESETS["paper-mnist"].seeds == (0, 1, 2)
    assert grid(PRESETS["paper-cifar"]) == {
        "vgg16": (angles, (0,)),
        "gcnn_vgg16": (angles, (0,)),
        "madry_resnet": ((0,), (0, 2 / 255, 4 / 255, 8 / 255)),
    }
    for name, preset in PRESETS.items():
        assert {90, 180} <= set(preset.profiling.thetas)
        assert ({2 / 255, 8 / 255} if name == "paper-cifar" else {0.1, 0.3}) <= set(preset.profiling.epsilons)
        for model in preset.models:
            assert model.width == 1 or not name.startswith("paper")
            assert model.name in MODELS
            build(model.name, **model.options())


def read(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_text(text)
    return read_experiment(path)


@pytest.mark.parametrize(
    "models",
    [
        'models = ["stdcnn"]',
        'models = [{name = "stdcnn"}]',
        '[[models]]\nname = "stdcnn"',
        "[models.stdcnn]",
        'models = "stdcnn"',
    ],
)
def test_a_model_may_be_a_name_or_a_table(tmp_path, models):
    experiment = read(tmp_path, f'dataset = "mnist-mini"\n{models}')
    assert [m.name for m in experiment.models] == ["stdcnn"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('datset = "mnist-mini"\nmodels = ["stdcnn"]', "datset is unknown; did you mean 'dataset'?"),
        ('dataset = "mnist-mini"', "models is missing"),
        ('dataset = "mnist-mini"\nmodels = []', "models = []"),
        ('dataset = "mnist-mini"\nmodels = ["stdcn"]', "models.0.name = 'stdcn'"),
        ('dataset = "a"\n[[models]]\nname = "stdcnn"\nepoch = 3', "models.0.epoch is unknown; did you mean 'epochs'?"),
        ('dataset = "a"\n[[models]]\nname = "stdcnn"\nepochs = 0', "epochs = 0"),
        ('dataset = "a"\n[[models]]\nname = "stdcnn"\ntraining_theta = [190]', "models.0.training_theta.0 = 190"),
        (
            'dataset = "a"\n[[models]]\nname = "stdcnn"\nhead = "invariant"',
            "is an option of gcnn, gcnn_vgg16, not of stdcnn",
        ),
        ('dataset = "a"\nmodels = ["gcnn"]\n[profiling]\nthetas = [90, 0]', "profiling.thetas"),
        (
            'dataset = "a"\nmodels = ["gcnn"]\n[profiling]\nimage = 3',
            "profiling.image is unknown; did you mean 'images'?",
        ),
        ('dataset = "a"\nmodels = ["gcnn"]\nseeds = [-1]', "seeds.0 = -1"),
        ("dataset = ", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_nearest_key(tmp_path, text, said):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert "my.toml" in str(caught.value)
    assert "too_short" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml cannot be read: No such file"):
        read_experiment(tmp_path / "nowhere.toml")


def cell(**changes):
    plain = {
        "dataset": "mnist-mini",
        "fingerprint": "f",
        "model": "stdcnn",
        "options": {},
        "recipe": Recipe(),
        "seed": 0,
        "profiling": Profiling(),
    }
    return Cell(**(plain | changes))


def test_a_key_is_that_of_the_content_and_not_of_its_path_or_its_profiles():
    assert cell().key == cell(dataset="npz:elsewhere").key == cell(profiling=Profiling(images=7)).key
    assert cell().profile_key == cell(seed=3).profile_key != cell(profiling=Profiling(images=7)).profile_key


changed = st.one_of(
    st.builds(lambda v: {"fingerprint": v}, st.text("abc", min_size=2)),
    st.builds(lambda v: {"seed": v}, st.integers(1, 99)),
    st.builds(lambda v: {"options": {"width": v}}, st.floats(0.1, 0.9)),
    st.builds(lambda v: {"recipe": Recipe(rotation=v)}, st.floats(1, 180)),
    st.builds(lambda v: {"recipe": Recipe(epsilon=v)}, st.floats(0.01, 1)),
    st.builds(lambda v: {"recipe": Recipe(epochs=v)}, st.integers(9, 99)),
)


@settings(deadline=None, max_examples=60)
@given(changed)
def test_any_other_recipe_data_or_seed_has_another_key(change):
    assert cell(**change).key != cell().key


def test_the_same_cell_listed_twice_is_one_cell(tmp_path):
    experiment = read(tmp_path, 'dataset = "mnist-mini"\nmodels = ["stdcnn", "stdcnn"]\nseeds = [1, 1]')
    assert len(experiment.cells("f")) == 3
