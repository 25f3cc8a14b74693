"""The documentation is run: every command and every program of a page, in order, from a fresh folder.

Blocks of bash, sh, console and python are run. There, in `text` blocks, and in those of no language, every command that
begins with invrob, make or python is also parsed: its subcommand, options and values exist. TOML blocks that have
`[[models]]` are read as experiments; a block with title="NAME" is written to that file first."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer
from blocks import PAGES, ROOT, SHELL, blocks, commands, prose
from typer.main import get_command

from invrob.cli import app
from invrob.commands.helping import note_and_examples

# Commands that take too long, or need what a test has not, and what is run instead; None: it is only parsed.
TINY = "invrob empirical run --config my.toml"
REPLACED = {
    "git clone <this repository> && cd invrob": None,  # the checkout is here
    "make run": None,  # five minutes; the same as the next but for the preset, which other tests run
    "invrob empirical run": f"{TINY} --out runs/mini",
    "invrob empirical run --preset both": None,  # ten minutes; other tests run the preset, made smaller
    "invrob empirical run --preset paper-cifar --dry-run": None,  # times the large networks: a minute
    "invrob empirical run --attack paper": f"{TINY} --out runs/mini --attack paper",
    "invrob empirical run --executor ray --address auto": None,  # no cluster is there
    "invrob theory check --p 0.7": "invrob theory check --p 0.7 --n 5000 --classifier logistic",
    "invrob theory sweep --p 0.5:0.95:0.05": "invrob theory sweep --p 0.5:0.7:0.1 --n 2000 --classifier logistic",
    "invrob theory sweep --p 0.7": "invrob theory sweep --p 0.7 --n 2000 --classifier trees",
    "invrob selftest": "invrob selftest --quick",
    "invrob profile mynet.py:build --data mnist-mini": "invrob profile mynet.py:build --data mnist-mini --images 20",
    # The run of the test is of fewer digits than the profile, which is of the embedded ones.
    "invrob plane runs/mini runs/profile-mynet-build-mnist-mini": (
        "invrob plane runs/mini runs/profile-mynet-build-mnist-mini --mixed"
    ),
    "invrob plane runs/short runs/mine --theta 90 --epsilon 0.2 --out plane.png": (
        "invrob plane runs/short runs/mine --theta 90 --epsilon 0.2 --out plane.png --mixed"
    ),
}
# The same for files and programs: what is replaced in them by what. Experiments get fewer digits as well.
SHORTER = {
    'update={"epochs": 3}': 'update={"epochs": 1}',
    "EPOCHS, BATCH = 4, 100": "EPOCHS, BATCH = 1, 100",
    "[profiling]\nimages = 50": "[profiling]\nimages = 20\nepsilons = [0, 0.1, 0.2]\nthetas = [0, 90, 180]",
}
# What the pages show of these is the same on every machine: commands, and pages whose text blocks are printed by the
# Python block before.
EXACT = {"invrob theory frontier --p 0.7"}
NOTEBOOKS = {"docs/theory-figures.md"}
# What a reader of the page has already.
MYNET = """
from torch import nn


def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
"""
MY_TOML = """
dataset = "mnist-mini"
[[models]]
name = "stdcnn"
width = 0.1
epochs = 1
training_theta = [0]
[profiling]
epsilons = [0, 0.1]
thetas = [0, 90]
images = 16
"""
FILES = {
    "docs/index.md": {"mynet.py": MYNET},
    "docs/questions.md": {"mynet.py": MYNET, "my.toml": MY_TOML},
    "README.md": {"mynet.py": MYNET, "my.toml": MY_TOML},
    "docs/how-to/commands.md": {"mynet.py": MYNET, "my.toml": MY_TOML},
}
MODEL = """
import torch
from invrob.empirical.data.datasets import load
test = load("mnist-mini").test
images, labels = test.images[:16], test.labels[:16]
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
"""
PICTURES = """
from pathlib import Path
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms.functional import to_pil_image
for k, (image, label) in enumerate(zip(images, labels)):
    Path(f"pictures/{label}").mkdir(parents=True, exist_ok=True)
    to_pil_image(image).save(f"pictures/{label}/{k}.png")
loader = DataLoader(TensorDataset(test.images[:64], test.labels[:64]), batch_size=32)
"""
TRACKERS = """
import trackers

trackers.install()
"""
PRELUDE = {
    "README.md": MODEL,
    "docs/questions.md": MODEL + PICTURES,
    "docs/how-to/frameworks.md": TRACKERS,
}
RUN = [path for path in PAGES if any(block.language in {*SHELL, "python"} for block in blocks(path))]


def name(path):
    return path.relative_to(ROOT).as_posix()


def command_lines(script):
    """The lines of a script without comments and with continuation lines joined."""
    lines = script.replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#\s.*$", "", line).strip() for line in lines]


def replaced(script):
    """The script with the lines of REPLACED exchanged."""
    kept = []
    for raw, line in zip(script.replace("\\\n", " ").splitlines(), command_lines(script), strict=True):
        new = REPLACED.get(line, raw)
        kept += [] if new is None else [new]
    return "\n".join(kept)


def shorter(text, digits):
    """A file or program of a page, with less to compute."""
    for old, new in {**SHORTER, 'dataset = "mnist-mini"': f'dataset = "npz:{digits}"'}.items():
        text = text.replace(old, new)
    return text


def steps(path, digits):
    """What a test does with a page, as run_page.py takes it; `digits` is a small data set."""
    page = name(path)
    files = FILES.get(page, {}).items()
    found = [{"kind": "file", "name": file, "text": shorter(text, digits)} for file, text in files]
    if page in PRELUDE:
        found.append({"kind": "python", "line": 1, "text": PRELUDE[page]})
    for block in blocks(path):
        if block.title:
            found.append({"kind": "file", "name": block.title, "text": shorter(block.text, digits)})
        elif block.language == "python":
            found.append({"kind": "python", "line": block.line, "text": shorter(block.text, digits)})
        elif block.language == "text" and page in NOTEBOOKS:
            found[-1]["shows"] = block.output
        elif block.language in SHELL:
            shows = block.output if EXACT & {*command_lines(block.script)} and block.language == "console" else []
            found.append({"kind": "shell", "line": block.line, "text": replaced(block.script), "shows": shows})
    return [step | {"page": page, "line": step.get("line", 0)} for step in found]


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A home of no one's, the same for all pages, so that matplotlib looks for fonts once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A file with a tenth of the embedded digits."""
    with np.load(ROOT / "invrob" / "empirical" / "data" / "assets" / "mnist-mini.npz", allow_pickle=False) as whole:
        names = [f"{split}_{kind}" for split in ("train", "validation", "test") for kind in ("images", "labels")]
        fewer = {name: whole[name][: len(whole[name]) // 10] for name in names}
    np.savez(path := tmp_path_factory.mktemp("digits") / "digits.npz", **fewer)
    return path


@pytest.mark.long
@pytest.mark.parametrize("path", RUN, ids=name)
def test_a_page_runs_from_top_to_bottom(path, home, digits, tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("INVROB", "PYTHON"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "MPLCONFIGDIR": str(home),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
    }
    driver = [sys.executable, str(Path(__file__).with_name("run_page.py"))]
    given = json.dumps(steps(path, digits))
    done = subprocess.run(driver, input=given, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
    if name(path) in NOTEBOOKS:
        pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", prose(path))
        assert pictures
        for picture in pictures:
            assert_same_picture(tmp_path / picture, path.parent / picture)


def assert_same_picture(made, committed):
    """The picture on the page is the one that the page's code makes; at edges of text and lines a pixel may differ."""
    from matplotlib.image import imread

    ours, theirs = imread(made), imread(committed)
    assert ours.shape == theirs.shape, committed
    assert np.mean(np.abs(ours - theirs) > 0.1) < 0.002, committed


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_command_in_a_block_is_one_that_its_program_takes(path):
    for block in blocks(path):
        if block.language in {*SHELL, "text", ""}:
            for words in commands(block.text if block.language != "console" else block.script):
                check_command(words, f"{block.page}:{block.line}")


def check_command(words, where):
    """AssertionError unless the program that a command calls takes it."""
    if "invrob" in words[1:-1]:  # behind srun or the like
        words = words[words.index("invrob") :]
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
        wanted = {word for word in words[1:] if "=" not in word}
        assert wanted <= targets, f"{where}: make has no target {wanted - targets}"
    elif words[0] == "python" and len(words) > 1 and words[1] != "-c":
        module = words[2].replace(".", "/") if words[1] == "-m" else words[1]
        candidates = [ROOT / module, ROOT / f"{module}.py", ROOT / module / "__main__.py"]
        file = next((one for one in candidates if one.is_file()), None)
        if file is None:
            # A file of the page's own is there or not when the page is run.
            assert not words[1].startswith(("-m", "tools/", "benchmarks/")), f"{where}: no {module}"
            return
        if file.name == "cli.py":
            check_command(["invrob", *words[2:]], where)
            return
        for option in [word.partition("=")[0] for word in words[2:] if word.startswith("--")]:
            said = (f'"{option}"', f'"{option[2:]}"')
            assert any(one in file.read_text("utf-8") for one in said), f"{where}: {file.name} has no option {option}"
    elif words[0] == "invrob":
        check_invrob(words[1:], where)


def check_invrob(arguments, where):
    command = get_command(app)
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        assert arguments[0] in command.commands, f"{where}: invrob has no command {arguments[0]!r}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    try:
        with command.make_context("invrob", [*arguments]) as context:
            values = context.params
    except (typer.Exit, SystemExit):  # --help and --version
        return
    except Exception as error:
        raise AssertionError(f"{where}: invrob {' '.join(arguments)}: {error}") from error
    if values.get("preset"):
        from invrob.empirical.experiments.presets import PRESETS

        assert values["preset"] in PRESETS, f"{where}: no preset {values['preset']}"


def examples(command):
    """The examples that the help of a command and of those below it shows."""
    yield from note_and_examples(command)[1]
    for below in getattr(command, "commands", {}).values():
        yield from examples(below)


def test_every_example_of_the_help_is_one_that_the_program_takes():
    found = [words for example in examples(get_command(app)) for words in commands(example.strip())]
    assert len(found) > 20
    for words in found:
        assert words[0] == "invrob"
        check_command(words, " ".join(words))


def options(command):
    """Every option of a command and of those below it."""
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for below in getattr(command, "commands", {}).values():
        yield from options(below)


@pytest.fixture(scope="module")
def known():
    """Every option that a page may name."""
    programs = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tools").glob("*.py")]
    theirs = {option for file in programs for option in re.findall(r'"(--[a-z-]+)"', file.read_text("utf-8"))}
    return {*options(get_command(app)), "--help", "-h", *theirs}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_option_in_the_text_exists(path, known):
    spans = re.findall(r"`([^`]+)`", prose(path))
    named = {option for span in spans for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", span)}
    assert named <= known, f"{name(path)} names options that nothing has: {named - known}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_toml_on_a_page_is_an_experiment(path, tmp_path):
    from invrob.empirical.experiments.experiment import read_experiment

    for block in blocks(path):
        if block.language == "toml":
            content = tomllib.loads(block.text)
            if "models" in content:
                (tmp_path / "my.toml").write_text(block.text)
                assert read_experiment(tmp_path / "my.toml").models


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CHANGELOG.md"], ids=name)
def test_links_and_pictures_resolve_as_on_a_code_host(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose(path))):
        if "://" not in target and not target.startswith(("#", "mailto:")):
            assert (path.parent / target.partition("#")[0]).exists(), f"{name(path)}: {target}"


def test_what_is_replaced_is_still_in_the_documentation():
    lines = {line for path in PAGES for block in blocks(path) for line in command_lines(block.script)}
    assert {*REPLACED} <= lines
    assert lines >= EXACT
    assert {*FILES, *PRELUDE, *NOTEBOOKS} <= {name(path) for path in RUN}


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("invrob theory frontire --p 0.7", "no command 'frontire'"),
        ("invrob theory frontier --p 0.7 --wieght 1", "wieght"),
        ("invrob theory frontier --p seven", "seven"),
        ("invrob theory frontier", "Missing parameter: p"),
        ("invrob empirical run --preset min", "no preset min"),
        ("make tset", "no target"),
        ("python tools/reproduction.py --mnits runs/mnist", "no option --mnits"),
        ("python -m benchmark", "no benchmark"),
    ],
)
def test_a_wrong_command_is_found(command, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_command(command.split(), "here")


@pytest.mark.long
@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"kind": "shell", "text": "invrob theory frontier --p 2", "shows": []}, "--p 2"),
        ({"kind": "shell", "text": "echo one; echo two", "shows": ["two", "one"]}, "not there"),
        ({"kind": "python", "text": "print(1)", "shows": ["2"]}, "not there"),
        ({"kind": "python", "text": "import invrob\ninvrob.robustnes_profile"}, r'page.md", line 8'),
    ],
)
def test_a_page_that_does_not_run_is_found(step, complaint, tmp_path):
    driver = [sys.executable, str(Path(__file__).with_name("run_page.py"))]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    given = json.dumps([step | {"page": "page.md", "line": 7}])
    done = subprocess.run(driver, input=given, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(complaint, done.stderr), done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_fold_is_closed_before_the_next_heading(page):
    folds = 0
    for line in re.findall(r"^(?:</?details\b|#+ ).*", prose(page), re.MULTILINE):
        folds += line.startswith("<details") - line.startswith("</details")
        assert not (line.startswith("#") and folds), f"{line} is hidden in a fold"
    assert folds == 0
