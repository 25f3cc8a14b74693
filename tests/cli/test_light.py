"""What needs no PyTorch loads none: help, versions, lists of data sets, and words that are misspelt."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, os, runpy, sys
import numpy, pydantic, invrob.cli
for line in sys.stdin:
    words, environment = json.loads(line)
    if (child := os.fork()) == 0:
        for name, stream in (("out", 1), ("err", 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        sys.argv = [CLI, *words]
        os.environ |= environment
        code = 1
        try:
            runpy.run_path(CLI, run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
REFUSED = "raise ImportError('PyTorch was loaded')\n"


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """Run the program where importing torch raises, in a folder with runs/mini: exit code, stdout, stderr.

    Each time in a fork of a process that has imported what command lines are made of, and no PyTorch."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "fake" / "torch").mkdir(parents=True)
    (folder / "fake" / "torch" / "__init__.py").write_text(REFUSED)
    here = folder / "here"
    (here / "runs" / "mini").mkdir(parents=True)
    (here / "mynet.py").write_text(REFUSED)
    environment = {**os.environ, "PYTHONPATH": str(folder / "fake"), "INVROB_DATA": str(folder), "COLUMNS": "200"}

    program = [sys.executable, "-c", PROGRAM.replace("CLI", repr(str(ROOT / "cli.py")))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment["PYTHONPATH"] += os.pathsep + str(ROOT)
    with subprocess.Popen(program, cwd=here, env=environment, **pipes) as process:

        def run(*words, environment=()):
            print(json.dumps((words, dict(environment))), file=process.stdin, flush=True)
            code = int(process.stdout.readline())
            return code, (here / "out").read_text(), (here / "err").read_text()

        yield run
        process.stdin.close()


def test_the_fake_is_found(light):
    code, _, err = light("selftest", "--quick")
    assert code == 1
    assert "PyTorch was loaded" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--help"], "Examples:"),
        (["--version"], "invrob "),
        (["profile", "--help"], "--epsilons VALUES"),
        (["runs", "merge", "--help"], "--out FOLDER"),
        (["data", "list"], "no: invrob data fetch cifar10"),
        (["data", "list", "--json"], '"name": "mnist-mini"'),
        (["data", "fetch", "mnist-mini"], "mnist-mini is ready"),
        (["theory", "frontier", "--p", "0.7"], "Exact frontier"),
    ],
    ids=" ".join,
)
def test_what_needs_no_pytorch_works_without(light, words, text):
    code, out, err = light(*words)
    assert (code, err) == (0, "")
    assert text in out


FEW = ["--data", "mnist-mini"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["repot"], "No such command 'repot'. Did you mean 'report'?"),
        (["profile", "mynet:build", *FEW, "--epsilon", "0,1"], "No such option: --epsilon"),
        (["profile", "mynet:build", *FEW, "--images", "0"], "Invalid value for '--images'"),
        (["profile", "mynet:build", "--data", "mnist-mimi"], "did you mean 'mnist-mini'?"),
        (["profile", "mynet:build", "--data", "npz:no.npz"], "no.npz cannot be read (No such file or directory)"),
        (["profile", "mynet:build", "--data", "folder:no"], "no cannot be read (No such file or directory)"),
        (["profile", "model.onxx", *FEW], "'model.onxx' names no model"),
        (["profile", "model.onnx", *FEW], "model.onnx cannot be read (No such file or directory)"),
        (["profile", "runs/mini/cells/x", *FEW], "'runs/mini/cells/x' names no model"),
        (["profile", "./mynets.py:build", *FEW], "mynets.py is not there"),
        (["profile", "mynets:build", *FEW], "module 'mynets' is not here"),
        (["profile", "mynet:build", *FEW, "--weights", "w.pt"], "w.pt cannot be read (No such file or directory)"),
        (["profile", "mynet:build", *FEW, "--norm", "l3"], "norm 'l3' is unknown"),
        (["profile", "mynet:build", *FEW, "--transformation", "rotatoin"], "did you mean 'rotation'?"),
        (["profile", "mynet:build", *FEW, "--adversary", "worst"], "use 'average', 'grid'"),
        (["profile", "mynet:build", *FEW, "--epsilons", "0,x"], "is no list of numbers"),
        (["profile", "mynet:build", *FEW, "--thetas", "l=0"], "is for 'l', which is not measured"),
        (["profile", "mynet:build", *FEW, "--mean", "x"], "--mean 'x' is no list of numbers"),
        (["profile", "mynet:build", *FEW, "--audit", "all"], "--audit 'all' must be auto"),
        (["profile", "mynet:build", *FEW, "--model-args", "a"], "is no argument with its value"),
        (["empirical", "run", "--preset", "smok"], "did you mean 'smoke'?"),
        (["empirical", "run", "--config", "no.toml"], "no.toml cannot be read: No such file or directory"),
        (["empirical", "run", "--attack", "papre"], "did you mean 'paper'?"),
        (["empirical", "run", "--jobs", "2", "--executor", "inline"], "--jobs 2 is for --executor local or ray"),
        (["empirical", "run", "--shard", "9/8"], "--shard 9/8: I must be from 1 to 8"),
        (["empirical", "figures", "runs/minj"], "did you mean 'runs/mini'?"),
        (["runs", "merge", "runs/minj", "--out", "x"], "did you mean 'runs/mini'?"),
        (["runs", "merge", "runs/no-*", "--out", "x"], "no folder fits runs/no-*"),
        (["report", "runs/minj"], "did you mean 'runs/mini'?"),
        (["plane", "runs/minj"], "did you mean 'runs/mini'?"),
        (["plane", "runs/mini", "--out", "a.bmp"], "the name must end in .png, .svg or .pdf"),
        (["data", "info", "mnist-mimi"], "did you mean 'mnist-mini'?"),
        (["data", "info", "npz:no.npz"], "no.npz cannot be read (No such file or directory)"),
        (["data", "fetch", "cifar"], "did you mean 'cifar10'?"),
        (["theory", "check", "--p", "2"], "--p 2.0 is outside"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_what_is_misspelt_is_refused_without_pytorch(light, words, text):
    code, out, err = light(*words)
    assert (code, out) == (2, "")
    assert text in err
    assert "PyTorch was loaded" not in err


def test_completion_takes_no_pytorch(light):
    asked = {"_CLI.PY_COMPLETE": "complete_bash", "COMP_WORDS": "cli.py da", "COMP_CWORD": "1"}
    assert "PyTorch was loaded" not in light(environment=asked)[2]
