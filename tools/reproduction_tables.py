"""The tables of docs/reproduction: rates in % with intervals of 95 % over images and seeds, claims, what was run."""

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from invrob.empirical.analysis import TABLE_THETAS, Claim, floor_means, grouped, mean_of
from invrob.empirical.experiments import Result, clean_accuracy
from invrob.empirical.profiles import Rates, format_epsilon
from invrob.intervals import Estimate, p_text, percent
from invrob.pictures import NBSP
from tools.reproduction_runs import FIGURES, PaperFigure, Run, networks, shown

Read = Callable[[Result], Estimate | None]
TITLES = {"zero fill": "zero fill", "canvas": "canvas", "disc": "disc", "there-and-back": "there and back"}
DAMAGE = ("masked", "weak", "unaudited")  # verdicts on attacks, the worst first
NOTHING = "-"
HEADING = {"rotation": "A", "epsilon": "trained at"}
NO_SPAN = {"rotation": 0.0, "epsilon": 0.0}


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """As Markdown."""
    lines = ["| " + " | ".join(headings) + " |"]
    lines.append("|" + "---|" * (lines[0].count("|") - 1))
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def mean(results: Sequence[Result], read: Read) -> Estimate | None:
    """A rate over the seeds of a training; None where none of them has it."""
    measured = [estimate for result in results if (estimate := read(result)) is not None]
    return mean_of(measured, results[0].robustness.images) if measured else None


def written(share: Estimate | None, floor: float | None = None, between: str = "<br>") -> str:
    """A rate in % with its interval, and with its floor where it has one; between: its lines in a cell."""
    if share is None:
        return NOTHING
    rate = f"{percent(share.estimate)}{between}[{percent(share.low)},{NBSP}{percent(share.high)}]"
    if floor is None:
        return rate
    return f"{rate}{between if between.strip() else ', '}floor{NBSP}{percent(floor)}"


def attack_verdict(results: Sequence[Result]) -> str:
    """The worst verdict on the attacks of some seeds."""
    verdicts = {result.verdict for result in results}
    return next((verdict for verdict in DAMAGE if verdict in verdicts), "sound")


def robustness_at(epsilon: float) -> Read:
    return lambda result: result.robustness.measured_at(epsilon)


def invariance_at(theta: float) -> Read:
    return lambda result: result.invariance.measured_at(theta)


def accuracy(result: Result) -> Estimate | None:
    return clean_accuracy(result.robustness)


def beside_at(name: str, value: float) -> Read:
    """Of a measurement beside the profiles."""

    def read(result: Result) -> Estimate | None:
        rates = result.beside.get(name)
        return None if rates is None else rates.measured_at(value)

    return read


def floor_at(results: Sequence[Result], epsilon: float) -> float | None:
    """Below what no attack as strong as the audit brings the mean robustness; None where nothing says so."""
    profiles: list[Rates] = [result.robustness for result in results]
    floors, index = floor_means(profiles), _index(results[0].robustness, epsilon)
    if floors is None or index is None or attack_verdict(results) == "masked":
        return None
    return float(floors[index])


def trainings(figure: PaperFigure, results: Sequence[Result]) -> dict[float, list[Result]]:
    """The seeds of each value of the figure's parameter."""
    groups = grouped(results, figure.value)
    return {value: groups[value] for value in sorted(groups)}


def rates_table(figure: PaperFigure, groups: Sequence[Sequence[Result]]) -> str:
    """Accuracy, invariance and robustness; groups: of a network each, whose name stands there where there are
    several."""
    several = len(groups) > 1
    headings = ["network"] * several + [HEADING[figure.parameter], "seeds", "accuracy"]
    headings += [f"inv. {theta:g}" for theta in TABLE_THETAS]
    headings += [f"rob. {format_epsilon(epsilon)}" for epsilon in figure.epsilons] + ["attack"]
    rows = []
    for of_network in groups:
        for value, seeds in trainings(figure, of_network).items():
            collapsed = sum(result.collapsed for result in seeds)
            rows.append(
                [
                    *[shown(seeds[0].network)] * several,
                    figure.written(value),
                    str(len(seeds)),
                    written(mean(seeds, accuracy)),
                    *(written(mean(seeds, invariance_at(theta))) for theta in TABLE_THETAS),
                    *(written(mean(seeds, robustness_at(e)), floor_at(seeds, e)) for e in figure.epsilons),
                    attack_verdict(seeds) + (f"; {collapsed} constant" if collapsed else ""),
                ]
            )
    return table(headings, rows)


def beside_table(figure: PaperFigure, groups: Sequence[Sequence[Result]]) -> str:
    """Rates of invariance at 180 degrees with each confound, and robustness under the attacks that flatter."""
    names = list(dict.fromkeys(name for group in groups for result in group for name in result.beside))
    if not names:
        return ""
    angles, weak = [n for n in names if n in TITLES], [n for n in names if n.startswith("weak:")]
    epsilon = figure.epsilons[0]
    headings = ["network", HEADING[figure.parameter], "zero fill"]
    headings += [TITLES[name] for name in angles]
    headings += [f"attack `{name.removeprefix('weak:')}` at {format_epsilon(epsilon)}" for name in weak]
    rows = [
        [
            shown(seeds[0].network),
            figure.written(value),
            written(mean(seeds, invariance_at(180))),
            *(written(mean(seeds, beside_at(name, 180))) for name in angles),
            *(written(mean(seeds, beside_at(name, epsilon))) for name in weak),
        ]
        for group in groups
        for value, seeds in trainings(figure, group).items()
    ]
    return table(headings, rows)


def claims_table(claims: Sequence[Claim]) -> str:
    """Each claim with its effect, its interval, its adjusted p and its verdict."""
    rows = []
    for claim in claims:
        p = NOTHING if claim.p_holm is None else p_text(claim.p_holm).removeprefix("p ").removeprefix("= ")
        said = [f"({claim.label}) {claim.text}", shown(claim.network), f"**{claim.verdict}**", change(claim), p]
        rows.append([*said, shown(claim.note)])
    # Columns of sentences are not squeezed to one word a line.
    first, last = (f'<span class="wide">{heading}</span>' for heading in ("claim", "what it rests on"))
    return table((first, "network", "verdict", "change, points", "p (Holm)", last), rows)


def change(claim: Claim) -> str:
    """The effect of a claim in points, with its interval."""
    if claim.effect is None or claim.low is None or claim.high is None:
        return "nothing compared"
    effect, low, high = (signed(share) for share in (claim.effect, claim.low, claim.high))
    return f"{effect} [{low},{NBSP}{high}]"


def signed(share: float) -> str:
    text = percent(share)
    return text if text.startswith("-") else f"+{text}"


def of_figure(figure: PaperFigure, claims: Sequence[Claim]) -> list[Claim]:
    """The claims about networks of a figure; of several that are compared the first one counts."""
    named = re.compile(rf"{figure.model}(?!\w)")
    return [claim for claim in claims if named.match(claim.network)]


def summary_table(claims: dict[str, tuple[Claim, ...]]) -> str:
    """Each claim once, with its verdicts in every run."""
    texts = {claim.label: claim.text for some in claims.values() for claim in some}
    rows = []
    for label, text in texts.items():
        cells = []
        for some in claims.values():
            said = [
                f"**{claim.verdict}** for {shown(claim.network)}: {change(claim)}"
                for claim in some
                if claim.label == label and claim.network != NOTHING
            ]
            cells.append("<br>".join(said) or "not tested yet")
        rows.append([f"({label}) {text}", *cells])
    headings = {"mnist": "MNIST", "cifar": "CIFAR-10, JPEG copy"}
    return table(["claim", *(headings[name] for name in claims)], rows)


def run_table(run: Run) -> str:
    """What was run: a row for each network and training."""
    rows = []
    for figure in FIGURES:
        for network, results in networks(figure, run).items():
            for recipe, group in grouped(results, lambda r: r.cell.recipe.model_copy(update=NO_SPAN)).items():
                attacked = any(result.cell.recipe.epsilon for result in group)
                width = group[0].cell.options.get("width", 1)
                rows.append(
                    [
                        f"{figure.name}: {shown(network)}",
                        f"{width:g}",
                        f"{group[0].parameters or 0:,}",
                        f"{figure.symbol} = {', '.join(map(figure.written, trainings(figure, group)))}",
                        str(recipe.epochs),
                        f"{recipe.attack_steps}" if attacked else "no attack",
                        str(group[0].robustness.images),
                        ", ".join(sorted({str(result.cell.seed) for result in group})),
                    ]
                )
    headings = (
        "network",
        "width",
        "parameters",
        "trained with",
        "epochs",
        "attack steps in training",
        "test images",
        "seeds",
    )
    return table(headings, rows)


def costs_table(runs: Iterable[Run]) -> str:
    """The median time of each stage."""
    stages: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        for result, stage, cost in run.costs():
            stages.setdefault((run.path.name, shown(result.network), stage), []).append(cost["seconds"])
    rows = [(*key, str(len(seconds)), f"{np.median(seconds):.0f} s") for key, seconds in stages.items()]
    return table(("run", "network", "stage", "cells", "median time of a cell"), rows)


def _index(rates: Rates, value: float) -> int | None:
    found = np.flatnonzero(np.isclose(rates.values, value, rtol=1e-6, atol=0))
    return int(found[0]) if len(found) else None
