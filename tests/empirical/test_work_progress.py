"""`progress`: a bar of tqdm or a callable is told how far the work has come; nothing else changes, nothing stays."""

import io
import threading

import pytest
import torch
from torch import nn

import invrob
from invrob import InputError
from invrob.progress import reported
from invrob.theory import GaussianTradeoff
from invrob.theory.check import train_and_check
from invrob.theory.classifiers import parse
from invrob.theory.sweep import sweep

IMAGES = torch.rand((6, 1, 6, 6), generator=torch.Generator().manual_seed(0))
MODEL = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
FEW = {"epsilons": [0, 0.05], "attack": invrob.PGD(2, 1), "audit": 0}
CALLS = {
    "robustness": lambda model, **how: invrob.robustness_profile(model, IMAGES, **FEW, **how),
    "weak": lambda model, **how: invrob.robustness_profile(model, IMAGES, [0, 0.05], attack="weak", **how),
    "black-box": lambda model, **how: invrob.black_box_profile(
        model, IMAGES, [0, 0.05], attack=invrob.Square(5), **how
    ),
    "invariance": lambda model, **how: invrob.invariance_profile(model, IMAGES, [0, 90], **how),
    "worst case": lambda model, **how: invrob.worst_case_profile(
        model, IMAGES, [0, 90], against=invrob.WorstOf(2), **how
    ),
    "card": lambda model, **how: invrob.tradeoff(
        model, IMAGES, epsilons=[0, 0.05], thetas=[0, 90], attack=invrob.PGD(2, 1), **how
    ),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@every_call
def test_a_bar_changes_no_bit_and_goes_to_stderr_alone(call, capsys):
    silent = call(MODEL)
    assert capsys.readouterr() == ("", "")
    shown = call(MODEL, progress=True)
    out, err = capsys.readouterr()
    assert shown == silent
    assert out == ""
    assert "100%" in err
    assert err.endswith("\n")  # so the bar is closed


@every_call
def test_a_callable_is_told_what_is_at_work_and_at_the_end_that_all_is_done(call):
    told = []
    call(MODEL, progress=lambda *event: told.append(event))
    assert len(told) > 1
    assert all(isinstance(what, str) and what and 0 <= done <= total for what, done, total in told)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == told[-1][2] > 0


def test_a_card_has_one_bar_for_both_profiles():
    told = []
    CALLS["card"](MODEL, progress=lambda *event: told.append(event))
    assert list(dict.fromkeys(what for what, _, _ in told)) == ["invariance", "robustness"]
    assert told[0][2] > told[0][1] > 0


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_a_model_raises_closes_the_bar(error, capsys):
    calls = []

    def failing(images):
        calls.append(images)
        if len(calls) > 2:
            raise error("enough")
        return MODEL(images)

    threads = threading.active_count()
    with pytest.raises(error):
        invrob.invariance_profile(failing, IMAGES, [0, 30, 60, 90, 180], progress=True)
    err = capsys.readouterr().err
    assert err.endswith("\n")
    assert "100%" not in err
    assert threading.active_count() <= threads + 1  # of tqdm, which looks after all its bars


def test_what_is_neither_yes_nor_no_nor_callable_is_refused():
    with pytest.raises(InputError, match=r"^progress = 'yes' must be True for a bar, or False$"):
        invrob.robustness_profile(MODEL, IMAGES, **FEW, progress="yes")


def test_a_bar_that_ends_earlier_than_foreseen_is_full_and_one_that_grows_never_falls(monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    with reported(True, "begins") as show:
        show("first", 5, 10)
        show("second", 12, 11)
        show("second", 12, 40)
    lines = stderr.getvalue().replace("\r", "\n").split("\n")
    assert lines[1].startswith("begins:   0%")
    assert lines[-2].startswith("second: 100%")


def test_images_that_are_read_are_counted_and_the_same():
    source, told = [(torch.rand(1, 4, 4), k % 2) for k in range(5)], []
    silent = invrob.images_of(source, 3)
    shown = invrob.images_of(source, 3, progress=lambda *event: told.append(event))
    assert all(map(torch.equal, shown, silent))
    assert told == [("reading images", number, 3) for number in (1, 2, 3)]
    invrob.images_of(iter(source), progress=lambda *event: told.append(event))
    assert told[-1] == ("reading images", 5, 5)


def test_checks_and_sweeps_of_the_theory_tell_how_far_they_are_and_change_no_bit():
    told = []
    distribution, specs = GaussianTradeoff(0.7, 5), [parse("sign-x0"), parse("paper")]
    silent = train_and_check(distribution, specs, 100, 0)
    assert train_and_check(distribution, specs, 100, 0, progress=lambda *event: told.append(event)) == silent
    assert [what for what, _, _ in told] == ["preparing sign-x0", "preparing paper", "sampling"]
    assert told[-1][1:] == (100, 100)
    told.clear()
    sweep([0.6, 0.7], [0.0], ["logistic"], d=2, n=50, progress=lambda *event: told.append(event))
    assert told[-1] == ("p = 0.7: sampling", 200, 200)
