"""What happens to a run from outside: signals, a full disk, a read-only one, too little memory, a cell that fails."""

import errno
import json
import os
import shutil
import signal
import subprocess

import pytest
from small_runs import contents, invrob, run

from invrob.empirical.execution import cell as execution_cell
from invrob.empirical.experiments import Store
from invrob.files import TEMPORARY

STOPPED = "stopped: nothing that was finished is lost; the same command goes on"


@pytest.fixture(scope="session")
def whole_rows(whole, tmp_path_factory):
    """The rows of its table, as JSON."""
    copy = shutil.copytree(whole, tmp_path_factory.mktemp("drawn") / "run")
    return json.loads(invrob("empirical", "figures", copy, "--json").stdout)["cells"]


def assert_printed(done, out, rows):
    """A file in `out` is named as the one that could not be written, and what was computed is printed, no more."""
    assert done.returncode == 1
    assert f"error: {out}/" in done.stderr
    assert "could not be written (No space left on device)" in done.stderr
    summary = json.loads(done.stdout)
    printed = summary.get("cells", [])
    assert printed == rows[: len(printed)]
    assert summary["computed"] == len(printed) == 2 - summary["missing_cells"]


def leftovers(out):
    return [*out.glob(TEMPORARY), *out.glob(f"cells/*/{TEMPORARY}")]


@pytest.mark.parametrize(
    ("sent", "code", "cell"),
    [
        (signal.SIGINT, 130, 1),
        (signal.SIGTERM, 75, 2),
        pytest.param(signal.SIGINT, 130, 2, marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, 75, 1, marks=pytest.mark.long),
    ],
)
def test_a_signal_in_any_cell_ends_the_run_with_a_sentence_and_the_next_one_goes_on(
    config, whole, tmp_path, monkeypatch, sent, code, cell
):
    measured, count = execution_cell.measured, [0]

    def signalled(*arguments):
        count[0] += 1
        if count[0] == cell:
            os.kill(os.getpid(), sent)
        return measured(*arguments)

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(execution_cell, "measured", signalled)
        stopped = run(config, out)
    assert (stopped.returncode, stopped.stdout) == (code, "")
    assert STOPPED in stopped.stderr
    assert leftovers(out) == []
    again = run(config, out)
    assert json.loads(again.stdout)["computed"] == 3 - cell
    assert contents(out) == contents(whole)


SOME = (1, 5, 13)  # of the quick tests


@pytest.mark.parametrize(
    "number",
    [number if number in SOME else pytest.param(number, marks=pytest.mark.long) for number in (*range(1, 14), 10**6)],
)
def test_a_disk_that_is_full_at_any_write_is_named_and_the_run_goes_on_when_there_is_room(
    config, whole, whole_rows, tmp_path, monkeypatch, number
):
    step = ("fsync", "replace")[number % 2]  # before and after the content is on the disk
    real, count, out = getattr(os, step), [0], tmp_path / "run"

    def full(*arguments):
        count[0] += 1
        if count[0] >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(os, step, full)
        stopped = run(config, out)
    if number > count[0]:
        assert number == 10**6  # all the writes of a run were tried above
        return
    if number == 1:  # the first file, before anything is computed
        assert (stopped.returncode, stopped.stdout) == (2, "")
        assert f"error: [Errno 28] No space left on device: '{out}/" in stopped.stderr
    else:
        assert_printed(stopped, out, whole_rows)
    assert "Traceback" not in stopped.stderr
    assert leftovers(out) == []
    assert contents(out).items() <= contents(whole).items()
    assert run(config, out).returncode == 0
    assert contents(out) == contents(whole)


def test_a_measurement_that_the_disk_refuses_is_printed_and_made_again_by_the_next_run(
    config, whole, whole_rows, tmp_path, monkeypatch
):
    real, count = Store.write_profiles, [0]

    def full(store, *arguments):
        count[0] += 1
        if count[0] == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(store.path / "profiles-x.json"))
        real(store, *arguments)

    monkeypatch.setattr(Store, "write_profiles", full)
    out = tmp_path / "run"
    stopped = run(config, out)
    assert_printed(stopped, out, whole_rows)
    assert json.loads(stopped.stdout)["computed"] == 2
    assert "what was finished is kept or printed above, and the same command goes on" in stopped.stderr
    assert len([*out.glob("cells/*/profiles-*.json")]) == 1
    assert json.loads(run(config, out).stdout)["computed"] == 1
    assert contents(out) == contents(whole)


def test_tables_and_figures_that_cannot_be_written_leave_the_results_printed_also_for_a_quiet_run(
    config, finished, monkeypatch, invrob
):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    drawn = invrob("empirical", "figures", finished, "--json")
    summary = json.loads(drawn.stdout)
    assert (drawn.returncode, summary["csv"], summary["classes_csv"], summary["figures"]) == (1, None, None, [])
    assert (len(summary["cells"]), len(summary["claims"])) == (2, 4)
    again = f"`invrob empirical figures {finished}` writes them once it can"
    assert f"error: {finished}/profiles.csv, and 7 more could not be written" in drawn.stderr
    assert again in drawn.stderr
    monkeypatch.undo()
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: real(a, b) if str(b).endswith(".json") else full())
    quiet = invrob("empirical", "run", "--config", config, "--out", finished, "--jobs", "1", "--quiet")
    assert quiet.returncode == 1
    assert "The paper's claims" in quiet.stdout
    assert again in quiet.stderr


@pytest.fixture
def mounted(tmp_path):
    """Mounts a file system of so many kilobytes on a folder, or mounts it again with other options."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"only root may mount a file system: {done.stderr.decode().strip()}")
        return folder

    yield mount
    subprocess.run(["umount", folder], capture_output=True, check=False)


@pytest.mark.parametrize("kilobytes", [28, *(pytest.param(size, marks=pytest.mark.long) for size in (4, 16, 40))])
def test_a_disk_that_is_really_full(config, whole, whole_rows, mounted, kilobytes):
    out = mounted(f"size={kilobytes}k") / "run"
    full = run(config, out)
    assert_printed(full, out, whole_rows)
    assert "Traceback" not in full.stderr
    assert leftovers(out) == []
    assert contents(out).items() <= contents(whole).items()
    mounted("remount,size=10m")
    assert run(config, out).returncode == 0
    assert contents(out) == contents(whole)


def test_a_store_that_may_only_be_read_is_refused_by_a_run_and_read_by_nothing_else(config, finished, mounted, invrob):
    folder = mounted("size=10m")
    out = folder / "run"
    os.system(f"cp -r {finished} {out}")
    before = contents(out)
    mounted("remount,ro")
    refused = run(config, out)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{out} cannot be written" in refused.stderr
    assert "choose another folder" in refused.stderr
    drawn = invrob("empirical", "figures", out)
    assert drawn.returncode == 1
    assert "stdcnn" in drawn.stdout
    assert "The paper's claims" in drawn.stdout
    assert f"error: {out}/profiles.csv, and " in drawn.stderr
    assert "could not be written (Read-only file system); the results are printed above, and `invrob" in drawn.stderr
    assert contents(out) == before


def test_one_cell_that_diverges_does_not_lose_the_others(config, whole, tmp_path):
    both = tmp_path / "both.toml"
    bad = '[[models]]\nname = "stdcnn"\ntraining_theta = [0]\nwidth = 0.1\noptimizer = "sgd"\nlearning_rate = 1\n'
    bad += "weight_decay = 0.9\nmomentum = 0.99\nepochs = 40\nbatch_size = 32\n"
    both.write_text(config.read_text().replace("[profiling]", bad + "[profiling]"))
    out = tmp_path / "run"
    done = run(both, out)
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    (failed,) = summary["failed"]
    assert "the training loss became" in failed["reason"]
    assert "take a smaller learning_rate" in failed["reason"]
    assert failed["reason"] in done.stderr
    assert summary["missing_cells"] == 1
    kept, known = contents(out), contents(whole)
    assert all(kept[name] == known[name] for name in known if name.startswith("cells/"))
