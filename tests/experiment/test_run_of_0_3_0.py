"""A run directory that 0.3.0 wrote: the same command trains nothing again, measures anew, and loses nothing."""

import io
import json
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from invrob.cli import main
from invrob.empirical.execution import cell as cells
from invrob.empirical.experiments import read_run
from invrob.empirical.profiles import InvarianceProfile, QuarterTurns, RobustnessProfile, WeakProfile, WorstCaseProfile
from invrob.errors import InputError

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


@pytest.fixture(scope="module")
def continued(tmp_path_factory):
    """The run directory after the same command today, the calls of a training, and the summary."""
    run, trained, printed = tmp_path_factory.mktemp("kept") / "run", [], io.StringIO()
    shutil.copytree(KEPT, run)
    options = ["--config", str(run / "small.toml"), "--out", str(run), "--executor", "inline", "--json"]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        for name in ("train", "train_stack"):
            patch.setattr(cells, name, lambda *_, name=name, **__: trained.append(name))
        patch.setattr(sys, "argv", ["invrob", "empirical", "run", *options])
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 0
    return run, trained, json.loads(printed.getvalue())


def test_the_old_profiles_are_not_taken_for_those_of_today():
    with pytest.raises(InputError, match="holds no finished cell"):
        read_run(KEPT)


@pytest.mark.long
def test_a_finished_run_of_0_3_0_is_measured_again_and_not_trained_again(continued):
    run, trained, summary = continued
    assert trained == []
    assert (summary["computed"], summary["missing_cells"]) == (2, 0)
    before, after = contents(KEPT / "cells"), contents(run / "cells")
    changed = {path for path in before if after.get(path) != before[path]}  # weights and old profiles are not
    assert {path.name for path in changed} == {"costs.json"}
    for path in changed:
        assert json.loads(before[path])["body"]["training"] == json.loads(after[path])["body"]["training"]
    assert len(after) > len(before)


@pytest.mark.long
def test_all_that_is_measured_again_is_read_as_classes(continued):
    run, *_ = continued
    _, results, missing = read_run(run)
    assert (len(results), missing) == (2, 0)
    for result in results:
        assert {name: type(rates) for name, rates in result.variants.items()} == KINDS
        assert (result.quarter_turns is not None) == (result.cell.model == "gcnn")
    assert isinstance(results[0].quarter_turns, QuarterTurns)


@pytest.mark.long
def test_what_is_read_is_what_was_measured(continued):
    run, *_ = continued
    _, results, _ = read_run(run)
    for result in results:
        folder = run / "cells" / result.cell.key
        for measurement in result.cell.profiling.beside.values():
            path = folder / f"profiles-{result.cell.addresses[measurement.name]}.json"
            plain = json.loads(path.read_text())["body"]
            rates = measurement.read(plain)
            assert rates == result.beside[measurement.name]
            assert json.loads(json.dumps(rates.to_dict())) == plain
            assert rates.axis == measurement.axis
            assert tuple(rates.values) == measurement.values
