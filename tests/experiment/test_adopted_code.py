"""Workers read the user's code from their own files: where these are others than the driver's, they refuse to work."""

import sys
from unittest.mock import MagicMock

import numpy as np
import pytest

from invrob import InputError
from invrob.empirical.execution import Execution, ray_cluster, run
from invrob.empirical.experiments import dataset_of, read_experiment
from invrob.empirical.models import adopt, allow, allowed_code, build_own, handed_over, lent

SOURCE = """
from torch import nn

def build(num_classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))
"""
EDITED = SOURCE.replace("nn.Flatten()", "nn.ReLU(), nn.Flatten()")
TOML = """
dataset = "npz:few.npz"
[[models]]
name = "ownnet.py:build"
training_theta = [0, 90]
epochs = 1
[profiling]
thetas = [0, 90]
epsilons = [0, 0.1]
images = 8
steps = 1
angle_step = 90
audit = 0
"""
WORDS = "ownnet.py:build differs from the file with which the run was started: copy that one here"
GIVEN = {"classes": 3, "channels": 1, "size": 8}


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The file of a builder that this process may call, in the current folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "ownnet.py"
    file.write_text(SOURCE)
    with lent({}):
        allow(["ownnet.py:build"], ["ownnet.py"])
        yield file


def terms(path, code):
    """What a driver asks of the nodes of its cluster."""
    (path / ray_cluster.MARKER).write_text("token")
    return ray_cluster.Terms(ray_cluster.decisive(), "", path, "token", path, None, False, code)


def test_the_same_file_is_adopted_wherever_it_lies_and_builds_the_network(source, tmp_path):
    code = allowed_code()
    with lent({"ownnet.py:build": None}):  # as in a process that has called none
        assert ray_cluster.refused(terms(tmp_path, code)) == ""
        assert allowed_code() == code
        build_own("ownnet.py:build", code[0][2], GIVEN, {}, seed=0)


def test_a_file_that_differs_is_refused_in_words_and_its_builder_is_not_taken(source):
    code = allowed_code()
    source.write_text(EDITED)
    with pytest.raises(InputError, match=WORDS):
        adopt(code)
    assert allowed_code() == code


def test_a_node_of_a_ray_cluster_whose_file_differs_says_so(source, tmp_path):
    code = allowed_code()
    source.write_text(EDITED)
    assert WORDS in ray_cluster.refused(terms(tmp_path, code))
    source.unlink()
    assert f"{source} is not there" in ray_cluster.refused(terms(tmp_path, code))


def test_a_callable_that_was_handed_over_is_adopted_by_its_text_and_another_one_is_refused(source, monkeypatch):
    monkeypatch.syspath_prepend(str(source.parent))
    import ownnet

    try:
        with lent({"mine:build": handed_over("mine:build", ownnet.build)}):
            code = allowed_code()
    finally:
        sys.modules.pop("ownnet")
    mine = [entry for entry in code if entry[0] == "mine:build"]
    source.write_text(SOURCE + "\n\nUNUSED = 3\n")
    adopt(mine)  # nothing that the function rests on has changed
    source.write_text(EDITED)
    with pytest.raises(InputError, match=WORDS):
        adopt(mine)


@pytest.mark.long
def test_processes_whose_file_differs_end_the_run_in_words_and_nothing_is_stored(source, tmp_path):
    rng, arrays = np.random.default_rng(0), {}
    for part, n in (("train", 60), ("test", 20)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(n) % 3
    np.savez("few.npz", **arrays)
    (tmp_path / "my.toml").write_text(TOML)
    experiment = read_experiment(tmp_path / "my.toml")
    experiment = experiment.built_by(allow(experiment.builders, ["ownnet.py"]))
    dataset_of.cache_clear()
    cells = experiment.cells(dataset_of("npz:few.npz").fingerprint)
    source.write_text(EDITED)
    with pytest.raises(InputError, match=WORDS):
        run(cells, tmp_path / "run", Execution("local", jobs=2), MagicMock())
    assert not (tmp_path / "run").exists()
    dataset_of.cache_clear()
