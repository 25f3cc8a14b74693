"""What `invrob theory` prints to people: rates with their intervals, and what is true of every classifier."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from invrob.commands.tables import width_of

if TYPE_CHECKING:
    from invrob.intervals import Estimate
    from invrob.theory import FrontierPoint
    from invrob.theory.check import CheckReport
    from invrob.theory.sweep import SweepReport

WHAT_IS_TRUE = """
For every classifier R <= p holds by itself, whatever it does under A, and that
alone implies the theorem's min(R, b) <= p. The trade-off lives in (a, b): two
lines, (1-p) a + p b <= p and its mirror image, meet in the corner (p, p), which
sign(x_0) reaches, so there is nothing sharper there. Proofs: docs/theory.md"""


def print_frontier(p: float, c: float, points: "Sequence[FrontierPoint]") -> None:
    """Points of the exact frontier, each with the rule that reaches it."""
    table = _table(f"Exact frontier at p = {p:g}, c = {c:g}, for every d", "weight")
    for heading in ("tau", "a", "b", "R", "value", "invariance", "fooling"):
        table.add_column(heading, justify="right")
    for point in points:
        rule = point.rule
        rates = (rule.accuracy, rule.attacked, rule.transformed, point.value, rule.invariance, rule.fooling)
        threshold = f"{point.tau:.5g}" + " mirrored" * point.mirror
        table.add_row(f"{point.weight:.5g}", threshold, *(f"{rate:.6f}" for rate in rates))
    _print(table)
    typer.echo("Predict x_0 unless s contradicts it by more than tau; inf is sign(x_0).")
    typer.echo("Exchange a and b for the other half of the frontier.\n" + WHAT_IS_TRUE)


def print_check(report: "CheckReport") -> None:
    _print_rates(report)
    table = _table("Rates of invariance and fooling, and the left sides of the bounds", "classifier")
    for heading in ("invariance", "fooling"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("(1-p) a\n+ p b", "p a +\n(1-p) b", "R\n", "min(R,\nb)"):  # in the order of the inequalities
        table.add_column(f"{heading}\n<= {report.p:g}", justify="right")
    for result in report.classifiers:
        tests = [row for row in report.inequalities if row.classifier == result.name]
        cells = (f"{row.left:.4f}\n{row.verdict}" for row in tests)
        table.add_row(result.name, _cell(result.invariance), _cell(result.fooling), *cells)
    _print(table)
    for result in report.classifiers:
        if result.excluded:
            rates = ", ".join(result.excluded)
            typer.echo(f"self-check failed: {result.name}: the exact value is outside the interval of {rates}")
    typer.echo(f"Verdict at the joint level {report.confidence:g}: {report.verdict}.\n{WHAT_IS_TRUE}")


def _print_rates(report: "CheckReport") -> None:
    title = f"p = {report.p:g}, d = {report.d}, c = {report.c:g}, n = {report.n:,}, seed = {report.seed}"
    table = _table(title, "classifier")
    for heading in ("a\nclean", "b\nunder A", "R\nunder r", "distance to\nthe frontier"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in report.classifiers:
        name = result.name if result.verdict == "holds" else f"{result.name}\n{result.verdict}"
        table.add_row(name, *(_cell(rate) for rate in (result.a, result.b, result.R, result.distance)))
    _print(table)


def print_sweep(report: "SweepReport") -> None:
    """One table per learner: a row for each p, a column for each q."""
    first = report.reports[0]
    names = [result.name.split(":") for result in first.classifiers]
    for learner in dict.fromkeys(name for name, _ in names):
        table = _table(f"{learner}: a, b, and the interval of the distance to the frontier (n = {first.n:,})", "p")
        for _, q in [name for name in names if name[0] == learner]:
            table.add_column(q, justify="right")
        for row in report.reports:
            results = [result for result in row.classifiers if result.name.split(":")[0] == learner]
            cells = (f"{r.a.estimate:.3f}  {r.b.estimate:.3f}\n{_interval(r.distance, 3)}" for r in results)
            table.add_row(f"{row.p:g}", *cells)
        _print(table)
    typer.echo(f"Verdict at the joint level {report.confidence:g}: {report.verdict}.\n{WHAT_IS_TRUE}")


def _cell(rate: "Estimate") -> str:
    return f"{rate.estimate:z.4f}\n{_interval(rate, 4)}"


def _interval(rate: "Estimate", digits: int) -> str:
    return f"{rate.low:z.{digits}f}..{rate.high:z.{digits}f}"


def _table(title: str, first: str) -> Any:
    from rich import box
    from rich.table import Table

    narrow: dict[str, Any] = {"show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}  # for 80 columns
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, **narrow)
    table.add_column(first, overflow="fold")
    return table


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console()
    if width_of(console) is None:  # a pipe or a file has no width of its own: a row is as long as it must be
        console = Console(width=max(100, console.measure(table, options=console.options.update(width=1000)).maximum))
    console.print(table, "")
