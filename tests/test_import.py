"""Importing invrob costs next to nothing and loads nothing heavy; its names come on first use."""

import subprocess
import sys
from pathlib import Path

import pytest

import invrob

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "torchvision", "numpy", "scipy", "sklearn", "matplotlib", "ray", "pandas")


def run(*arguments):
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    "statement",
    ["import invrob", "import invrob.cli", "from invrob import InputError", "import invrob; dir(invrob)"],
)
def test_nothing_heavy_is_imported(statement):
    loaded = run("-c", f"{statement}; import sys; print(*sys.modules)").split()
    assert "invrob" in loaded
    assert not {*HEAVY} & {*loaded}


def others(program):
    """The packages that a program has loaded by its end, but for those of Python itself."""
    loaded = run("-c", f"{program}; import sys; print('LOADED', *sys.modules)").rpartition("LOADED")[2].split()
    return {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names, loaded


def test_import_loads_two_modules_of_ours_and_nobody_elses():
    before, after = others("pass")[0], others("import invrob")
    assert after[0] - before == {"invrob"}
    assert {name for name in after[1] if name.startswith("invrob")} == {"invrob", "invrob.versions"}


def test_help_loads_what_prints_it_and_no_room_of_the_house():
    program = "import sys; sys.argv = ['invrob', '--help']; from invrob.cli import app; app(standalone_mode=False)"
    packages, loaded = others(program)
    assert not {*HEAVY, "pydantic", "safetensors", "PIL"} & packages
    assert not [name for name in loaded if name.startswith(("invrob.empirical.", "invrob.theory."))]
    assert "theory" in run("cli.py", "--help")


def test_every_public_name_is_there():
    assert {"robustness_profile", "invariance_profile", "tradeoff", "Card", "InputError"} <= {*invrob.__all__}
    for name in invrob.__all__:
        assert getattr(invrob, name) is not None
    assert dir(invrob) == sorted(invrob.__all__)
    assert issubclass(invrob.InputError, ValueError)


def test_another_name_is_an_attribute_error_that_lists_the_names():
    with pytest.raises(AttributeError) as caught:
        invrob.robustnes_profile  # noqa: B018
    assert str(caught.value) == (
        "module 'invrob' has no attribute 'robustnes_profile'; it has PGD, Auto, BlackBoxProfile, Card, Grid, "
        "InputError, InvarianceProfile, Loaded, Preprocessing, RobustnessProfile, Rotation, Square, Study, Weak, "
        "WeakProfile, WorstCaseProfile, WorstOf, black_box_profile, experiment, images_of, invariance_profile, "
        "load, load_model, robustness_profile, sample, tradeoff, worst_case_profile"
    )
    assert not hasattr(invrob, "nothing")


@pytest.mark.long
def test_a_profile_runs_without_a_warning_and_loads_torch_but_nothing_it_does_not_need():
    program = (
        "import sys, torch, invrob\n"
        "model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))\n"
        "profile = invrob.robustness_profile(model, torch.rand(4, 1, 4, 4), epsilons=[0, .05, .1])\n"
        "print(len(profile.rate), *sys.modules)"
    )
    count, *loaded = run("-W", "error", "-c", program).split()
    assert count == "3"
    assert {"torch", "numpy"} <= {*loaded}  # so the test above can fail
    assert not {"matplotlib", "sklearn", "ray"} & {*loaded}
