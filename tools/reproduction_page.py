"""The page docs/reproduction/README.md: the paper's figures beside ours.

Every number and every verdict on it is read from the runs that are kept."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from invrob.empirical.analysis import Claim
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import format_epsilon
from invrob.intervals import percent
from tools.reproduction_numbers import (
    Tried,
    attacks_in_words,
    attacks_table,
    networks_of_numbers,
    numbers_in_short,
    numbers_table,
    read_attacks,
    tried,
)
from tools.reproduction_runs import FIGURES, PaperFigure, Run, missing, networks, own, shown
from tools.reproduction_tables import (
    accuracy,
    beside_table,
    claims_table,
    costs_table,
    invariance_at,
    mean,
    of_figure,
    rates_table,
    robustness_at,
    run_table,
    summary_table,
    trainings,
)
from tools.reproduction_words import CLAIMS, CONFOUNDS, JPEG, OTHERS, PAPER, RULE, TITLE, about_attacked, again, listed

Runs = Mapping[str, Run | None]
Claims = dict[str, tuple[Claim, ...]]


def page(runs: Runs, claims: Claims, folder: Path) -> str:
    """The whole page; folder: that of the page, where attacks.json may be."""
    parts = [TITLE, *_in_short(runs, claims), *_what_was_run(runs)]
    for figure in FIGURES:
        parts += _of_figure(figure, runs[figure.run], claims.get(figure.run, ()))
    parts += [*_the_two_numbers(runs["mnist"], folder), *_cost(runs)]
    kept = [name for name, run in runs.items() if run is not None]
    return "\n\n".join([*parts, again(kept)]) + "\n"


def picture(figure: PaperFigure, beside: bool = False) -> str:
    """The file name of a figure, or of what was measured beside it."""
    return f"figure-{figure.number}{'-beside' * beside}.png"


def folded(title: str, *parts: str) -> str:
    """What a reader opens; the attribute has MkDocs read the Markdown inside, as code hosts do in any case."""
    inside = "\n\n".join(part for part in parts if part)
    return f'<details markdown="1">\n<summary>{title}</summary>\n\n{inside}\n\n</details>'


def _in_short(runs: Runs, claims: Claims) -> Iterator[str]:
    yield "## In short"
    if claims:
        yield CLAIMS
        yield summary_table(claims)
    yield "The two numbers that the text gives for its StdCNN ([ours](#the-two-numbers-that-the-paper-gives)):"
    yield "\n".join(numbers_in_short(networks_of_numbers(runs["mnist"])))


def _what_was_run(runs: Runs) -> Iterator[str]:
    yield "## What was run, and what was not"
    for name, run in runs.items():
        data = next(figure.data for figure in FIGURES if figure.run == name)
        if run is None or not run.results:
            yield f"**{data}**: nothing of it is finished."
            continue
        lossy = f" {JPEG}" if run.lossy else ""
        yield f'**{data}**, `dataset = "{run.experiment.dataset}"`, [{name}.toml]({name}.toml).{lossy}'
        yield run_table(run)
        yield _machine(run)
    lines = [
        f"- {figure.name}: {'; '.join(lacks)}." for figure in FIGURES if (lacks := missing(figure, runs[figure.run]))
    ]
    yield "Of six figures with three seeds each " + ("this is missing:" if lines else "nothing is missing.")
    if lines:
        yield "\n".join(lines)
    small = sorted(
        {shown(r.network) for run in runs.values() if run for r in run.results if r.cell.options.get("width", 1) < 1}
    )
    if small:
        yield f"Not of full width, so that its rates are those of a smaller network: {listed(small)}."


def _machine(run: Run) -> str:
    """Where it was computed, with which versions, and how long it took."""
    costs = [cost for _, _, cost in run.costs()]
    seconds = sum(cost["seconds"] for cost in costs)
    devices = listed(sorted({str(cost["device"]) for cost in costs}))

    def used(name: str) -> str:
        return listed(sorted({str(cost["versions"][name]) for cost in costs if name in cost.get("versions", {})}))

    return (
        f"Computed on {devices} ({used('platform')}) with invrob {used('invrob')}, torch {used('torch')} and Python "
        f"{used('python')}: {seconds / 3600:.1f} hours of one process in {len(run.results)} of {len(run.cells)} cells."
    )


def _of_figure(figure: PaperFigure, run: Run | None, claims: Sequence[Claim]) -> Iterator[str]:
    """What the paper says, our picture, the rates, the claims; what else was measured is folded away."""
    yield f"## {figure.name}: {figure.shown} on {figure.data}"
    yield f"*The paper:* {PAPER[figure.number]}"
    lacks = missing(figure, run)
    finished = own(figure, run)
    others = [group for group in [*networks(figure, run).values()][1:] if group]
    if run is None or not finished:
        yield "*Here:* not run yet."
        if others:
            yield rates_table(figure, others)
        return
    images, dataset = finished[0].robustness.images, run.experiment.dataset
    yield f"*Here:* {shown(finished[0].network)} on `{dataset}`, {_seeds(finished)}, {images} test images."
    if lacks:
        yield f"*Missing:* {'; '.join(lacks)}."
    yield f"![Robustness and rate of invariance of {figure.shown} on {figure.data}]({picture(figure)})"
    yield rates_table(figure, [finished])
    about = of_figure(figure, claims)
    if about:
        yield claims_table(about)
    if figure.parameter == "epsilon":
        yield from about_attacked(figure, finished)
    yield from _beside(figure, finished, others)


def _beside(figure: PaperFigure, finished: Sequence[Result], others: Sequence[Sequence[Result]]) -> Iterator[str]:
    """The other networks of a figure, and what was measured beside the profiles."""
    if others:
        names = listed([shown(group[0].network) for group in others])
        yield folded(f"The same for {names}", rates_table(figure, [finished, *others]))
    confounds = beside_table(figure, [finished, *others])
    if confounds:
        drawn = f"![What was measured beside the profiles of {figure.shown}]({picture(figure, beside=True)})"
        yield folded(
            "What the rates rest on: canvas, disc, there and back, attacks that flatter", CONFOUNDS, confounds, drawn
        )


def _the_two_numbers(run: Run | None, folder: Path) -> Iterator[str]:
    yield "## The two numbers that the paper gives"
    by_rotation = networks_of_numbers(run)
    yield numbers_table(by_rotation)
    yield RULE
    if run is None or not by_rotation:
        return
    kept = read_attacks(run, folder)
    attacks = tried(run, kept)
    yield OTHERS
    yield attacks_table(attacks)
    yield " ".join(_conclusion(attacks))
    if kept is None:
        yield "Not measured on these weights: the attacks and the units that the table lacks."


def _conclusion(attacks: Sequence[Tried]) -> Iterator[str]:
    yield from attacks_in_words(attacks)
    yield "Which attack the paper had can't be told from its text."


def _cost(runs: Runs) -> Iterator[str]:
    finished = [run for run in runs.values() if run is not None and run.results]
    if finished:
        yield "## Cost"
        yield folded("How long each stage of a cell took", costs_table(finished))


def _seeds(results: Sequence[Result]) -> str:
    count = len({result.cell.seed for result in results})
    return "one seed" if count == 1 else f"{count} seeds"


def named_numbers(runs: Runs, claims: Claims) -> dict[str, float | str]:
    """What other pages take from the runs, by name, as tools/docs_numbers.py reads it."""
    named: dict[str, float | str] = {}
    for figure in FIGURES:
        run = runs[figure.run]
        for index, (network, results) in enumerate(networks(figure, run).items()):
            for value, seeds in trainings(figure, results).items():
                name = f"{figure.model if index == 0 else network} {_short(figure, value)}"
                rates = {"accuracy": mean(seeds, accuracy)}
                rates |= {f"inv {theta}": mean(seeds, invariance_at(theta)) for theta in (90, 180)}
                rates |= {f"rob {format_epsilon(e)}": mean(seeds, robustness_at(e)) for e in figure.epsilons}
                for what, rate in rates.items():
                    if rate is not None:
                        named[f"{name} {what}"] = rate.estimate
                        named[f"{name} {what} interval"] = f"[{percent(rate.low)}, {percent(rate.high)}]"
    if claims:
        named["claims"] = summary_table(claims)
    named["verdicts"] = verdicts_in_words(runs, claims)
    return named


def verdicts_in_words(runs: Runs, claims: Claims) -> str:
    """The paper's four claims about the networks of its figures, in a sentence without its end: "(i) holds for StdCNN
    and VGG16; (ii) ..."."""
    names = {results[0].network: figure.shown for figure in FIGURES if (results := own(figure, runs[figure.run]))}
    said: dict[str, dict[str, list[str]]] = {}
    for some in claims.values():
        for claim in some:
            if claim.of_paper and claim.effect is not None and claim.network in names:
                said.setdefault(claim.name, {}).setdefault(claim.verdict, []).append(names[claim.network])
    words = {"undecided": "is undecided"}
    parts = {
        name: [f"{words.get(verdict, verdict)} for {listed(of)}" for verdict, of in by_verdict.items()]
        for name, by_verdict in said.items()
    }
    return "; ".join(f"({name}) {', '.join(parts[name])}" for name in ("i", "ii", "iii", "iv") if name in parts)


def _short(figure: PaperFigure, value: float) -> str:
    return f"{'A' if figure.parameter == 'rotation' else 'eps'}={figure.written(value)}"
