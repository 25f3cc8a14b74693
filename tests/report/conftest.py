"""A run of two small networks whose data set and class names try to get into the page as markup."""

import contextlib
import json
import shutil

import numpy as np
import planted
import pytest
from sketches import sketched
from typer.testing import CliRunner

from invrob.cli import app
from invrob.empirical.profiles import Card
from invrob.empirical.report import write_report

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"

TOML = """
dataset = {data}

[[models]]
name = "stdcnn"
training_theta = [0, 180]
epochs = 12
batch_size = 16
learning_rate = 0.01
width = 0.3

[profiling]
thetas = [0, 90, 180]
epsilons = [0, 0.05, 0.1, 0.3]
images = 24
steps = 20
angle_step = 90
confounds = ["there-and-back"]
weak_attacks = ["noise"]
"""


def bars(n, rng):
    """Images [n, 16, 16] of one bright bar, and which of three ways it points."""
    labels = np.arange(n) % 3
    images = rng.integers(0, 60, (n, 16, 16))
    for image, label in zip(images, labels, strict=True):
        where = rng.integers(4, 12)
        image[{0: (where, slice(2, 14)), 1: (slice(2, 14), where), 2: (range(2, 14), range(2, 14))}[int(label)]] = 255
    return images.astype(np.uint8), labels


def invoke(*arguments):
    """The command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The folder of the run; not to be written to."""
    folder = tmp_path_factory.mktemp("report")
    data = folder / "bars<" / "script><b>bold.npz"  # a path with the end of a script in it
    data.parent.mkdir()
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 240), ("test", 60)):
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = bars(n, rng)
    np.savez(data, **arrays, label_names=np.array(["level", HOSTILE, 'slanted & "quoted"']))
    config = folder / "tiny.toml"
    config.write_text(TOML.format(data=json.dumps(f"npz:{data}")))
    out = folder / "tiny"
    with sketched():  # the page draws its own
        result = invoke("empirical", "run", "--config", config, "--out", out, "--jobs", 1, "--json")
    assert result.exit_code == 0, result.output
    return out


def profile_folder(path, **changes):
    """A folder of `invrob profile` with planted rates. changes: tables of its profile.json, or its two profiles."""
    profiles = {
        "invariance": planted.invariance(rate=(1.0, 0.94, 0.1235), images=2000),
        "robustness": planted.robustness(missed=0.05, images=2000),
    }
    card = Card(**{name: changes.pop(name, profile) for name, profile in profiles.items()})
    data = {"name": "bars", "split": "test", "fingerprint": "f", "images_fingerprint": "g", "classes": ["a", HOSTILE]}
    about = {"model": {"spec": f"mynet:{HOSTILE}", "notes": []}, "settings": {"epsilons": {"linf": [0.0, 8 / 255]}}}
    document = {**about, "data": data, "versions": {"torch": "2.0"}, **card.to_dict(), "beside": {}, **changes}
    path.mkdir()
    (path / "profile.json").write_text(json.dumps(document))
    return path


@pytest.fixture(scope="session")
def profiled(tmp_path_factory):
    """A folder of one model; not to be written to."""
    return profile_folder(tmp_path_factory.mktemp("profiled") / "profile-mynet")


@pytest.fixture(name="profile_folder")
def _profile_folder():
    return profile_folder


@pytest.fixture
def run(made, tmp_path):
    """A copy of the run, to be spoilt."""
    return shutil.copytree(made, tmp_path / "tiny")


@pytest.fixture(scope="session")
def page(made, tmp_path_factory):
    """The path of the report of the run."""
    return write_report([made], tmp_path_factory.mktemp("page") / "report.html").path


@pytest.fixture(autouse=True)
def _sketches(request):
    """The pictures for readers without scripts take most of the time of a page: only the shared page has them whole."""
    with contextlib.nullcontext() if "page" in request.fixturenames else sketched():
        yield


@pytest.fixture(name="invoke")
def _invoke():
    return invoke
