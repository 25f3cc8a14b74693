"""`invrob data list | fetch | info`: which data sets there are, getting them onto this disk, and what is in them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invrob.commands.advice import next_line
from invrob.commands.helping import Group, examples
from invrob.commands.tables import Table, print_line, print_table, print_text
from invrob.errors import InputError, command, printable
from invrob.progress import progress_bar

if TYPE_CHECKING:
    from invrob.empirical.data import Source

app = typer.Typer(
    no_args_is_help=True,
    help="List the data sets, fetch one, or look into one.",
    **examples("invrob data list", "invrob data info mnist-mini", "invrob data fetch cifar10", cls=Group),
)

Root = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where fetched data are. Left out, it is $INVROB_DATA, else ~/.cache/invrob.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


@app.command("list", **examples("invrob data list", "invrob data list --json"))
def list_(as_json: AsJson = False, root: Root = None) -> None:
    """List the data sets that have a name: how large they are, and whether they are on this disk."""
    from invrob.empirical.data import SOURCES, data_root

    try:
        where = f"Fetched data go to {data_root(root)}."
    except InputError:  # without a home directory, what is in the package is there all the same
        where = "There is no home directory for fetched data: set INVROB_DATA, or give --root."
    rows = [
        dict(zip(("name", "train", "validation", "test"), (name, *source.sizes), strict=True))
        | {"present": _is_present(source, root), "licence": source.licence}
        for name, source in SOURCES.items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_list(rows, where, root)


def _print_list(rows: list[dict[str, Any]], where: str, root: Path | None) -> None:
    """The data sets for a person: sizes, then where each licence is from, then what may be done next."""
    from rich.console import Console

    console, table = Console(highlight=False), Table(["name", "train", "validation", "test", "on this disk"])
    for row in rows:
        sizes = (f"{row[split]:,}" for split in ("train", "validation", "test"))
        table.add(row["name"], *sizes, "yes" if row["present"] else f"no: {command(*_fetch(row['name'], root))}")
    print_table(console, table)
    print_line(console, "")
    print_text(console, "Licences:", *(f"  {row['name']}: {row['licence']}" for row in rows), where)
    print_text(console, "Your own images: npz:PATH or folder:PATH, wherever a data set is named.")
    absent = [row["name"] for row in rows if not row["present"]]
    typer.echo(next_line(*_fetch(absent[0], root)) if absent else next_line("data", "info", rows[0]["name"]))


def _fetch(name: str, root: Path | None) -> tuple[str | Path, ...]:
    """The words of the command that fetches a data set."""
    return ("data", "fetch", name, *(("--root", root) if root is not None else ()))


def _is_present(source: "Source", root: Path | None) -> bool:
    try:
        return source.is_present(root)
    except InputError:
        return False


@app.command(**examples("invrob data fetch mnist", "invrob data fetch cifar10 --root /data --offline"))
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name from `invrob data list`, such as cifar10.", show_default=False)
    ],
    root: Root = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check what is on this disk, and never use the network.")
    ] = False,
) -> None:
    """Put a data set on this disk, unless it is there and whole.

    Where it was interrupted, the same command goes on."""
    from invrob.empirical import data

    try:
        with progress_bar(False, f"looking for {name}") as progress:
            where = data.fetch(name, root, offline=offline, progress=progress)
    except KeyboardInterrupt:
        again = command(*_fetch(name, root))
        typer.echo(f"stopped: what was downloaded is kept, and `{again}` goes on with it", err=True)
        raise
    typer.echo(f"{name} is ready: {where}")
    typer.echo(next_line("data", "info", name, *(("--root", root) if root is not None else ())))


@app.command(**examples("invrob data info cifar10", "invrob data info npz:images.npz --json"))
def info(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A name from `invrob data list`, npz:FILE or folder:FOLDER.", show_default=False
        ),
    ],
    as_json: AsJson = False,
    root: Root = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, metavar="PIXELS", help="Resize the pictures of a folder to this side.", show_default=False),
    ] = None,
) -> None:
    """Show what is in a data set: shapes, images per class, mean and deviation, fingerprint, licence."""
    from invrob.empirical.data import check_spec

    check_spec(spec)
    with progress_bar(as_json, f"loading {printable(spec)}"):
        from invrob.empirical.data import load, summarise

        summary = summarise(load(spec, root, size=size))
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=2))
        return
    from rich.console import Console

    console, table = Console(highlight=False), Table(["data", *summary.splits])
    splits = summary.splits.values()
    table.add("images", *(f"{split.images:,}" for split in splits))
    table.add("shape [C, H, W]", *(str([*split.shape]) for split in splits))
    table.add("mean per channel", *(" ".join(f"{value:.4f}" for value in split.mean) for split in splits))
    table.add("std per channel", *(" ".join(f"{value:.4f}" for value in split.std) for split in splits))
    for label, name in enumerate(summary.classes):
        table.add(f"class {printable(name)}", *(f"{split.class_counts[label]:,}" for split in splits))
    print_table(console, table)
    print_line(console, "")
    print_line(console, f"name:        {printable(summary.name)}")
    print_line(console, f"fingerprint: {summary.fingerprint}")
    print_line(console, f"licence:     {summary.licence}")
