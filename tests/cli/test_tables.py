"""Tables for people: names whole, rows on one line, on a narrow terminal and in a pipe."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from invrob.commands.planning import print_plan
from invrob.commands.summary import print_costs, print_results
from invrob.commands.tables import Table, print_text
from invrob.empirical.analysis import check_claims
from invrob.empirical.execution import NetworkPlan, Spent
from invrob.empirical.execution.cost import ExpectedCell
from invrob.empirical.profiles import Work
from invrob.empirical.study import Study

LONG = "my_company.research.networks.equivariant:build_the_large_network"
ROOT = Path(__file__).resolve().parents[2]
words = st.text("abcxyz0123456789.-", min_size=1, max_size=12)


@given(st.data(), st.integers(1, 3), st.integers(1, 6), st.integers(20, 90))
def test_no_cell_is_lost_or_cut_and_only_single_cells_make_a_line_longer_than_the_terminal(data, keys, others, width):
    headings = [f"h{number}" for number in range(keys + others)]
    rows = data.draw(st.lists(st.tuples(*[words] * (keys + others)), min_size=1, max_size=5))
    table = Table(headings, keys, rows)
    whole = table.lines()
    assert [line.split() for line in whole] == [headings, *map(list, rows)]
    narrow = table.lines(width)
    assert {word for line in narrow for word in line.split()} >= {word for row in rows for word in row}
    widest = [max(len(row[column]) for row in [headings, *rows]) for column in range(keys + others)]
    necessary = sum(widest[1:keys]) + 2 * keys + max(widest[keys:])
    assert max(map(len, narrow)) <= max(width, necessary, widest[0])


@pytest.fixture
def printed(monkeypatch, capsys):
    """What `call` prints: by width of the terminal, or in a pipe."""

    def run(call, columns):
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", str(columns))
        call()
        return capsys.readouterr().out

    return run


def shown(call, printed):
    """Both, with what holds for all tables of a command held against them."""
    narrow, pipe = printed(call, 80), printed(call, None)
    for text in (narrow, pipe):
        assert "\u2026" not in text
        assert LONG in text
        assert all(line == line.rstrip() for line in text.splitlines())
    assert max(map(len, narrow.splitlines())) <= 80
    return narrow, pipe


def test_results_of_a_network_with_a_long_name_keep_it_and_their_rows(printed):
    robust = planted.robustness(missed=0.05)
    results = [planted.result(model=LONG, rotation=30 * i, seed=s, robustness=robust) for i in range(3) for s in (0, 1)]
    narrow, pipe = shown(lambda: print_results(results, check_claims(results)), printed)
    rows = [line for line in pipe.splitlines() if line.startswith(LONG)]
    assert len(rows) == 6
    assert all(row.endswith("sound") for row in rows)
    assert len(re.findall(r"^ +\d+ +0 +[01] .*sound$", narrow, re.MULTILINE)) == 6
    assert re.search(rf"^        {LONG}:\n          \w+  \S+ points \[.*\], p = \S+$", narrow, re.MULTILINE)
    assert re.search(rf"^ +{LONG}: \w+  \S+ points \[.*\], p = \S+$", pipe, re.MULTILINE)


def test_p_values_of_claims_are_written_as_people_write_them_in_the_terminal_and_in_python(printed):
    results = [planted.result(rotation=a) for a in (0, 180)]
    claims = [
        replace(one, effect=0.1, low=0.0, high=0.2, p_holm=p) for one in check_claims(results) for p in (4e-20, 0.0346)
    ]
    told = printed(lambda: print_results(results, claims), None)
    assert told.count(" points [+0.0, +20.0], p < 0.001\n") == told.count(", p = 0.035\n") == len(claims) / 2
    screen = repr(Study(tuple(results), tuple(claims), ()))
    assert screen.count(" < 0.001\n") + screen.count(" 0.035\n") == 8
    assert "e-20" not in told + screen


def test_plans_and_costs_of_a_network_with_a_long_name_keep_it_and_their_rows(printed):
    work = Work(forward=1e6, attack=2e9, training=3e6)
    row = NetworkPlan(f"{LONG}, adversarial", work, 1e15, (ExpectedCell(f"{LONG} A = 0, seed 0", 1e3, 1e4),))
    narrow, pipe = shown(lambda: print_plan([row], 1, "cpu", 2, False), printed)
    assert re.search(r"^ +1 +1.0 +2,000.0 +3.0 +1.00 +3.1 h$", narrow, re.MULTILINE)
    assert re.search(rf"^{LONG}, adversarial +1 +1.0 +2,000.0 +3.0 +1.00 +3.1 h$", pipe, re.MULTILINE)
    cost = Spent(LONG, "rotation:worst-of-10", 3, 1e4, 1e15)
    narrow, pipe = shown(lambda: print_costs([cost], 1e12, "cpu"), printed)
    assert re.search(r"^ +rotation:worst-of-10 +3 .* 10%$", narrow, re.MULTILINE)
    assert re.search(rf"^{LONG} +rotation:worst-of-10 +3 .* 10%$", pipe, re.MULTILINE)


def test_sentences_are_wrapped_between_words_on_a_terminal_and_whole_in_a_pipe(printed):
    sentence = "  a sentence of many words: " + "word " * 30 + "/a/path/" + "x" * 90
    narrow = printed(lambda: print_text(Console(), sentence), 80)
    assert [line[:2] for line in narrow.splitlines()] == ["  "] * len(narrow.splitlines())
    assert narrow.split() == sentence.split()
    assert max(len(line) for line in narrow.splitlines()[:-1]) <= 80
    assert printed(lambda: print_text(Console(), sentence), None) == sentence + "\n"


@pytest.mark.long
@pytest.mark.parametrize("columns", ["80", None], ids=["80 columns", "pipe"])
def test_a_profile_of_a_model_with_a_long_path_fits_and_ends_with_a_command(tmp_path, columns):
    folder = tmp_path / "models of the project" / "networks with names that say what they are"
    folder.mkdir(parents=True)
    (folder / "net.py").write_text(
        "from torch import nn\n\n\ndef build(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, num_classes))\n"
    )
    spec = f"{folder.relative_to(tmp_path)}/net.py:build"
    assert len(spec) > 60
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    few = ("--images", "6", "--epsilons", "0,0.1", "--thetas", "0,90", "--audit", "0", "--steps", "1", "--per-class")
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "profile", spec, "--data", "mnist-mini", *few, "--out", "my profile"],
        cwd=tmp_path,
        env=environment | ({"COLUMNS": columns} if columns else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, last = done.stdout.splitlines()
    assert last == "next: invrob report 'my profile'"
    assert "\u2026" not in done.stdout
    assert spec in " ".join(done.stdout.split())
    if columns:
        assert max(len(line) for line in lines if not line.startswith("written: ")) <= 80
    else:
        assert f"{spec} (Python) on 6 test images of mnist-mini" in lines
