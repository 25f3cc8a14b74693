"""`invrob plane`: models of a user and networks of runs in one trade-off plane."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invrob.commands.advice import next_line
from invrob.commands.early import check_folders
from invrob.commands.helping import examples
from invrob.commands.outputs import Outputs
from invrob.errors import InputError, command, printable

if TYPE_CHECKING:
    from invrob.empirical.analysis import Models, NotMeasuredError, Point
    from invrob.empirical.experiments import Result
    from invrob.empirical.profiles import Card

    Held = dict[Path, dict[str, Sequence[Result | Card]]]  # the models of each folder, by name

PICTURE = Path("plane.png")
EXAMPLES = examples(
    "invrob plane runs/profile-a runs/profile-b",
    "invrob plane runs/profile-a runs/profile-b --style paper",
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
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the picture into this file: .png, .svg or .pdf. Left out, it is plane.png, or plane.pdf "
            "for paper.",
        ),
    ] = None,
    style: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the picture is drawn for. screen puts the legend beside it. paper makes it as wide as a column "
            "of a paper, 3.25 inches, with text of 8 points and the legend below.",
        ),
    ] = "screen",
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Take models that were measured on different data, too. The plane says so.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Draw the trade-off plane: each model's robustness against its rate of invariance, and the Pareto front.

    Every point has its intervals. All models must be measured on the same data; where the number of images differs, the
    plane says so."""
    from invrob.files import check_writable

    target = out or PICTURE.with_suffix(".pdf" if style == "paper" else PICTURE.suffix)
    if target.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"--out {target}: the name must end in .png, .svg or .pdf")
    check_writable([target], "choose another --out")
    check_folders(paths)
    from invrob.commands.plane_table import point_rows, print_plane
    from invrob.empirical.analysis import note_on_images, settings_of
    from invrob.empirical.analysis import plane as points_of
    from invrob.empirical.figures import plane_figure
    from invrob.empirical.profiles import read_epsilon
    from invrob.pictures import style_named, write_figure

    chosen = style_named(style)
    held = _held(paths)
    models = _named(held)
    others = [
        *(["--mixed"] if mixed else []),
        *(("--out", out) if out else ()),
        *(("--style", style) if style != "screen" else ()),
    ]
    place = _place(held, theta, None if epsilon is None else read_epsilon(epsilon), others)
    points = points_of(models, *place, mixed=mixed)
    norm, transformation = settings_of(models)
    figure = plane_figure(points, *place, _title(points), norm, transformation, chosen)
    outputs = Outputs()
    with chosen.applied():
        written = outputs.written(lambda: write_figure(target, figure))
    if as_json:
        settings = {"norm": norm, "transformation": transformation}
        summary = {"theta": place[0], "epsilon": place[1], **settings, "points": point_rows(points)}
        about = {"images": note_on_images(points), "figure": written and str(written)}
        typer.echo(json.dumps({**summary, **about}, allow_nan=False))
    else:
        print_plane(points, *place, transformation)
        if written is not None:
            typer.echo(f"plane: {printable(str(written))}")
            typer.echo(next_line("report", *paths))
    outputs.end("the points are printed above")


def _held(paths: list[Path]) -> "Held":
    """What each folder holds: of `invrob profile` by the folder's name, of a run by each training's."""
    from invrob.empirical.analysis import by_training
    from invrob.empirical.experiments import read_card, read_run

    twice = [path for number, path in enumerate(paths) if path.resolve() in [p.resolve() for p in paths[:number]]]
    if twice:
        raise InputError(f"{twice[0]} is named twice: leave one out")
    held: Held = {}
    for path in paths:
        if (path / "profile.json").exists():
            held[path] = {path.resolve().name.removeprefix("profile-"): [read_card(path)]}
        else:
            held[path] = dict(by_training(read_run(path)[1]))
    return held


def _named(held: "Held") -> "Models":
    """All models by their names; where two folders share a name, the path stands in front."""
    names = [name for models in held.values() for name in models]
    return {
        name if names.count(name) == 1 else f"{path}: {name}": seeds
        for path, models in held.items()
        for name, seeds in models.items()
    }


def _title(points: "Sequence[Point]") -> str:
    """What the picture shows, and on which images where all points are of the same ones."""
    from invrob.empirical.analysis import note_on_images

    on = points[0].measured_on
    if on is None or on.dataset is None or note_on_images(points):
        return "Trade-off"
    return f"Trade-off on {on.dataset}, {on.images:,} {on.split or ''} images".replace("  ", " ")


def _place(
    held: "Held", theta: float | None, epsilon: float | None, others: "Sequence[str | Path]"
) -> tuple[float, float]:
    """As `place_of`, but errors name folders. others: words of the command line beside the folders and the place."""
    from invrob.empirical.analysis import NotMeasuredError, place_of

    by_folder = {str(path): [model for seeds in models.values() for model in seeds] for path, models in held.items()}
    try:
        return place_of(by_folder, theta, epsilon)
    except NotMeasuredError as error:
        value = error.value
        place = {"theta": theta, "epsilon": epsilon, error.name: min(error.shared, key=lambda near: abs(near - value))}
        options = [(f"--{name}", _written(name, at)) for name, at in place.items() if at is not None]
        line = command("plane", *held, *(word for option in options for word in option), *others)
        raise InputError(f"{error}\nwith what all have: {line}\n{_measured_again(held, error)}") from None


def _measured_again(held: "Held", error: "NotMeasuredError") -> str:
    """How a value is measured where it is lacking."""
    lacking, ways = {path: grid for path in held if (grid := error.lacking.get(str(path))) is not None}, []
    for path, grid in lacking.items():
        wanted = sorted({*grid, error.value})
        if (path / "profile.json").exists():
            values = ",".join(_written(error.name, value) for value in wanted)
            ways.append(f"the command that made {path}, with --{error.name}s {values}")
        else:  # TOML knows no fractions
            ways.append(f"the configuration of {path}, with {error.name}s = {wanted} under [profiling]")
    return f"to measure it there, run again: {'; '.join(ways)}"


def _written(name: str, value: float) -> str:
    """A theta or an epsilon, as the command line takes it."""
    from invrob.empirical.profiles import format_epsilon

    return format_epsilon(value) if name == "epsilon" else f"{value:g}"
