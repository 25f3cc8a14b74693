"""The command line of the empirical half: help, bad usage, quiet and machine-readable output."""

import csv
import json

import numpy as np
import pytest

from invrob.empirical.execution import cost as plan

pytestmark = pytest.mark.usefixtures("sketched")  # what pictures look like is asked elsewhere
BAD = [
    (["run", "--preset", "mni"], "preset 'mni' is unknown; did you mean 'mini'?"),
    (["run", "--preset", "mini", "--config", "x.toml"], "exclude each other"),
    (["run", "--config", "nowhere.toml"], "nowhere.toml cannot be read"),
    (["run", "--device", "banana"], "device 'banana' is unknown"),
    (["run", "--device", "cuda:7"], "device 'cuda:7' is not there"),
    (["run", "--jobs", "0"], "--jobs"),
    (["run", "--stack", "0"], "--stack"),
    (["run", "--executor", "slurm"], "--executor"),
    (["run", "--executor", "inline", "--jobs", "3"], "--jobs 3 is for --executor local or ray: inline does one cell"),
    (["run", "--address", "auto"], "--address auto is for --executor ray: add it, or leave --address out"),
    (["run", "--executor", "local", "--gpus-per-cell", "0.5"], "--gpus-per-cell 0.5 is for --executor ray"),
    (["run", "--cpus-per-cell", "2"], "--cpus-per-cell 2.0 is for --executor ray"),
    (["run", "--executor", "ray", "--cpus-per-cell", "0"], "--cpus-per-cell"),
    (["run", "--executor", "ray", "--cpus-per-cell", "2.5"], "--cpus-per-cell 2.5 must be a whole number or below 1"),
    (["run", "--executor", "ray", "--gpus-per-cell", "inf"], "--gpus-per-cell inf must be a whole number or below 1"),
    (["run", "--executor", "ray", "--gpus-per-cell", "-1"], "--gpus-per-cell"),
    (["run", "--executor", "ray", "--device", "cuda", "--gpus-per-cell", "0"], "exclude each other: ask for a part"),
    (["run", "--executor", "ray", "--device", "cpu", "--gpus-per-cell", "1"], "exclude each other: leave one out"),
    (["run", "--executor", "ray", "--device", "cuda:1"], "Ray chooses them: use cuda, cpu or auto"),
    (["run", "--retries", "-1"], "--retries"),
    (["run", "--attack", "papre"], "attack 'papre' is unknown; did you mean 'paper'?; choose from paper, softmax"),
    (["run", "--preset", "paper-cifar", "--dry-run", "--device", "cuda:7"], "device 'cuda:7' is not there"),
    (["run", "--seed", "-1"], "--seed"),
    (["figures", "nowhere"], "nowhere holds no run"),
    (["rum"], "No such command"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_usage_exits_with_2_and_one_clear_line(invrob, arguments, said):
    process = invrob("empirical", *arguments)
    assert process.returncode == 2
    assert said in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""


@pytest.mark.long
def test_bad_usage_is_one_line_for_a_process_too(process):
    ended = process("empirical", "run", "--preset", "mni")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: preset 'mni' is unknown")


@pytest.mark.parametrize("arguments", [["run"], ["figures"]])
def test_help_has_examples(invrob, arguments):
    process = invrob("empirical", *arguments, "--help")
    assert process.returncode == 0
    assert "Examples:" in process.stdout


def test_images_that_no_network_takes_are_refused_before_anything_is_written(invrob, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"{s}_images": rng.integers(0, 255, (30, 16, 20)).astype(np.uint8) for s in ("train", "test")}
    arrays |= {f"{s}_labels": np.arange(30) % 3 for s in ("train", "test")}
    np.savez(tmp_path / "wide.npz", **arrays)
    (tmp_path / "wide.toml").write_text(f'dataset = "npz:{tmp_path}/wide.npz"\nmodels = ["stdcnn"]')
    process = invrob("empirical", "run", "--config", tmp_path / "wide.toml", "--out", tmp_path / "out")
    assert process.returncode == 2
    assert "rotations and models need square ones" in process.stderr
    assert not (tmp_path / "out").exists()


def test_quiet_prints_nothing_and_json_prints_one_object(invrob, config, finished):
    quiet = invrob("empirical", "run", "--config", config, "--out", finished, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    drawn = invrob("empirical", "figures", finished, "--json")
    assert drawn.stderr == ""
    assert json.loads(drawn.stdout)["missing_cells"] == 0


def test_the_summary_fits_80_columns_and_names_rates_claims_and_files(invrob, finished):
    process = invrob("empirical", "figures", finished)
    assert process.returncode == 0
    assert max(map(len, process.stdout.split(str(finished))[0].splitlines())) <= 80
    for said in ("inv90", "rob.1", "(i) larger training A", "undecided", "profiles.csv", ".png"):
        assert said in process.stdout


def test_an_unfinished_run_says_how_many_cells_are_missing(invrob, finished):
    next(finished.glob("cells/*/cell.json")).unlink()
    process = invrob("empirical", "figures", finished)
    assert f"1 cell is not finished: `invrob empirical run --out {finished}` goes on with it" in process.stdout


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(invrob, config, tmp_path):
    process = invrob("empirical", "run", "--config", config, "--out", tmp_path / "out", "--dry-run")
    assert (process.returncode, process.stderr) == (0, "")
    assert not (tmp_path / "out").exists()
    *table, then = process.stdout.splitlines()
    assert max(map(len, table)) <= 80
    assert then == f"next: invrob empirical run --config {config} --out {tmp_path / 'out'}"
    said_so = ("stdcnn (width 0.3)", "PFLOP", "Time of one process on cpu", "Model evaluations in millions")
    for said in (*said_so, "workers", "core-hours in all. The longest cell, stdcnn A = ", "do not help"):
        assert said in process.stdout


def test_the_plan_of_a_preset_needs_no_data(invrob, tmp_path, monkeypatch):
    monkeypatch.setenv("INVROB_DATA", str(tmp_path))
    monkeypatch.setattr(plan, "measured_speed", lambda *_: plan.Speed(forward=1e-3, attack=2e-3, training=3e-3))
    process = invrob("empirical", "run", "--preset", "paper-cifar", "--dry-run", "--json", "--device", "cpu")
    assert process.returncode == 0
    assert "cifar10 is not on this disk (invrob data fetch cifar10)" in process.stderr
    rows = {row["network"]: row for row in json.loads(process.stdout)["networks"]}
    assert {name: row["cells"] for name, row in rows.items()} == {
        "vgg16": 7,
        "gcnn_vgg16": 7,
        "madry_resnet": 1,
        "madry_resnet, adversarial": 3,
    }
    assert rows["vgg16"]["work"]["training"] == 7 * 20 * 40_000
    assert rows["gcnn_vgg16"]["flops"] > 3 * rows["vgg16"]["flops"]
    whole = json.loads(process.stdout)
    durations = sorted(one["training"] + one["measuring"] for row in rows.values() for one in row["each"])
    assert [row["workers"] for row in whole["schedules"]] == [1, 8, 64, 512]
    assert whole["schedules"][0]["seconds"] == pytest.approx(3600 * whole["worker_hours"]) == sum(durations)
    assert whole["schedules"][3]["seconds"] == whole["critical_path"]["seconds"] == durations[-1]
    assert whole["critical_path"]["cell"].startswith("madry_resnet A = 0, epsilon = ")
    assert 1 < whole["useful_workers"] <= 18 == len(durations)
    for row in rows.values():
        counts = row["work"]
        assert row["seconds"] == pytest.approx(
            1e-3 * counts["forward"] + 2e-3 * counts["attack"] + 3e-3 * counts["training"]
        )


def test_a_dry_run_leaves_out_what_is_finished_and_is_one_object_as_json(invrob, config, finished):
    command = ["run", "--config", config, "--out", finished, "--dry-run", "--json"]
    left = [json.loads(invrob("empirical", *command).stdout)]
    next(finished.glob("cells/*/cell.json")).unlink()
    left.append(json.loads(invrob("empirical", *command).stdout))
    assert [(plan["finished_cells"], sum(row["cells"] for row in plan["networks"])) for plan in left] == [
        (3, 0),
        (2, 1),
    ]
    (row,) = left[1]["networks"]
    assert row["work"]["training"] == 2 * 216  # two epochs of the images that are not held out
    assert row["evaluations"] == sum(row["work"].values())
    assert left[1]["seconds"] > 0


@pytest.mark.long
def test_other_changes_worst_cases_and_norms_are_measured_beside_a_finished_run(invrob, config, finished):
    more = """
norms = ["l2"]
transformations = ["translation", "vertical-flip"]
worst_case = ["rotation:worst-of-2", "translation:grid"]
values = {translation = [0, 1], l2 = [0, 0.5]}
"""
    assert config.read_text().count("[profiling]") == 1
    longer = config.with_name("more.toml")
    longer.write_text(config.read_text().replace("[profiling]", "[profiling]" + more))
    command = ["empirical", "run", "--config", longer, "--out", finished, "--jobs", "1"]
    summary = json.loads(invrob(*command, "--json").stdout)
    for cell in summary["cells"]:
        grid, average, l2 = (cell["beside"][name] for name in ("translation:grid", "translation", "l2"))
        assert grid["1"]["estimate"] <= average["1"]["estimate"] + 0.1
        assert (list(cell["beside"]["rotation:worst-of-2"]), list(l2)) == (["90", "180"], ["0.5"])
    with (finished / "profiles.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["variant"] not in ("zero fill", "search")]
    counts = {(row["variant"], row["axis"]): 0 for row in rows}
    for row in rows:
        counts[row["variant"], row["axis"]] += 1
        assert row["verdict"] in ("sound", "weak", "masked") if row["variant"] == "l2" else row["verdict"] == "sound"
    assert counts == {
        ("l2", "epsilon"): 3 * 2,
        ("translation", "theta"): 3 * 2,
        ("vertical-flip", "theta"): 3 * 2,
        ("rotation:worst-of-2", "theta"): 3 * 3,
        ("translation:grid", "theta"): 3 * 2,
    }
    again = invrob(*command)
    assert "Other changes, the worst of them, other norms, in %:" in again.stdout
    assert again.stdout.count("rotation:worst-of-2") == 3
    assert "Beside the profiles" not in again.stdout
    assert max(map(len, again.stdout.split(str(finished))[0].splitlines())) <= 80


@pytest.mark.long
def test_a_weak_attack_is_measured_beside_a_finished_run(invrob, config, finished):
    command = ["run", "--config", config, "--out", finished, "--attack", "few-steps", "--jobs", "1"]
    first = json.loads(invrob("empirical", *command, "--json").stdout)
    assert (first["computed"], first["missing_cells"]) == (3, 0)
    for cell in first["cells"]:
        assert set(cell["beside"]) == {"weak:few-steps"}
        assert 0 <= cell["beside"]["weak:few-steps"]["0.1"]["estimate"] <= 1
    assert any("-beside.png" in figure for figure in first["figures"])
    rows = (finished / "profiles.csv").read_text().splitlines()
    assert sum(row.endswith(",weak:few-steps,,,") for row in rows) == 3 * 3
    again = invrob("empirical", *command)
    assert "Beside the profiles" in again.stdout
    assert "weak few-steps" in again.stdout
    assert max(map(len, again.stdout.split(str(finished))[0].splitlines())) <= 80
