"""`invrob selftest`: faults planted on purpose, and whether the judge of the attack catches each of them by name."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from invrob.commands.helping import examples
from invrob.progress import progress_bar

if TYPE_CHECKING:
    from invrob.empirical.selftest import Row

EXAMPLES = examples("invrob selftest", "invrob selftest --quick", "invrob selftest --quick --json")


def selftest(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Take fewer images and less training.")] = False,
) -> None:
    """Plant faults in networks, and see whether the judge of the attacks catches each of them by its name.

    Honest networks are measured, too, and must be believed. Exit code 0: all is as it must be; 1: a fault is missed, or
    an honest network is not believed."""
    from invrob.empirical.inference import single_thread
    from invrob.empirical.selftest import MODELS, rows

    done = []
    with progress_bar(hidden=as_json) as progress, single_thread():  # small work waits for a busy core
        for row in rows(quick=quick):
            done.append(row)
            progress(f"{row.model}: {'yes' if row.caught else 'NO'}", len(done), MODELS)
    ok = all(row.caught for row in done)
    if as_json:
        typer.echo(json.dumps({"ok": ok, "rows": [asdict(row) for row in done]}, indent=2))
    else:
        _print_table(done)
    raise typer.Exit(0 if ok else 1)


def _print_table(done: list["Row"]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "epsilon", "weak", "ours", "verdict", "findings", "caught or passed")
    for row in done:
        rates = f"{row.epsilon:g}", f"{row.weak:.0%}", f"{row.ours:.0%}"
        findings = ", ".join(row.findings) or "none"
        table.add_row(row.model, *rates, row.verdict, findings, "yes" if row.caught else "NO")
    Console(width=100).print(table)
    typer.echo("weak, ours: the robustness at epsilon that a weak attack reports, and the profile.")
