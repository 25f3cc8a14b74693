"""Shards, and runs that are merged: the whole is what one run leaves, to the byte, whatever happens on the way; and
nothing that is there is overwritten."""

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_runs import TOML, contents, invrob, run
from test_going_on import advised, quoted, signalled

from invrob.empirical.experiments import merging, read_run
from invrob.empirical.experiments.store import Store, read_json

JOBS = ("--jobs", "1")
SEEDS = ("[[models]]", "seeds = [0, 1]\n[[models]]")


def merge(runs, out, *more):
    return invrob("runs", "merge", *runs, "--out", out, *more)


def said(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def four(bars):
    """The path of an experiment of four cells."""
    path = bars.with_name("four.toml")
    path.write_text(TOML.format(data=bars).replace(*SEEDS))
    return path


@pytest.fixture(scope="session")
def apart(four, tmp_path_factory):
    """A folder with the run of that experiment, "whole", its shards of three, and a run of each seed; not to be written
    to."""
    folder = tmp_path_factory.mktemp("apart")
    assert run(four, folder / "whole").returncode == 0
    for number in (1, 2, 3):
        done = run(four, folder / f"four-shard-{number}-of-3", "--shard", f"{number}/3")
        assert done.returncode == 0, done.stderr
    one = four.with_name("one.toml")
    one.write_text(four.read_text().replace("[0, 1]", "[1]"))
    for seed, config in ((0, four.with_name("zero.toml")), (1, one)):
        config.write_text(one.read_text().replace("[1]", f"[{seed}]"))
        assert run(config, folder / f"seed-{seed}").returncode == 0
    return folder


@pytest.fixture
def shards(apart, tmp_path):
    """Copies of the three shards."""
    names = [f"four-shard-{number}-of-3" for number in (1, 2, 3)]
    return [Path(shutil.copytree(apart / name, tmp_path / name)) for name in names]


def test_each_cell_is_computed_in_one_shard_and_the_directory_says_that_it_is_a_part(apart, shards):
    plain = [said(invrob("empirical", "figures", shard, "--json")) for shard in shards]
    assert [one["shard"]["cells"] for one in plain] == [2, 1, 1]
    assert [one["missing_cells"] for one in plain] == [2, 3, 3]
    assert [one["shard"]["unfinished_cells"] for one in plain] == [0, 0, 0]
    computed = [{path.name for path in (shard / "cells").iterdir()} for shard in shards]
    assert set.union(*computed) == {path.name for path in (apart / "whole" / "cells").iterdir()}
    assert sum(map(len, computed)) == 4
    shown = invrob("empirical", "figures", shards[1])
    assert "shard 2 of 3 has 1 of the 4 cells: tables, figures and claims are of this part" in shown.stdout
    assert "goes on" not in shown.stdout  # nothing of this part is missing
    page = invrob("report", shards[1])
    assert f"{shards[1]}: shard 2 of 3 has 1 of the 4 cells" in page.stderr


def test_the_line_that_a_shard_ends_with_merges_all_of_them_to_what_one_run_leaves(four, apart, shards):
    done = invrob("empirical", "run", "--config", four, "--out", shards[2], "--shard", "3/3", *JOBS)
    line = done.stdout.splitlines()[-1].removeprefix("next: ")
    out = shards[0].with_name("four")
    assert line == f"invrob runs merge {out}-shard-*-of-3 --out {out}"
    words = subprocess.run(["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    assert invrob(*words.stdout.splitlines()[1:]).returncode == 0
    assert contents(out) == contents(apart / "whole")


def test_without_a_folder_each_shard_has_its_own_under_runs(four, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invrob("empirical", "run", "--config", four, "--shard", "7/8", *JOBS)
    assert done.returncode == 0, done.stderr  # of four cells, the seventh shard has none
    assert "shard 7 of 8 has none of the 4 cells: there is nothing to compute\n" in done.stdout
    assert done.stdout.splitlines()[-1] == "next: invrob runs merge runs/four-shard-*-of-8 --out runs/four"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["four-shard-7-of-8"]
    plain = said(run(four, "runs/four-shard-7-of-8", "--shard", "7/8"))
    assert (plain["computed"], plain["missing_cells"], plain["failed"]) == (0, 4, [])
    alone = merge(["runs/four-shard-7-of-8"], "runs/four")
    assert alone.returncode == 2
    assert "runs/four-shard-7-of-8 holds no finished training: `invrob empirical run --out" in alone.stderr
    assert not Path("runs/four").exists()


@pytest.mark.parametrize(("shard", "cells"), [("1/3", 2), ("3/3", 1), ("9/9", 0)])
def test_the_plan_of_a_shard_is_of_its_cells_alone_and_compares_it_with_the_longest(four, tmp_path, shard, cells):
    words = ("empirical", "run", "--config", four, "--out", tmp_path / "x", "--shard", shard, "--dry-run", *JOBS)
    plan = said(invrob(*words, "--json"))
    assert sum(row["cells"] for row in plan["networks"]) == plan["shard"]["cells"] == cells
    assert plan["shard"]["of_cells"] == 4
    assert plan["shard"]["longest"] == {"1/3": 1.0, "3/3": 2.0, "9/9": 0.0}[shard]
    text = invrob(*words)
    if not cells:
        assert text.stdout.startswith("shard 9 of 9 has none of the 4 cells: there is nothing to compute.\n")
    assert text.stdout.splitlines()[-1].startswith("next: invrob empirical run --config")
    assert "--dry-run" not in text.stdout.splitlines()[-1]
    assert not (tmp_path / "x").exists()


def test_a_shard_that_was_stopped_goes_on_as_that_shard_with_and_without_its_name(four, apart, tmp_path, monkeypatch):
    out = tmp_path / "first"
    with signalled(monkeypatch, 2):
        stopped = invrob("empirical", "run", "--config", four, "--out", out, "--shard", "1/3", *JOBS)
    assert stopped.returncode == 130
    words = advised(stopped.stderr)
    assert words == ["empirical", "run", "--out", str(out), "--shard", "1/3", *JOBS]
    shown = invrob("empirical", "figures", out)
    assert "1 cell is not finished of shard 1 of 3: `invrob" in shown.stdout
    (plain,) = quoted(shown.stdout)
    copy = Path(shutil.copytree(out, tmp_path / "second"))
    assert said(invrob(*words, "--json"))["computed"] == 1
    assert contents(out) == contents(apart / "four-shard-1-of-3")
    again = invrob(*plain[:-1], copy, *JOBS)
    assert again.returncode == 0, again.stderr
    assert contents(copy) == contents(apart / "four-shard-1-of-3")
    assert again.stdout.splitlines()[-1] == f"next: invrob runs merge {copy} --out {copy}-merged"


def test_the_directory_of_a_shard_becomes_that_of_the_whole_where_no_shard_is_asked_for(four, apart, shards):
    grown = invrob("empirical", "run", "--config", four, "--out", shards[0], *JOBS)
    assert grown.returncode == 0
    assert f"{shards[0]} was shard 1 of 3: now all cells are computed there" in grown.stderr
    assert grown.stdout.splitlines()[-1] == f"next: invrob report {shards[0]}"
    assert contents(shards[0]) == contents(apart / "whole")


@pytest.mark.parametrize("parts", [["seed-0", "seed-1"], ["seed-1", "seed-0"]])
def test_runs_of_other_seeds_are_one_run_whatever_the_order(apart, tmp_path, parts):
    out = tmp_path / "out"
    plain = said(merge([apart / part for part in parts], out, "--json"))
    assert (plain["copied_cells"], plain["cells_there"], plain["missing"], plain["missing_cells"]) == (4, 0, [], 0)
    assert contents(out) == contents(apart / "whole")
    assert {p.name for p in out.glob("cells/*/costs.json")} == {"costs.json"}
    for cell in out.glob("cells/*"):
        assert set(read_json(cell / "costs.json")) == {"training", "profiles"}


def test_a_merge_grows_as_shards_finish_and_merging_again_changes_nothing(apart, shards, tmp_path):
    out, before = tmp_path / "out", [contents(shard) for shard in shards]
    first = merge(shards[:2], out)
    assert "3 cells copied from 2 runs to" in first.stdout
    assert f"1 cell is not finished: `invrob empirical run --out {out}` goes on with it" in first.stdout
    assert "not finished: stdcnn A = 90, seed 0" in first.stdout
    assert first.stdout.splitlines()[-1] == f"next: invrob empirical run --out {out}"
    filled = Path(shutil.copytree(out, tmp_path / "filled"))
    whole = merge(shards, out)
    assert f"1 cell copied from 3 runs to {out}, where 3 were already" in whole.stdout
    assert contents(out) == contents(apart / "whole")
    times = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*")}
    plain = said(merge([*shards, out, shards[0]], out, "--json"))
    assert (plain["copied_cells"], plain["cells_there"], len(plain["runs"])) == (0, 4, 3)
    assert {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*")} == times
    assert contents(out) == contents(apart / "whole")
    assert [contents(shard) for shard in shards] == before
    assert not any((shard / ".lock").stat().st_size for shard in shards)
    going_on = invrob("empirical", "run", "--out", filled, *JOBS, "--json")  # the other way to the whole
    assert said(going_on)["computed"] == 1
    assert contents(filled) == contents(apart / "whole")


def test_what_is_merged_is_a_run_for_every_command(shards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # plane.png is written here
    out = tmp_path / "out"
    last = merge(shards, out).stdout.splitlines()[-1]
    assert last == f"next: invrob report {out}"
    for words in (advised(last), ["plane", out], ["empirical", "figures", out]):
        assert invrob(*words).returncode == 0
    assert said(invrob("empirical", "run", "--out", out, *JOBS, "--json"))["computed"] == 0


@pytest.mark.parametrize("name", ["weights.safetensors", "cell.json", "profiles-*.json"])
def test_a_damaged_file_is_left_out_and_named_and_nothing_else_is_lost(apart, shards, tmp_path, name):
    out = tmp_path / "out"
    (file,) = shards[1].glob(f"cells/*/{name}")
    file.write_bytes(file.read_bytes()[:-9])
    done = merge(shards, out)
    assert done.returncode == 1
    named = file if name.startswith("profiles") else file.with_name("cell.json")
    assert f"left out: {named} is damaged (stdcnn A = 0, seed 1)" in done.stderr
    assert "not finished: stdcnn A = 0, seed 1" in done.stdout
    assert (out / "cells" / file.parent.name / "weights.safetensors").exists() == (name == "profiles-*.json")
    again = merge([*shards, apart / "seed-1"], out, "--json")  # another run has the cell
    assert again.returncode == 0
    assert json.loads(again.stdout)["damaged"] == [{"file": str(named), "cell": "stdcnn A = 0, seed 1"}]
    assert contents(out) == contents(apart / "whole")


@pytest.mark.parametrize("name", ["weights.safetensors", "cell.json", "profiles-*.json"])
def test_what_is_damaged_in_the_whole_comes_anew_from_the_parts(apart, shards, tmp_path, name):
    out = Path(shutil.copytree(apart / "whole", tmp_path / "out"))
    next(out.glob(f"cells/*/{name}")).write_bytes(b"{")
    plain = said(merge(shards, out, "--json"))
    assert (plain["copied_cells"], plain["damaged"], plain["missing"]) == (1, [], [])
    assert contents(out) == contents(apart / "whole")


def test_a_measurement_of_weights_that_are_gone_is_not_taken_for_one_of_those_that_come(apart, tmp_path):
    out, part = (Path(shutil.copytree(apart / "seed-0", tmp_path / name)) for name in ("out", "part"))
    next(out.glob("cells/*/cell.json")).write_text("{")
    for file in part.glob("cells/*/profiles-*.json"):
        file.unlink()
    done = merge([part], out, "--json")
    plain = json.loads(done.stdout)
    assert done.returncode == 1  # the damaged file leaves a cell unfinished
    assert (plain["copied_cells"], len(plain["missing"]), plain["missing_cells"]) == (1, 1, 1)


def other_numbers(folder, what):
    """Give the first cell of a run other weights, or another profile, as a GPU might."""
    cell = sorted(folder.glob("cells/*"))[0]
    store, (file,) = Store(folder), cell.glob("profiles-*.json")
    body = read_json(file)
    if what == "weights":
        state, training = store.read_training(cell.name)
        store.write_training(cell.name, {name: value + 0.5 for name, value in state.items()}, training)
    else:
        body["invariance"]["rate"][-1] -= 0.25
    store.write_profiles(cell.name, file.stem.removeprefix("profiles-"), body)


@pytest.mark.parametrize("what", ["weights", "profile"])
def test_a_network_with_other_numbers_in_two_runs_is_refused_and_by_force_the_first_stays(
    apart, shards, tmp_path, what
):
    out, other = tmp_path / "out", Path(shutil.copytree(apart / "seed-0", tmp_path / "other"))
    other_numbers(other, what)
    before = contents(other)
    refused = merge([shards[0], other], out)
    assert refused.returncode == 2
    assert "the same network was computed twice, with other numbers, as GPUs do: stdcnn A = " in refused.stderr
    assert f"seed 0 in {shards[0]} and in {other}" in refused.stderr
    assert not out.exists()
    forced = merge([other, *shards], out, "--force")
    assert forced.returncode == 0, forced.stderr
    assert "taken from the first run, since others differ: stdcnn A = " in forced.stderr
    cell = sorted((other / "cells").iterdir())[0]
    for file in cell.iterdir():
        assert file.name == "costs.json" or (out / "cells" / cell.name / file.name).read_bytes() == file.read_bytes()
    assert contents(other) == before
    kept = contents(out)
    assert merge(shards, out).returncode == 2  # what the whole has counts as the first
    assert merge(shards, out, "--force").returncode == 0
    assert contents(out) == kept


def test_what_does_not_belong_together_is_refused_and_nothing_is_written(bars, four, apart, shards, config, tmp_path):
    out, other, empty = tmp_path / "out", tmp_path / "other.toml", tmp_path / "empty"
    empty.mkdir()
    other.write_text(four.read_text().replace("steps = 1", "steps = 2"))
    assert run(other, tmp_path / "steps", "--shard", "9/9").returncode == 0
    foreign = Path(shutil.copytree(shards[0], tmp_path / "foreign"))
    for cell in foreign.glob("cells/*"):
        cell.rename(cell.with_name(f"{cell.name[::-1]}"))
    wrong = {
        f"{tmp_path / 'steps'} holds another experiment than {shards[0]} (profiling.steps: 1 there, 2 here)": (
            [shards[0], tmp_path / "steps"],
            out,
        ),
        f"{empty} holds no run": ([shards[0], empty], out),
        "there is no such folder": ([shards[0], tmp_path / "nowhere"], out),
        "no folder fits": ([tmp_path / "none-*"], out),
        f"lies inside of {shards[0]}, which stays as it is": (shards, shards[0] / "cells" / "all"),
        "but none that this version of invrob would make of its experiment": ([foreign, *shards], out),
        "cannot be written": (shards, bars),
        "is a file, no folder": (shards, bars / "out"),
    }
    for text, (runs, place) in wrong.items():
        done = merge(runs, place)
        assert (done.returncode, done.stdout) == (2, ""), text
        assert text in done.stderr
    assert not out.exists()
    version = read_json(shards[1] / "experiment.json")
    version["experiment"]["seeds"] = ["none"]
    from invrob.empirical.experiments.store import write_json

    write_json(shards[1] / "experiment.json", version)
    assert "was written by another version of invrob" in merge(shards, out).stderr
    (shards[1] / "experiment.json").write_text("{")
    assert "its experiment.json is missing or damaged" in merge(shards, out).stderr


@contextmanager
def dying(monkeypatch, at, how):
    """The write number `at` of a merge does not come about: the process ends there, or the disk is full."""
    written, count = merging.write_atomically, [0]

    def write(path, make):
        count[0] += 1
        if count[0] == at:
            if how == "killed":
                os._exit(137)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return written(path, make)

    with monkeypatch.context() as patched:
        patched.setattr(merging, "write_atomically", write)
        yield


def test_a_full_disk_is_said_and_the_same_command_goes_on(apart, shards, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with dying(monkeypatch, 5, "full"):
        full = merge(shards, out)
    assert (full.returncode, full.stdout) == (1, "")
    assert "could not be written (No space left on device); what was copied is kept" in full.stderr
    words = shlex.split(re.findall(r"goes on with it: invrob (.*)$", full.stderr, re.MULTILINE)[0])
    done = invrob(*words)
    assert done.returncode == 0
    assert "where 1 was already" in done.stdout
    assert contents(out) == contents(apart / "whole")


@pytest.mark.long
def test_a_merge_that_was_killed_at_any_write_leaves_a_run_and_the_same_merge_goes_on(
    apart, shards, tmp_path, monkeypatch
):
    whole = contents(apart / "whole")
    for at in range(1, 14):  # four cells of three files
        out = tmp_path / f"out{at}"
        with dying(monkeypatch, at, "killed"):
            child = os.fork()
            if child == 0:
                try:
                    merging.merge_runs(shards, out)
                finally:
                    os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code == (137 if at < 13 else 0)
        for name, content in contents(out).items():
            assert whole[name] == content  # whole or not there
        if at % 4 == 0:
            assert len(read_run(out)[1]) == (at - 1) // 3
        merged = merging.merge_runs(shards, out)
        assert (merged.missing, merged.damaged) == ((), ())
        cells = {name: content for name, content in whole.items() if name.startswith(("cells", "experiment"))}
        assert contents(out) == cells


def test_two_merges_into_one_folder_cannot_mix(shards, tmp_path, monkeypatch):
    out, reading = tmp_path / "out", merging.class_names

    def names(path):
        with monkeypatch.context() as patched:
            patched.setattr(merging, "class_names", reading)
            assert "is in use by another run: wait for it" in merge(shards, out).stderr
        return reading(path)

    monkeypatch.setattr(merging, "class_names", names)
    assert merge(shards[:1], out).returncode == 0
