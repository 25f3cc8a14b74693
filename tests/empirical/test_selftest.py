"""The self-test: every planted fault is caught and every honest model passes; a judge that is broken makes it fail."""

import json
import re
import sys

import pytest
import torch

from invrob.cli import main
from invrob.empirical import data, selftest
from invrob.empirical.attacks import TEXTS, sanity
from invrob.empirical.profiles import by_gradients, robustness_profile


@pytest.fixture
def command(monkeypatch, capsys):
    """`invrob selftest --quick` and further options: (exit code, stdout)."""

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["invrob", "selftest", "--quick", *options])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    "planted",
    [pytest.param(planted, marks=pytest.mark.long) for planted in ({"saturated logits", "quantised input"}, {*TEXTS})],
    ids=["2", "all"],
)
def test_every_fault_is_caught_every_honest_model_passes_and_a_weak_evaluation_is_deceived(
    command, monkeypatch, planted
):
    some = {key: plant for key, plant in selftest.PLANTED.items() if key[0] in planted}
    monkeypatch.setattr(selftest, "PLANTED", some)
    code, out = command("--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (0, True)
    assert {row["expected"] for row in document["rows"]} == {*planted, None}
    for row in document["rows"]:
        assert row["caught"]
        assert (row["expected"] is None) == (not row["findings"])
    rows = {row["model"]: row for row in document["rows"]}
    assert rows["saturated logits"]["weak"] > rows["saturated logits"]["ours"] + 0.5
    assert rows["quantised input"]["weak"] > 0.8
    assert rows["honest linear model, 10 classes"]["ours"] not in (0, 1)
    trapdoor, decoy = rows["quantised input, with a trapdoor"], rows["honest network, with a decoy"]
    assert (trapdoor["ours"], trapdoor["verdict"]) == (1.0, "masked")  # the search and its audit found nothing
    assert decoy["weak"] > decoy["ours"] + 0.05


def test_the_self_test_runs_on_one_thread(monkeypatch, command):
    seen, threads = [], torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(selftest, "rows", lambda quick: seen.append(torch.get_num_threads()) or iter(()))
    try:
        command()
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.long
def test_with_a_broken_judge_it_fails(monkeypatch, command):
    monkeypatch.setattr(sanity, "findings", lambda model, images, constant: ())
    monkeypatch.setattr(selftest, "PLANTED", dict(list(selftest.PLANTED.items())[1:3]))
    code, out = command()
    assert code == 1
    table, _, below = out.partition("\n\n")
    assert table.count("MISSED") == 3  # those two, and the trapdoor
    assert "0 of 3 planted faults are caught, and 4 of 4 honest networks believed: " in " ".join(below.split())
    assert below.endswith("next: invrob selftest --json\n")
    assert max(map(len, table.splitlines())) <= 80
    assert not re.search("honest.*caught", table)


def test_without_attacks_on_other_classes_the_decoy_is_not_called_sound(monkeypatch):
    def nobody(search, *arguments):
        return torch.zeros(0, dtype=torch.int64)

    images = data.load("mnist-mini").test.images[:16].double()
    monkeypatch.setattr(by_gradients, "aim_where_it_helps", nobody)
    monkeypatch.setattr(by_gradients, "strengthen", lambda *arguments: True)
    profile = robustness_profile(selftest.decoy, images, selftest.EPSILONS)
    assert profile.missed.max() > 1  # the audit aims at every class
