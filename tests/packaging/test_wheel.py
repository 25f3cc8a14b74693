"""The wheel and the sdist: built without a network, installed outside the checkout, used there, types included."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import invrob

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".tools", "runs", "site", "dist", "build", ".hypothesis", "__pycache__", ".*_cache", "shared")
)


def run(*command, folder, **variables):
    """stdout of a command that must end with 0, run in `folder` with nothing of the checkout on its path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "INVROB"))}
    environment |= {"HOME": str(folder), "COLUMNS": "100", "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(source, target):
    run(sys.executable, "-m", "hatchling", "build", "-d", target, folder=source)
    (wheel,) = target.glob("*.whl")
    (sdist,) = target.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(wheel, sdist) of a copy of the checkout."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, folder / "copy", ignore=LEFT_OUT)
    return build(folder / "copy", folder / "dist")


@pytest.fixture(scope="module")
def python(built, tmp_path_factory):
    """The Python of a new environment: the wheel, and beside it what this environment has but for the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        built[0],
        folder=folder,
    )
    (site,) = folder.glob("lib/python*/site-packages")
    # Its .pth files are not read from there, so that the editable checkout stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    where = run(python, "-c", "import invrob, torch; print(invrob.__file__)", folder=folder).strip()
    assert Path(where) == site / "invrob" / "__init__.py"
    return python


def test_the_wheel_holds_the_package_and_nothing_else(built):
    names = zipfile.ZipFile(built[0]).namelist()
    assert {name.split("/")[0] for name in names} == {"invrob", f"invrob-{invrob.__version__}.dist-info"}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "invrob").rglob("*") if path.is_file()}
    package = {name for name in package if "__pycache__" not in name}
    assert {"invrob/py.typed", "invrob/empirical/data/assets/mnist-mini.npz"} <= package
    assert {name for name in names if name.startswith("invrob/")} == package
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_has_tests_and_docs_and_builds_the_same_wheel(built, tmp_path):
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    for name in ("tests/packaging/test_wheel.py", "docs/theory.md", "mkdocs.yml", "CITATION.cff", "requirements.lock"):
        assert (source / name).is_file(), name
    assert not {"runs", "site", ".venv", ".hypothesis"} & {path.name for path in source.iterdir()}
    again, _ = build(source, tmp_path / "dist")
    assert again.read_bytes() == wheel.read_bytes()


def test_the_metadata_name_no_address_and_the_licence(built):
    with zipfile.ZipFile(built[0]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        head = archive.read(name).decode().split("\n\n")[0].splitlines()
    assert {"Name: invrob", f"Version: {invrob.__version__}", "License-Expression: MIT"} <= {*head}
    assert "Classifier: Typing :: Typed" in head
    assert not [line for line in head if "://" in line]


def test_commands_run_outside_the_checkout(python, tmp_path):
    command = python.parent / "invrob"
    assert run(command, "--version", folder=tmp_path) == f"invrob {invrob.__version__}\n"
    assert "mnist-mini" in run(command, "data", "list", folder=tmp_path)
    frontier = json.loads(run(command, "theory", "frontier", "--p", "0.7", "--json", folder=tmp_path))
    assert frontier["corner"] == [0.7, 0.7]


CONFIG = """
dataset = "mnist-mini"
[[models]]
name = "stdcnn"
width = 0.1
epochs = 1
training_theta = [60]
[profiling]
epsilons = [0, 0.1]
thetas = [0, 90]
images = 32
"""


def test_a_run_its_figures_and_its_report_outside_the_checkout(python, tmp_path):
    (tmp_path / "tiny.toml").write_text(CONFIG)
    command = (python.parent / "invrob", "empirical", "run", "--config", "tiny.toml", "--jobs", "1", "--json")
    summary = json.loads(run(*command, folder=tmp_path))
    assert summary["computed"] == 1
    assert [*(tmp_path / "runs" / "tiny").glob("*.png")]
    run(python.parent / "invrob", "report", "runs/tiny", folder=tmp_path)  # its template and scripts are in the wheel
    assert (tmp_path / "runs" / "tiny" / "report.html").stat().st_size > 10**6


NETWORK = """
from torch import nn


def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
"""


def test_a_profile_of_a_network_outside_the_checkout(python, tmp_path):
    (tmp_path / "net.py").write_text(NETWORK)
    command = (python.parent / "invrob", "profile", "net:build", "--data", "mnist-mini", "--images", "8")
    profile = json.loads(run(*command, "--epsilons", "0,0.1", "--json", folder=tmp_path))
    assert profile["verdict"] in {"sound", "masked"}
    assert (tmp_path / "runs" / "profile-net-build-mnist-mini" / "card.png").is_file()


PROGRAM = """
import numpy as np
import torch

import invrob
from invrob.empirical.transforms.rotation import rotate
from invrob.theory import frontier_point

def mean(profile: invrob.RobustnessProfile | invrob.BlackBoxProfile | invrob.InvarianceProfile) -> float:
    return float(np.mean(profile.rate))

net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
images = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
card = invrob.tradeoff(net, rotate(images, 90), epsilons=[0, 0.1], thetas=[0, 90])
verdict: str = card.verdict
print(verdict, mean(card.robustness), mean(card.invariance), frontier_point(0.7, 1).tau)
"""


def test_a_typed_program_runs_and_passes_mypy_strict_against_the_installed_package(python, tmp_path):
    (tmp_path / "right.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text(PROGRAM.replace("verdict: str", "verdict: int"))
    assert run(python, "right.py", folder=tmp_path)
    check = ("-m", "mypy", "--strict", "--cache-dir", "cache", "--python-executable", python)
    assert "Success" in run(sys.executable, *check, "right.py", folder=tmp_path)
    wrong = subprocess.run(
        [sys.executable, *map(str, check), "wrong.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert 'expression has type "str", variable has type "int"' in wrong.stdout  # types are seen: not all is Any
