"""The self-test: every planted fault is caught and every honest model passes; a judge that is broken makes it fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from invrob.cli import main
from invrob.empirical import selftest
from invrob.empirical.attacks import sanity
from invrob.empirical.attacks.faults import TEXTS

REPOSITORY = Path(__file__).resolve().parents[2]


def command():
    """`invrob selftest --quick --json` in a process of its own: (exit code, stdout)."""
    code = "import sys; sys.argv[1:] = ['selftest', '--quick', '--json']; from invrob.cli import main; main()"
    call = [sys.executable, "-c", code]
    ended = subprocess.run(call, capture_output=True, text=True, cwd=REPOSITORY, timeout=120)
    return ended.returncode, ended.stdout


def test_every_fault_is_caught_every_honest_model_passes_and_a_weak_evaluation_is_deceived():
    code, out = command()
    document = json.loads(out)
    assert (code, document["ok"]) == (0, True)
    assert {row["expected"] for row in document["rows"]} == {*TEXTS, None}
    for row in document["rows"]:
        assert row["caught"]
        assert (row["expected"] is None) == (not row["findings"])
    rows = {row["model"]: row for row in document["rows"]}
    assert rows["saturated logits"]["weak"] > rows["saturated logits"]["ours"] + 0.5
    assert rows["quantised input"]["weak"] > 0.8
    assert rows["honest linear model, 10 classes"]["ours"] not in (0, 1)


def broken_finder(model, images, constant):
    return ()


def test_with_a_broken_judge_it_fails(monkeypatch, capsys):
    monkeypatch.setattr(sanity, "findings", broken_finder)
    few = dict(list(selftest.PLANTED.items())[1:3])
    monkeypatch.setattr(selftest, "PLANTED", few)
    monkeypatch.setattr(sys, "argv", ["invrob", "selftest", "--quick"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    out = capsys.readouterr().out
    assert out.count("NO") == 2
    assert max(map(len, out.splitlines())) <= 100
