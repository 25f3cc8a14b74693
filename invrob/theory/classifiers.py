"""Classifiers of Theorem 1's distribution behind one call: x [n, 2d+1] float64 -> y [n] in {-1, +1}.

Closed forms have exact rates. Learned ones (scikit-learn) are trained on their own draws, on a mixture of clean and
attacked samples or with r applied at random: their target is then a point of the exact frontier.

A classifier is written `NAME` or `NAME:key=value`: `sign-x0`, `linear:tau=2`, `logistic:q=0.5`, `mlp:weight=0.9`."""

import math
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invrob.checks import checked_number
from invrob.errors import InputError, did_you_mean
from invrob.theory.distribution import Array, GaussianTradeoff
from invrob.theory.frontier import ExactRates, frontier_point, paper_rule, threshold_rule
from invrob.threads import single_pool

TRAINING_ROWS = 20_000
TRAINING_NUMBERS = 2**24  # rows times width of a training sample: 128 MiB of float64, whatever d is
# Different streams of one seed: nothing is evaluated on what it has seen. They are no one's default_rng(integer)
# either, and so not what sample(n, integer) draws: who trains on that may check with any seed.
TRAINING_STREAM, EVALUATION_STREAM = 2**63 + 1, 2**63 + 2


@dataclass(frozen=True)
class Classifier:
    """A named map from x [n, 2d+1] float64 to y [n] in {-1, +1}; `exact` where its rates are known."""

    name: str
    predict: Callable[[Array], Array]
    exact: ExactRates | None = None

    def __call__(self, x: Array) -> Array:
        return self.predict(x)


@dataclass(frozen=True)
class Spec:
    """What `parse` made of a text: a name from NAMES and the number behind it, `parameter` = `value`."""

    text: str
    name: str
    parameter: str = ""
    value: float = math.nan


def linear(distribution: GaussianTradeoff, tau: float, mirror: bool = False, name: str = "") -> Classifier:
    """sign(tau x_0 + s), or sign(tau x_0 - s) if mirrored, with s = sum_t (x_{2t-1} - x_{2t}) / sqrt(2 d).

    tau: any number but NaN (InputError); inf is sign(x_0), 0 is sign(s). Every frontier point is reached by one."""
    exact = threshold_rule(distribution.p, tau, distribution.c, mirror)
    odd = 1 / math.sqrt(2 * distribution.d) * (-1 if mirror else 1)
    direction = np.tile([odd, -odd], distribution.d)

    def predict(x: NDArray[np.float64]) -> NDArray[np.int64]:
        if math.isinf(tau):
            return _signs(math.copysign(1, tau) * x[:, 0])
        return _signs(tau * x[:, 0] + x[:, 1:] @ direction)

    return Classifier(name or f"linear:tau={tau:g}" + ",mirror" * mirror, predict, exact)


def paper(distribution: GaussianTradeoff) -> Classifier:
    """The paper's f*(x) = sign(x_1 + x_3 + ... + x_{2d-1}), accurate on clean samples and wrong on attacked ones."""
    return Classifier("paper", lambda x: _signs(x[:, 1::2].sum(axis=1)), paper_rule(distribution.c))


def learned(
    distribution: GaussianTradeoff, learner: str, seed: int, *, weight: float = 1.0, q: float | None = None
) -> Classifier:
    """Train `learner` (a name from LEARNERS) on its own draws from `distribution`.

    weight: in [0, 1]; each training row is attacked with probability 1 - weight. q: instead of weight, in [0, 1]; r is
    applied to each training row with probability q, the same law as weight = 1 - q/2. seed: an integer >= 0.
    20,000 rows are drawn, or as many as 2^24 numbers allow (1,677 at d = 5000), so that a large d stays affordable.
    Raises InputError for an unknown learner, numbers outside these ranges, or d so large that 64 rows are too many."""
    if learner not in LEARNERS:
        raise InputError(f"learner {learner!r} is unknown: choose one of {', '.join(LEARNERS)}")
    rows = min(TRAINING_ROWS, TRAINING_NUMBERS // (2 * distribution.d + 1))
    if rows < 64:
        raise InputError(f"d = {distribution.d} is too large for {learner} to learn from: take d of at most 130,000")
    rng = np.random.default_rng([TRAINING_STREAM, seed])
    x, y = distribution.sample(rows, rng)
    if q is None:
        flipped = rng.random(rows) >= checked_number("weight", weight, _is_share, "[0, 1]")
        x[flipped] = distribution.attacked(x[flipped], y[flipped])
    else:
        flipped = (rng.random(rows) < checked_number("q", q, _is_share, "[0, 1]")) & (rng.random(rows) < 0.5)
        x = distribution.swapped(x, flipped)
    model = LEARNERS[learner](int(rng.integers(2**31)))
    with warnings.catch_warnings(), single_pool(), _global_randomness_kept():
        warnings.simplefilter("ignore")  # not converged: what it has learned by then is measured, not assumed
        model.fit(x, y)
    return Classifier(f"{learner}:weight={weight:g}" if q is None else f"{learner}:q={q:g}", model.predict)


@contextmanager
def _global_randomness_kept() -> Iterator[None]:
    """The random state of Python and of numpy is afterwards as it was: importing scikit-learn moves Python's."""
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 - to give it back
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002


@_global_randomness_kept()
def _logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, random_state=seed)


@_global_randomness_kept()
def _mlp(seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((16,), early_stopping=True, n_iter_no_change=3, max_iter=50, random_state=seed)


@_global_randomness_kept()
def _trees(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.3, max_depth=2, max_bins=31, early_stopping=False, random_state=seed
    )


LEARNERS: dict[str, Callable[[int], Any]] = {"logistic": _logistic, "mlp": _mlp, "trees": _trees}

# Name -> the parameters that may follow it.
NAMES: dict[str, tuple[str, ...]] = {
    "sign-x0": (),
    "bayes-clean": (),
    "bayes-attacked": (),
    "paper": (),
    "linear": ("tau",),
    **dict.fromkeys(LEARNERS, ("weight", "q")),
}

# The linear rule at tau = 4 lies half-way on the frontier for c = 3; q = 0.5 learns a compromise, q = 1 is r itself.
DEFAULT = (
    *("sign-x0", "bayes-clean", "bayes-attacked", "paper", "linear:tau=4"),
    *LEARNERS,
    *(f"{learner}:q=0.5" for learner in LEARNERS),
)


def parse(text: str) -> Spec:
    """`NAME` or `NAME:key=value` as a Spec; InputError, with the nearest name, for anything else."""
    name, colon, rest = text.partition(":")
    if name not in NAMES:
        raise InputError(
            f"classifier {name!r} is unknown{did_you_mean(name, NAMES)} (there are {', '.join(NAMES)}; "
            "linear takes :tau=T, the last three take :weight=W or :q=Q)"
        )
    if not colon:
        if name == "linear":
            raise InputError("classifier 'linear' needs its threshold: write linear:tau=2 (inf is sign(x_0))")
        return Spec(text, name)
    parameter, _, number = rest.partition("=")
    if parameter not in NAMES[name]:
        allowed = " or ".join(f"{name}:{key}=NUMBER" for key in NAMES[name]) or name
        raise InputError(f"classifier {text!r} has no parameter {parameter!r}: write {allowed}")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (value == value if parameter == "tau" else _is_share(value)):
        allowed = "a number or inf" if parameter == "tau" else "a number in [0, 1]"
        raise InputError(f"classifier {text!r} has {parameter} = {number!r}, which must be {allowed}")
    return Spec(text, name, parameter, value)


def build(spec: Spec, distribution: GaussianTradeoff, seed: int) -> Classifier:
    """The classifier that `spec` means on `distribution`, named spec.text; trains it if it is one that learns."""
    p, c = distribution.p, distribution.c
    if spec.name in LEARNERS:
        options = {spec.parameter: spec.value} if spec.parameter else {}
        trained = learned(distribution, spec.name, seed, **options)
        return Classifier(spec.text, trained.predict)
    if spec.name == "paper":
        return paper(distribution)
    if spec.name == "linear":
        return linear(distribution, spec.value, name=spec.text)
    if spec.name == "sign-x0":
        return linear(distribution, math.inf, name=spec.text)
    point = frontier_point(p, 1.0 if spec.name == "bayes-clean" else 0.0, c)
    return linear(distribution, point.tau, point.mirror, name=spec.text)


def _is_share(value: float) -> bool:
    return 0 <= value <= 1


def _signs(score: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.where(score >= 0, 1, -1)
