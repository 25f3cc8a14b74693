"""The smallest run there is, in this process: two trainings of a sliver of a network on a few small images."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, settings
from sketches import sketched
from torch import nn

from invrob.cli import main
from invrob.empirical.experiments import dataset_of

settings.register_profile(  # the same cases every time; INVROB_FUZZ=20 tries twenty times as many, and others each time
    "faults",
    deadline=None,
    derandomize="INVROB_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TOML = "\n" + (Path(__file__).parents[1] / "smallest.toml").read_text()


def cases(ordinary):
    """Settings of a hypothesis test: that many examples, or a multiple of them by INVROB_FUZZ."""
    many = ordinary * int(os.environ.get("INVROB_FUZZ", "1"))
    return settings(settings.get_profile("faults"), max_examples=many)


def images(n, seed=0):
    """Images uint8 [n, 16, 16] of one bright bar, level or upright, and which of the two."""
    rng = np.random.default_rng(seed)
    made, labels = rng.integers(0, 60, (n, 16, 16)).astype(np.uint8), np.arange(n) % 2
    for image, label in zip(made, labels, strict=True):
        where = rng.integers(4, 12)
        image[(where, slice(3, 13)) if label else (slice(3, 13), where)] = 255
    return made, labels


def network():
    """An untrained network of a few weights for images of any size, of these two classes."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16, 2))


def invrob(*arguments):
    """The command line in this process, which saves the seconds of a new one; what it did as a CompletedProcess."""
    environment = mock.patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"})
    words = mock.patch.object(sys, "argv", ["invrob", *map(str, arguments)])
    dataset_of.cache_clear()  # or it would outlive the test
    before, code = signal.getsignal(signal.SIGTERM), 0
    out, err = io.StringIO(), io.StringIO()
    with sketched(), environment, words, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            signal.signal(signal.SIGTERM, before)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def run(config, out, *more):
    return invrob("empirical", "run", "--config", config, "--out", out, "--jobs", "1", "--json", *more)


def contents(out):
    """{name: bytes} of all that a run leaves, but the notes of how long it took and the lock."""
    paths = (path for path in Path(out).rglob("*") if path.is_file())
    return {str(p.relative_to(out)): p.read_bytes() for p in paths if p.name not in ("costs.json", ".lock")}
