"""Does any classifier break the bounds of Theorem 1? Estimates on fresh samples, with intervals that hold jointly.

Each draw gives X, r(X) and X + A(X) at once, so the rates are paired. A violation is declared only when the lower
confidence limit of a left side exceeds its right side: `holds` means that the sample does not contradict a bound (a
bound that is reached, as sign(x_0) does, can never be told from above)."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from invrob.checks import checked_count, checked_number
from invrob.errors import InputError
from invrob.intervals import Estimate, clopper_pearson
from invrob.progress import Progress, Show, reported
from invrob.records import Record
from invrob.shown import Shown, Summary
from invrob.theory.classifiers import EVALUATION_STREAM, Classifier, Spec, build
from invrob.theory.distribution import COIN_STREAM, Array, GaussianTradeoff, tagged_stream
from invrob.theory.frontier import ExactRates, ThresholdRule, distance_to_frontier, inequalities
from invrob.theory.reachable import can_be_reached
from invrob.theory.tables import RATES, check_records, check_summary
from invrob.theory.verdicts import worst
from invrob.threads import single_pool

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATEMENTS = len(RATES) + 2  # per classifier: an interval for each rate and a lower limit for each weighted mean


@dataclass(frozen=True)
class ClassifierResult(Record):
    """The rates of one classifier on n samples; every interval of a report holds at once at the joint level."""

    name: str
    a: Estimate
    b: Estimate
    R: Estimate
    invariance: Estimate
    fooling: Estimate
    distance: Estimate  # to the exact frontier: 0 on it, > 0 short of it; an interval below 0 is impossible
    exact: ThresholdRule | ExactRates | None
    excluded: tuple[str, ...]  # the rates whose interval excludes the exact value: the self-check failed
    verdict: str  # "holds", "violated" (no classifier has its a and its b) or "self-check failed"


@dataclass(frozen=True)
class InequalityResult(Record):
    """One bound for one classifier: the estimate of its left side and the lower confidence limit of that."""

    name: str
    formula: str
    classifier: str
    left: float
    low: float
    right: float
    verdict: str  # "holds" or "violated"


@dataclass(frozen=True, repr=False)
class CheckReport(Shown):
    """What a check found. verdict: "violated" if any bound is or a classifier is where none can be, else
    "self-check failed" or "holds"."""

    p: float
    d: int
    c: float
    n: int
    seed: int
    confidence: float
    verdict: str
    classifiers: tuple[ClassifierResult, ...]
    inequalities: tuple[InequalityResult, ...]

    def summary(self) -> Summary:
        return check_summary(self)

    def records(self) -> list[dict[str, Any]]:
        """A row for each classifier and rate, and for its distance to the frontier; all are shares in [0, 1]."""
        return check_records(self)

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """The classifiers in the plane of a and b, against the exact frontier, as a figure of matplotlib.

        Args:
            ax: axes of a figure of your own to draw into; its figure is returned.

        Raises:
            InputError: for an `ax` that is no axes of matplotlib.
        """
        from invrob.theory.plots import check_figure

        return check_figure(self, ax)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and finite numbers."""
        content = asdict(self)
        for row, result in zip(content["classifiers"], self.classifiers, strict=True):
            row["exact"] = result.exact and {key: getattr(result.exact, name) for key, name in RATES.items()}
        return content


@dataclass
class _Counts:
    """How many of the rows drawn so far ..."""

    both: int = 0  # are right on X and on X + A(X)
    clean_only: int = 0
    attacked_only: int = 0
    transformed: int = 0
    invariant: int = 0
    fooled: int = 0


def train_and_check(
    distribution: GaussianTradeoff,
    specs: Sequence[Spec],
    n: int,
    seed: int,
    confidence: float = 0.99,
    progress: Progress = None,
) -> CheckReport:
    """`check` of the classifiers that `specs` describe, after training those that learn on draws of their own."""
    seed, confidence, n = _checked_seed(seed), _checked_confidence(confidence), checked_count("n", n)
    classifiers = []
    with reported(progress, "preparing") as show:
        for index, spec in enumerate(specs):
            show(f"preparing {spec.text}", index, len(specs))
            classifiers.append(build(spec, distribution, seed))
        return check(distribution, classifiers, n, seed, confidence, show)


@single_pool()
def check(
    distribution: GaussianTradeoff,
    classifiers: Sequence[Classifier],
    n: int,
    seed: int,
    confidence: float = 0.99,
    progress: Progress = None,
) -> CheckReport:
    """Estimate the rates of each classifier on n >= 1 fresh paired samples and test the bounds.

    confidence: in (0, 1), the level at which all intervals and tests of the report hold at once (Bonferroni over
    classifiers x (five Clopper-Pearson intervals and two empirical Bernstein limits)). seed: an integer >= 0.
    progress: True for a bar; or a callable, called with what is done, rows done and rows in all.
    Memory: a few chunks of 16 MiB, whatever n is.
    Raises InputError outside these ranges, for no classifier, two of one name, or one that returns no labels +-1."""
    seed, confidence, n = _checked_seed(seed), _checked_confidence(confidence), checked_count("n", n)
    names = [classifier.name for classifier in classifiers]
    if not names or len({*names}) < len(names):
        raise InputError(f"classifiers = {names} must be at least one and differ in name: name each once")
    with reported(progress, "sampling") as show:
        counts = counts_of(distribution, classifiers, n, seed, show)
    error = (1 - confidence) / (STATEMENTS * len(names))
    pairs = zip(classifiers, counts, strict=True)
    results = [_result(distribution, classifier, tally, n, error) for classifier, tally in pairs]
    tests = [
        row
        for result, tally in zip(results, counts, strict=True)
        for row in _tests(distribution.p, result, tally, n, error)
    ]
    verdict = worst([*(result.verdict for result in results), *(test.verdict for test in tests)])
    p, d, c = distribution.p, distribution.d, distribution.c
    return CheckReport(p, d, c, n, seed, confidence, verdict, tuple(results), tuple(tests))


def bernstein_lower_limit(both: int, clean_only: int, attacked_only: int, n: int, weight: float, error: float) -> float:
    """A lower limit for weight a + (1 - weight) b that fails with probability at most `error`.

    Z = weight 1[f(X)=Y] + (1 - weight) 1[f(X+A)=Y] is in [0, 1] and has four values, so three counts say all of it:
    mean - sqrt(2 V ln(2/error)/n) - 7 ln(2/error)/(3 (n-1)), V the sample variance (Maurer and Pontil 2009, Theorem 4).
    n = 1 has no variance and gives 0."""
    if n < 2:
        return 0.0
    values = ((both, 1.0), (clean_only, weight), (attacked_only, 1 - weight))
    mean = sum(count * value for count, value in values) / n
    absent = n - both - clean_only - attacked_only
    variance = (sum(count * (value - mean) ** 2 for count, value in values) + absent * mean**2) / (n - 1)
    doubt = math.log(2 / error)
    return max(0.0, mean - math.sqrt(2 * variance * doubt / n) - 7 * doubt / (3 * (n - 1)))


def counts_of(
    distribution: GaussianTradeoff, classifiers: Sequence[Classifier], n: int, seed: int, show: Show
) -> list[_Counts]:
    rng = np.random.default_rng([EVALUATION_STREAM, seed])
    counts, done = [_Counts() for _ in classifiers], 0
    coins = tagged_stream(rng, COIN_STREAM)
    for x, y in distribution.chunks(n, rng):
        attacked = distribution.attacked(x, y)
        transformed = distribution.swapped(x, coins.random(len(x)) < 0.5)
        for classifier, tally in zip(classifiers, counts, strict=True):
            on_clean, on_attacked, on_transformed = (_labels(classifier, z) for z in (x, attacked, transformed))
            right, right_attacked = on_clean == y, on_attacked == y
            tally.both += int((right & right_attacked).sum())
            tally.clean_only += int((right & ~right_attacked).sum())
            tally.attacked_only += int((~right & right_attacked).sum())
            tally.transformed += int((on_transformed == y).sum())
            tally.invariant += int((on_transformed == on_clean).sum())
            tally.fooled += int((on_attacked != on_clean).sum())
        done += len(x)
        show("sampling", done, n)
    return counts


def _labels(classifier: Classifier, x: Array) -> Array:
    labels = np.asarray(classifier(x))
    if labels.shape != (len(x),) or not ((labels == 1) | (labels == -1)).all():
        raise InputError(
            f"classifier {classifier.name!r} returned {labels.dtype} {[*labels.shape]} for {len(x)} rows: it must "
            f"return [{len(x)}] labels -1 or +1"
        )
    return labels


def _result(
    distribution: GaussianTradeoff, classifier: Classifier, tally: _Counts, n: int, error: float
) -> ClassifierResult:
    rates = {
        "a": tally.both + tally.clean_only,
        "b": tally.both + tally.attacked_only,
        "R": tally.transformed,
        "invariance": tally.invariant,
        "fooling": tally.fooled,
    }
    estimates = {key: clopper_pearson(count, n, 1 - error) for key, count in rates.items()}
    a, b = estimates["a"], estimates["b"]
    p, c, exact = distribution.p, distribution.c, classifier.exact
    distance = Estimate(
        *(distance_to_frontier(p, *point, c) for point in ((a.estimate, b.estimate), (a.high, b.high), (a.low, b.low)))
    )
    excluded = tuple(
        key
        for key, name in RATES.items()
        if exact and not estimates[key].low <= getattr(exact, name) <= estimates[key].high
    )
    possible = can_be_reached(p, (a.low, a.high), (b.low, b.high), c)
    verdict = "violated" if not possible else "self-check failed" if excluded else "holds"
    return ClassifierResult(
        name=classifier.name, **estimates, distance=distance, exact=exact, excluded=excluded, verdict=verdict
    )


def _tests(p: float, result: ClassifierResult, tally: _Counts, n: int, error: float) -> list[InequalityResult]:
    """R <= p and min(R, b) <= p are read off the intervals, which hold anyway; so may the weighted means be, and are
    where that says more than the paired limit (few samples)."""
    lows = {row.name: row.left for row in inequalities(p, result.a.low, result.b.low, result.R.low)}
    rows = []
    for row in inequalities(p, result.a.estimate, result.b.estimate, result.R.estimate):
        low = lows[row.name]
        if row.name in {"paper", "mirror"}:
            weight = 1 - p if row.name == "paper" else p
            counts = (tally.both, tally.clean_only, tally.attacked_only)
            low = max(low, bernstein_lower_limit(*counts, n, weight, error))
        verdict = "violated" if low > row.right else "holds"
        rows.append(InequalityResult(row.name, row.formula, result.name, row.left, low, row.right, verdict))
    return rows


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed = {seed!r} must be an integer of at least 0")
    return int(seed)


def _checked_confidence(confidence: float) -> float:
    return checked_number("confidence", confidence, lambda level: 0 < level < 1, "(0, 1): write 0.99 for 99 %")
