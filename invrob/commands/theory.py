"""`invrob theory check | frontier | sweep`: Theorem 1 by numbers. Parse, call, print; heavy imports are inside."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invrob.commands.helping import Group, examples
from invrob.commands.outputs import Outputs
from invrob.progress import progress_bar

if TYPE_CHECKING:
    from invrob.intervals import Estimate
    from invrob.theory.check import CheckReport
    from invrob.theory.sweep import SweepReport

app = typer.Typer(
    no_args_is_help=True,
    help="Theorem 1: what it says, what is exactly true, and a check by sampling.",
    **examples("invrob theory check --p 0.7", "invrob theory frontier --p 0.7", cls=Group),
)

P = Annotated[
    float,
    typer.Option(
        "--p",
        metavar="P",
        help="How often x_0, the first number, agrees with the label, in [0.5, 1).",
        show_default=False,
    ),
]
C = Annotated[
    float,
    typer.Option("--c", metavar="C", help="The mean of every other number, times sqrt(d), above 0. The paper has 3."),
]
Pairs = Annotated[
    int, typer.Option("--d", metavar="D", help="The number of pairs, 1 or more: a sample has 2 d + 1 numbers.")
]
Samples = Annotated[
    int, typer.Option("--n", metavar="N", help="On how many fresh samples every classifier is tested, 1 or more.")
]
Seed = Annotated[
    int, typer.Option(metavar="N", help="The seed of all that is random. The same seed gives the same numbers.")
]
Confidence = Annotated[
    float, typer.Option(metavar="LEVEL", help="The level at which all intervals and tests hold at once, in (0, 1).")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Plot = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw a figure into this file: .png, .svg or .pdf.", show_default=False),
]

WHAT_IS_TRUE = """
For every classifier R <= p holds by itself, whatever it does under A, and that
alone implies the theorem's min(R, b) <= p. The trade-off lives in (a, b): two
lines, (1-p) a + p b <= p and its mirror image, meet in the corner (p, p), which
sign(x_0) reaches, so there is nothing sharper there. Proofs: docs/theory.md"""


@app.command(
    **examples(
        "invrob theory check --p 0.7",
        "invrob theory check --p 0.9 --classifier mlp --classifier linear:tau=2 --plot check.png",
        "invrob theory check --p 0.7 --d 5000 --json",
    )
)
def check(
    p: P,
    d: Pairs = 100,
    c: C = 3.0,
    n: Samples = 50_000,
    seed: Seed = 0,
    confidence: Confidence = 0.99,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Test this classifier instead of the usual set. It is sign-x0, bayes-clean, bayes-attacked, paper or "
            "linear:tau=T, or one that learns: logistic, mlp or trees. One that learns takes :weight=W, the share of "
            "its training rows that are clean (the others are attacked), or :q=Q, the share to which r is applied.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    plot: Plot = None,
) -> None:
    """Test by sampling whether any classifier breaks the bounds of Theorem 1.

    It estimates three accuracies of each classifier, with intervals that hold jointly: a on clean samples, b under the
    attack A, and R under the transformation r. It tests four inequalities, and measures the distance to the exact
    frontier of (a, b).

    Exit code 0: no classifier breaks a bound; 1: one does; 2: bad usage."""
    from invrob.theory import GaussianTradeoff
    from invrob.theory.check import train_and_check
    from invrob.theory.classifiers import DEFAULT, parse

    outputs = Outputs()
    save = _figure_saver(plot, outputs)
    specs = [parse(text) for text in classifier or DEFAULT]
    with progress_bar(hidden=as_json) as progress:
        report = train_and_check(GaussianTradeoff(p, d, c), specs, n, seed, confidence, progress)
    figure = save(lambda plots: plots.check_figure(report))
    if as_json:
        _print_json(report.to_json() | {"figure": figure})
    else:
        _print_check(report)
        _print_figure(figure)
    outputs.end()
    raise typer.Exit(0 if report.verdict == "holds" else 1)


@app.command(**examples("invrob theory frontier --p 0.7", "invrob theory frontier --p 0.7 --plot frontier.svg"))
def frontier(
    p: P,
    c: C = 3.0,
    weight: Annotated[
        list[float] | None,
        typer.Option(metavar="W", help="Show the best rule for this weight of a, in [0, 1].", show_default=False),
    ] = None,
    tau: Annotated[
        list[float] | None,
        typer.Option(metavar="T", help="Show the rule with this threshold. inf is sign(x_0).", show_default=False),
    ] = None,
    as_json: Json = False,
    plot: Plot = None,
) -> None:
    """Show the exact best that any classifier can do.

    That is the largest weight a + (1 - weight) b, and a rule that reaches it: a is the accuracy on clean samples, b the
    accuracy under the attack."""
    from invrob.theory.frontier import frontier_point, frontier_point_at, frontier_points

    outputs = Outputs()
    save = _figure_saver(plot, outputs)
    weighted = [frontier_point(p, value, c) for value in dict.fromkeys(weight or ())]
    chosen = weighted + [frontier_point_at(p, value, c) for value in dict.fromkeys(tau or ())]
    points = chosen or frontier_points(p, c)
    figure = save(lambda plots: plots.frontier_figure(p, c))
    if as_json:
        _print_json(
            {"p": p, "c": c, "corner": [p, p], "points": [point.to_json() for point in points], "figure": figure}
        )
        outputs.end()
        return
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
    _print_figure(figure)
    outputs.end()


@app.command(
    **examples(
        "invrob theory sweep --p 0.5:0.95:0.05",
        "invrob theory sweep --p 0.7 --classifier mlp --q 0 --q 0.5 --q 1 --plot mlp.svg",
    )
)
def sweep(
    p: Annotated[
        str,
        typer.Option(
            "--p", metavar="VALUES", help="start:stop:step, where stop is included, or one number; all in [0.5, 1)."
        ),
    ],
    d: Pairs = 20,
    c: C = 3.0,
    n: Samples = 10_000,
    seed: Seed = 0,
    confidence: Confidence = 0.99,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Train this one: logistic, mlp or trees. Left out, it is all three.",
            show_default=False,
        ),
    ] = None,
    q: Annotated[
        list[float] | None,
        typer.Option(
            "--q",
            metavar="Q",
            help="Apply r to this share of the training rows, in [0, 1]. Left out, it is 0, 0.25, 0.5, 0.75 and 1.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    plot: Annotated[
        Path,
        typer.Option("--plot", "--out", metavar="FILE", help="Draw the figure into this file: .png, .svg or .pdf."),
    ] = Path("sweep.png"),
) -> None:
    """Compare learned classifiers with the exact frontier, for many p, and draw a figure.

    It shows what is lost when the transformation r is trained in. Exit code 0: no classifier is beyond the frontier;
    1: one is; 2: bad usage."""
    from invrob.theory.classifiers import LEARNERS
    from invrob.theory.sweep import QS, parse_range
    from invrob.theory.sweep import sweep as run_sweep

    outputs = Outputs()
    save = _figure_saver(plot, outputs)
    ps = parse_range(p)
    options: dict[str, Any] = {"d": d, "c": c, "n": n, "seed": seed, "confidence": confidence}
    with progress_bar(hidden=as_json) as progress:
        report = run_sweep(ps, q or QS, classifier or tuple(LEARNERS), **options, progress=progress)
    figure = save(lambda plots: plots.sweep_figure(report.reports))
    if as_json:
        _print_json(report.to_json() | {"figure": figure})
    else:
        _print_sweep(report)
        typer.echo(f"Verdict at the joint level {confidence:g}: {report.verdict}.\n{WHAT_IS_TRUE}")
        _print_figure(figure)
    outputs.end()
    raise typer.Exit(0 if report.verdict == "holds" else 1)


def _print_check(report: "CheckReport") -> None:
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


def _print_sweep(report: "SweepReport") -> None:
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
    console = console if console.is_terminal else Console(width=100)  # a file or a pipe has no width of its own
    console.print(table, "")


def _print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, allow_nan=False))


def _print_figure(figure: str | None) -> None:
    if figure:
        typer.echo(f"Figure: {figure}")


def _figure_saver(path: Path | None, outputs: Outputs) -> Callable[[Callable[[Any], Any]], str | None]:
    """Refuse an unusable path now, before the computing; what is returned draws and saves the figure, if wanted."""
    if path is None:
        return lambda draw: None
    from invrob.pictures import checked_figure_path, write_figure
    from invrob.theory import plots

    target = checked_figure_path(path)

    def save(draw: Callable[[Any], Any]) -> str | None:
        written = outputs.written(lambda: write_figure(target, draw(plots)))
        return None if written is None else str(written)

    return save
