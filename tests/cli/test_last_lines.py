"""What commands print at 80 columns and in a pipe: no row cut or wrapped, and a last line that is a command."""

import shlex
import sys

import pytest
from typer.main import get_command

from invrob.cli import app, main

LONG = "linear:tau=2.1234567890123456789012345678901234567890"
SHORT = ["--n", "500", "--d", "2", "--classifier", "sign-x0"]
COMMANDS = {
    "data list": "data fetch mnist --root 'my data'",
    "data fetch mnist-mini": "data info mnist-mini --root 'my data'",
    "theory frontier --p 0.7 --c 2": "theory check --p 0.7 --c 2",
    "theory check --p 0.7": "theory sweep --p 0.7",
    "theory sweep --p 0.6 --n 500 --d 2 --classifier logistic --q 0": "empirical run --preset smoke",
}


@pytest.fixture
def printed(monkeypatch, capsys, tmp_path):
    """What a command prints in a pipe, or at so many columns; in this process, which saves the seconds of a new one."""
    monkeypatch.chdir(tmp_path)

    def call(words, columns=None):
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns is not None:
            monkeypatch.setenv("COLUMNS", str(columns))
        if words[0] == "data":
            words = [*words, "--root", "my data"]
        if words[:2] == ["theory", "check"]:
            words = [*words, *SHORT]
        monkeypatch.setattr(sys, "argv", ["invrob", *words])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert (end.value.code or 0, err) == (0, "")
        return out

    return call


@pytest.mark.parametrize("words", COMMANDS)
def test_the_last_line_is_a_command_that_the_program_takes_and_no_line_is_too_long(printed, words):
    lines = printed(words.split(), 80).splitlines()
    assert lines[-1] == f"next: invrob {COMMANDS[words]}"
    assert all(len(line) <= 80 for line in lines if not line.startswith(("next: ", "mnist-mini is ready")))
    command, rest = get_command(app), shlex.split(lines[-1])[2:]
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context("invrob", rest)


def test_in_a_pipe_each_data_set_is_one_row(printed):
    rows = printed(["data", "list"]).splitlines()[:4]
    assert [row.split()[0] for row in rows] == ["name", "mnist-mini", "mnist", "cifar10"]
    assert rows[3].endswith("no: invrob data fetch cifar10 --root 'my data'")


def test_in_a_pipe_the_name_of_a_classifier_is_not_broken(printed):
    out = printed(["theory", "check", "--p", "0.7", "--classifier", LONG])
    assert sum(line.startswith(LONG) for line in out.splitlines()) == 2


def test_a_document_for_programs_has_no_next_line(printed):
    for words in ("data list --json", "theory frontier --p 0.7 --json"):
        assert "next: " not in printed(words.split())
