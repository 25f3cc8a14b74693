"""Classifiers behind one call: closed forms do what their names say, learned ones come near the frontier."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.errors import InputError
from invrob.theory import GaussianTradeoff, frontier_point
from invrob.theory.check import check
from invrob.theory.classifiers import (
    DEFAULT,
    EVALUATION_STREAM,
    LEARNERS,
    NAMES,
    TRAINING_STREAM,
    build,
    learned,
    linear,
    paper,
    parse,
)

ROOT = Path(__file__).resolve().parents[2]
G = GaussianTradeoff(0.7, 6, c=1.0)


def densities_choose(g, x, weight):
    """The Bayes decision for weight clean + (1 - weight) attacked, from the 2d+1 densities: nothing about s or tau."""
    signs = np.tile([1, -1], g.d) * g.c / math.sqrt(g.d)

    def log_pairs(sign):
        return -((x[:, 1:] - sign * signs) ** 2).sum(1) / 2

    with np.errstate(divide="ignore"):
        mixed = {
            y: np.logaddexp(np.log(weight) + log_pairs(y), np.log(1 - weight) + log_pairs(-y))
            + np.log(np.where(x[:, 0] == y, g.p, 1 - g.p))
            for y in (1, -1)
        }
    return np.where(mixed[1] >= mixed[-1], 1, -1)


@given(st.floats(0.55, 0.99), st.floats(0, 1), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_the_linear_rule_of_a_frontier_point_is_the_bayes_decision_of_the_full_densities(p, weight, seed):
    g = GaussianTradeoff(p, 4, c=0.8)
    point = frontier_point(p, weight, g.c)
    x, _ = g.sample(200, seed)
    assert (linear(g, point.tau, point.mirror)(x) == densities_choose(g, x, weight)).all()


def test_the_named_rules_are_what_they_are_called():
    x, _ = G.sample(500, 0)
    rules = {name: build(parse(name), G, 0) for name in ("sign-x0", "bayes-clean", "bayes-attacked", "paper")}
    assert (rules["sign-x0"](x) == x[:, 0]).all()
    assert (rules["bayes-clean"](x) == densities_choose(G, x, 1)).all()
    assert (rules["bayes-attacked"](x) == densities_choose(G, x, 0)).all()
    assert (rules["paper"](x) == np.sign(x[:, 1::2].sum(1))).all()
    assert (build(parse("linear:tau=-inf"), G, 0)(x) == -x[:, 0]).all()
    assert {name: rule.name for name, rule in rules.items()} == {name: name for name in rules}


@given(st.floats(-20, 20), st.booleans(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_the_linear_rule_says_x0_unless_s_crosses_the_threshold(tau, mirror, seed):
    x, _ = G.sample(50, seed)
    s = (x[:, 1::2] - x[:, 2::2]).sum(1) / math.sqrt(2 * G.d) * (-1 if mirror else 1)
    expected = np.where(x[:, 0] == 1, np.where(s >= -tau, 1, -1), np.where(s <= tau, -1, 1))
    assert (linear(G, tau, mirror)(x) == expected).all()


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_same_seed_trains_the_same_classifier_and_global_randomness_is_untouched(learner):
    g, before = GaussianTradeoff(0.7, 3), np.random.get_state()[1].copy()  # noqa: NPY002
    x, _ = g.sample(2_000, 9)
    first, again = (learned(g, learner, 4, q=0.6)(x) for _ in range(2))
    assert (first == again).all()
    assert set(first.tolist()) <= {-1, 1}
    assert (first != learned(g, learner, 5, q=0.6)(x)).any()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(("option", "value"), [("weight", 1.0), ("weight", 0.0), ("q", 0.5)])
def test_a_learned_classifier_comes_near_the_frontier_and_is_not_beyond_it(learner, option, value):
    g = GaussianTradeoff(0.7, 5)
    (result,) = check(g, [learned(g, learner, 0, **{option: value})], 10_000, 1).classifiers
    assert result.distance.low < 0.02
    assert result.distance.high >= 0
    assert result.verdict == "holds"


def test_training_on_attacked_samples_teaches_their_law_and_on_r_the_corner():
    g, n = GaussianTradeoff(0.8, 5), 10_000
    x, y = g.sample(n, 3)
    attacked = g.attack(x, y)
    assert (learned(g, "logistic", 0, weight=1.0)(x) == y).mean() > 0.99
    assert (learned(g, "logistic", 0, weight=0.0)(attacked) == y).mean() > 0.99
    invariant = learned(g, "logistic", 0, q=1.0)
    assert (invariant(x) == x[:, 0]).mean() > 0.99


def test_training_and_evaluation_draw_from_different_streams():
    assert TRAINING_STREAM != EVALUATION_STREAM
    x, _ = G.sample(5, np.random.default_rng([TRAINING_STREAM, 0]))
    z, _ = G.sample(5, np.random.default_rng([EVALUATION_STREAM, 0]))
    assert not np.isin(x[:, 1:], z[:, 1:]).any()


def test_no_sample_of_an_integer_seed_is_what_a_classifier_is_trained_or_evaluated_on(monkeypatch):
    seen = []

    class Spy:
        def fit(self, x, y):
            seen.append(x)

        def predict(self, x):
            seen.append(x)
            return np.ones(len(x))

    monkeypatch.setitem(LEARNERS, "trees", lambda seed: Spy())
    for seed in (0, 1, 5):
        check(G, [learned(G, "trees", seed)], 50, seed)
    numbers = np.unique(np.concatenate([x[:, 1:].ravel() for x in seen]))
    for seed in [*range(20), 2**32, 2**33 + 1, 2**64 + 1]:
        x, _ = G.sample(50, seed)
        assert not np.isin(x[:, 1:], numbers).any()


@pytest.mark.long
@pytest.mark.parametrize("learner", LEARNERS)
def test_training_leaves_the_random_state_of_python_and_numpy_as_it_was_in_a_fresh_process(learner):
    """In a fresh process, as it is the first import of scikit-learn that moves Python's."""
    code = (
        "import random, sys\n"
        "import numpy as np\n"
        "from invrob.theory import GaussianTradeoff\n"
        "from invrob.theory.classifiers import LEARNERS, learned\n"
        "random.seed(1), np.random.seed(1)\n"
        "before = random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2:]\n"
        "def now(): return random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2:]\n"
        f"LEARNERS[{learner!r}](0)\n"
        "print('sklearn' in sys.modules, now() == before)\n"
        f"learned(GaussianTradeoff(0.7, 1), {learner!r}, 0)\n"
        "print(now() == before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


def test_every_default_is_parsed_and_every_name_is_built():
    g = GaussianTradeoff(0.7, 1)
    assert [parse(text).text for text in DEFAULT] == list(DEFAULT)
    x, _ = g.sample(20, 0)
    for name in NAMES:
        assert build(parse("linear:tau=1" if name == "linear" else name), g, 0)(x).shape == (20,)
    assert paper(g).exact is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "mpl",
            "classifier 'mpl' is unknown; did you mean 'mlp'? (there are sign-x0, bayes-clean, bayes-attacked, paper, "
            "linear, logistic, mlp, trees; linear takes :tau=T, the last three take :weight=W or :q=Q)",
        ),
        ("linear", "classifier 'linear' needs its threshold: write linear:tau=2 (inf is sign(x_0))"),
        ("linear:tau=nan", "classifier 'linear:tau=nan' has tau = 'nan', which must be a number or inf"),
        ("linear:tau=", "classifier 'linear:tau=' has tau = '', which must be a number or inf"),
        ("mlp:q=1.5", "classifier 'mlp:q=1.5' has q = '1.5', which must be a number in [0, 1]"),
        ("mlp:qq=1", "classifier 'mlp:qq=1' has no parameter 'qq': write mlp:weight=NUMBER or mlp:q=NUMBER"),
        ("paper:q=1", "classifier 'paper:q=1' has no parameter 'q': write paper"),
    ],
)
def test_a_classifier_that_does_not_exist_is_refused_with_the_way_out(text, message):
    with pytest.raises(InputError) as error:
        parse(text)
    assert str(error.value) == message


def test_learning_refuses_what_it_cannot_do():
    with pytest.raises(InputError, match=r"^learner 'tree' is unknown: choose one of logistic, mlp, trees$"):
        learned(G, "tree", 0)
    with pytest.raises(InputError, match=r"^weight = 2 is outside \[0, 1\]$"):
        learned(G, "mlp", 0, weight=2)
    with pytest.raises(InputError, match="d = 1000000 is too large for mlp to learn from: take d of at most 130,000"):
        learned(GaussianTradeoff(0.7, 1_000_000), "mlp", 0)
