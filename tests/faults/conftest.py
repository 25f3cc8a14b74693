"""The smallest run there is, and a copy of it to be damaged."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_runs import TOML, images, invrob, run


@pytest.fixture(scope="session")
def bars(tmp_path_factory):
    """The path of an .npz of a hundred such images."""
    path = tmp_path_factory.mktemp("bars") / "bars.npz"
    arrays = {}
    for split, n in (("train", 80), ("test", 20)):
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images(n)
    np.savez(path, **arrays, label_names=np.array(["upright", "level"]))
    return path


@pytest.fixture(scope="session")
def config(bars):
    """The path of an experiment of two cells on them."""
    path = bars.with_name("tiny.toml")
    path.write_text(TOML.format(data=bars))
    return path


@pytest.fixture(name="invrob")
def _invrob():
    return invrob


@pytest.fixture(scope="session")
def whole(config, tmp_path_factory):
    """The directory of a run that nothing disturbed; not to be written to."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    done = run(config, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def finished(whole, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "finished"))
