"""A run can be stopped at any instant: nothing that was finished is lost or done again, and the result is the same."""

import json
import signal
import time
from pathlib import Path

import pytest

from invrob.empirical.experiments.results import read_run
from invrob.empirical.experiments.store import Store


def files_of(out, pattern="cells/*/*"):
    """All but the notes of how long it took, which grow with every stage."""
    kept = (path for path in out.glob(pattern) if not path.name.startswith(".") and path.name != "costs.json")
    return {path: path.stat().st_mtime_ns for path in kept}


def children_of(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def alive(pid):
    """Whether a process is there, and not a zombie that nobody waits for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)


@pytest.mark.long  # with one job at any instant: tests/faults/test_kill.py
@pytest.mark.parametrize(("jobs", "reached"), [(1, "cells/*/cell.json"), (2, "cells/*/profiles-*.json")])
def test_a_run_killed_at_any_stage_goes_on_and_ends_with_the_same_csv(
    whole, invrob, start, config, tmp_path, jobs, reached
):
    out = tmp_path / "killed"
    process = start(config, out, jobs)
    wait_for(lambda: list(out.glob(reached)))
    workers = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(alive(worker) for worker in workers), seconds=20)  # none goes on behind our back
    before = {path: time for path, time in files_of(out).items() if path.suffix == ".json"}
    assert before
    again = invrob("empirical", "run", "--config", config, "--out", out, "--jobs", jobs, "--json")
    assert again.returncode == 0, again.stderr
    assert (out / "profiles.csv").read_bytes() == (whole[0] / "profiles.csv").read_bytes()
    assert {path: time for path, time in files_of(out).items() if path in before} == before


def test_the_same_command_again_computes_nothing_and_changes_nothing(whole, finished, invrob, config):
    before = files_of(finished)
    again = invrob("empirical", "run", "--config", config, "--out", finished, "--json")
    assert whole[1]["computed"] == 3
    assert json.loads(again.stdout)["computed"] == 0
    assert files_of(finished) == before
    assert (finished / "profiles.csv").read_bytes() == (whole[0] / "profiles.csv").read_bytes()


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 75)],
    ids=["Ctrl-C", "SIGTERM"],
)
@pytest.mark.long  # with one job: tests/faults/test_run_faults.py
def test_a_signal_ends_a_run_and_its_workers(start, config, tmp_path, sent, code):
    longer = tmp_path / "longer.toml"  # or a machine under load is told to stop when it has finished
    longer.write_text(config.read_text().replace("epochs = 2", "epochs = 20"))
    process = start(longer, tmp_path / "stopped", 2)
    wait_for(lambda: list(tmp_path.glob("stopped/cells/*/cell.json")))
    workers = children_of(process.pid)
    process.send_signal(sent)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert "Traceback" not in error
    assert "nothing that was finished is lost" in error
    wait_for(lambda: not any(alive(worker) for worker in workers), seconds=20)


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "empty", "text"])
@pytest.mark.parametrize("victim", ["cell.json", "weights.safetensors", "profiles-*.json"])
def test_a_damaged_file_reads_as_a_cell_that_is_missing(finished, damage, victim):
    path = next(finished.glob(f"cells/*/{victim}"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    changed = {"truncate": content[: len(content) // 2], "flip": content, "empty": b"", "text": b"[1, 2]"}
    path.unlink() if damage == "remove" else path.write_bytes(changed[damage])
    _, results, missing = read_run(finished)
    assert (len(results), missing) == (2, 1)


def test_a_damaged_cell_is_computed_again_to_the_same_csv(whole, finished, invrob, config):
    next(finished.glob("cells/*/weights.safetensors")).write_bytes(b"not weights")
    again = invrob("empirical", "run", "--config", config, "--out", finished, "--json", "--jobs", "1")
    assert json.loads(again.stdout)["computed"] == 1
    assert (finished / "profiles.csv").read_bytes() == (whole[0] / "profiles.csv").read_bytes()


def test_a_second_run_in_the_same_directory_is_refused(finished, invrob, config):
    with Store(finished).locked():
        second = invrob("empirical", "run", "--config", config, "--out", finished)
    assert second.returncode == 2
    assert f"{finished} is in use by another run" in second.stderr


def test_a_run_directory_that_cannot_be_is_refused(config, invrob, tmp_path):
    (tmp_path / "file").write_text("in the way")
    process = invrob("empirical", "run", "--config", config, "--out", tmp_path / "file" / "run")
    assert process.returncode == 2
    assert "cannot be written" in process.stderr
    assert "Traceback" not in process.stderr


def test_no_file_of_a_run_is_a_pickle(whole):
    for path in whole[0].rglob("*"):
        if path.is_file():
            assert path.suffix in (".json", ".safetensors", ".csv", ".png", ".svg") or path.name == ".lock"
            assert path.read_bytes()[:2] != b"\x80\x04"
