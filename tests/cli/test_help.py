"""The help of every command: examples to copy, one a line; no line cut; flags without a value; whole sentences."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from invrob.cli import app
from invrob.commands.helping import continued, help_text, note_and_examples, paragraphs, sections

ROOT = Path(__file__).resolve().parents[2]
BACKSLASH = " \\\n"


def unstyled(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def commands(command, parent=None):
    """Every command of the app with its context."""
    context = typer.Context(command, info_name=command.name or "invrob", parent=parent, help_option_names=["--help"])
    yield context
    for below in getattr(command, "commands", {}).values():
        yield from commands(below, context)


CONTEXTS = {context.command_path: context for context in commands(get_command(app))}


@pytest.fixture(params=CONTEXTS)
def context(request):
    return CONTEXTS[request.param]


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_line_of_a_help_is_longer_than_the_terminal_and_no_word_is_lost(context, width):
    text = unstyled(help_text(context.command, context, width))
    for line in text.splitlines():
        assert len(line) <= width or len(line.split()) <= 3  # a name that is longer stands alone on its line
    words = " ".join(text.split())
    listed = [part for entries in sections(context.command, context).values() for entry in entries for part in entry]
    for part in [*paragraphs(context.command), *listed]:
        assert " ".join(part.split()) in words


def test_each_example_stands_on_a_line_of_its_own_that_can_be_copied(context):
    _, lines = note_and_examples(context.command)
    assert lines
    text = unstyled(help_text(context.command, context, 80))
    copied = text.partition("Examples:\n")[2].replace(BACKSLASH, " ").splitlines()
    assert [shlex.split(line) for line in copied] == [shlex.split(line) for line in lines]
    assert "|" not in "".join(lines)


def test_each_example_is_one_that_the_program_takes(context):
    for line in note_and_examples(context.command)[1]:
        command, words = get_command(app), shlex.split(line.partition(" > ")[0])
        assert words.pop(0) == "invrob"
        assert line.startswith(context.command_path)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context("invrob", words)


def test_each_option_says_what_it_takes_in_a_whole_sentence(context):
    for heading, entries in sections(context.command, context).items():
        for name, text in entries:
            assert not name.endswith(" VALUE")
            sentence = re.sub(r" \[[^][]+\]$", "", text)
            assert re.search(r"[.]$", sentence), f"{heading} {name}: {text}"
            assert "repeatable" not in sentence.lower()


def test_flags_take_no_value_and_ranges_and_defaults_are_told():
    options = dict(sections(CONTEXTS["invrob profile"].command, CONTEXTS["invrob profile"])["Options"])
    assert options["--images N"].endswith("[1 or more; default: 1000]")
    assert options["--data DATA"].endswith("[required]")
    output = dict(sections(CONTEXTS["invrob profile"].command, CONTEXTS["invrob profile"])["The output"])
    assert {"--json", "--quiet, -q"} <= {*output}
    theory = dict(sections(CONTEXTS["invrob theory check"].command, CONTEXTS["invrob theory check"])["Options"])
    assert theory["--c C"].endswith("[default: 3]")


def test_a_dry_run_says_that_it_takes_a_trial_and_computes_no_cell():
    options = dict(sections(CONTEXTS["invrob empirical run"].command, CONTEXTS["invrob empirical run"])["Options"])
    assert options["--dry-run"] == "Print what the run would take, after a trial of some seconds. No cell is computed."


@pytest.mark.parametrize("width", [20, 30, 60, 200])
def test_a_command_that_is_continued_is_the_same_command(width):
    line = "invrob profile 'my net.py:build' --data npz:x.npz --epsilons 0,1/255 -q --norm linf --norm l2"
    text = continued(line, width)
    assert shlex.split(text.replace(BACKSLASH, " ")) == shlex.split(line)
    assert all(len(part) <= width or len(part.split()) <= 4 for part in text.splitlines())
    assert (BACKSLASH in text) == (width < 100)


@pytest.mark.parametrize("words", [["--help"], ["profile", "--help"], ["theory", "sweep", "-h"], []])
def test_in_a_pipe_the_help_is_the_same_plain_text(words):
    """Also the one of a program without words, which ends with 2."""
    environment = {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0 if words else 2, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.startswith("Usage: ")
    assert "\nExamples:\n  invrob " in done.stdout
