"""The command line: one Typer app that mounts the commands of both halves. Each command parses, calls and prints."""

import logging
import signal
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

import invrob
from invrob.commands import data, empirical, runs, theory
from invrob.commands import plane as plane_command
from invrob.commands import profile as profile_command
from invrob.commands import report as report_command
from invrob.commands import selftest as selftest_command
from invrob.commands.helping import Group, examples
from invrob.commands.naming import naming_options
from invrob.errors import printable
from invrob.files import expanded

app = typer.Typer(
    name="invrob",
    help="What does rotation invariance cost a network in adversarial robustness, and the other way round?",
    **examples(
        "invrob profile mynet:build --weights mynet.safetensors --data mnist-mini",
        "invrob empirical run --preset smoke",
        "invrob report runs/smoke",
        "invrob theory check --p 0.7",
        note="Your own model is measured by `invrob profile`, the networks of the paper by `invrob empirical run`, and "
        "`invrob theory` is about Theorem 1 alone. Every command has a --help with examples.",
        cls=Group,
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(theory.app, name="theory")
app.add_typer(empirical.app, name="empirical")
app.add_typer(runs.app, name="runs")
app.add_typer(data.app, name="data")
app.command(**profile_command.EXAMPLES)(profile_command.profile)
app.command(**plane_command.EXAMPLES)(plane_command.plane)
app.command(**report_command.EXAMPLES)(report_command.report)
app.command(**selftest_command.EXAMPLES)(selftest_command.selftest)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"invrob {invrob.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _matters(record: logging.LogRecord) -> bool:
    """Not what matplotlib says of a home directory that it cannot write to: it takes a temporary one."""
    return record.funcName != "_get_config_or_cache_dir"


def _at_home(word: str) -> str:
    """`--out=~/x` as `--out ~/x`, which a shell expands, and the other does not; likewise a ~ in quotes."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    if value == "~" or value.startswith("~/"):
        return f"{option}{equals}{expanded(value)}"
    return word


def main() -> None:
    """The entry point: exit codes 0 (ok), 1 (a claim failed or the run did), 2 (bad usage), 75 (a run is to go on), 130
    (Ctrl-C, by Typer), 143 (SIGTERM)."""
    logging.getLogger("matplotlib").addFilter(_matters)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of every `finally`: workers, the terminal's cursor
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that the terminal has no letters for must not lose a result
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.argv[1:] = map(_at_home, sys.argv[1:])
        app()
    except (invrob.InputError, OSError) as error:
        text = naming_options(str(error), typer.main.get_command(app), sys.argv[1:])
        typer.echo(f"error: {printable(text)}", err=True)
        sys.exit(2)
