"""The command line of the empirical half: help, bad usage, quiet and machine-readable output."""

import json

import numpy as np
import pytest

BAD = [
    (["run", "--preset", "mni"], "preset 'mni' is unknown; did you mean 'mini'?"),
    (["run", "--preset", "mini", "--config", "x.toml"], "exclude each other"),
    (["run", "--config", "nowhere.toml"], "nowhere.toml cannot be read"),
    (["run", "--device", "banana"], "device 'banana' is unknown"),
    (["run", "--device", "cuda:7"], "device 'cuda:7' is not there"),
    (["run", "--jobs", "0"], "--jobs"),
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
    assert "1 cells are not finished: the same run command goes on with them" in process.stdout
