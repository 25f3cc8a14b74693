"""All commands work without a home directory, with one that may only be read, and in folders with any name."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long  # each is a process of some seconds

NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
"""
TOML = """
dataset = "mnist-mini"

[[models]]
name = "stdcnn"
training_theta = [0]
epochs = 1
width = 0.05

[profiling]
thetas = [0, 90]
epsilons = [0, 0.3]
images = 6
steps = 1
angle_step = 90
audit = 0
"""
GRIDS = ["--epsilons", "0,0.3", "--thetas", "0,90"]
QUICK = ["--data", "mnist-mini", "--images", "4", *GRIDS, "--audit", "0", "--steps", "1", "--quiet"]
COMMANDS = [
    ["profile", "net.py:build", *QUICK],
    ["profile", "./ré seau.py:build", *QUICK, "--out", "où ça/ünï"],
    ["empirical", "run", "--config", "ma grille.toml", "--out", "où ça/ma course", "--jobs", "1", "--quiet"],
    ["empirical", "figures", "où ça/ma course"],
    ["plane", "où ça/ünï", "où ça/ma course", "--out", "où ça/plan.svg"],
    ["report", "où ça/ma course"],
    ["theory", "frontier", "--p", "0.7", "--plot", "où ça/frontière.png"],
    ["data", "list"],
    ["data", "info", "mnist-mini"],
]
SCRIPT = """
import json, pwd, sys
from invrob.cli import main

def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

if sys.argv[1] == "nobody":  # as in containers, under a user id that the system has no entry for
    pwd.getpwuid = nobody
for command in json.loads(sys.argv[2]):
    sys.argv[1:] = command
    try:
        main()
    except SystemExit as end:
        if end.code:
            sys.exit(f"{command}: exit code {end.code}")
"""
PLACES = {  # the home directory, and whether the system knows the user
    "no home": (None, "somebody"),
    "no home and no user": (None, "nobody"),
    "a home that is not there and cannot be made": ("/proc/nonexistent", "somebody"),
    "a home that may only be read": ("/proc", "somebody"),
}


@pytest.mark.parametrize("place", PLACES)
def test_commands_work_wherever_home_is_in_folders_with_any_name(tmp_path, place):
    here = tmp_path / "mes réseaux" / "ünï"
    here.mkdir(parents=True)
    for name, text in (("net.py", NET), ("ré seau.py", NET), ("ma grille.toml", TOML)):
        (here / name).write_text(text)
    home, user = PLACES[place]
    hidden = ("HOME", "INVROB_DATA", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "USER", "LOGNAME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"OMP_NUM_THREADS": "1", **({} if home is None else {"HOME": home})}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, user, json.dumps(COMMANDS)],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "atplotlib" not in done.stderr
    assert "mkdir" not in done.stderr
    for file in ("où ça/ünï/card.png", "où ça/plan.svg", "où ça/ma course/report.html", "où ça/frontière.png"):
        assert (here / file).stat().st_size > 1000
    assert (here / "runs/profile-net-build-mnist-mini/profile.json").is_file()
