"""The paper's figures from stored profiles: robustness on the left, rate of invariance on the right, one line per
training; and what was measured beside them in a second figure.

Lines are told apart by dash and marker as well as by colour, so that they read in grey and for the colour-blind."""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invrob.checks import Array
from invrob.empirical.analysis import (
    averaged,
    by_training,
    floor_means,
    grouped,
    other_settings,
    place_of,
    plane,
    varied,
)
from invrob.empirical.experiments import Result, clean_accuracy
from invrob.empirical.figures.classes import class_figure
from invrob.empirical.figures.plane import plane_figure
from invrob.empirical.profiles import Rates, format_epsilon
from invrob.empirical.profiles.plots import DOUBTS, Curve, Panel, draw_panel, figure_of, panel
from invrob.empirical.training import Recipe
from invrob.intervals import percent
from invrob.pictures import NBSP, SCREEN, Style, figure_around, given_axes, write_figure

LONGEST = 120  # bytes of the name of a figure; file systems take 255, of which a file that is being written needs some

PAPER = {  # on which data set each network is in the paper, and where
    "stdcnn": ("mnist", "Figure 1"),
    "vgg16": ("cifar10", "Figure 2"),
    "gcnn": ("mnist", "Figure 3"),
    "gcnn_vgg16": ("cifar10", "Figure 4"),
    "madry_lenet": ("mnist", "Figure 5"),
    "madry_resnet": ("cifar10", "Figure 6"),
}


def write_figures(
    folder: Path,
    results: Sequence[Result],
    theta: float | None = None,
    epsilon: float | None = None,
    classes: Sequence[str] = (),
    write: Callable[[Path, Figure], Path | None] = write_figure,
    style: Style = SCREEN,
) -> list[Path]:
    """Draw the figures of each network of a run, and its trade-off plane, in the formats of a style.

    Args:
        folder: where they are written.
        results: of the run, at least one.
        theta, epsilon: where the plane and the tables of classes are cut; None as in `place_of`.
        classes: the names of the classes, where they are known.
        write: writes each; it returns its path, or None where the disk refuses.
        style: what they are drawn for: `SCREEN`, PNG and SVG, or `PAPER`, PDF as wide as a column.

    Returns:
        The paths of the figures that were written.

    Raises:
        InputError: for a theta or an epsilon that was not measured.
    """
    trainings = by_training(results)
    theta, epsilon = place_of(trainings, theta, epsilon)
    title = f"Trade-off on {results[0].cell.dataset}, {_count_of_seeds(results)}"
    written = []
    with style.applied():
        drawn: dict[str, Figure] = {
            "plane": plane_figure(plane(trainings, theta, epsilon), theta, epsilon, title, style=style)
        }
        for network, group in grouped(results, lambda result: result.network).items():
            stem = _stem(network, drawn)
            drawn[stem] = network_figure(group, style)
            if any(result.beside for result in group):
                drawn[stem + "-beside"] = beside_figure(group, style)
            rows = {_label(recipe, group): seeds for recipe, seeds in _by_recipe(group).items()}
            by_class = class_figure(_title(group), rows, classes, theta, epsilon, trained=_legend(group), style=style)
            if by_class is not None:
                drawn[stem + "-classes"] = by_class
        for name, figure in drawn.items():
            written += [write(folder / f"{name}.{suffix}", figure) for suffix in style.formats]
    return [path for path in written if path is not None]


def _stem(network: str, taken: Collection[str]) -> str:
    """The name of a file for a network: what every file system takes, and no other network of the run has."""
    stem = "figure-" + "-".join("".join(c if c.isalnum() or c in "._" else " " for c in network).split())
    if len(stem.encode()) <= LONGEST and stem not in taken:
        return stem
    told_apart = hashlib.sha256(network.encode()).hexdigest()[:8]
    return f"{stem.encode()[:LONGEST].decode(errors='ignore')}-{told_apart}"


def network_figure(group: Sequence[Result], style: Style = SCREEN) -> Figure:
    """Both profiles of one network, one line for each recipe; its seeds are averaged."""
    return figure_of(f"{_title(group)}, bands of 95 %", _both(group), style)


def study_figure(results: Sequence[Result], ax: Iterable[Axes] | None = None) -> Figure:
    """Both profiles of every network, a row for each of them; ax: axes of a user, two for each network."""
    networks = grouped(results, lambda result: result.network)
    panels = [part for name, group in networks.items() for part in _both(group, name if len(networks) > 1 else "")]
    if ax is None:
        several = f"{len(networks)} networks on {results[0].cell.dataset}: {_measured(results)}"
        return figure_of(f"{several if len(networks) > 1 else _title(results)}, bands of 95 %", panels, columns=2)
    said = "two for each network, the first for its robustness"
    places = given_axes(ax, len(panels), said, rows=len(networks))
    for axes, part in zip(places, panels, strict=True):
        draw_panel(axes, part, axes.get_window_extent().width / figure_around(axes).dpi)
    return figure_around(places[0])


def _both(group: Sequence[Result], name: str = "") -> list[Panel]:
    """The panels of the robustness and of the invariance of a network; name: before their titles."""
    robustness, invariance = [], []
    for recipe, seeds in _by_recipe(group).items():
        profiles = [result.robustness for result in seeds]
        shares = [share.estimate for result in seeds if (share := clean_accuracy(result.robustness)) is not None]
        label = f"{_label(recipe, group)}  ({percent(float(np.mean(shares)))} %)" if shares else _label(recipe, group)
        robustness.append(Curve(label, *averaged(profiles), *_attacked(profiles)))
        invariance.append(Curve(label, *averaged([r.invariance for r in seeds])))
    before, legend = f"{name}\n" if name else "", f"{_legend(group)}  (accuracy)"
    return [
        panel(f"{before}Robustness: 1 - fooling rate", group[0].robustness, robustness, legend=legend),
        panel(f"{before}Rate of invariance", group[0].invariance, invariance, legend=legend),
    ]


def beside_figure(group: Sequence[Result], style: Style = SCREEN) -> Figure:
    """What was measured beside the two profiles: a panel for each, the lines as in `network_figure`."""
    panels: dict[str, Panel] = {}
    for recipe, seeds in _by_recipe(group).items():
        for name in dict.fromkeys(name for result in seeds for name in result.beside):
            measurement = group[0].cell.profiling.beside[name]
            profiles = [result.beside[name] for result in seeds if name in result.beside]
            curve = Curve(_label(recipe, group), *averaged(profiles), *_attacked(profiles))
            empty = panel(measurement.title, profiles[0], [], legend=_legend(group))
            panels.setdefault(name, empty).curves.append(curve)
    return figure_of(f"{_title(group)}, bands of 95 %, beside the profiles", list(panels.values()), style)


def _attacked(profiles: Sequence[Rates]) -> tuple[str, Array | None]:
    """The worst verdict on the attacks of some seeds, and the floor of their mean rate. A masked one has none to draw:
    there it is 0."""
    verdicts = {profile.verdict for profile in profiles}
    doubt = next((doubt for doubt in DOUBTS if doubt in verdicts), "")
    return doubt, None if doubt == "masked" else floor_means(profiles)


def _by_recipe(group: Sequence[Result]) -> dict[Recipe, list[Result]]:
    return grouped(group, lambda result: result.cell.recipe)


def _label(recipe: Recipe, group: Sequence[Result]) -> str:
    """What tells a recipe from the others of its group."""
    apart = varied(result.cell.recipe for result in group)
    against = f"$\\epsilon$ = {format_epsilon(recipe.epsilon)}" if "epsilon" in apart or recipe.epsilon else ""
    angle = f"A = {recipe.rotation:g}" if "rotation" in apart or not against else ""
    return ", ".join(filter(None, (angle, against, *other_settings(recipe, apart))))


def _place(group: Sequence[Result]) -> str:
    """The network, its data, and where the paper shows it."""
    cell = group[0].cell
    dataset, number = PAPER.get(cell.model, ("?", ""))
    # A file of one's own counts by its name: npz:data/cifar10-jpeg.npz is CIFAR-10, fashion-mnist.npz is no MNIST.
    own = re.split(r"[/\\]", cell.dataset.rpartition(":")[2].rstrip("/\\"))[-1]
    return f"{group[0].network} on {cell.dataset}" + (f" (the paper's {number})" if own.startswith(dataset) else "")


def _title(group: Sequence[Result]) -> str:
    return f"{_place(group)}: {_measured(group)}"


def _measured(group: Sequence[Result]) -> str:
    return f"{group[0].robustness.images} test images, {_count_of_seeds(group)}"


def _count_of_seeds(results: Sequence[Result]) -> str:
    count = len({result.cell.seed for result in results})
    return "1 seed" if count == 1 else f"{count} seeds"


def _legend(group: Sequence[Result]) -> str:
    """What `_label` says of each recipe, in words."""
    recipes = [result.cell.recipe for result in group]
    against = any(recipe.epsilon for recipe in recipes)
    turned = "rotation" in varied(recipes) or not against
    parts = ["with rotations in [-A, A]"] * turned + [f"against perturbations up{NBSP}to{NBSP}$\\epsilon$"] * against
    return f"trained {' and '.join(parts)}"
