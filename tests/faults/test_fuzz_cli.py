"""Every command with every option, found by walking the application: exit codes 0, 1 and 2, and never a traceback."""

import random

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from small_runs import cases, invrob

from invrob import InputError
from invrob.cli import app
from invrob.empirical.data import download as fetching

NUMBERS = [
    "0",
    "1",
    "-1",
    "2",
    "0.5",
    "1.5",
    "90",
    "1e400",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "2147483648",
    "9" * 30,
    "0x10",
]
NAMES = [
    "mnist-mini",
    "mnist",
    "mini",
    "smoke",
    "paper",
    "linf",
    "l2",
    "rotation",
    "cpu",
    "cuda:7",
    "ray",
    "test",
    "8/255",
]
SPECS = [
    "npz:",
    "npz:~nobody/x.npz",
    "npz:.",
    "timm:",
    "timm:nope",
    "torchvision:nope",
    "nowhere:build",
    "a:b:c",
    ":",
    "x.onnx",
]
PATHS = ["x", "x.png", "no/such/x.svg", ".", "x" * 300, "ü.html", "junk.json", "junk.pt", "junk.npz", "junk", "x/../.."]
ODD = [
    "",
    " ",
    "\x1b[31mred",
    "[bold]",
    "[/]",
    "\udcff",
    "é" * 5000,
    "0.1,0.2",
    "0.2,0.1",
    "0,,1",
    ",",
    "$x$",
    "--",
    "-",
]


class ReachedError(InputError):
    """In place of the work itself."""


@pytest.fixture(scope="module", autouse=True)
def idle(tmp_path_factory):
    """An empty folder with some junk in it, and no work done."""

    def reached(*_, **__):
        raise ReachedError("here the work begins")

    def unreachable(*_, **__):
        raise fetching.MirrorError("no network in tests")

    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("junk.json", "junk.pt", "junk.npz", "x.onnx"):
        (folder / name).write_bytes(b"PK\x03\x04 junk \x80\x02")
    (folder / "junk").mkdir()
    (folder / "junk/experiment.json").write_text("{")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("INVROB_DATA", str(folder / "data"))
        patched.setenv("HOME", str(folder))
        patched.setattr(fetching, "_downloaded", unreachable)
        for place in (
            "invrob.commands.empirical._compute",
            "invrob.commands.empirical._plan",
            "invrob.commands.profile._measured",
            "invrob.empirical.selftest.rows",
            "invrob.theory.check.train_and_check",
            "invrob.theory.sweep.sweep",
        ):
            patched.setattr(place, reached)
        yield


def commands(group, words=()):
    """((words), parameters) of every command below."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command.params


COMMANDS = dict(commands(typer.main.get_command(app)))
values = st.sampled_from([*NUMBERS, *NAMES, *SPECS, *PATHS, *ODD]) | st.text(max_size=20).filter(
    lambda v: "\0" not in v
)


def option(parameter):
    """The words that give one option or argument, well or badly."""
    flags = [flag for flag in parameter.opts if flag.startswith("-")]
    if not flags:
        return st.lists(values, min_size=0 if parameter.nargs == -1 else 1, max_size=2 if parameter.nargs == -1 else 1)
    if getattr(parameter, "is_flag", False):
        return st.just([flags[-1]])
    return (st.sampled_from(NUMBERS) | values).map(lambda value: [flags[-1], value])


@st.composite
def lines(draw, words, parameters):
    """A command line: all arguments, and some options."""
    arguments = [p for p in parameters if not any(flag.startswith("-") for flag in p.opts)]
    options = [p for p in parameters if p not in arguments]
    chosen = draw(st.lists(st.sampled_from(options), max_size=3, unique_by=lambda p: p.name)) if options else []
    needed = [p for p in options if p.required and p not in chosen]
    drawn = [draw(option(p)) for p in [*arguments, *chosen, *needed]]
    return [*words, *(word for part in drawn for word in part)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@cases(20)
@given(st.data())
def test_no_command_line_ends_in_a_traceback_or_in_0_with_an_error(words, data):
    ends_well(data.draw(lines(words, COMMANDS[words])))


def ends_well(line):
    """The command line ends in 0, 1 or 2, with an error in words where it is one."""
    done = invrob(*line)
    assert done.returncode in (0, 1, 2), line
    assert "Traceback" not in done.stderr + done.stdout, line
    if done.returncode == 0:
        assert "rror:" not in done.stderr, line
    elif done.returncode == 2:
        assert "rror" in done.stderr, line
        assert done.stdout == "", line


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples(words):
    shown = invrob(*words, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Examples:" in shown.stdout


OPTIONS = [
    pytest.param(words, flag, id=f"{' '.join(words)} {flag}")
    for words, parameters in COMMANDS.items()
    for flag in {p.opts[-1] for p in parameters if not getattr(p, "is_flag", False) and p.opts[0].startswith("-")}
]


@pytest.mark.long
@pytest.mark.parametrize(("words", "flag"), sorted(OPTIONS, key=lambda each: each.id))
def test_every_option_takes_any_value_or_refuses_it(words, flag):
    needed = [p for p in COMMANDS[words] if (p.required or not p.opts[0].startswith("-")) and flag not in p.opts]
    usual = [w for p in needed for w in ([p.opts[-1], "mnist-mini"] if p.opts[0].startswith("-") else ["junk"])]
    pool = [*NUMBERS, *NAMES, *ODD]
    for value in random.Random(f"{words} {flag}").sample(pool, 15):
        ends_well([*words, *usual, flag, value])
