"""`invrob data list | fetch | info`: which data sets there are, getting them onto this disk, and what is in them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invrob.commands.helping import Group, examples
from invrob.errors import InputError, printable
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
    from rich.console import Console
    from rich.table import Table

    from invrob.empirical.data import SOURCES, data_root

    try:
        where = f"Fetched data go to {data_root(root)}"
    except InputError:  # without a home directory, what is in the package is there all the same
        where = "There is no home directory for fetched data: set INVROB_DATA, or give --root"
    rows = [
        dict(zip(("name", "train", "validation", "test"), (name, *source.sizes), strict=True))
        | {"present": _is_present(source, root), "licence": source.licence}
        for name, source in SOURCES.items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("name", "train", "validation", "test", "on this disk", "licence")
    for column in table.columns[1:4]:
        column.justify = "right"
    for row in rows:
        sizes = [f"{row[split]:,}" for split in ("train", "validation", "test")]
        present = "yes" if row["present"] else f"no: invrob data fetch {row['name']}"
        table.add_row(str(row["name"]), *sizes, present, str(row["licence"]))
    Console().print(table)
    typer.echo(f"{where}. Your own images: npz:PATH or folder:PATH, wherever a data set is named.")


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

    with progress_bar(hidden=False) as progress:
        where = data.fetch(name, root, offline=offline, progress=progress)
    typer.echo(f"{name} is ready: {where}")


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
    from rich.console import Console
    from rich.table import Table

    from invrob.empirical.data import load, summarise

    summary = summarise(load(spec, root, size=size))
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=2))
        return
    table = Table("", *summary.splits)
    for column in table.columns[1:]:
        column.justify = "right"
    splits = summary.splits.values()
    table.add_row("images", *(f"{split.images:,}" for split in splits))
    table.add_row("shape [C, H, W]", *(str([*split.shape]) for split in splits))
    table.add_row("mean per channel", *(" ".join(f"{value:.4f}" for value in split.mean) for split in splits))
    table.add_row("std per channel", *(" ".join(f"{value:.4f}" for value in split.std) for split in splits))
    for label, name in enumerate(summary.classes):
        table.add_row(f"class {printable(name)}", *(f"{split.class_counts[label]:,}" for split in splits))
    Console(markup=False).print(table)
    typer.echo(f"name:        {printable(summary.name)}")
    typer.echo(f"fingerprint: {summary.fingerprint}")
    typer.echo(f"licence:     {summary.licence}")
