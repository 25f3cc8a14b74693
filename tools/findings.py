"""The runs behind docs/findings.md: grids of rotations and attacks, what is kept of them, and what the page takes.

    python -m tools.findings --keep runs/grid runs/grid-gcnn    # then draw, and write the numbers
    python -m tools.findings                                    # draws again, from what is kept

What is kept lies in docs/reproduction/runs: profiles and costs, without weights. `python -m tools.docs_numbers` writes
the numbers of the page."""

import argparse
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from invrob.empirical.analysis import (
    Claim,
    Point,
    answer,
    by_training,
    check_claims,
    grouped,
    other_settings,
    place_of,
    plane,
)
from invrob.empirical.analysis.both_words import QUESTION
from invrob.empirical.experiments import Result, to_toml
from invrob.empirical.profiles import format_epsilon
from invrob.intervals import percent
from invrob.pictures import COLOURS, Picture, write_figure
from tools.reproduction_runs import Run, keep, read_kept, shown
from tools.reproduction_tables import (
    accuracy,
    attack_verdict,
    change,
    claims_table,
    floor_at,
    invariance_at,
    mean,
    robustness_at,
    signed,
    summary_table,
    table,
    written,
)

DOCS = Path(__file__).resolve().parents[1] / "docs"
KEPT = DOCS / "reproduction" / "runs"
GRIDS = ("grid", "grid-gcnn")  # StdCNN and LeNet with three seeds, the p4 network with one
FIGURES_OF_PAPER = ("mnist", "cifar")
PICTURE = DOCS / "images" / "findings.png"
MARKERS = "os^DvP"
CHANCE = 0.2  # twice the accuracy of one class for everything, of ten


def grids() -> list[Run]:
    """The grids that are kept."""
    return [run for name in GRIDS if (run := read_kept(KEPT / name)) is not None]


def networks() -> list[list[Result]]:
    """The results of each network of the grids."""
    return [group for run in grids() for group in grouped(run.results, lambda result: result.network).values()]


def findings() -> Iterator[tuple[str, str]]:
    """What the page takes, by name."""
    claims = {run.path.name: check_claims(run.results) for run in grids()}
    every = [claim for some in claims.values() for claim in some]
    if not every:
        return
    yield "answer", plain(answer(every)[0]).removeprefix(f"{QUESTION} ")
    for claim in (claim for claim in every if claim.name == "vi"):
        model = claim.network.split()[0]
        yield f"{model} verdict", {"holds": "yes", "fails": "no"}.get(claim.verdict, claim.verdict)
        yield f"{model} finding", plain(claim.finding or claim.note)
        yield f"{model} effect", change(claim)
    ended = {key for run in grids() for key in at_chance(run)}
    for results in networks():
        model = results[0].cell.model
        yield f"{model} parameters", f"{results[0].parameters or 0:,}"
        yield f"{model} grid", grid_table(results)
        yield f"{model} orders", orders_table(results, ended)
        yield from _numbers(results)
    yield "claims", claims_table([c for c in every if c.name != "vi" and c.effect is not None])
    for name in ("i", "ii", "iii", "iv", "vii"):
        yield from _counted(name, [c for c in every if c.name == name and c.effect is not None])
    runs = {name: run for name in FIGURES_OF_PAPER if (run := read_kept(KEPT / name)) is not None}
    judged = {name: check_claims(run.results) for name, run in runs.items()}
    for claim in (c for some in judged.values() for c in some if c.effect is not None):
        yield f"{claim.network} {claim.label} change", change(claim)
    if judged:
        further = {name: tuple(c for c in some if not c.of_paper) for name, some in judged.items()}
        yield "figures", summary_table(further)
    yield "version", max(cost["versions"]["invrob"] for run in grids() for _, _, cost in run.costs())


def _counted(name: str, claims: Sequence[Claim]) -> Iterator[tuple[str, str]]:
    """How many tests of a claim there are, what they found, and between what its effects lie."""
    if claims:
        verdicts = [claim.verdict for claim in claims]
        yield f"{name} tests", str(len(claims))
        for verdict in ("holds", "fails", "undecided"):
            yield f"{name} {verdict}", str(verdicts.count(verdict))
        effects = [claim.effect for claim in claims if claim.effect is not None]
        yield f"{name} least", signed(min(effects))
        yield f"{name} most", signed(max(effects))


def plain(text: str) -> str:
    """A sentence of a run, for people: networks by their names, without the settings that nearly all have."""
    return shown(text).replace(", attack_steps 1", "").replace(", curriculum ramp", "")


def at_chance(run: Run) -> set[str]:
    """The keys of the cells whose training ended at chance, whichever of its epochs was kept."""
    return {cell.key for cell in run.cells if run.trained(cell)["epochs"][-1]["clean_accuracy"] < CHANCE}


def grid_table(results: Sequence[Result]) -> str:
    """Accuracy, invariance and robustness of each training of the grid."""
    usual, _ = split(results)
    return _table(["A", "epsilon"], [([f"{a:g}", format_epsilon(e)], seeds) for (a, e), seeds in usual.items()])


def orders_table(results: Sequence[Result], ended: Collection[str]) -> str:
    """The same of other orders and losses, beside the training of the grid at the same place.

    ended: the keys of the cells whose training ended at chance."""
    usual, others = split(results)
    place = next(iter(others.values()))[0].cell.recipe
    of_grid = usual[place.rotation, place.epsilon]
    named = {of_grid[0].cell.recipe.formatted("curriculum"): of_grid, **others}
    counts = {name: sum(result.cell.key in ended for result in seeds) for name, seeds in named.items()}
    rows = [([name, f"{counts[name]} of {len(seeds)}"], seeds) for name, seeds in named.items()]
    return _table(["order", "ended at chance"], rows)


def split(results: Sequence[Result]) -> tuple[dict[tuple[float, float], list[Result]], dict[str, list[Result]]]:
    """The trainings of the grid, by A and epsilon, and the others, by what is different in them."""
    recipes = grouped(results, lambda r: r.cell.recipe.model_copy(update={"rotation": 0.0, "epsilon": 0.0}))
    most, *rest = sorted(recipes.values(), key=len, reverse=True)
    usual = grouped(most, lambda result: (result.cell.recipe.rotation, result.cell.recipe.epsilon))
    of_grid = most[0].cell.recipe
    others = {}
    for seeds in rest:
        recipe = seeds[0].cell.recipe
        apart = [name for name in type(recipe).model_fields if getattr(recipe, name) != getattr(of_grid, name)]
        said = [recipe.formatted("curriculum")] if "curriculum" in apart else []
        said += ["TRADES, " + ", ".join(other_settings(recipe, apart))] if recipe.trades_beta else []
        others[", ".join(said)] = seeds
    return dict(sorted(usual.items())), others


def _table(headings: list[str], rows: Sequence[tuple[list[str], list[Result]]]) -> str:
    theta, epsilon = _place([result for _, seeds in rows for result in seeds])
    lines = []
    for names, seeds in rows:
        collapsed = sum(result.collapsed for result in seeds)
        rates = [written(mean(seeds, accuracy)), written(mean(seeds, invariance_at(theta)))]
        rates += [written(mean(seeds, robustness_at(epsilon)), floor_at(seeds, epsilon))]
        constant = f"; {collapsed} of {len(seeds)} one class for everything" if collapsed else ""
        lines.append([*names, *rates, attack_verdict(seeds) + constant])
    shares = ["accuracy", f"inv. {theta:g}", f"rob. {format_epsilon(epsilon)}", "attack"]
    return table([*headings, *shares], lines)


def _numbers(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    theta, epsilon = _place(results)
    usual, others = split(results)
    trainings = {f"A={a:g} eps={format_epsilon(e)}": seeds for (a, e), seeds in usual.items()} | others
    for name, seeds in trainings.items():
        for short, read in (("acc", accuracy), ("inv", invariance_at(theta)), ("rob", robustness_at(epsilon))):
            rate = mean(seeds, read)
            if rate is not None:
                yield f"{results[0].cell.model} {name} {short}", percent(rate.estimate)


def _place(results: Sequence[Result]) -> tuple[float, float]:
    return place_of(by_training(results), None, None)


def draw() -> Path:
    """Every network of the grids in a panel of its own."""
    shown_here = networks()
    figure = Picture(figsize=(3.6 * len(shown_here), 4.3), layout="constrained")
    panels = figure.subplots(1, len(shown_here), sharex=True, sharey=True, squeeze=False)[0]
    for axes, results in zip(panels, shown_here, strict=True):
        theta, epsilon = _panel(axes, results)
        axes.set_xlabel(rf"rate of invariance, angles in [-{theta:g}, {theta:g}]")
    panels[0].set_ylabel(rf"robustness at $\epsilon$ = {format_epsilon(epsilon)}")
    figure.legend(handles=_key(shown_here), loc="outside lower center", ncols=len(shown_here) + 1, fontsize=9)
    return write_figure(PICTURE, figure)


def _panel(axes: Axes, results: Sequence[Result]) -> tuple[float, float]:
    theta, epsilon = _place(results)
    usual, others = split(results)
    names = {str(key): seeds for key, seeds in {**usual, **others}.items()}
    points = dict(zip(names, plane(names, theta, epsilon, mixed=True), strict=True))
    places = [points[str(key)] for key in usual if 0 in key]
    corners = frontier([(p.invariance.estimate, p.robustness.estimate) for p in places if p.believed])
    axes.plot(*zip(*corners, strict=True), "--", color="0.5", zorder=1)
    angles, levels = _axes_of(usual)
    for key in [*others, *usual]:
        if not points[str(key)].believed:
            continue  # such as a network that gives every image one class: its place says nothing
        look = {"marker": "*", "color": "0.35", "markersize": 8}
        if isinstance(key, tuple):
            both = 0 not in key
            colour = COLOURS[angles.index(key[0])]
            look = {"marker": MARKERS[levels.index(key[1])], "color": colour, "markersize": 8}
            look["markerfacecolor"] = colour if both else "white"
        _mark(axes, points[str(key)], look)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_title(shown(results[0].network), fontsize=10, wrap=True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(alpha=0.25)
    return theta, epsilon


def frontier(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of what one can have of these places and their mixtures, from the most robust to the most
    invariant: the upper right side of their convex hull, with invariance first."""
    chain: list[tuple[float, float]] = []
    for x, y in sorted(places):
        while len(chain) > 1 and _turns_left(*chain[-2:], (x, y)):
            chain.pop()
        chain.append((x, y))
    return chain[max(range(len(chain)), key=lambda corner: chain[corner][::-1]) :]


def _turns_left(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) >= (b[1] - a[1]) * (c[0] - a[0])


def _mark(axes: Axes, point: Point, look: dict[str, object]) -> None:
    x, y = point.invariance, point.robustness
    axes.plot([x.low, x.high], [y.estimate] * 2, color=str(look["color"]), alpha=0.35, zorder=2)
    axes.plot([x.estimate] * 2, [y.low, y.high], color=str(look["color"]), alpha=0.35, zorder=2)
    axes.plot([x.estimate], [y.estimate], linestyle="none", zorder=3, **look)


def _axes_of(usual: dict[tuple[float, float], list[Result]]) -> tuple[list[float], list[float]]:
    return sorted({a for a, _ in usual}), sorted({e for _, e in usual})


def _key(groups: Sequence[Sequence[Result]]) -> list[Line2D | Patch]:
    angles, levels = _axes_of({key: seeds for results in groups for key, seeds in split(results)[0].items()})
    mark = {"linestyle": "none", "markersize": 8, "color": "0.35"}
    return [
        *(Patch(color=COLOURS[i], label=f"A = {a:g}") for i, a in enumerate(angles)),
        *(
            Line2D([], [], marker=MARKERS[i], label=rf"trained at $\epsilon$ = {e:g}", **mark)
            for i, e in enumerate(levels)
        ),
        Line2D([], [], marker="*", label="both, in other orders", **mark),
        Line2D([], [], linestyle="--", color="0.5", label="frontier of the hollow ones"),
    ]


def main() -> None:
    """Keep, and draw."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.findings", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, nargs=len(GRIDS), metavar="RUN", help="run directories of the grids")
    asked = parser.parse_args()
    for name, source in zip(GRIDS, asked.keep or (), strict=bool(asked.keep)):
        keep([source], KEPT / name, weights=False)
    for run in grids():
        (KEPT / f"{run.path.name}.toml").write_text(to_toml(run.experiment), encoding="utf-8")
    print(draw())


if __name__ == "__main__":
    main()
