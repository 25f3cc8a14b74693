"""Draws the pictures of README and docs that show results, from results that are kept.

    python -m tools.docs_pictures             # all that follow from docs/numbers
    python -m tools.docs_pictures worst_case sweep     # these are measured again, which takes some minutes
    python -m tools.docs_pictures published --profile PATH/profile.json

Each function below is a name. Pictures of pages that are run as they stand come from tools/docs_figures.py."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import invrob
from invrob.empirical.analysis import grouped
from invrob.empirical.figures import network_figure
from invrob.empirical.profiles import Card
from invrob.empirical.profiles.plots import Curve, Panel, figure_of, panel, profile_figures
from invrob.intervals import percent
from invrob.pictures import COLOURS, Picture, write_figure
from invrob.theory.sweep import sweep as swept
from tools.docs_sources import read_slim_run

DOCS = Path(__file__).resolve().parents[1] / "docs"
CHANGES = {  # of the picture of the worst case, and the values that it is measured at
    "rotation": [0, 10, 20, 30, 40, 50, 60, 70, 80, 90],
    "translation": [0, 1, 2, 3, 4, 5, 6, 8],
    "rotation+translation": [0, 5, 10, 15, 20, 25, 30],
}


def mini(_: argparse.Namespace) -> None:
    """The figures of the README, of the run of the preset mini that is kept in docs/numbers."""
    results = read_slim_run(DOCS / "numbers" / "mini")
    for model, group in grouped(results, lambda result: result.cell.model).items():
        write_figure(DOCS / "images" / f"figure-{model}.png", network_figure(group))


def audit(_: argparse.Namespace) -> None:
    """A robustness with its interval and its floor, and what the three are called."""
    results = read_slim_run(DOCS / "numbers" / "mini")
    result = next(one for one in results if one.cell.recipe.epsilon == 0.3)
    rates, last = result.robustness, int(np.flatnonzero(result.robustness.epsilons == 0.3)[0])
    assert rates.floor is not None
    figure = Picture(figsize=(6.4, 4.2), layout="constrained")
    axes, colour = figure.subplots(), COLOURS[0]
    axes.fill_between(rates.epsilons, rates.low, rates.high, color=colour, alpha=0.3, linewidth=0, label="interval")
    missed = "what the attack may have missed"
    axes.fill_between(rates.epsilons, rates.floor, rates.low, color=colour, alpha=0.1, linewidth=0, label=missed)
    axes.plot(rates.epsilons, rates.rate, "o-", color=colour, label="rate")
    axes.plot(rates.epsilons, rates.floor, ":", color=colour, label="floor")
    named = {"rate": rates.rate[last], "low": rates.low[last], "floor": rates.floor[last]}
    for height, (name, value) in zip((0.74, 0.64, 0.54), named.items(), strict=True):
        arrow = {"arrowstyle": "-", "linewidth": 0.8}
        axes.annotate(f"{name} {percent(float(value))} %", (0.3, value), (0.35, height), arrowprops=arrow)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set(xlabel=r"$\epsilon$, L-inf norm of the perturbation (pixels in [0, 1])", ylabel="predictions that stay")
    axes.set_title(f"{result.network}, trained against $\\epsilon$ = 0.3: {rates.images} test images", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower left", fontsize=9)
    write_figure(DOCS / "images" / "audit.png", figure)


def worst_case(_: argparse.Namespace) -> None:
    """Average, worst of ten draws and grid, of the network of docs/how-to/transformations.md."""
    from tools.docs_measure import small_network

    model, images, labels, _ = small_network()
    panels: list[Panel] = []
    for name, values in CHANGES.items():
        average = invrob.invariance_profile(model, images, values, labels, over=name)
        rates = {"average": average}
        for told, adversary in (("worst of 10", invrob.WorstOf(10)), ("grid", invrob.Grid())):
            rates[told] = invrob.worst_case_profile(model, images, values, labels, over=name, against=adversary)
        curves = [Curve(told, part.values, part.rate, part.low, part.high) for told, part in rates.items()]
        panels.append(panel(f"Rate of invariance: {name}", average, curves))
    title = f"stdcnn, three epochs on mnist-mini: {len(images)} test images, bands of 95 %"
    write_figure(DOCS / "images" / "worst-case.png", figure_of(title, panels))


def sweep(_: argparse.Namespace) -> None:
    """Learned classifiers against the exact frontier: `invrob theory sweep --p 0.5:0.95:0.05`."""
    report = swept([round(0.5 + 0.05 * step, 2) for step in range(10)])
    write_figure(DOCS / "images" / "theory-sweep.png", report.plot())


def published(asked: argparse.Namespace) -> None:
    """The card of docs/published-network.md, from the profile.json of its command."""
    plain = json.loads(asked.profile.read_text(encoding="utf-8"))
    card = Card.from_dict(plain)
    both = {"robustness": card.robustness, "invariance": card.invariance}
    figure: Figure = profile_figures(both, "ResNet18 of pyautoattack on cifar10-jpeg.npz, test")["card"]
    write_figure(DOCS / "images" / "published-card.png", figure)


KEPT: tuple[Callable[[argparse.Namespace], None], ...] = (mini, audit)
ALL = {function.__name__: function for function in (*KEPT, worst_case, sweep, published)}


def main() -> None:
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *ALL], help="all that are kept where none is named")
    parser.add_argument("--profile", type=Path, help="of the published network")
    asked = parser.parse_args()
    for name in asked.names or [function.__name__ for function in KEPT]:
        ALL[name](asked)


if __name__ == "__main__":
    main()
