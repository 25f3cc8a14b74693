"""The self-test: every planted fault is caught and every honest model passes; a judge that is broken makes it fail."""

import json
import sys

import pytest
import torch

from invrob.cli import main
from invrob.empirical import selftest
from invrob.empirical.attacks import TEXTS, sanity


@pytest.fixture
def command(monkeypatch, capsys):
    """`invrob selftest --quick` and further options: (exit code, stdout)."""

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["invrob", "selftest", "--quick", *options])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().out

    return run


def test_every_fault_is_caught_every_honest_model_passes_and_a_weak_evaluation_is_deceived(command):
    code, out = command("--json")
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


def test_the_self_test_runs_on_one_thread(monkeypatch, command):
    seen, threads = [], torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(selftest, "rows", lambda quick: seen.append(torch.get_num_threads()) or iter(()))
    try:
        command()
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(threads)


def test_with_a_broken_judge_it_fails(monkeypatch, command):
    monkeypatch.setattr(sanity, "findings", lambda model, images, constant: ())
    monkeypatch.setattr(selftest, "PLANTED", dict(list(selftest.PLANTED.items())[1:3]))
    code, out = command()
    assert code == 1
    assert out.count("NO") == 2
    assert max(map(len, out.splitlines())) <= 100
