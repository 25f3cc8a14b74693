"""Importing invrob costs next to nothing and loads nothing heavy; its names come on first use."""

import resource
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


def seconds(*arguments):
    """Processor time of a subprocess, the median of three: the clock on the wall measures the neighbours as well."""

    def once():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return sorted(once() for _ in range(3))[1]


@pytest.mark.parametrize(
    "statement",
    ["import invrob", "import invrob.cli", "from invrob import InputError", "import invrob; dir(invrob)"],
)
def test_nothing_heavy_is_imported(statement):
    loaded = run("-c", f"{statement}; import sys; print(*sys.modules)").split()
    assert "invrob" in loaded
    assert not {*HEAVY} & {*loaded}


def test_import_takes_less_than_0_3_seconds():
    assert seconds("-c", "import invrob") - seconds("-c", "pass") < 0.3


def test_help_takes_less_than_0_5_seconds():
    assert seconds("cli.py", "--help") < 0.5
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
        "module 'invrob' has no attribute 'robustnes_profile'; it has PGD, BlackBoxProfile, Card, Grid, InputError, "
        "InvarianceProfile, Loaded, Preprocessing, RobustnessProfile, Rotation, Square, Weak, WeakProfile, "
        "WorstCaseProfile, WorstOf, black_box_profile, invariance_profile, load_model, robustness_profile, tradeoff, "
        "worst_case_profile"
    )
    assert not hasattr(invrob, "nothing")


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
