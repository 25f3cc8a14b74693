"""A run directory that 0.3.0 wrote: the same command computes nothing again, and all of its results are read."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from invrob.cli import main
from invrob.empirical.execution import cell as cells
from invrob.empirical.experiments import read_run
from invrob.empirical.profiles import InvarianceProfile, QuarterTurns, RobustnessProfile, WeakProfile, WorstCaseProfile

KEPT = Path(__file__).resolve().parents[1] / "golden" / "run-0.3.0"
KINDS = {
    "zero fill": InvarianceProfile,
    "search": RobustnessProfile,
    "disc": InvarianceProfile,
    "weak:few-steps": WeakProfile,
    "l2": RobustnessProfile,
    "translation": InvarianceProfile,
    "rotation:worst-of-2": WorstCaseProfile,
}


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_of_0_3_0_is_not_computed_again(tmp_path, monkeypatch, capsys):
    for name in ("train", "train_stack", "measured"):
        monkeypatch.setattr(cells, name, lambda *_, name=name, **__: pytest.fail(f"{name} was called"))
    run = tmp_path / "run"
    shutil.copytree(KEPT, run)
    options = ["--config", str(KEPT / "small.toml"), "--out", str(run), "--executor", "inline", "--json"]
    monkeypatch.setattr(sys, "argv", ["invrob", "empirical", "run", *options])
    with pytest.raises(SystemExit) as end:
        main()
    summary = json.loads(capsys.readouterr().out)
    assert (end.value.code, summary["computed"], summary["missing_cells"]) == (0, 0, 0)
    before, after = contents(KEPT), contents(run)
    assert {path for path in before if after[path] != before[path]} == set()  # profiles.csv among them


def test_all_results_of_0_3_0_are_read_as_classes():
    _, results, missing = read_run(KEPT)
    assert (len(results), missing) == (2, 0)
    for result in results:
        assert {name: type(rates) for name, rates in result.variants.items()} == KINDS
        assert (result.quarter_turns is not None) == (result.cell.model == "gcnn")
    assert isinstance(results[0].quarter_turns, QuarterTurns)


def test_what_is_read_is_what_0_3_0_measured():
    _, results, _ = read_run(KEPT)
    for result in results:
        folder = KEPT / "cells" / result.cell.key
        for measurement in result.cell.profiling.beside.values():
            path = folder / f"profiles-{result.cell.addresses[measurement.name]}.json"
            plain = json.loads(path.read_text())["body"]
            rates = measurement.read(plain)
            assert rates == result.beside[measurement.name]
            assert json.loads(json.dumps(rates.to_dict())) == plain
            assert rates.axis == measurement.axis
            assert tuple(rates.values) == measurement.values
