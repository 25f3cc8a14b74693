"""`invrob plane`: models of a user and networks of runs in one trade-off plane."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invrob.commands.helping import examples
from invrob.commands.outputs import Outputs
from invrob.errors import InputError, printable

if TYPE_CHECKING:
    from invrob.empirical.analysis import Models, Point
    from invrob.empirical.experiments import Result
    from invrob.empirical.profiles import Card

EXAMPLES = examples(
    "invrob plane runs/profile-a runs/profile-b",
    "invrob plane runs/mini runs/profile-mynet-build-mynet-mnist-mini --theta 90 --epsilon 0.1 --out plane.svg",
)


def plane(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders of `invrob profile`, and run directories.")
    ],
    theta: Annotated[
        float | None,
        typer.Option(
            metavar="DEGREES",
            help="At how many degrees rates of invariance are read. Left out, it is the largest that all have.",
        ),
    ] = None,
    epsilon: Annotated[
        str | None,
        typer.Option(
            metavar="EPSILON",
            help="At which epsilon robustness is read, such as 0.1 or 8/255. Left out, it is the first of the tables.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Draw the picture into this file: .png, .svg or .pdf.")
    ] = Path("plane.png"),
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Take models that were measured on different data, too. The plane says so.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Draw the trade-off plane: each model's robustness against its rate of invariance, and the Pareto front.

    Every point has its intervals. All models must be measured on the same data; where the number of images differs, the
    plane says so."""
    from invrob.empirical.analysis import note_on_images, place_of, settings_of
    from invrob.empirical.analysis import plane as points_of
    from invrob.empirical.figures import plane_figure
    from invrob.empirical.profiles import read_epsilon
    from invrob.files import check_writable
    from invrob.pictures import write_figure

    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"--out {out}: the name must end in .png, .svg or .pdf")
    check_writable([out], "choose another --out")
    models = _models(paths)
    place = place_of(models, theta, None if epsilon is None else read_epsilon(epsilon))
    points = points_of(models, *place, mixed=mixed)
    norm, transformation = settings_of(models)
    figure = plane_figure(points, *place, "Trade-off", norm, transformation)
    outputs = Outputs()
    written = outputs.written(lambda: write_figure(out, figure))
    if as_json:
        settings = {"norm": norm, "transformation": transformation}
        summary = {"theta": place[0], "epsilon": place[1], **settings, "points": point_rows(points)}
        about = {"images": note_on_images(points), "figure": written and str(written)}
        typer.echo(json.dumps({**summary, **about}, allow_nan=False))
    else:
        _print(points, place, written)
    outputs.end("the points are printed above")


def point_rows(points: "Sequence[Point]") -> list[dict[str, Any]]:
    """The points for JSON, each with its status in the front, why it is undecided if attacks are the reason, and what
    its intervals are about."""
    from invrob.empirical.analysis import front_notes, pareto_front

    rows = zip(points, pareto_front(points), front_notes(points), strict=True)
    return [{**asdict(point), "status": status, "note": note, "covers": point.covers} for point, status, note in rows]


def _models(paths: list[Path]) -> "Models":
    """What the folders hold: of `invrob profile` by the folder's name, of a run by each training's; where two share a
    name, the path stands in front."""
    from invrob.empirical.analysis import by_training
    from invrob.empirical.experiments import read_card, read_run

    twice = [path for number, path in enumerate(paths) if path.resolve() in [p.resolve() for p in paths[:number]]]
    if twice:
        raise InputError(f"{twice[0]} is named twice: leave one out")
    named: list[tuple[Path, str, Sequence[Result | Card]]] = []
    for path in paths:
        if (path / "profile.json").exists():
            named.append((path, path.resolve().name.removeprefix("profile-"), [read_card(path)]))
        else:
            named += [(path, name, seeds) for name, seeds in by_training(read_run(path)[1]).items()]
    names = [name for _, name, _ in named]
    return {name if names.count(name) == 1 else f"{path}: {name}": seeds for path, name, seeds in named}


def _print(points: "tuple[Point, ...]", place: tuple[float, float], out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from invrob.empirical.analysis import front_notes, note_on_images, pareto_front, scope_of
    from invrob.empirical.profiles import format_epsilon

    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("model", overflow="fold")  # a name is wrapped, never cut: two models may differ at its end
    audited = any(point.floor is not None for point in points)
    for heading in ("invariance", "robustness", *(["floor"] if audited else []), "accuracy", ""):
        table.add_column(heading, no_wrap=True)
    notes = []
    for point, status, note in zip(points, pareto_front(points), front_notes(points), strict=True):
        texts = [
            f"{100 * share.estimate:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"
            for share in (point.invariance, point.robustness)
        ]
        if audited:
            texts.append("-" if point.floor is None else f"{100 * point.floor:.1f}")
        texts.append("-" if point.accuracy is None else f"{100 * point.accuracy.estimate:.1f}")
        verdict = "" if point.verdict == "sound" else f": {point.verdict}"
        table.add_row(printable(point.name), *texts, status + verdict)
        notes += [f"{printable(point.name)} is undecided: it is {note}."] if note else []
    console.print(table)
    level, cut = f"{100 * points[0].confidence:g} %", f"theta = {place[0]:g} and epsilon = {format_epsilon(place[1])}"
    console.print(f"In %, at {cut}, with intervals of {level}: {scope_of(points)}.")
    if audited:
        console.print("floor: no attack as strong as the audit brings the robustness below it.")
    if said := note_on_images(points):
        notes = [f"{said[0].upper()}{printable(said[1:])}.", *notes]
    for note in notes:
        console.print(note)
    if out is not None:
        console.print(f"plane: {printable(str(out))}", soft_wrap=True)
