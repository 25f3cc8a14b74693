"""`invrob selftest`: faults planted on purpose, and whether the judge of the attack catches each of them by name."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from invrob.commands.advice import next_line
from invrob.commands.helping import examples
from invrob.commands.stopping import told_where_stopped
from invrob.commands.tables import Table, print_line, print_table, print_text
from invrob.intervals import percent
from invrob.progress import progress_bar

if TYPE_CHECKING:
    from invrob.empirical.selftest import Row

EXAMPLES = examples("invrob selftest", "invrob selftest --quick", "invrob selftest --quick --json")
SECONDS = {True: 30.0, False: 65.0}  # what it takes on one core, by whether it is quick; shown as an estimate
EARLY = 0.2  # of the models; then the time left is what was measured


def selftest(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Take fewer images and less training.")] = False,
) -> None:
    """Plant faults in networks, and see whether the judge of the attacks catches each of them by its name.

    Honest networks are measured, too, and must be believed. Exit code 0: all is as it must be; 1: a fault is missed, or
    an honest network is not believed."""
    done: list[Row] = []
    names: list[str] = []

    def left() -> str:
        if done and not as_json:
            _print_table(done)
        return _left(done, names)

    with told_where_stopped(left), progress_bar(as_json, "loading PyTorch") as progress:
        from invrob.empirical.inference import single_thread
        from invrob.empirical.selftest import model_names, rows

        names += model_names()
        progress("training a small network", 0, len(names))
        progress.expect(SECONDS[quick], EARLY)
        with single_thread():  # small work waits for a busy core
            for row in rows(quick=quick):
                done.append(row)
                at_work = names[len(done)] if len(done) < len(names) else "all is measured"
                progress(f"{row.model}: {row.outcome} | {at_work}", len(done), len(names))
    ok = all(row.caught for row in done)
    if as_json:
        rows_of = [asdict(row) | {"outcome": row.outcome} for row in done]
        typer.echo(json.dumps({"ok": ok, "rows": rows_of}, indent=2))
    else:
        _print_table(done)
        _print_verdict(done)
    raise typer.Exit(0 if ok else 1)


def _left(done: "list[Row]", names: list[str]) -> str:
    """What a self-test that is stopped had found, and what it had not measured."""
    if not done:
        return "no model was measured, and nothing is written"
    wrong = [f"{row.model} is {row.outcome}" for row in done if not row.caught]
    found = ", ".join(wrong) if wrong else "each came out as it must"
    ahead = "; ".join(names[len(done) :]) or "none"
    return f"{len(done)} of {len(names)} models were measured: {found}. Not measured: {ahead}."


def _print_table(done: "list[Row]") -> None:
    from rich.console import Console

    console, table = Console(highlight=False), Table(["model", "epsilon", "weak", "ours", "verdict", "outcome"])
    for row in done:
        table.add(row.model, f"{row.epsilon:g}", percent(row.weak), percent(row.ours), row.verdict, row.outcome)
    print_table(console, table)
    print_line(console, "")
    for row in done:
        others = [name for name in row.findings if name != row.expected]
        if others:
            print_text(console, f"{row.model}: the judge also finds {' and '.join(others)}.")
    print_text(
        console,
        "weak, ours: the robustness at epsilon in %, as a weak attack reports it and as the profile does.",
        "caught: the judge names the fault. believed: it finds no fault in an honest network, and the rates are exact "
        "where the truth is known.",
    )


def _print_verdict(done: "list[Row]") -> None:
    """How many faults are caught and honest networks believed, and what may be done next."""
    from rich.console import Console

    console = Console(highlight=False)
    faults, honest = [row for row in done if row.expected], [row for row in done if not row.expected]
    wrong = [f"{row.model} is {row.outcome}" for row in done if not row.caught]
    counts = (
        f"{sum(row.caught for row in faults)} of {len(faults)} planted faults are caught, and "
        f"{sum(row.caught for row in honest)} of {len(honest)} honest networks believed"
    )
    print_text(console, f"{counts}: {', '.join(wrong)}." if wrong else f"{counts}: the judge works.")
    typer.echo(next_line("selftest", "--json") if wrong else next_line("empirical", "run", "--preset", "smoke"))
