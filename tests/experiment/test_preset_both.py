"""The preset `both`, made small: it draws the plane, and says whether one can have both wherever the run is shown."""

import json

import pytest

from invrob.empirical.experiments import PRESETS, Profiling

QUESTION = "Can one have both, invariance and robustness?"
SMALL = Profiling(thetas=(0.0, 90.0, 180.0), epsilons=(0.0, 0.1, 0.3), images=12, steps=1, angle_step=90, audit=0)


@pytest.fixture
def small(config, monkeypatch):
    """The preset with the first of its networks alone, narrow and after one epoch, on a handful of bars."""
    whole = PRESETS["both"]
    bars = next(line for line in config.read_text().splitlines() if line.startswith("dataset")).split('"')[1]
    first = whole.models[0]
    training = first.training.model_copy(update={"epochs": 1, "batch_size": 60})
    grid = {"training_theta": (0.0, 180.0), "training_epsilon": (0.0, 0.2), "training": training, "width": 0.2}
    shrunk = {"dataset": bars, "models": (first.model_copy(update=grid),), "profiling": SMALL}
    monkeypatch.setitem(PRESETS, "both", whole.model_copy(update=shrunk))


@pytest.mark.long
def test_the_preset_answers_its_question_on_the_screen_in_json_in_figures_and_on_the_page(small, invrob, tmp_path):
    out = tmp_path / "run"
    done = invrob("empirical", "run", "--preset", "both", "--out", out, "--jobs", "1")
    assert done.returncode == 0, done.stderr
    asked = [line for line in done.stdout.splitlines() if line.startswith(QUESTION)]
    assert len(asked) == 1
    assert done.stdout.index(QUESTION) > done.stdout.index("figures and data:")
    assert (out / "plane.png").exists()
    figures = json.loads(invrob("empirical", "figures", out, "--json").stdout)
    assert figures["answer"][0] == asked[0]
    assert figures["answer"][1].startswith("stdcnn (width 0.2): ")
    assert {claim["name"] for claim in figures["claims"]} >= {"i", "ii", "iii", "iv", "vi"}
    assert invrob("report", out).returncode == 0
    assert QUESTION in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", PRESETS["both"].models, ids=lambda model: model.name)
def test_every_network_of_the_preset_is_trained_with_neither_with_one_and_with_both(model):
    recipes = [model.recipe(theta, epsilon) for theta in model.training_theta for epsilon in model.training_epsilon]
    assert {(recipe.rotation > 0, recipe.epsilon > 0) for recipe in recipes} == {
        (turned, attacked) for turned in (False, True) for attacked in (False, True)
    }
