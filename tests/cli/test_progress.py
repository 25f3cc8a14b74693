"""The progress bar of all commands: on a terminal alone, with the time left, whatever the texts are."""

import pytest
from planted import cell

from invrob.empirical.execution import CellProgress
from invrob.progress import progress_bar


@pytest.fixture
def terminal(monkeypatch):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_the_work_the_elapsed_and_the_remaining_time_are_shown(capsys):
    with progress_bar(hidden=False) as show:
        show("first [of] two", 1, 4)
        show("second [/] two", 2, 4)
    out, err = capsys.readouterr()
    assert out == ""
    assert "ETA" in err
    assert "0:00:0" in err
    assert "second [/] two" in err


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("done", [1, 6], ids=["early", "measured"])
def test_the_bar_is_there_at_once_and_an_expected_time_left_is_called_an_estimate_until_one_is_measured(capsys, done):
    with progress_bar(False, "loading PyTorch") as show:
        show.bar.refresh()
        show.expect(3600, 0.5)
        for step in range(done + 1):
            show("cells", step, 10)
    _, err = capsys.readouterr()
    assert "loading PyTorch" in err
    last = err.rpartition("ETA")[2]
    assert ("(estimate)" in last) == (done == 1)
    assert ("0:59:" in last or "1:00:00" in last) == (done == 1)


def test_where_there_is_no_terminal_nothing_is_shown(capsys):
    with progress_bar(hidden=False) as show:
        show("work", 1, 4)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("terminal")
def test_what_is_hidden_is_not_shown_on_a_terminal_either(capsys):
    with progress_bar(hidden=True) as show:
        show("work", 1, 4)
    assert capsys.readouterr() == ("", "")


def test_a_run_shows_the_finished_cells_those_at_work_and_the_share_of_the_work_that_is_done(capsys):
    first, second = cell(seed=0), cell(seed=1)
    shows = []
    progress = CellProgress(lambda *event: shows.append(event), False, 5, 3, {first.key: 10.0, second.key: 30.0})
    progress.started(first)
    progress.started(second)
    progress.advanced(second, 0.5)
    progress.finished(first)
    progress.failed(second, "its loss became nan")
    assert shows == [
        (f"3/5 cells | {first}", 0, 40),
        (f"3/5 cells | {first} | {second}", 0, 40),
        (f"3/5 cells | {first} | {second}", 15, 40),
        (f"4/5 cells | {second}", 25, 40),
        ("4/5 cells", 25, 40),
    ]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["3 of 5 cells were finished before", f"{second} failed: its loss became nan"]
