"""Sweeps over p and q, and the ranges in which they are written."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from invrob.errors import InputError
from invrob.theory import distance_to_frontier, threshold_rule
from invrob.theory.check import RATES
from invrob.theory.classifiers import LEARNERS
from invrob.theory.sweep import parse_range, sweep


def test_a_range_includes_its_stop_and_does_not_drift():
    assert parse_range("0.5:0.95:0.05") == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    assert parse_range("0.5:0.94:0.05")[-1] == 0.9
    assert parse_range("0.7") == (0.7,)
    assert parse_range("0.7:0.7:1") == (0.7,)


@given(st.integers(500, 990), st.integers(0, 99), st.integers(1, 50))
@settings(deadline=None)
def test_a_range_has_every_step_and_nothing_beyond_its_stop(start, steps, step):
    stop = min(start + steps * step, 999)
    values = parse_range(f"{start / 1000}:{stop / 1000}:{step / 1000}")
    assert values == tuple(value / 1000 for value in range(start, stop + 1, step))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (text, f"--p {text!r} is neither one number nor start:stop:step: write 0.7 or 0.5:0.95:0.05")
            for text in ("", "x", "0.5:0.9", "0.5:0.9:0.1:1", "nan", "0.5:0.9:inf", "a:b:c")
        ),
        ("0.9:0.5:0.1", "--p '0.9:0.5:0.1' must go up: start <= stop and step > 0, as in 0.5:0.95:0.05"),
        ("0.5:0.9:0", "--p '0.5:0.9:0' must go up: start <= stop and step > 0, as in 0.5:0.95:0.05"),
        ("0.5:0.9:1e-9", "--p '0.5:0.9:1e-9' has more than 100 values: take a step of at least 0.00404"),
        ("0.5:0.9:1e-999999", "--p '0.5:0.9:1e-999999' has more than 100 values: take a step of at least 0.00404"),
        (
            "0.5:1:0.1",
            "p = 1.0 is outside [0.5, 1): below 0.5 flip the sign of x_0; at 1 the bound divides by 0, try 0.99",
        ),
    ],
)
def test_a_bad_range_is_refused_with_an_example(text, message):
    with pytest.raises(InputError) as error:
        parse_range(text)
    assert str(error.value) == message


def test_a_sweep_trains_each_learner_at_each_q_for_each_p_and_trades_b_for_a():
    seen = []
    report = sweep((0.6, 0.8), (0.0, 1.0), ("logistic",), d=3, n=4_000, progress=lambda *step: seen.append(step))
    assert report.verdict == "holds"
    assert [one.p for one in report.reports] == [0.6, 0.8]
    for one in report.reports:
        plain, invariant = one.classifiers
        assert (plain.name, invariant.name) == ("logistic:q=0", "logistic:q=1")
        assert plain.a.low > invariant.a.high
        assert plain.b.high < invariant.b.low
        assert one.confidence == pytest.approx(0.995)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1] == ("p = 0.8: sampling", 200, 200)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [one["p"] for one in content["reports"]] == [0.6, 0.8]


@pytest.mark.long
def test_all_intervals_of_a_sweep_cover_the_truth_at_once_at_its_level(monkeypatch):
    """Learners that end at known rules, whatever they are shown: at level 0.7 at most 3 of 10 sweeps miss anywhere."""

    class Known:
        def __init__(self, tau):
            self.tau = tau

        def fit(self, x, y):
            pass

        def predict(self, x):
            return np.where(self.tau * x[:, 0] + (x[:, 1] - x[:, 2]) / math.sqrt(2) >= 0, 1, -1)

    taus = {"logistic": 0.2, "mlp": 1.0, "trees": -1.5}
    for name, tau in taus.items():
        monkeypatch.setitem(LEARNERS, name, lambda seed, tau=tau: Known(tau))
    monkeypatch.setattr("invrob.theory.classifiers.TRAINING_ROWS", 64)
    ps, misses, runs = (0.5, 0.7, 0.9), 0, 40
    exact = [threshold_rule(p, tau, 0.7) for p in ps for tau in taus.values()]
    for seed in range(runs):
        reports = sweep(ps, (0.0,), tuple(taus), d=1, c=0.7, n=200, seed=seed, confidence=0.7).reports
        pairs = zip((result for one in reports for result in one.classifiers), exact, strict=True)
        false = []
        for result, rule in pairs:
            false += [
                not getattr(result, key).low <= getattr(rule, name) <= getattr(result, key).high
                for key, name in RATES.items()
            ]
            distance = distance_to_frontier(rule.p, rule.accuracy, rule.attacked, rule.c)
            false.append(not result.distance.low <= distance <= result.distance.high)
        misses += any(false)
    assert binom.sf(misses - 1, runs, 0.3) > 1e-3


def test_a_sweep_refuses_bad_values_before_it_trains(monkeypatch):
    monkeypatch.setattr("invrob.theory.sweep.train_and_check", None)
    for arguments in ({"ps": (0.7, 1.0)}, {"qs": (2.0,)}, {"learners": ("tree",)}, {"ps": ()}, {"qs": ()}):
        with pytest.raises(InputError):
            sweep(**{"ps": (0.7,), **arguments})
