"""Learned classifiers against the exact frontier, over p and over q, the share of training rows to which r is applied.

Training with r at probability q is training on the mixture weight = 1 - q/2, whose Bayes classifier is a point of the
frontier: q = 0 aims at the best accuracy, q = 1 at the corner (p, p)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from invrob.errors import InputError
from invrob.progress import Progress, reported
from invrob.shown import Shown, Summary
from invrob.theory.check import CheckReport, train_and_check
from invrob.theory.classifiers import LEARNERS, parse
from invrob.theory.distribution import GaussianTradeoff, checked_p
from invrob.theory.tables import sweep_summary
from invrob.theory.verdicts import worst

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QS = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_VALUES = 100


@dataclass(frozen=True, repr=False)
class SweepReport(Shown):
    """One CheckReport per p; all intervals of all of them hold at once at `confidence`."""

    confidence: float
    verdict: str
    reports: tuple[CheckReport, ...]

    def summary(self) -> Summary:
        return sweep_summary(self)

    def records(self) -> list[dict[str, Any]]:
        """The rows of all its reports, as `CheckReport.records` has them."""
        return [row for report in self.reports for row in report.records()]

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """A panel for each p, and one with the distances to the frontier, as a figure of matplotlib.

        Args:
            ax: axes of a figure of your own to draw into; its figure is returned.
                They get the distances alone, which are those of all p.

        Raises:
            InputError: for an `ax` that is no axes of matplotlib.
        """
        from invrob.theory.plots import sweep_figure

        return sweep_figure(self.reports, ax)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and finite numbers."""
        reports = [report.to_json() for report in self.reports]
        return {"confidence": self.confidence, "verdict": self.verdict, "reports": reports}


def sweep(
    ps: Sequence[float],
    qs: Sequence[float] = QS,
    learners: Sequence[str] = tuple(LEARNERS),
    *,
    d: int = 20,
    c: float = 3.0,
    n: int = 10_000,
    seed: int = 0,
    confidence: float = 0.99,
    progress: Progress = None,
) -> SweepReport:
    """Train every learner at every q for every p and check it on n fresh samples; see `check` for the other arguments.

    ps: in [1/2, 1), qs: in [0, 1], each at least one. Raises InputError outside these ranges, before any training."""
    distributions = [GaussianTradeoff(p, d, c) for p in ps]
    specs = [parse(f"{learner}:q={q:g}") for learner in learners for q in qs]
    if not (distributions and specs):
        raise InputError("ps, qs and learners must each have at least one value")
    reports, level = [], 1 - (1 - confidence) / len(distributions)
    with reported(progress, "preparing") as show:
        for index, distribution in enumerate(distributions):

            def note(what: str, done: float, total: float, index: int = index, p: float = distribution.p) -> None:
                # All steps of one p count as one unit: half of it training, half sampling.
                share = (done / total + (what == "sampling")) / 2
                show(f"p = {p:g}: {what}", round(100 * (index + share)), 100 * len(distributions))

            reports.append(train_and_check(distribution, specs, n, seed, level, note))
    return SweepReport(confidence, worst(report.verdict for report in reports), tuple(reports))


def parse_range(text: str) -> tuple[float, ...]:
    """`0.5:0.95:0.05` (start:stop:step, stop included) or `0.7` as values of p; InputError for anything else.

    Decimal arithmetic: 0.5:0.95:0.05 ends at 0.95, which adding floats ten times would miss."""
    parts = text.split(":")
    try:
        numbers = [Decimal(part) for part in parts]
    except InvalidOperation:
        numbers = []
    if len(numbers) not in {1, 3} or not all(number.is_finite() for number in numbers):
        raise InputError(f"--p {text!r} is neither one number nor start:stop:step: write 0.7 or 0.5:0.95:0.05")
    if len(numbers) == 1:
        return (checked_p(float(numbers[0])),)
    start, stop, step = numbers
    checked_p(float(start))
    checked_p(float(stop))
    if step <= 0 or stop < start:
        raise InputError(f"--p {text!r} must go up: start <= stop and step > 0, as in 0.5:0.95:0.05")
    if stop - start >= MOST_VALUES * step:
        raise InputError(
            f"--p {text!r} has more than {MOST_VALUES} values: take a step of at least {(stop - start) / 99:.3g}"
        )
    return tuple(float(start + index * step) for index in range(int((stop - start) / step) + 1))
