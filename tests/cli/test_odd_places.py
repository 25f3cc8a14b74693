"""All commands work without a home directory, with one that may only be read, and in folders with any name."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from invrob.cli import main

NET = """
from torch import nn

def build(num_classes, size):
    return nn.Sequential(nn.Flatten(), nn.Linear(size * size, num_classes))
"""
TOML = (Path(__file__).parents[1] / "smallest.toml").read_text().format(data="de tout.npz")
GRIDS = ["--epsilons", "0,0.3", "--thetas", "0,90"]
QUICK = ["--images", "6", *GRIDS, "--audit", "0", "--steps", "1", "--quiet"]
COMMANDS = [
    ["profile", "net.py:build", "--data", "mnist-mini", *QUICK],
    ["profile", "./ré seau.py:build", "--data", "npz:de tout.npz", *QUICK, "--out", "où ça/ünï"],
    ["empirical", "run", "--config", "ma grille.toml", "--out", "où ça/ma course", "--jobs", "1", "--quiet"],
    ["empirical", "figures", "où ça/ma course"],
    ["runs", "merge", "où ça/ma course", "--out", "où ça/tout"],
    ["plane", "où ça/ünï", "où ça/ma course", "--out", "où ça/plan.svg"],
    ["report", "où ça/ma course"],
    ["theory", "frontier", "--p", "0.7", "--plot", "où ça/frontière.png"],
    ["theory", "sweep", "--p", "0.7", "--n", "500", "--classifier", "logistic", "--q", "0", "--out", "où ça/été.svg"],
    ["data", "list"],
    ["data", "info", "npz:de tout.npz"],
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


@pytest.mark.long  # each is a process of some seconds
@pytest.mark.parametrize("place", PLACES)
def test_commands_work_wherever_home_is_in_folders_with_any_name(tmp_path, place):
    here = tmp_path / "mes réseaux" / "ünï"
    here.mkdir(parents=True)
    for name, text in (("net.py", NET), ("ré seau.py", NET), ("ma grille.toml", TOML)):
        (here / name).write_text(text)
    rng, arrays = np.random.default_rng(0), {}
    for part in ("train", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (20, 16, 16), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(20) % 2
    np.savez(here / "de tout.npz", **arrays)
    temporary = tmp_path / "pro tempóre"
    temporary.mkdir()
    home, user = PLACES[place]
    hidden = ("HOME", "INVROB_DATA", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "USER", "LOGNAME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary), **({} if home is None else {"HOME": home})}
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
    for file in ("ünï/card.png", "plan.svg", "ma course/report.html", "frontière.png", "été.svg"):
        assert (here / "où ça" / file).stat().st_size > 1000
    assert (here / "runs/profile-net-build-mnist-mini/profile.json").is_file()


@pytest.mark.parametrize("words", [["--plot=~/f.svg"], ["--plot", "~/f.svg"]])
def test_a_path_that_begins_with_the_home_directory_is_in_it_also_where_no_shell_has_said_so(
    tmp_path, monkeypatch, capsys, words
):
    home = tmp_path / "chez moi"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["invrob", "theory", "frontier", "--p", "0.7", *words, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["figure"] == str(home / "f.svg")
    assert [file.name for file in tmp_path.iterdir()] == ["chez moi"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["empirical", "run", "--config=~/my.toml"], "{home}/my.toml cannot be read"),
        (["data", "info", "npz:~/few.npz"], "{home}/few.npz cannot be read"),
        (["profile", "net:build", "--data=npz:~/few.npz"], "{home}/few.npz cannot be read"),
        (["report", "~"], "{home} holds no run"),
    ],
)
def test_every_path_is_understood_so(tmp_path, monkeypatch, capsys, words, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["invrob", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert text.format(home=tmp_path) in capsys.readouterr().err


def test_a_name_that_the_terminal_has_no_letters_for_is_printed_all_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="latin-1", write_through=True))
    monkeypatch.setattr(sys, "argv", ["invrob", "theory", "frontier", "--p", "0.7", "--plot", "λ.svg"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert b"Figure: \\u03bb.svg" in printed.getvalue()
    assert (tmp_path / "λ.svg").is_file()
