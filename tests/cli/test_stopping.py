"""Ctrl-C of what takes seconds: exit code 130, what is left, and a command that starts again and works."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from invrob import pictures
from invrob.cli import main
from invrob.commands.stopping import Watched, told_where_stopped
from invrob.empirical import selftest
from invrob.theory import check

ROOT = Path(__file__).resolve().parents[2]


def interrupt():
    """Ctrl-C, in this process."""
    os.kill(os.getpid(), signal.SIGINT)


def after_rows(monkeypatch):
    """The self-test is interrupted when it has measured two models."""

    def rows(quick):
        for number, name in enumerate(selftest.model_names()):
            if number == 2:
                interrupt()
            yield selftest.Row(name, name, 0.2, 1.0, 0.0, "masked", (name,), number != 1)

    monkeypatch.setattr(selftest, "rows", rows)


def after_samples(monkeypatch):
    """A check is interrupted when it has drawn 2,000 samples."""
    whole = check.counts_of

    def counted(distribution, classifiers, n, seed, show):
        show("sampling", 2000, n)
        interrupt()
        return whole(distribution, classifiers, n, seed, show)

    monkeypatch.setattr(check, "counts_of", counted)


def while_drawing(monkeypatch):
    """A figure is interrupted where it would be written."""
    monkeypatch.setattr(pictures, "write_figure", lambda *_, **__: interrupt())


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run a command in this process, in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["invrob", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, *capsys.readouterr()

    return call


@pytest.fixture
def stopped(monkeypatch, command):
    """Run it with a Ctrl-C at a certain place: stopped(place, *words)."""

    def call(place, *words):
        with monkeypatch.context() as patched:
            place(patched)
            return command(*words)

    return call


def test_a_self_test_that_is_stopped_says_what_it_had_found_and_what_is_left(stopped):
    code, out, err = stopped(after_rows, "selftest", "--quick")
    assert code == 130
    assert "log-softmax outputs" in out.partition("\n\n")[0]
    said = " ".join(err.split())
    assert said.startswith("stopped: 2 of 17 models were measured: log-softmax outputs is MISSED. Not measured: ")
    assert "honest network, with a decoy; honest linear model, 2 classes; honest linear model, 10 classes." in said
    assert "\nnext: invrob selftest --quick\n" in err
    assert max(map(len, err.splitlines())) <= 80


def test_a_self_test_for_a_program_that_is_stopped_prints_no_part_of_a_document(stopped):
    code, out, err = stopped(after_rows, "selftest", "--quick", "--json")
    assert (code, out) == (130, "")
    assert "next: invrob selftest --quick --json" in err


WORDS = ["--p", "0.7", "--n", "10000", "--classifier", "paper"]


def test_a_check_that_is_stopped_says_how_many_samples_were_drawn_and_leaves_no_file(stopped, command, tmp_path):
    words = ["theory", "check", *WORDS, "--plot", "my figures/c.png"]
    code, out, err = stopped(after_samples, *words)
    assert (code, out) == (130, "")
    assert " ".join(err.split()).startswith(
        "stopped: after 2,000 of 10,000 samples. No rate is known yet, and no file is written. "
        "next: invrob theory check --p 0.7 --n 10000 --classifier paper --plot 'my figures/c.png'"
    )
    assert list(tmp_path.iterdir()) == []
    again = next(line for line in err.splitlines() if line.startswith("next: ")).removeprefix("next: invrob ")
    assert command(*shlex.split(again))[0] == 0
    assert (tmp_path / "my figures" / "c.png").is_file()


def test_a_sweep_that_is_stopped_says_how_far_it_was(stopped, tmp_path):
    words = ["theory", "sweep", "--p", "0.6:0.7:0.1", "--n", "4000", "--d", "2", "--classifier", "logistic"]
    code, out, err = stopped(after_samples, *words)
    assert (code, out) == (130, "")
    assert "stopped: at p = 0.6: sampling, 38% of all. No rate is known yet, and no file is written." in " ".join(
        err.split()
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["check", "frontier"])
def test_who_stops_while_the_figure_is_drawn_has_the_numbers(stopped, tmp_path, kind):
    more = WORDS[2:] if kind == "check" else []
    words = ["theory", kind, "--p", "0.7", *more, "--plot", "c.png"]
    code, out, err = stopped(while_drawing, *words)
    assert code == 130
    assert "docs/theory.md" in out
    assert "while the figure was drawn. What was computed is printed above. c.png is not written." in " ".join(
        err.split()
    )
    assert list(tmp_path.iterdir()) == []


def test_where_a_command_ends_by_itself_nothing_is_said_of_stopping(capsys):
    for end in (SystemExit(1), ValueError("x")):
        with pytest.raises(type(end)), told_where_stopped(lambda: pytest.fail("asked")):
            raise end
    assert capsys.readouterr() == ("", "")


def test_what_is_watched_says_where_it_is():
    seen = []
    watched = Watched(lambda *event: seen.append(event), "loading")
    assert watched.place == "at loading"
    watched("preparing mlp", 1, 4)
    assert watched.place == "at preparing mlp, 25% of all"
    watched("sampling", 1000, 4000)
    assert watched.place == "after 1,000 of 4,000 samples"
    assert seen == [("preparing mlp", 1, 4), ("sampling", 1000, 4000)]


@pytest.mark.long
def test_a_real_ctrl_c_of_a_self_test_is_answered():
    program = [sys.executable, str(ROOT / "cli.py"), "selftest"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped: " in err
    assert "next: invrob selftest" in err
