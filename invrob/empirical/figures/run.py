"""The paper's figures from stored profiles: robustness on the left, rate of invariance on the right, one line per
training; and what was measured beside them in a second figure.

Lines are told apart by lightness, dash and marker as well as by hue, so that they read in grey and for the
colour-blind."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
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
from invrob.empirical.profiles.plots import DOUBTS, Curve, Panel, figure_of, panel
from invrob.empirical.training import Recipe
from invrob.pictures import write_figure

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
) -> list[Path]:
    """Draw the figures of each network of a run, and its trade-off plane, as PNG and SVG.

    Args:
        folder: where they are written.
        results: of the run, at least one.
        theta, epsilon: where the plane and the tables of classes are cut; None as in `place_of`.
        classes: the names of the classes, where they are known.
        write: writes each; it returns its path, or None where the disk refuses.

    Returns:
        The paths of the figures that were written.

    Raises:
        InputError: for a theta or an epsilon that was not measured.
    """
    trainings = by_training(results)
    theta, epsilon = place_of(trainings, theta, epsilon)
    title = f"Trade-off on {results[0].cell.dataset}, {_count_of_seeds(results)}"
    drawn = {"plane": plane_figure(plane(trainings, theta, epsilon), theta, epsilon, title)}
    for network, group in grouped(results, lambda result: result.network).items():
        stem = _stem(network, drawn)
        drawn[stem] = network_figure(group)
        if any(result.beside for result in group):
            drawn[stem + "-beside"] = beside_figure(group)
        rows = {_labels(recipe, group)[1]: seeds for recipe, seeds in _by_recipe(group).items()}
        by_class = class_figure(f"{_title(group)}, {_legend(group)}", rows, classes, theta, epsilon)
        if by_class is not None:
            drawn[stem + "-classes"] = by_class
    files = [(folder / (name + suffix), figure) for name, figure in drawn.items() for suffix in (".png", ".svg")]
    return [written for file, figure in files if (written := write(file, figure)) is not None]


def _stem(network: str, taken: Collection[str]) -> str:
    """The name of a file for a network: what every file system takes, and no other network of the run has."""
    stem = "figure-" + "-".join("".join(c if c.isalnum() or c in "._" else " " for c in network).split())
    if len(stem.encode()) <= LONGEST and stem not in taken:
        return stem
    told_apart = hashlib.sha256(network.encode()).hexdigest()[:8]
    return f"{stem.encode()[:LONGEST].decode(errors='ignore')}-{told_apart}"


def network_figure(group: Sequence[Result]) -> Figure:
    """Both profiles of one network, one line for each recipe; its seeds are averaged."""
    robustness, invariance = [], []
    for recipe, seeds in _by_recipe(group).items():
        profiles = [result.robustness for result in seeds]
        shares = [share.estimate for result in seeds if (share := clean_accuracy(result.robustness)) is not None]
        over_epsilon, over_theta = (f"{label}  ({np.mean(shares):.1%})" for label in _labels(recipe, group))
        robustness.append(Curve(over_epsilon, *averaged(profiles), *_attacked(profiles)))
        invariance.append(Curve(over_theta, *averaged([r.invariance for r in seeds])))
    panels = [
        panel("Robustness: 1 - fooling rate", group[0].robustness, robustness),
        panel("Rate of invariance", group[0].invariance, invariance),
    ]
    return figure_of(f"{_title(group)}, bands of 95 %", panels, _legend(group) + "  (accuracy)")


def beside_figure(group: Sequence[Result]) -> Figure:
    """What was measured beside the two profiles: a panel for each, the lines as in `network_figure`."""
    panels: dict[str, Panel] = {}
    for recipe, seeds in _by_recipe(group).items():
        for name in dict.fromkeys(name for result in seeds for name in result.beside):
            measurement = group[0].cell.profiling.beside[name]
            profiles = [result.beside[name] for result in seeds if name in result.beside]
            over_epsilon, over_theta = _labels(recipe, group)
            label = over_theta if measurement.axis == "theta" else over_epsilon
            curve = Curve(label, *averaged(profiles), *_attacked(profiles))
            panels.setdefault(name, panel(measurement.title, profiles[0], [])).curves.append(curve)
    title = f"{_title(group)}, bands of 95 %, beside the profiles"
    return figure_of(title, list(panels.values()), _legend(group))


def _attacked(profiles: Sequence[Rates]) -> tuple[str, Array | None]:
    """The worst verdict on the attacks of some seeds, and the floor of their mean rate. A masked one has none to draw:
    there it is 0."""
    verdicts = {profile.verdict for profile in profiles}
    doubt = next((doubt for doubt in DOUBTS if doubt in verdicts), "")
    return doubt, None if doubt == "masked" else floor_means(profiles)


def _by_recipe(group: Sequence[Result]) -> dict[Recipe, list[Result]]:
    return grouped(group, lambda result: result.cell.recipe)


def _labels(recipe: Recipe, group: Sequence[Result]) -> tuple[str, str]:
    """What tells a recipe from the others of its group, for lines over epsilon and over theta."""
    apart = varied(result.cell.recipe for result in group)
    against = f"$\\epsilon$ = {format_epsilon(recipe.epsilon)}" if "epsilon" in apart or recipe.epsilon else ""
    angle = f"{recipe.rotation:g}/" if "rotation" in apart or not against else ""
    others = [against, *other_settings(recipe, apart)]
    unturned, turned = (", ".join(filter(None, (angle and angle + b, *others))) for b in ("0", "B"))
    return unturned, turned


def _title(group: Sequence[Result]) -> str:
    cell = group[0].cell
    dataset, number = PAPER.get(cell.model, ("?", ""))
    title = f"{group[0].network} on {cell.dataset}"
    if cell.dataset.startswith(dataset):
        title += f" (the paper's {number})"
    return f"{title}: {group[0].robustness.images} test images, {_count_of_seeds(group)}"


def _count_of_seeds(results: Sequence[Result]) -> str:
    count = len({result.cell.seed for result in results})
    return "1 seed" if count == 1 else f"{count} seeds"


def _legend(group: Sequence[Result]) -> str:
    recipes = [result.cell.recipe for result in group]
    natural = all(recipe.epsilon == 0 for recipe in recipes)
    return "trained A / tested B" if "rotation" in varied(recipes) or natural else "trained against"
