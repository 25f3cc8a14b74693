"""Every command with every option, found by walking the application: exit codes 0, 1 and 2, and never a traceback.

Mostly the work itself is left out; where it is done, it is done on a network of a few weights and a few images."""

import json
import random
import shutil

import pytest
import safetensors.torch
import typer
from hypothesis import given
from hypothesis import strategies as st
from small_runs import cases, invrob, network, run

from invrob import InputError
from invrob.cli import app
from invrob.empirical.data import download
from invrob.theory import sweep  # before `idle`, or its names would be bound to what stands in their place

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
def folder(tmp_path_factory):
    """The working directory: empty, but for some junk."""

    def unreachable(*_, **__):
        raise download.MirrorError("no network in tests")

    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("junk.json", "junk.pt", "junk.npz", "x.onnx"):
        (folder / name).write_bytes(b"PK\x03\x04 junk \x80\x02")
    (folder / "junk").mkdir()
    (folder / "junk/experiment.json").write_text("{")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("INVROB_DATA", str(folder / "data"))
        patched.setenv("HOME", str(folder))
        patched.setattr(download, "downloaded", unreachable)
        yield folder


@pytest.fixture
def idle(monkeypatch):
    """No work is done."""

    def reached(*_, **__):
        raise ReachedError("here the work begins")

    for place in (
        "invrob.commands.empirical.computed",
        "invrob.commands.empirical.planned",
        "invrob.commands.profile._measured",
        "invrob.empirical.selftest.rows",
        "invrob.theory.check.train_and_check",
    ):
        monkeypatch.setattr(place, reached)
    monkeypatch.setattr(sweep, "sweep", reached)


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


def with_repetitions(draw, choices, most):
    """At most `most` of the choices, some of them twice or more, in any order."""
    chosen = draw(st.lists(st.sampled_from(choices), max_size=most)) if choices else []
    return chosen + (draw(st.lists(st.sampled_from(chosen), max_size=2)) if chosen else [])


@st.composite
def lines(draw, words, parameters):
    """A command line: all arguments and some options, which may be repeated with the same value or another."""
    arguments = [p for p in parameters if not any(flag.startswith("-") for flag in p.opts)]
    options = [p for p in parameters if p not in arguments]
    chosen = with_repetitions(draw, options, 3)
    needed = [p for p in options if p.required and p not in chosen]
    parts = [draw(option(p)) for p in [*arguments, *chosen, *needed]]
    parts += with_repetitions(draw, parts[len(arguments) :], 1)
    return [*words, *(word for part in parts for word in part)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("idle")
@cases(12)
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
    return done


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
@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("words", "flag"), sorted(OPTIONS, key=lambda option: option.id))
def test_every_option_takes_any_value_or_refuses_it(words, flag):
    needed = [p for p in COMMANDS[words] if (p.required or not p.opts[0].startswith("-")) and flag not in p.opts]
    usual = [w for p in needed for w in ([p.opts[-1], "mnist-mini"] if p.opts[0].startswith("-") else ["junk"])]
    pool = [*NUMBERS, *NAMES, *ODD]
    for value in random.Random(f"{words} {flag}").sample(pool, 15):
        ends_well([*words, *usual, flag, value])


MEASURED = {  # command -> (the words that it needs, options with values that are quick, a few of them wrong)
    "profile": (
        ["small_runs:network", "--data", "npz:bars.npz", "--images", "6", "--steps", "2", "--queries", "3"],
        {
            "--norm": ["linf", "l2", "l3"],
            "--transformation": ["rotation", "translation", "brightness", "turn"],
            "--adversary": ["average", "grid", "worst-of-2", "worst-of-02", "worst-of-0"],
            "--attack": ["auto", "gradient", "black-box"],
            "--epsilons": ["0,0.1", "0,8/255", "linf=0,0.2", "l2=0,0.5", "0.1", "0.2,0.1"],
            "--thetas": ["0,90", "0:180:90", "translation=0,2", "rotation=0,30", "45", "0,400"],
            "--split": ["test", "train", "validation"],
            "--images": ["1", "2", "99"],
            "--steps": ["1", "3"],
            "--restarts": ["1", "2"],
            "--seed": ["0", "7"],
            "--size": ["8", "20"],
            "--mean": ["0.5", "0.1,0.2"],
            "--std": ["0.5", "0"],
            "--weights": ["network.safetensors", "junk.pt"],
            "--device": ["cpu", "cuda:7"],
            "--per-class": [],
            "--quiet": [],
            "--json": [],
        },
    ),
    "empirical run": (
        ["--config", "tiny.toml", "--out", "run", "--jobs", "1"],
        {
            "--seed": ["0", "1"],
            "--attack": ["paper", "noise", "nothing"],
            "--executor": ["inline", "local"],
            "--stack": ["1", "2"],
            "--shard": ["1/2", "2/2", "3/2", "0/2"],
            "--retries": ["0"],
            "--device": ["cpu", "cuda:7"],
            "--strict": [],
            "--dry-run": [],
            "--quiet": [],
            "--json": [],
        },
    ),
    "empirical figures": (
        ["finished"],
        {"--theta": ["90", "0", "45"], "--epsilon": ["0.3", "0", "0.2", "8/255"], "--json": []},
    ),
    "runs merge": (["finished", "--out", "merged"], {"--force": [], "--out": ["finished", "junk.pt"], "--json": []}),
    "report": (["finished"], {"--out": ["x.html", "junk"], "--json": []}),
    "plane": (
        ["finished"],
        {"--theta": ["90", "45"], "--epsilon": ["0.3", "0.2"], "--out": ["x.png", "x.svg", "x.gif"], "--json": []},
    ),
    "theory check": (
        ["--p", "0.7", "--d", "3", "--n", "200"],
        {
            "--classifier": ["sign-x0", "paper", "bayes-clean", "linear:tau=2", "logistic", "logistic:q=0.5"],
            "--p": ["0.5", "0.9", "1"],
            "--c": ["0", "3"],
            "--seed": ["0", "5"],
            "--confidence": ["0.5", "0.99", "1"],
            "--plot": ["x.png", "x.txt"],
            "--json": [],
        },
    ),
    "theory sweep": (
        ["--p", "0.7", "--d", "2", "--n", "100", "--classifier", "logistic"],
        {
            "--classifier": ["logistic", "trees:q=1"],
            "--q": ["0", "1", "0.5", "2"],
            "--p": ["0.6:0.8:0.1", "0.7"],
            "--seed": ["3"],
            "--out": ["x.svg"],
            "--json": [],
        },
    ),
}


@pytest.fixture(scope="module")
def real(folder, bars, config):
    """The working directory with data, an experiment, weights and a finished run of it."""
    shutil.copy(bars, folder / "bars.npz")
    shutil.copy(config, folder / "tiny.toml")
    safetensors.torch.save_file(network().state_dict(), folder / "network.safetensors")
    assert run(config, folder / "finished").returncode == 0


def really_done(line):
    """The command line ends in 0, or in 2 for bad usage; in 1 only where it judges."""
    done = ends_well(line)
    judges = line[0] == "theory" or "--strict" in line
    assert done.returncode in ((0, 1, 2) if judges else (0, 2)), (line, done.stderr)
    if "--json" in line and done.returncode == 0:
        json.loads(done.stdout)


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("command", MEASURED)
def test_the_words_that_every_measured_line_begins_with_do_the_work(command):
    done = invrob(*command.split(), *MEASURED[command][0])
    assert done.returncode == 0, done.stderr


def drawn_line(draw, command):
    """What the command needs, and some of its options."""
    needed, options = MEASURED[command]
    flags = with_repetitions(draw, [*options], 4)
    chosen = [[flag, *([draw(st.sampled_from(options[flag]))] if options[flag] else [])] for flag in flags]
    chosen += with_repetitions(draw, chosen, 1)
    return [*command.split(), *needed, *(word for part in chosen for word in part)]


@pytest.mark.long
@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("command", MEASURED)
@cases(2)
@given(st.data())
def test_work_that_is_really_done_ends_in_0_or_in_bad_usage(command, data):
    really_done(drawn_line(data.draw, command))


@pytest.mark.long
@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("command", MEASURED)
@cases(12)
@given(st.data())
def test_work_that_is_really_done_ends_well_for_many_more_lines(command, data):
    really_done(drawn_line(data.draw, command))
