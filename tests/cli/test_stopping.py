"""Ctrl-C of what takes seconds: exit code 130, what is left, and a command that starts again and works."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from invrob.commands.stopping import Watched, told_where_stopped

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, signal, sys
sys.argv[0] = "invrob"
{before}
from invrob.cli import main
main()
"""
AFTER_ROWS = """
from invrob.empirical import selftest
def rows(quick):
    for number, name in enumerate(selftest.model_names()):
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        yield selftest.Row(name, name, 0.2, 1.0, 0.0, "masked", (name,), number != 1)
selftest.rows = rows
"""
AFTER_SAMPLES = """
from invrob.theory import check
whole = check._count
def counted(distribution, classifiers, n, seed, show):
    show("sampling", 2000, n)
    os.kill(os.getpid(), signal.SIGINT)
    return whole(distribution, classifiers, n, seed, show)
check._count = counted
"""
WHILE_DRAWING = """
from invrob import pictures
def write_figure(path, figure, **options):
    os.kill(os.getpid(), signal.SIGINT)
pictures.write_figure = write_figure
"""


def stopped(before, *words, folder=ROOT):
    """Run the command with a Ctrl-C at a certain place: exit code, stdout, stderr."""
    program = PROGRAM.format(before=before)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def test_a_self_test_that_is_stopped_says_what_it_had_found_and_what_is_left():
    code, out, err = stopped(AFTER_ROWS, "selftest", "--quick")
    assert code == 130
    assert "log-softmax outputs" in out.partition("\n\n")[0]
    said = " ".join(err.split())
    assert said.startswith("stopped: 2 of 17 models were measured: log-softmax outputs is MISSED. Not measured: ")
    assert "honest network, with a decoy; honest linear model, 2 classes; honest linear model, 10 classes." in said
    assert "\nnext: invrob selftest --quick\n" in err
    assert max(map(len, err.splitlines())) <= 80


def test_a_self_test_for_a_program_that_is_stopped_prints_no_part_of_a_document():
    code, out, err = stopped(AFTER_ROWS, "selftest", "--quick", "--json")
    assert (code, out) == (130, "")
    assert "next: invrob selftest --quick --json" in err


WORDS = ["--p", "0.7", "--n", "10000", "--classifier", "paper"]


def test_a_check_that_is_stopped_says_how_many_samples_were_drawn_and_leaves_no_file(tmp_path):
    words = ["theory", "check", *WORDS, "--plot", "my figures/c.png"]
    code, out, err = stopped(AFTER_SAMPLES, *words, folder=tmp_path)
    assert (code, out) == (130, "")
    assert " ".join(err.split()).startswith(
        "stopped: after 2,000 of 10,000 samples. No rate is known yet, and no file is written. "
        "next: invrob theory check --p 0.7 --n 10000 --classifier paper --plot 'my figures/c.png'"
    )
    assert list(tmp_path.iterdir()) == []
    again = next(line for line in err.splitlines() if line.startswith("next: ")).removeprefix("next: invrob ")
    done = subprocess.run([sys.executable, str(ROOT / "cli.py"), *shlex.split(again)], cwd=tmp_path, check=True)
    assert done.returncode == 0
    assert (tmp_path / "my figures" / "c.png").is_file()


def test_a_sweep_that_is_stopped_says_how_far_it_was(tmp_path):
    words = ["theory", "sweep", "--p", "0.6:0.7:0.1", "--n", "4000", "--d", "2", "--classifier", "logistic"]
    code, out, err = stopped(AFTER_SAMPLES, *words, folder=tmp_path)
    assert (code, out) == (130, "")
    assert "stopped: at p = 0.6: sampling, 38% of all. No rate is known yet, and no file is written." in " ".join(
        err.split()
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["check", "frontier"])
def test_who_stops_while_the_figure_is_drawn_has_the_numbers(tmp_path, command):
    more = WORDS[2:] if command == "check" else []
    words = ["theory", command, "--p", "0.7", *more, "--plot", "c.png"]
    code, out, err = stopped(WHILE_DRAWING, *words, folder=tmp_path)
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
