"""A run goes on as itself; what takes its place says so; and every command that is printed as advice works."""

import json
import os
import re
import shlex
import signal
from contextlib import contextmanager

import numpy as np
import pytest
from small_runs import contents, images, invrob, run

from invrob.commands import empirical
from invrob.empirical.execution import cell as execution_cell

JOBS = ("--jobs", "1")


def advised(text):
    """The words after `invrob` of the last line "next: invrob ..." in a text."""
    return shlex.split(re.findall(r"^next: invrob (.*)$", text, re.MULTILINE)[-1])


def quoted(text):
    """The words of each command between backticks."""
    return [shlex.split(line) for line in re.findall(r"`invrob ([^`]*)`", text)]


def changed(config, tmp_path, *pairs):
    """The configuration with other text in it."""
    text = config.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "changed.toml"
    path.write_text(text)
    return path


@contextmanager
def signalled(monkeypatch, sent):
    """The second measurement of a run meets this signal."""
    measured, count = execution_cell.measured, [0]

    def stopped(*arguments):
        count[0] += 1
        if count[0] == 2:
            os.kill(os.getpid(), sent)
        return measured(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(execution_cell, "measured", stopped)
        yield


def test_a_run_directory_alone_goes_on_with_its_own_configuration(whole, finished):
    next(finished.glob("cells/*/profiles-*.json")).unlink()
    again = invrob("empirical", "run", "--out", finished, *JOBS)
    assert again.returncode == 0, again.stderr
    assert f"going on with {finished}, as it was begun" in again.stderr
    assert contents(finished) == contents(whole)


@pytest.mark.parametrize("sent", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_the_command_that_is_printed_after_a_signal_goes_on_to_the_same_bytes(
    config, whole, tmp_path, monkeypatch, sent
):
    out = tmp_path / "my run's"
    with signalled(monkeypatch, sent):
        stopped = invrob("empirical", "run", "--config", config, "--out", out, *JOBS)
    words = advised(stopped.stderr)
    assert words == ["empirical", "run", "--out", str(out), *JOBS]
    again = invrob(*words, "--json")
    assert json.loads(again.stdout)["computed"] == 1
    assert contents(out) == contents(whole)


def test_a_signal_before_anything_was_begun_names_the_command_that_begins_it(config, whole, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(empirical, "data_of", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        stopped = invrob("empirical", "run", "--config", config, "--out", out, *JOBS)
    assert stopped.returncode == 130
    assert "stopped: nothing was computed, and nothing is written" in stopped.stderr
    assert not out.exists()
    assert invrob(*advised(stopped.stderr)).returncode == 0
    assert contents(out) == contents(whole)


def test_another_experiment_is_refused_and_the_ways_out_work(config, whole, finished, tmp_path):
    other = changed(config, tmp_path, ("epochs = 1", "epochs = 2"), ("images = 6", "images = 5"))
    before = contents(finished)
    for dry in ((), ("--dry-run",)):
        refused = run(other, finished, *dry)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "models.stdcnn.epochs: 1 there, 2 here; profiling.images: 6 there, 5 here" in refused.stderr
        assert "--force puts this one in its place" in refused.stderr
    assert contents(finished) == before
    (words,) = quoted(refused.stderr)
    assert invrob(*words, *JOBS, "--quiet").returncode == 0
    assert contents(finished) == contents(whole)
    preset = invrob("empirical", "run", "--preset", "smoke", "--out", finished)
    assert preset.returncode == 2
    assert f"{finished} holds another experiment (dataset: npz:" in preset.stderr


def test_by_force_another_experiment_takes_the_place_and_nothing_of_the_earlier_one_is_lost(
    config, whole, finished, tmp_path
):
    other = changed(config, tmp_path, ("training_theta = [0, 90]", "training_theta = [0, 45]"))
    forced = invrob("empirical", "run", "--config", other, "--out", finished, *JOBS, "--force", "--json")
    assert json.loads(forced.stdout)["computed"] == 1  # the cell that both have is not done again
    cells = {name for name in contents(whole) if name.startswith("cells/")}
    assert cells < {*contents(finished)}
    words = shlex.split(forced.stderr.partition("this goes back to it: invrob ")[2])
    assert "--force" in words
    back = json.loads(invrob(*words, *JOBS, "--json").stdout)
    assert (back["computed"], back["missing_cells"]) == (0, 0)
    assert (finished / "profiles.csv").read_bytes() == (whole / "profiles.csv").read_bytes()
    assert (finished / "experiment.json").read_bytes() == (whole / "experiment.json").read_bytes()


def test_what_only_adds_to_a_run_needs_no_force_and_what_was_measured_beside_stays(config, finished, tmp_path):
    weak = invrob("empirical", "run", "--out", finished, *JOBS, "--attack", "noise", "--json")
    assert json.loads(weak.stdout)["computed"] == 2
    seeds = changed(config, tmp_path, ("[[models]]", "seeds = [0, 1]\n[[models]]"))
    more = invrob("empirical", "run", "--config", seeds, "--out", finished, *JOBS)
    assert more.returncode == 0, more.stderr
    assert f"{finished} grows by 2 cells" in more.stderr
    plain = json.loads(invrob("empirical", "figures", finished, "--json").stdout)
    assert [set(cell["beside"]) for cell in plain["cells"]] == [{"weak:noise"}] * 4
    other = invrob("empirical", "run", "--out", finished, "--seed", "1", *JOBS)
    assert other.returncode == 2
    assert "(seeds: 0, 1 there, 1, 2 here): leave out what changes it, such as --seed" in other.stderr
    fewer = run(config, finished)
    assert fewer.returncode == 2
    assert "(seeds: 0, 1 there, 0 here)" in fewer.stderr


def test_a_damaged_configuration_is_not_taken_for_a_new_run(config, whole, finished):
    (finished / "experiment.json").write_text("{")
    alone = invrob("empirical", "run", "--out", finished, *JOBS)
    assert alone.returncode == 2
    assert "its experiment.json is missing or damaged. Its finished cells are kept" in alone.stderr
    drawn = invrob("empirical", "figures", finished)
    ((*words, out),) = quoted(drawn.stderr)
    assert words == ["empirical", "run", "--config", "FILE", "--out"]
    assert json.loads(run(config, out).stdout)["computed"] == 0
    assert contents(finished) == contents(whole)


def test_a_run_whose_data_have_changed_says_so(bars, tmp_path):
    from small_runs import TOML

    data, config, out = tmp_path / "own.npz", tmp_path / "own.toml", tmp_path / "run"
    config.write_text(TOML.format(data=data))
    for seed in (0, 1):
        arrays = dict(np.load(bars))
        arrays["train_images"] = images(80, seed)[0]
        np.savez(data, **arrays)
        done = run(config, out)
        assert done.returncode == (2 if seed else 0)
    assert f"{out} holds another experiment (content of npz:{data}: changed since)" in done.stderr


def test_errors_about_an_unfinished_run_name_the_command_that_finishes_it(config, whole, tmp_path, monkeypatch):
    out = tmp_path / "un fini"
    with signalled(monkeypatch, signal.SIGINT):
        run(config, out)
    shown = invrob("empirical", "figures", out)
    assert "1 cell is not finished" in shown.stdout
    (words,) = quoted(shown.stdout)
    for cell in out.glob("cells/*/cell.json"):
        cell.unlink()
    refused = invrob("empirical", "figures", out)
    assert refused.returncode == 2
    assert quoted(refused.stderr) == [words]
    assert invrob(*words, *JOBS, "--quiet").returncode == 0
    assert contents(out) == contents(whole)


def test_commands_end_with_a_command_that_works(config, finished, tmp_path):
    dry = invrob("empirical", "run", "--config", config, "--out", tmp_path / "new", "--dry-run", *JOBS)
    done = invrob(*advised(dry.stdout))
    assert done.returncode == 0, done.stderr
    drawn = invrob("empirical", "figures", finished)
    nothing = invrob("empirical", "run", "--out", finished, "--dry-run", *JOBS)
    assert "2 cells are finished already" in nothing.stdout
    for said, folder in ((done, tmp_path / "new"), (drawn, finished), (nothing, finished)):
        assert said.stdout.splitlines()[-1] == f"next: invrob report {folder}"
    assert invrob(*advised(drawn.stdout)).returncode == 0
    quiet = invrob("empirical", "run", "--out", finished, *JOBS, "--quiet")
    assert (quiet.stdout, quiet.stderr) == ("", "")


NET = "from torch import nn\n\n\ndef build(num_classes):\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))\n"
FEW = ("--images", "6", "--epsilons", "0,0.1", "--thetas", "0,90", "--audit", "0", "--steps", "1")
STOPPED = {  # what is interrupted where, and what is said to be left
    "figures": ("invrob.commands.empirical.conclude", "what was drawn is kept, and the results are as they were"),
    "plan": ("invrob.commands.empirical.planned", "nothing was computed, and nothing is written"),
    "report": ("invrob.empirical.report.make_report", "no page is written"),
    "profile": ("invrob.empirical.data.sampled", "nothing is written"),
}


@pytest.mark.parametrize("kind", STOPPED)
def test_the_command_that_is_printed_after_ctrl_c_works(config, bars, finished, tmp_path, monkeypatch, kind):
    where, left = STOPPED[kind]
    net = tmp_path / "my nets" / "net.py"
    net.parent.mkdir()
    net.write_text(NET)
    words = {
        "figures": ("empirical", "figures", finished),
        "plan": ("empirical", "run", "--config", config, "--out", finished, "--dry-run", *JOBS),
        "report": ("report", finished, "--out", tmp_path / "the page.html"),
        "profile": ("profile", f"{net}:build", "--data", f"npz:{bars}", *FEW, "--out", tmp_path / "my profile"),
    }[kind]

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(where, interrupted)
        stopped = invrob(*words)
    assert stopped.returncode == 130
    assert f"stopped: {left}\n" in stopped.stderr
    assert advised(stopped.stderr) == list(map(str, words))
    again = invrob(*advised(stopped.stderr))
    assert again.returncode == 0, again.stderr
    if kind == "profile":  # and what a profile advises at its end works as well
        assert invrob(*advised(again.stdout)).returncode == 0


class Recorder:
    """A bar that somebody sees, and that notes what it is told."""

    visible = True

    def __init__(self):
        self.told = []

    def __call__(self, what, done, total):
        self.told.append(what)

    def expect(self, seconds, share):
        self.told.append(("expected", seconds > 0, 0 < share < 1))

    @contextmanager
    def open(self, hidden, begins):
        self.told.append(begins)
        yield self


@pytest.mark.parametrize("dry", [False, True], ids=["run", "plan"])
def test_a_terminal_shows_what_is_done_from_the_first_second_and_an_estimate_before_the_first_cell(
    config, tmp_path, monkeypatch, dry
):
    recorder = Recorder()
    monkeypatch.setattr(empirical, "progress_bar", recorder.open)
    done = invrob(
        "empirical", "run", "--config", config, "--out", tmp_path / "run", *JOBS, *(["--dry-run"] if dry else [])
    )
    assert done.returncode == 0, done.stderr
    assert recorder.told[0] == "loading PyTorch"
    assert recorder.told[1].startswith("loading npz:")
    trial = recorder.told.index("trial of stdcnn (width 0.1)")
    if not dry:
        estimate = recorder.told.index(("expected", True, True))
        assert trial < estimate < min(n for n, what in enumerate(recorder.told) if "0/2 cells" in what)
        assert any(what.startswith("drawing plane.png") for what in recorder.told[estimate + 1 :])
