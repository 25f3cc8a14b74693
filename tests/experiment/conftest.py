"""A run that takes seconds: a handful of small digits, two trainings of a narrow StdCNN, few angles and epsilons."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from invrob.cli import main
from invrob.empirical.experiments import dataset_of

ROOT = Path(__file__).resolve().parents[2]

TOML = """
dataset = "npz:{data}"

[[models]]
name = "stdcnn"
training_theta = [0, 90, 180]
epochs = 2
batch_size = 32
width = 0.3

[profiling]
thetas = [0, 90, 180]
epsilons = [0, 0.1, 0.3]
images = 40
steps = 3
angle_step = 45
"""


def blobs(n, rng):
    """Images [n, 16, 16] of one bright bar, and which of three ways it points."""
    labels = np.arange(n) % 3
    images = rng.integers(0, 60, (n, 16, 16))
    for image, label in zip(images, labels, strict=True):
        where = rng.integers(4, 12)
        line = {0: (where, slice(2, 14)), 1: (slice(2, 14), where), 2: (range(2, 14), range(2, 14))}[int(label)]
        image[line] = 255
    return images.astype(np.uint8), labels


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    """The path of a TOML experiment of three cells, its data beside it."""
    folder = tmp_path_factory.mktemp("bars")
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 240), ("test", 60)):
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = blobs(n, rng)
    np.savez(folder / "bars.npz", **arrays, label_names=np.array(["level", "upright", "slanted"]))
    path = folder / "tiny.toml"
    path.write_text(TOML.format(data=folder / "bars.npz"))
    return path


def command(*arguments):
    return [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]


@pytest.fixture
def start():
    """Starts `empirical run` and leaves it running; what is left of it at the end of the test is killed."""
    processes = []

    def call(config, out, jobs, *more):
        arguments = command("empirical", "run", "--config", config, "--out", out, "--jobs", jobs, "--json", *more)
        processes.append(subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield call
    for process in processes:
        process.kill()
        process.communicate()


def invrob(*arguments):
    """The command line in this process, which saves the seconds of a new one; what it did as a CompletedProcess."""
    environment = mock.patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"})
    words = mock.patch.object(sys, "argv", ["invrob", *map(str, arguments)])
    dataset_of.cache_clear()  # or it would outlive the test
    before, code, out, err = signal.getsignal(signal.SIGTERM), 0, io.StringIO(), io.StringIO()
    with environment, words, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            signal.signal(signal.SIGTERM, before)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture(name="invrob")
def _invrob():
    return invrob


@pytest.fixture
def process():
    """Runs the command line as a process of its own, and returns it finished, its output as text."""

    def call(*arguments):
        environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
        return subprocess.run(
            command(*arguments), capture_output=True, text=True, timeout=300, env=environment, check=False
        )

    return call


@pytest.fixture(scope="session")
def whole(config, tmp_path_factory):
    """The directory of a finished run and its JSON summary; not to be written to."""
    out = tmp_path_factory.mktemp("run") / "whole"
    done = invrob("empirical", "run", "--config", config, "--out", out, "--json", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


@pytest.fixture
def finished(whole, tmp_path):
    """A copy of the finished run."""
    return Path(shutil.copytree(whole[0], tmp_path / "finished"))
