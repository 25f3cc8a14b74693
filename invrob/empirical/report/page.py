"""The words and tables of a report: plain values for the template, which escapes every one of them."""

from collections.abc import Sequence
from importlib.metadata import version
from shlex import quote
from typing import Any

from invrob.empirical.analysis import STATEMENTS, TABLE_THETAS, Claim, told_apart, verdict_of
from invrob.empirical.analysis import answer as whether_both
from invrob.empirical.data import Dataset
from invrob.empirical.experiments import Result, clean_accuracy, to_toml
from invrob.empirical.profiles import BlackBoxProfile, Card, format_epsilon, table_epsilons
from invrob.empirical.report.examples import classes_of
from invrob.empirical.report.gather import Profiled, Run, Source, Training, cell_name
from invrob.intervals import Estimate, percent
from invrob.versions import versions

PROBES = {  # a field of Sanity that a verdict may rest on or that explains one, and its heading
    "zero_gradient": "zero gradient",
    "black_box": "black box",
    "unfooled_at_largest": "never fooled",
    "changed_prediction": "asked again",
    "constant": "constant",
    "findings": "faults",
}


def answer(run: Run) -> str:
    """The verdicts on the paper's four claims in a sentence."""
    by_verdict: dict[str, list[str]] = {}
    for statement in STATEMENTS:
        verdicts = {c.verdict for c in run.claims if c.name == statement.name and c.network != "-"}
        verdict = verdicts.pop() if len(verdicts) == 1 else "mixed" if verdicts else "untested"
        by_verdict.setdefault(verdict, []).append(statement.text)
    phrases = {
        "holds": "finds that {}",
        "fails": "finds the contrary of this: {}",
        "mixed": "gives no single answer for all networks on whether {}",
        "undecided": "leaves open whether {}",
        "untested": "does not test whether {}",
    }
    joints = {"holds": "that", "mixed": "whether", "undecided": "whether", "untested": "whether"}
    clauses = [
        text.format(_listed(by_verdict[verdict], joints.get(verdict, "")))
        for verdict, text in phrases.items()
        if verdict in by_verdict
    ]
    return f"On {run.experiment.dataset}, {run.label} " + "; it ".join(clauses) + "."


def both_answers(run: Run, several_runs: bool) -> list[str]:
    """Whether one can have both, invariance and robustness, as the run says it: the answer, and a paragraph for each
    network; nothing where it was not asked."""
    return [f"{run.label}: {said}" if several_runs else said for said in whether_both(run.claims)]


def _listed(texts: Sequence[str], joint: str) -> str:
    """ "a, that b and that c" for the joint "that"."""
    *first, last = [text if number == 0 else f"{joint} {text}".strip() for number, text in enumerate(texts)]
    return f"{', '.join(first)} and {last}" if first else last


def claim_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Each of the paper's claims, with its verdict for each network of each run."""
    return [_claim_row(runs, statement.name, statement.text) for statement in STATEMENTS]


def further_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The same of the statements beside the paper's that any of the runs can answer, in the order of their names."""
    said = {(claim.name, claim.text): None for run in runs for claim in run.claims if not claim.of_paper}
    names = [*dict.fromkeys(sorted((name for name, _ in said), key=len))]
    return [_claim_row(runs, name, text) for name, text in sorted(said, key=lambda one: names.index(one[0]))]


def _claim_row(runs: Sequence[Run], name: str, text: str) -> dict[str, Any]:
    found = [(run, claim) for run in runs for claim in run.claims if (claim.name, claim.text) == (name, text)]
    return {"name": name, "text": text, "verdicts": [_claim(run, claim) for run, claim in found]}


def _claim(run: Run, claim: Claim) -> dict[str, Any]:
    effect = None
    if claim.effect is not None and claim.low is not None and claim.high is not None:
        effect = Estimate(claim.effect, claim.low, claim.high)
    verdict = "not tested" if claim.network == "-" else claim.verdict
    return {**claim.to_dict(), "run": run.label, "verdict": verdict, "effect": effect}


def summary_table(trainings: Sequence[Training]) -> dict[str, Any]:
    """One row per cell of the runs: accuracy, both rates where tables show them, the verdict on the attack."""
    headings: dict[tuple[str, float], str] = {}  # by axis and value; what only some runs measured is a dash in others
    trained = [training for training in trainings if training.results]
    for training in trained:
        first = training.seeds[0]
        thetas, epsilons = first.invariance.values.tolist(), first.robustness.values.tolist()
        for theta in [theta for theta in TABLE_THETAS if theta in thetas] or [thetas[-1]]:
            headings["invariance", theta] = f"inv {theta:g}°"
        for epsilon in table_epsilons(epsilons):
            headings["robustness", epsilon] = f"rob {format_epsilon(epsilon)}"
    columns = sorted(headings, key=lambda column: column[0])
    named = _names_within_runs(trained)
    rows = [_row(training, result, named[id(result)], columns) for training in trained for result in training.results]
    return {"columns": [headings[column] for column in columns], "rows": rows}


def _names_within_runs(trained: Sequence[Training]) -> dict[int, str]:
    """The network of each result by its id, with what tells its training from others of that network in its run."""
    named: dict[int, str] = {}
    for label in dict.fromkeys(training.source.label for training in trained):
        of_run = [result for training in trained if training.source.label == label for result in training.results]
        named |= dict(zip(map(id, of_run), told_apart(of_run), strict=True))
    return named


def _row(training: Training, result: Result, network: str, columns: Sequence[tuple[str, float]]) -> dict[str, Any]:
    recipe, profiles = result.cell.recipe, {"invariance": result.invariance, "robustness": result.robustness}
    return {
        "run": training.source.label,
        "network": network,
        "theta": recipe.rotation,
        "epsilon": recipe.epsilon,
        "seed": result.cell.seed,
        "shares": [clean_accuracy(result.robustness), *(profiles[kind].measured_at(value) for kind, value in columns)],
        "floors": [None, *(_floor(result, kind, value) for kind, value in columns)],
        "verdict": verdict_of([result]),
        "quarter_turns": result.quarter_turns,
    }


def _floor(result: Result, kind: str, value: float) -> float | None:
    """What is left of the robustness at an epsilon; None without an audit, and of an attack that is masked."""
    floor, grid = result.robustness.floor, result.robustness.values.tolist()
    if kind != "robustness" or floor is None or result.verdict == "masked" or value not in grid:
        return None
    return float(floor[grid.index(value)])


def sanity_rows(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """What the audit and the probes of each attack came to, the audit at its worst epsilon.

    What a masked verdict rests on is marked."""
    return [_sanity(training, model) for training in trainings for model in training.seeds]


def _sanity(training: Training, model: Result | Card) -> dict[str, Any]:
    row = {"cell": _named(training, model), "verdict": model.verdict, "findings": model.robustness.sanity.findings}
    row |= {"reasons": model.robustness.sanity.reasons, "shortfall": "", "strength": ""}
    robustness = model.robustness
    if isinstance(robustness, BlackBoxProfile):  # no gradients, so no audit of them and no probes
        unknown: dict[str, Any] = dict.fromkeys(("missed", "gap", "gap_high"))
        asked = {"audited": 0, "probed": "-", "evaluations": "-", "probes": [("-", False)] * len(PROBES)}
        return {**row, **asked, **unknown}
    sanity, suspicious = robustness.sanity, robustness.sanity.suspicious()
    return {
        **row,
        "probed": sanity.probed,
        "evaluations": f"{robustness.gradient_evaluations:,.1f}",
        "audited": robustness.audited,
        "missed": None if robustness.missed is None else int(robustness.missed.max()),
        "gap": None if robustness.gap is None else float(robustness.gap.max()),
        "gap_high": None if robustness.gap_high is None else float(robustness.gap_high.max()),
        "strength": robustness.strength,
        "shortfall": robustness.shortfall,
        "probes": [(_probe(getattr(sanity, name)), name in suspicious) for name in PROBES],
    }


def _probe(value: float | bool | tuple[Any, ...] | None) -> str:
    """A field of Sanity in a table: a share in %, a yes or no, or how many there are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return str(len(value))
    return "-" if value is None else percent(value)


def _named(training: Training, model: Result | Card) -> str:
    if isinstance(model, Card) or len(training.seeds) == 1:
        return training.name
    return f"{training.name}, seed {model.cell.seed}"


def value_tables(charts: Sequence[dict[str, Any]], trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """The numbers of the charts, for those who read tables: one table per grid of values."""
    tables = []
    for chart in charts:
        grids: dict[tuple[float, ...], list[Any]] = {}
        for line in chart["lines"]:
            grids.setdefault(tuple(line["x"]), []).append(line)
        for lines in grids.values():
            heads = lines[0]["values"]
            rows = [(trainings[line["training"]].name, _triples(line["rate"])) for line in lines]
            tables.append({"title": chart["title"], "label": chart["label"], "heads": heads, "rows": rows})
    return tables


def _triples(rate: dict[str, list[float]]) -> list[Estimate]:
    return [Estimate(*triple) for triple in zip(rate["y"], rate["low"], rate["high"], strict=True)]


def cost_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Seconds of each stage, summed over the cells of a network, on each kind of device."""
    spent: dict[tuple[str, str, str, str], list[float]] = {}
    for run in runs:
        for result in run.results:
            for stage, cost in run.store.read_costs(result.cell.key).items():
                key = (run.label, result.network, str(stage), str(cost["device"]))
                spent.setdefault(key, []).append(float(cost["seconds"]))
    fields = ("run", "network", "stage", "device")
    return [
        {**dict(zip(fields, key, strict=True)), "cells": len(seconds), "seconds": sum(seconds)}
        for key, seconds in sorted(spent.items())
    ]


def about(run: Run, dataset: Dataset | None) -> dict[str, Any]:
    """Configuration, seeds, data, and how to make the run again."""
    modules = [spec.rpartition(":")[0] for spec in run.experiment.builders]
    return {
        "label": run.label,
        "path": quote(str(run.path)),
        "dataset": run.experiment.dataset,
        "classes": classes_of(run, dataset),
        "fingerprint": run.fingerprint,
        "seeds": list(run.experiment.seeds),
        "images": sorted({result.robustness.images for result in run.results}),
        "cells": len(run.results),
        "toml": to_toml(run.experiment),
        "file": quote(f"{run.path.resolve().name}.toml"),
        "own": run.experiment.builders,
        "imports": "".join(f" --import {quote(module)}" for module in dict.fromkeys(modules)),
        "missing": [cell_name(cell) for cell in run.absent],
        "partial": [cell_name(cell) for cell in run.partial],
    }


def version_rows(sources: Sequence[Source]) -> list[tuple[str, list[str], str]]:
    """(name, what each was computed with, what wrote this page). A run that went on after an update has several."""
    notes = []
    for source in sources:
        if isinstance(source, Profiled):
            notes.append([source.document["versions"]])
            continue
        costs = [cost for result in source.results for cost in source.store.read_costs(result.cell.key).values()]
        notes.append([cost["versions"] for cost in costs if isinstance(cost.get("versions"), dict)])
    return [
        (name, [", ".join(sorted({str(note[name]) for note in of_one if name in note})) for of_one in notes], here)
        for name, here in {**versions(), "plotly": version("plotly")}.items()
    ]
