"""A run whose time is limited: it stops, says so, goes on with the same command, and ends with the same bytes."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest
import torch
from small_runs import contents, invrob, run

from invrob.commands import conclusion, empirical, time_limit
from invrob.empirical.data import load
from invrob.empirical.execution import Deadline, expected_stage, keeping
from invrob.empirical.execution import cell as execution_cell
from invrob.empirical.experiments import Store, read_experiment
from invrob.empirical.training import Paused

ROOT = Path(__file__).resolve().parents[2]
HOURS = ["--time-limit", "10h"]


@pytest.fixture
def ticking(monkeypatch):
    """In place of seconds, a process has that many looks at the clock: ticking(looks)."""

    def ticking(looks):
        left = iter([3600.0] * looks)
        monkeypatch.setattr(Deadline, "left", property(lambda self: 0.0 if self.told else next(left, 0.0)))

    return ticking


def said_last(done):
    """The last two lines of stderr."""
    return done.stderr.splitlines()[-2:]


def halfway(out):
    return [*out.glob("halfway/*.safetensors")]


def test_the_same_command_goes_on_until_all_is_finished_and_the_bytes_are_the_same(config, whole, tmp_path, ticking):
    out, codes, lefts = tmp_path / "run", [], []
    while not codes or codes[-1] == 75:
        ticking(4)
        done = run(config, out, *HOURS)
        codes.append(done.returncode)
        summary = json.loads(done.stdout)
        if codes[-1] == 75:
            assert summary["stopped"] == "time limit"
            again = f"invrob empirical run --out {out} --time-limit 10h --jobs 1"
            words = {
                2: "0 of 2 cells are finished, and 2 are left",
                1: "1 of 2 cells is finished, and 1 is left",
                0: "2 of 2 cells are finished, and not all figures are drawn",
            }
            said = words[summary["left"]]
            assert said_last(done) == [
                f"stopped before the time limit of 10h: {said}; the same command goes on",
                f"next: {again}",
            ]
            lefts.append(summary["left"])
        assert len(codes) < 10
    assert codes[-1] == 0
    assert len(codes) > 2
    assert lefts == sorted(lefts, reverse=True)
    assert "stopped" not in summary
    assert contents(out) == contents(whole)
    assert not (out / "halfway").exists()


def test_a_run_that_is_stopped_in_a_training_keeps_it_and_what_was_kept_of_it_may_be_damaged(
    config, whole, tmp_path, ticking, monkeypatch
):
    out = tmp_path / "run"
    ticking(3)
    assert run(config, out, *HOURS).returncode == 75
    (path,) = halfway(out)
    path.write_bytes(path.read_bytes()[:-1])
    monkeypatch.undo()
    assert run(config, out).returncode == 0
    assert contents(out) == contents(whole)


def test_a_stack_is_gone_on_with_as_it_was_begun(config, tmp_path, ticking, monkeypatch):
    stacked = "--stack", "2"
    assert run(config, tmp_path / "whole", *stacked).returncode == 0
    out = tmp_path / "run"
    ticking(3)
    stopped = run(config, out, *HOURS, *stacked)
    assert (stopped.returncode, json.loads(stopped.stdout)["left"]) == (75, 2)
    assert len(halfway(out)) == 1
    monkeypatch.undo()
    assert run(config, out, "--stack", "1").returncode == 0
    assert contents(out) == contents(tmp_path / "whole")


def test_where_nothing_would_ever_be_finished_the_run_fails_and_names_a_limit_that_is_enough(
    config, tmp_path, ticking, monkeypatch
):
    def broken_off(*_):
        raise Paused

    out = tmp_path / "run"
    monkeypatch.setattr(execution_cell, "measured", broken_off)
    first = run(config, out, *HOURS)  # the trainings are kept: it has got further
    assert first.returncode == 75
    second = run(config, out, *HOURS)
    assert second.returncode == 1
    why, following = said_last(second)
    assert why.startswith("error: --time-limit 10h is too short: a measurement of stdcnn A = ")
    assert "s that there are for cells (" in why
    assert following.startswith(f"next: invrob empirical run --out {out} --time-limit 1")
    monkeypatch.undo()
    longer = shlex.split(following)[2:]
    assert invrob(*longer).returncode == 0


def test_where_not_even_a_step_is_done_the_run_fails(config, tmp_path, monkeypatch):
    def broken_off(*_, **__):
        raise Paused

    monkeypatch.setattr(execution_cell, "train", broken_off)
    done = run(config, tmp_path / "run", *HOURS)
    assert done.returncode == 1
    assert "too short: a step of the training of stdcnn A = 0, seed 0 did not end in the" in done.stderr


def test_a_time_that_ends_while_data_are_loaded_ends_the_run(config, tmp_path, monkeypatch):
    monkeypatch.setattr(time_limit, "process_started", lambda: time.time() - 9)
    monkeypatch.setattr(empirical, "data_of", lambda *_: time.sleep(60))
    done = run(config, tmp_path / "run", "--time-limit", "10s")
    assert (done.returncode, done.stdout) == (1, "")
    assert said_last(done) == [
        "error: --time-limit 10s is too short: loading PyTorch and the data takes longer",
        f"next: invrob empirical run --config {config} --out {tmp_path / 'run'} --jobs 1 --json --time-limit 30s",
    ]


def test_figures_that_there_is_no_time_for_are_drawn_by_the_next_run(config, whole, tmp_path, monkeypatch):
    real, out, count = conclusion.Outputs.written, tmp_path / "run", [0]

    def late(outputs, write):
        count[0] += 1
        if count[0] == 5:
            raise Paused
        return real(outputs, write)

    monkeypatch.setattr(conclusion.Outputs, "written", late)
    stopped = run(config, out, *HOURS)
    assert stopped.returncode == 75
    assert said_last(stopped)[0].endswith(
        "2 of 2 cells are finished, and not all figures are drawn; the same command goes on"
    )
    assert (out / "profiles.csv").exists()
    assert contents(out).keys() < contents(whole).keys()
    count[0] = 0
    hopeless = run(config, out, *HOURS)  # nothing is left but the figures, and there is no time for them again
    assert hopeless.returncode == 1
    assert "all cells are finished, but it does not suffice for the figures" in hopeless.stderr
    monkeypatch.undo()
    assert run(config, out, *HOURS).returncode == 0
    assert contents(out) == contents(whole)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_in_a_training_keeps_it(config, whole, tmp_path, monkeypatch, sent, code):
    real, count, out = keeping.KeptTraining.asks, [0], tmp_path / "run"

    def signalled(keeper):
        count[0] += 1
        if count[0] == 2:
            os.kill(os.getpid(), sent)
        return real(keeper)

    monkeypatch.setattr(keeping.KeptTraining, "asks", signalled)
    stopped = run(config, out)
    assert (stopped.returncode, stopped.stdout) == (code, "")
    assert "stopped: nothing that was finished is lost; the same command goes on" in stopped.stderr
    assert count == [2]
    assert len(halfway(out)) == 1
    assert run(config, out).returncode == 0
    assert contents(out) == contents(whole)


def test_now_and_then_a_training_is_kept_without_being_asked_and_not_when_it_is_done(
    config, whole, tmp_path, monkeypatch
):
    real, kept = keeping.write_halfway, []
    monkeypatch.setattr(keeping, "EVERY", 0.0)
    monkeypatch.setattr(keeping, "SHARE", 1e9)
    monkeypatch.setattr(keeping, "write_halfway", lambda *words: kept.append(words) or real(*words))
    assert run(config, tmp_path / "run").returncode == 0
    assert len(kept) > 3
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize("limit", ["soon", "0", "3s", "1:99", ""])
def test_a_limit_that_is_none_is_bad_usage(config, tmp_path, limit):
    done = run(config, tmp_path / "run", "--time-limit", limit)
    assert (done.returncode, done.stdout) == (2, "")
    refusals = {"0": "0: must be from 5s to 366d;", "3s": "3s: must be from 5s to 366d;"}
    refusal = refusals.get(limit, f"{limit!r} must be a time: ")
    assert done.stderr.startswith(f"error: --time-limit {refusal}")
    assert not (tmp_path / "run").exists()


def test_a_plan_says_in_how_many_processes_a_run_would_be_done(config, tmp_path, monkeypatch):
    monkeypatch.setattr(time_limit, "process_started", lambda: time.time() - 4)
    where = "--config", config, "--out", tmp_path / "run"
    words = ["empirical", "run", *where, "--jobs", "1", "--time-limit", "10m", "--dry-run"]
    text = " ".join(invrob(*words).stdout.split())
    assert "With a time limit of 10m the command is run about once, each time with 10 min for cells" in text
    planned = json.loads(invrob(*words, "--json").stdout)
    assert (planned["time_limit"], planned["slices"]) == ("10m", 1)


def test_what_a_measurement_will_take_is_known_from_others_or_from_the_training(finished, config):
    experiment = read_experiment(config)
    dataset = load(experiment.dataset)
    first, second = experiment.cells(dataset.fingerprint)
    store, device = Store(finished), torch.device("cpu")
    store.write_cost(first.key, "profiles", 100.0, "cpu")
    store.write_cost(second.key, "profiles", 7.0, "cpu")
    assert expected_stage(second, "profiles", dataset, store, device) == 100.0
    assert expected_stage(second, "profiles", dataset, store, torch.device("cuda")) == 0.0
    for costs in finished.glob("cells/*/costs.json"):
        costs.unlink()
    assert expected_stage(first, "profiles", dataset, store, device) == 0.0
    store.write_cost(first.key, "training", 1.0, "cpu")
    once = expected_stage(first, "profiles", dataset, store, device)
    store.write_cost(first.key, "training", 2.0, "cpu")
    assert expected_stage(first, "profiles", dataset, store, device) == 2 * once > 0


def started(config, out, *more):
    """The command as a process of its own."""
    words = ["empirical", "run", "--config", config, "--out", out, "--quiet", *more]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def longer(config):
    """The experiment with trainings of some seconds."""
    path = config.with_name("longer.toml")
    path.write_text(config.read_text().replace("epochs = 1", "epochs = 300"))
    return path


def ended(process, seconds=400):
    """The exit code and stderr of a process that comes to its end."""
    _, err = process.communicate(timeout=seconds)
    return process.returncode, err


def trained(out):
    """What must be the same in every run; figures are left to the other tests."""
    return {name: content for name, content in contents(out).items() if name.startswith(("cells/", "profiles.csv"))}


@pytest.mark.long
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_job_that_slurm_stops_keeps_its_trainings_in_every_process(longer, tmp_path, jobs):
    """SIGTERM reaches all processes of a job at once."""
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert ended(started(longer, whole, "--jobs", "1")) == (0, mock.ANY)
    process, end = started(longer, out, "--jobs", jobs), time.monotonic() + 200
    while not (out / "experiment.json").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(1 if jobs == 1 else 6)  # workers load PyTorch first
    os.killpg(process.pid, signal.SIGTERM)
    code, err = ended(process, 60)
    assert code == 75, err
    assert "Traceback" not in err
    assert "stopped: nothing that was finished is lost" in err
    assert ended(started(longer, out, "--jobs", jobs)) == (0, mock.ANY)
    assert trained(out) == trained(whole)


@pytest.mark.long
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_real_clock_stops_a_run_before_its_limit_again_and_again(longer, tmp_path, jobs):
    began, out, codes = time.monotonic(), tmp_path / "run", []
    assert ended(started(longer, tmp_path / "whole", "--jobs", "1")) == (0, mock.ANY)
    limit = max(0.6 * (time.monotonic() - began), 10)
    while not codes or codes[-1] != 0:
        code, err = ended(started(longer, out, "--jobs", jobs, "--time-limit", f"{limit:.0f}s"))
        assert code in (0, 1, 75), err
        limit *= 1.5 if code == 1 else 1  # too short where loading takes long: this machine may be under load
        codes.append(code)
        assert len(codes) < 20, err
    assert trained(out) == trained(tmp_path / "whole")
