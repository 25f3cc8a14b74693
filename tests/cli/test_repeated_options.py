"""An option that may be repeated, given twice with one value: as if given once, or refused in a line; never a crash."""

import json
import sys

import pytest
import typer.main

from invrob.cli import app, main

pytestmark = pytest.mark.usefixtures("sketched")  # what pictures look like is asked elsewhere
MODEL = """
from torch import nn

def sized(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes))

model = sized(10)
"""
PROFILE = ("profile", "linear:model", "--data", "mnist-mini", "--images", "4", "--audit", "0", "--json")
SHORT = (*PROFILE, "--thetas", "0,9", "--epsilons", "0,0.1")
TOML = "dataset = 'mnist-mini'\n[models.madry_lenet]\ntraining_theta = [0]\nwidth = 0.1\nepochs = 1\n"
OWN = "dataset = 'mnist-mini'\n[[models]]\nname = 'linear:sized'\ntraining_theta = [0]\nepochs = 1\n"
PLAN = ("empirical", "run", "--config", "tiny.toml", "--dry-run", "--json")
THEORY = ("--p", "0.7", "--d", "2", "--n", "100", "--json")
REPEATED = {  # (command, option): the arguments beside it, and its value
    ("profile", "--norm"): (SHORT, "linf"),
    ("profile", "--transformation"): (SHORT, "translation"),
    ("profile", "--adversary"): (SHORT, "worst-of-2"),
    ("profile", "--thetas"): ((*PROFILE, "--epsilons", "0,0.1"), "0,9"),
    ("profile", "--epsilons"): ((*PROFILE, "--thetas", "0,9"), "0,0.1"),
    ("profile", "--model-args"): (("profile", "linear:sized", *SHORT[2:]), "classes=10"),
    ("profile", "--import"): (SHORT, "linear"),
    ("report", "--import"): (("report", "no/run", "--json"), "linear"),  # refused for its folder, once as twice
    ("empirical run", "--import"): (("empirical", "run", "--config", "own.toml", "--dry-run", "--json"), "linear"),
    ("empirical run", "--attack"): (PLAN, "noise"),
    ("theory frontier", "--weight"): (("theory", "frontier", "--p", "0.7", "--json"), "0.5"),
    ("theory frontier", "--tau"): (("theory", "frontier", "--p", "0.7", "--json"), "1"),
    ("theory check", "--classifier"): (("theory", "check", *THEORY), "sign-x0"),
    ("theory sweep", "--classifier"): (("theory", "sweep", *THEORY), "logistic"),
    ("theory sweep", "--q"): (("theory", "sweep", *THEORY), "0.5"),
}


def repeatable(command, path=()):
    """(command, option) of every option that may be given more than once."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from repeatable(inner, (*path, name))
    for option in command.params:
        if option.param_type_name == "option" and option.multiple:
            yield " ".join(path), option.opts[0]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    (tmp_path / "linear.py").write_text(MODEL)
    (tmp_path / "tiny.toml").write_text(TOML)
    (tmp_path / "own.toml").write_text(OWN)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["invrob", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    yield call
    sys.modules.pop("linear", None)


def without_times(value):
    """`value` without what the clock says of a plan."""
    if isinstance(value, dict):
        times = ("seconds", "training", "measuring", "busy", "worker_hours", "critical_path", "schedules")
        return {key: without_times(inner) for key, inner in value.items() if key not in times}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def test_every_option_that_may_be_repeated_is_tried_here():
    assert set(repeatable(typer.main.get_command(app))) == set(REPEATED)


@pytest.mark.long
@pytest.mark.parametrize(("command", "option"), REPEATED)
def test_a_value_given_twice_counts_once_or_is_refused(run, command, option):
    arguments, value = REPEATED[command, option]
    single, twice = (run(*arguments, *([option, value] * times)) for times in (1, 2))
    assert single[0] in (0, 1) or command == "report"
    if twice[0] == single[0] == 2:
        assert twice == single
    elif twice[0] == 2:
        assert (twice[1], twice[2].count("\n")) == ("", 1)
        assert "name each once" in twice[2]
    else:
        assert twice[0] == single[0]
        assert without_times(json.loads(twice[1])) == without_times(json.loads(single[1]))
