"""tools/gpu_check.py: slices that go on, steps that fail alone, the report and the tarball; and all of it on a CPU."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tools import gpu_check
from tools.gpu_runs import ended
from tools.gpu_steps import ROOT, STEPS, Outcome, Result, Step, read_result, write_result


@pytest.fixture(autouse=True)
def _planted_steps_are_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "bench"))


@pytest.fixture(autouse=True)
def _signals_as_before():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def planted(name, seconds=1.0, **more):
    return Step(name.replace("_", "-"), f"about {name}", f"planted_steps:{name}", seconds, seconds, **more)


def called(out, *words, steps):
    return gpu_check.main(["--device", "cpu", "--small", "--out", str(out), *words], steps)


@pytest.mark.long
def test_a_step_that_does_not_fit_waits_for_the_next_slice_which_begins_with_it(tmp_path, capsys):
    steps = (planted("fine"), planted("long", seconds=1000))
    assert called(tmp_path, "--minutes", "5", steps=steps) == 75
    assert read_result(tmp_path, "fine").outcome.status == "ok"
    assert read_result(tmp_path, "long") is None
    assert "the same command goes on: python -m tools.gpu_check --device cpu" in capsys.readouterr().out
    assert called(tmp_path, "--minutes", "5", steps=steps) == 0
    assert read_result(tmp_path, "long").outcome.said == "took its time"
    assert (tmp_path / "calls-fine").read_text() == "x"  # what is done is not done again


@pytest.mark.long
def test_a_step_that_goes_on_gets_the_numbers_of_its_last_slice(tmp_path):
    steps = (planted("in_two_slices", goes_on=True),)
    assert called(tmp_path, steps=steps) == 75
    assert called(tmp_path, steps=steps) == 0
    result = read_result(tmp_path, "in-two-slices")
    assert (result.outcome.said, result.slices) == ("after {'half': 1}", 2)


@pytest.mark.long
def test_steps_that_fail_or_crash_are_recorded_with_their_reason_and_stop_no_other(tmp_path):
    steps = (planted("raises"), planted("killed"), planted("fine"))
    assert called(tmp_path, steps=steps) == 1
    said = {step.name: read_result(tmp_path, step.name).outcome for step in steps}
    illegal = "RuntimeError: CUDA error: an illegal memory access was encountered (logs/raises.txt)"
    assert (said["raises"].status, said["raises"].said) == ("failed", illegal)
    assert said["killed"].said == "was ended by SIGKILL (logs/killed.txt)"
    assert said["fine"].status == "ok"
    assert "about to fail" in (tmp_path / "logs" / "raises.txt").read_text()
    assert called(tmp_path, steps=steps) == 1  # still, although nothing was left to do
    mended = (Step("raises", "", "planted_steps:fine", 1.0), *steps[2:])
    assert called(tmp_path, "--again", steps=mended) == 0


@pytest.mark.long
def test_a_step_that_hangs_is_ended_and_the_next_one_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "seconds_to_pack", lambda out: 26.0)  # of the thirty of this slice
    steps = (planted("hangs"), planted("long", seconds=1000))
    assert called(tmp_path, "--minutes", "0.5", steps=steps) == 75
    said = read_result(tmp_path, "hangs").outcome
    assert (said.status, said.said) == (
        "failed",
        "did not end in a slice of 0.5 minutes: give it more by --minutes (logs/hangs.txt)",
    )
    assert called(tmp_path, "--minutes", "5", steps=steps) == 1


@pytest.mark.long
def test_a_step_ends_with_the_command_that_has_started_it(tmp_path):
    program = "import sys; from test_gpu_check import *; called(sys.argv[1], steps=(planted('writes_its_id'),))"
    where = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "bench")))}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], env=where, stdout=subprocess.DEVNULL
    ) as parent:
        step = int(waited_for(lambda: (tmp_path / "id").exists() and (tmp_path / "id").read_text()))
        parent.kill()
    assert waited_for(
        lambda: not Path(f"/proc/{step}").exists() or "(zombie)" in Path(f"/proc/{step}/status").read_text()
    )


def waited_for(told, seconds=120):
    """What `told()` says as soon as it is true; None where it is not for so long."""
    until = time.monotonic() + seconds
    while not (said := told()) and time.monotonic() < until:
        time.sleep(0.1)
    return said


def test_the_report_has_a_line_for_each_step_and_its_tables(tmp_path):
    called(tmp_path, steps=(planted("fine"), planted("raises"), planted("long", seconds=10_000)))
    page = (tmp_path / "README.md").read_text()
    assert "| fine | ok |" in page
    assert "2 \\| 3 of it" in page
    assert "| raises | **failed** |" in page
    assert "| long | not begun | - | about long |" in page
    assert "### Numbers\n\nA note.\n\n| a | b |\n| --- | --- |\n| 0.1235 | x |" in page


def test_the_report_sets_the_presets_against_their_targets(tmp_path):
    done = Outcome("unfinished", "", numbers={"time": "extrapolated: about 12 minutes, from 3 of 57 cells."})
    write_result(tmp_path, Result("paper-mnist", done, device="NVIDIA H100"))
    gpu_check.write_report(tmp_path, STEPS)
    page = (tmp_path / "README.md").read_text()
    target = "three seeds under 10 minutes on one H100"
    assert f"- `paper-mnist` (target: {target}): on NVIDIA H100, extrapolated: about 12 minutes, from 3" in page


def test_the_tarball_holds_results_logs_report_and_runs_and_not_itself(tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "profiles.csv").write_text("a\n")
    for _ in range(2):
        called(tmp_path, steps=(planted("fine"),))
    with tarfile.open(tmp_path / "gpu-check.tar.gz") as tar:
        names = {name.removeprefix("gpu-check/") for name in tar.getnames()}
        assert json.load(tar.extractfile("gpu-check/results/fine.json"))["outcome"]["numbers"] == {"a": "inf"}
    expected = {"README.md", "setting.json", "results/fine.json", "logs/fine.txt", "runs/mine/profiles.csv"}
    assert names == expected | {"calls-fine"}


def test_results_of_two_devices_do_not_share_a_folder(tmp_path, capsys):
    steps = (planted("fine"),)
    called(tmp_path, steps=steps)
    assert gpu_check.main(["--device", "cpu", "--out", str(tmp_path)], steps) == 2
    assert "holds results of --device cpu --small: use these options" in capsys.readouterr().err


def test_a_device_that_is_not_there_and_a_step_that_is_unknown_are_said_before_anything_is_written(tmp_path, capsys):
    assert gpu_check.main(["--device", "cuda:99", "--out", str(tmp_path / "new")]) == 2
    assert "'cuda:99' is not there" in capsys.readouterr().err
    assert gpu_check.main(["--only", "stak", "--out", str(tmp_path / "new")]) == 2
    assert "--only stak is unknown: use some of environment, stack" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_the_list_names_every_step(tmp_path, capsys):
    assert gpu_check.main(["--list", "--out", str(tmp_path)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [step.name for step in STEPS]


def test_a_damaged_result_is_none(tmp_path):
    write_result(tmp_path, Result("fine", Outcome("ok", "")))
    file = tmp_path / "results" / "fine.json"
    file.write_text(file.read_text()[:40])
    assert read_result(tmp_path, "fine") is None


@pytest.mark.long
def test_a_command_that_takes_too_long_is_ended():
    code, said = ended(["-c", "import time; print('begun', flush=True); time.sleep(100)"], 2)
    assert (code, said) == (None, "begun\n")


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="as the command that it tries, it is for Linux")
def test_the_whole_command_works_on_a_cpu_in_slices(tmp_path):
    words = ["-m", "tools.gpu_check", "--device", "cpu", "--small", "--out", str(tmp_path), "--minutes", "20"]
    for _ in range(3):
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 75:
            break
    results = {step.name: read_result(tmp_path, step.name) for step in STEPS}
    assert done.returncode == 0, done.stdout + done.stderr
    status = {name: result.outcome.status for name, result in results.items()}
    assert status == dict.fromkeys(status, "ok") | dict.fromkeys(("tests", "bench"), "skipped")
    assert "2 of 2 cells; measured" in results["paper-mnist"].outcome.said
    page = (tmp_path / "README.md").read_text()
    assert "| madry_lenet (width 0.05) | training | 2 |" in page
    with tarfile.open(tmp_path / "gpu-check.tar.gz") as tar:
        assert {"gpu-check/runs/paper-mnist/profiles.csv", "gpu-check/README.md"} <= {*tar.getnames()}
