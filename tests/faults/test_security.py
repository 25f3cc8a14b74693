"""Nothing that is read may execute: no pickle, no code in data, configurations or run directories."""

import ast
import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_runs import contents, run

from invrob.empirical.experiments.store import Store, write_json

ROOT = Path(__file__).resolve().parents[2]
OWN_PAGES = ROOT / "tools/docs_figures.py"  # runs the code blocks of our own documentation, to draw its figures
SOURCES = sorted(
    {p for folder in ("invrob", "tools", "benchmarks") for p in (ROOT / folder).rglob("*.py")} - {OWN_PAGES}
)
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "telnetlib", "xml"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "yaml.load",
    "tempfile.mktemp",
    "torch.jit.script",
}


def name_of(node):
    """`a.b.c` of a call to it."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""


def given(call, name):
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def dangers(tree):
    """(line, what) of everything in a module that could execute what it reads."""
    for node in ast.walk(tree):
        imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from ((node.lineno, f"import {name}") for name in imported if name.split(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        name, allowed = name_of(node.func), given(node, "allow_pickle")
        if name in CALLS:
            yield node.lineno, name
        if allowed is not None and not (isinstance(allowed, ast.Constant) and allowed.value is False):
            yield node.lineno, "allow_pickle"
        if name in ("np.load", "numpy.load") and allowed is None:
            yield node.lineno, "numpy.load, which must say allow_pickle=False"
        only = given(node, "weights_only")
        if name == "torch.load" and not (isinstance(only, ast.Constant) and only.value is True):
            yield node.lineno, "torch.load, which must say weights_only=True"
        shell = given(node, "shell")
        if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
            yield node.lineno, "shell"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_could_execute_what_it_reads(path):
    assert list(dangers(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from pickle import loads", "import joblib", "eval('1')", "exec('1')", "os.system('ls')"),
        *("np.load(f)", "np.load(f, allow_pickle=True)", "np.load(f, allow_pickle=x)", "torch.load(f)"),
        *("torch.load(f, weights_only=False)", "subprocess.run(x, shell=True)", "yaml.load(f)"),
    ],
)
def test_the_search_for_such_modules_finds(line):
    assert list(dangers(ast.parse(line)))


class Exploit:
    def __reduce__(self):
        return pytest.fail, ("this was unpickled",)


def test_nothing_in_a_run_directory_is_unpickled(finished, whole, config, invrob):
    cells = sorted(finished.glob("cells/*"))
    for name in ("weights.safetensors", "cell.json"):
        (cells[0] / name).write_bytes(pickle.dumps(Exploit()))
    weights = cells[1] / "weights.safetensors"  # and one whose sum stands in cell.json
    body = Store(finished).read_training(cells[1].name)[1]
    weights.write_bytes(pickle.dumps(Exploit()))
    write_json(
        cells[1] / "cell.json",
        {**body, "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest()},
    )
    assert invrob("empirical", "figures", finished).returncode == 2  # no finished cell is left
    assert run(config, finished).returncode == 0
    assert contents(finished) == contents(whole)


@pytest.mark.parametrize("part", ["train_images", "train_labels", "label_names"])
def test_nothing_in_an_npz_of_a_configuration_is_unpickled(bars, tmp_path, part, invrob):
    with np.load(bars) as stored:
        arrays = dict(stored)
    arrays[part] = np.array([Exploit()] * len(arrays[part]), dtype=object)
    np.savez(tmp_path / "bad.npz", **arrays)
    (tmp_path / "bad.toml").write_text(f'dataset = "npz:{tmp_path}/bad.npz"\nmodels = ["stdcnn"]')
    done = invrob("empirical", "run", "--config", tmp_path / "bad.toml", "--out", tmp_path / "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "never unpickled" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "os.system"),
        ("name", "__import__('os')"),
        ("options", {"head": "os:system"}),
        ("dataset", "/etc/passwd"),
    ],
)
def test_what_an_experiment_in_a_run_directory_names_is_never_called(finished, invrob, name, value):
    whole = json.loads((finished / "experiment.json").read_text())["body"]
    target = whole["experiment"] if name == "dataset" else whole["experiment"]["models"][0]
    target[name] = value
    write_json(finished / "experiment.json", whole)
    done = invrob("empirical", "figures", finished)
    assert done.returncode in (0, 2)  # 0 for a data set of another name: figures need none
    assert "Traceback" not in done.stderr


AUDIT = """
import sys
found = []
def hook(event, arguments):
    if event in ("pickle.find_class", "os.system"):
        found.append((event, arguments[:2]))
sys.addaudithook(hook)
sys.path[:0] = [sys.argv[1], f"{sys.argv[1]}/.."]
from small_runs import run, invrob
done = run(sys.argv[2], sys.argv[3])
assert done.returncode == 0, done.stderr
for words in (["empirical", "figures", sys.argv[3]], ["report", sys.argv[3]]):
    done = invrob(*words)
    assert done.returncode == 0, (words, done.stderr)
print(found)
"""


@pytest.mark.long
def test_no_class_is_looked_up_by_a_pickle_in_a_whole_run_and_its_report(config, tmp_path):
    arguments = [sys.executable, "-c", AUDIT, Path(__file__).parent, config, tmp_path / "run"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "[bold]x[/]", "\x1b[31mred", "$\\frac$", "[/nothing]"])
def test_names_of_classes_are_printed_as_they_are_and_move_no_terminal(bars, tmp_path, name, invrob):
    with np.load(bars) as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "named.npz", **(arrays | {"label_names": np.array([name, "other"])}))
    shown = invrob("data", "info", f"npz:{tmp_path / 'named.npz'}")
    assert shown.returncode == 0
    assert "\x1b" not in shown.stdout
    assert name.replace("\x1b", "\\x1b") in shown.stdout


@pytest.mark.parametrize(
    "folder", ["<script>alert(1)</script>[bold]x[-]", pytest.param("$a_$_$b\x1b[31mred", marks=pytest.mark.long)]
)
def test_a_run_whose_paths_look_like_code_is_run_drawn_and_reported_literally(bars, tmp_path, folder, config, invrob):
    home = tmp_path / folder.replace("/", "-")
    home.mkdir()
    (home / "bars.npz").write_bytes(bars.read_bytes())
    text = config.read_text().replace(json.dumps(f"npz:{bars}"), json.dumps(f"npz:{home}/bars.npz"))
    (home / "my.toml").write_text(text)
    done = invrob("empirical", "run", "--config", home / "my.toml", "--out", home / "run", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "\x1b[31m" not in done.stderr
    page = invrob("report", home / "run")
    assert page.returncode == 0, page.stderr
    assert "<script>alert(1)" not in (home / "run/report.html").read_text()
