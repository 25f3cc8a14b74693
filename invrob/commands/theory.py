"""`invrob theory check | frontier | sweep`: Theorem 1 by numbers. Parse, call, print; heavy imports are inside."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from invrob.commands.advice import next_line
from invrob.commands.helping import Group, examples
from invrob.commands.outputs import Outputs
from invrob.commands.stopping import Watched, told_where_stopped
from invrob.commands.theory_tables import print_check, print_frontier, print_sweep
from invrob.errors import printable
from invrob.progress import progress_bar

app = typer.Typer(
    no_args_is_help=True,
    help="Theorem 1: what it says, what is exactly true, and a check by sampling.",
    **examples("invrob theory check --p 0.7", "invrob theory frontier --p 0.7", cls=Group),
)

USUAL_C = 3.0  # of the paper
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
    c: C = USUAL_C,
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
    outputs = Outputs()
    with _at_work(as_json) as watched:
        from invrob.theory import GaussianTradeoff
        from invrob.theory.check import train_and_check
        from invrob.theory.classifiers import DEFAULT, parse

        save = _figure_saver(plot, outputs, as_json)
        specs = [parse(text) for text in classifier or DEFAULT]
        report = train_and_check(GaussianTradeoff(p, d, c), specs, n, seed, confidence, watched)
    if not as_json:
        print_check(report)
    figure = save(lambda plots: plots.check_figure(report))
    if as_json:
        _print_json(report.to_json() | {"figure": figure})
    outputs.end()
    if not as_json:
        typer.echo(next_line("theory", "sweep", "--p", f"{p:g}", *_unless_usual(c)))
    raise typer.Exit(0 if report.verdict == "holds" else 1)


@app.command(**examples("invrob theory frontier --p 0.7", "invrob theory frontier --p 0.7 --plot frontier.svg"))
def frontier(
    p: P,
    c: C = USUAL_C,
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
    outputs = Outputs()
    with _at_work(as_json):
        from invrob.theory.frontier import frontier_point, frontier_point_at, frontier_points

        save = _figure_saver(plot, outputs, as_json)
        weighted = [frontier_point(p, value, c) for value in dict.fromkeys(weight or ())]
        chosen = weighted + [frontier_point_at(p, value, c) for value in dict.fromkeys(tau or ())]
        points = chosen or frontier_points(p, c)
    if not as_json:
        print_frontier(p, c, points)
    figure = save(lambda plots: plots.frontier_figure(p, c))
    if as_json:
        _print_json(
            {"p": p, "c": c, "corner": [p, p], "points": [point.to_json() for point in points], "figure": figure}
        )
    outputs.end()
    if not as_json:
        typer.echo(next_line("theory", "check", "--p", f"{p:g}", *_unless_usual(c)))


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
    c: C = USUAL_C,
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
    outputs = Outputs()
    with _at_work(as_json) as watched:
        from invrob.theory.classifiers import LEARNERS
        from invrob.theory.sweep import QS, parse_range
        from invrob.theory.sweep import sweep as run_sweep

        save = _figure_saver(plot, outputs, as_json)
        options: dict[str, Any] = {"d": d, "c": c, "n": n, "seed": seed, "confidence": confidence}
        report = run_sweep(parse_range(p), q or QS, classifier or tuple(LEARNERS), **options, progress=watched)
    if not as_json:
        print_sweep(report)
    figure = save(lambda plots: plots.sweep_figure(report.reports))
    if as_json:
        _print_json(report.to_json() | {"figure": figure})
    outputs.end()
    if not as_json:
        typer.echo(next_line("empirical", "run", "--preset", "smoke"))
    raise typer.Exit(0 if report.verdict == "holds" else 1)


def _print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, allow_nan=False))


@contextmanager
def _at_work(hidden: bool) -> Iterator[Watched]:
    """A bar for what is computed inside the block. Where it is stopped, nothing was printed or written before."""
    begins = "loading NumPy and SciPy"
    with progress_bar(hidden, begins) as bar:
        watched = Watched(bar, begins)
        with told_where_stopped(lambda: f"{watched.place}. No rate is known yet, and no file is written."):
            yield watched


def _unless_usual(c: float) -> tuple[str, ...]:
    return () if c == USUAL_C else ("--c", f"{c:g}")


def _figure_saver(path: Path | None, outputs: Outputs, hidden: bool) -> Callable[[Callable[[Any], Any]], str | None]:
    """Refuse an unusable path now, before the computing; what is returned draws and saves the figure, if wanted, and
    says where it is, unless that is hidden."""
    if path is None:
        return lambda draw: None
    from invrob.pictures import checked_figure_path, write_figure
    from invrob.theory import plots

    target = checked_figure_path(path)

    def save(draw: Callable[[Any], Any]) -> str | None:
        above = "" if hidden else "What was computed is printed above. "
        left = f"while the figure was drawn. {above}{printable(str(path))} is not written."
        with told_where_stopped(lambda: left), progress_bar(hidden, "drawing the figure"):
            written = outputs.written(lambda: write_figure(target, draw(plots)))
        if written is not None and not hidden:
            typer.echo(f"Figure: {printable(str(written))}")
        return None if written is None else str(written)

    return save
