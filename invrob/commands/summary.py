"""What a run came to, and where its time went: for a person, or for a machine as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invrob.commands.audits import audit_of, floor_lines
from invrob.commands.tables import Table, print_line, print_table, print_text, width_of
from invrob.intervals import p_text, percent

if TYPE_CHECKING:
    from rich.console import Console

    from invrob.empirical.analysis import Claim
    from invrob.empirical.execution import Spent
    from invrob.empirical.experiments import Result
    from invrob.intervals import Estimate


def _table_values(result: "Result", axis: str) -> "Sequence[float]":
    """The values of an axis, "theta" or "epsilon", that stand in the tables."""
    from invrob.empirical.analysis import TABLE_THETAS
    from invrob.empirical.profiles import table_epsilons

    return TABLE_THETAS if axis == "theta" else table_epsilons(result.robustness.values.tolist())


def _shares(result: "Result") -> "dict[str, Estimate | None]":
    """What stands in the tables, by its name in JSON; None where the experiment did not measure it."""
    from invrob.empirical.experiments import clean_accuracy

    thetas, epsilons = (_table_values(result, axis) for axis in ("theta", "epsilon"))
    return {
        "accuracy": clean_accuracy(result.robustness),
        **{f"invariance_{theta:g}": result.invariance.measured_at(theta) for theta in thetas},
        **{f"robustness_{epsilon:.4g}": result.robustness.measured_at(epsilon) for epsilon in epsilons},
    }


def result_row(result: "Result") -> dict[str, Any]:
    """A row of the JSON summary."""
    recipe, sanity, turns = result.cell.recipe, result.robustness.sanity, result.quarter_turns
    beside = {}
    for name, rates in result.beside.items():
        usual, grid = _table_values(result, rates.axis), rates.values.tolist()
        values = usual if any(value in grid for value in usual) else grid[-1:]
        beside[name] = {f"{value:.4g}": _plain(rates.measured_at(value)) for value in values}
    return {
        "network": result.network,
        "training_theta": recipe.rotation,
        "training_epsilon": recipe.epsilon,
        "curriculum": recipe.formatted("curriculum"),
        "trades_beta": recipe.trades_beta,
        "seed": result.cell.seed,
        **{name: _plain(share) for name, share in _shares(result).items()},
        "verdict": result.verdict,
        "collapsed": result.collapsed,
        **audit_of(result, _table_values(result, "epsilon")),
        "reasons": list(sanity.reasons),
        "findings": [finding.name for finding in sanity.findings],
        "beside": beside,
        "quarter_turns": None if turns is None else turns.to_dict(),
    }


def _plain(share: "Estimate | None") -> dict[str, float] | None:
    return None if share is None else asdict(share)


def _percent(share: "Estimate | None") -> str:
    return "-" if share is None else percent(share.estimate)


def print_results(results: "list[Result]", claims: "tuple[Claim, ...]") -> None:
    """The summaries for a person."""
    from rich.console import Console

    console = Console(highlight=False)
    print_networks(console, results)
    _print_beside(console, results)
    _print_apart(console, results)
    _print_claims(
        console,
        "The paper's claims, by the trend of the mean rate. Verdicts go by p, which is adjusted (Holm) for all tests "
        "of these claims; intervals are of 95 % for each alone:",
        [claim for claim in claims if claim.of_paper],
    )
    _print_claims(
        console,
        "What else these networks say, beside the paper's claims; p is adjusted among these:",
        [claim for claim in claims if not claim.of_paper],
    )


def print_answer(claims: "Sequence[Claim]") -> None:
    """Whether one can have both, invariance and robustness, where the run was asked; nothing elsewhere."""
    from rich.console import Console

    from invrob.empirical.analysis import answer

    question, *networks = answer(claims) or ("",)
    if question:
        print_text(Console(highlight=False), f"\n{question}", *(f"  {network}" for network in networks), "")


def _print_claims(console: "Console", heading: str, claims: "Sequence[Claim]") -> None:
    """Each statement with its networks, and then the notes on them; nothing where there are none."""
    if not claims:
        return
    print_text(console, f"\n{heading}")
    for name, text in dict.fromkeys((claim.name, claim.text) for claim in claims):
        print_text(console, f"  ({name}) {text}")
        for claim in claims:
            if (claim.name, claim.text) == (name, text):
                _print_claim(console, claim)
    print_text(console, *(f"  {', '.join(said)}: {note}" for note, said in _notes(claims).items()))


def _print_claim(console: "Console", claim: "Claim") -> None:
    """The verdict and the evidence beside the network, or below it where they do not fit."""
    verdict, width = f"{claim.verdict}  {_evidence(claim)}".rstrip(), width_of(console)
    line = f"        {claim.network}: {verdict}"
    for part in (
        [line] if width is None or len(line) <= width else [f"        {claim.network}:", f"          {verdict}"]
    ):
        print_line(console, part)


def _notes(claims: "Sequence[Claim]") -> dict[str, list[str]]:
    """The notes on claims, each with the claims that it is about."""
    notes: dict[str, list[str]] = {}
    for claim in claims:
        several = sum(claim.label == other.label for other in claims) > 1
        notes.setdefault(claim.note, []).append(f"({claim.label})" + (f" {claim.network}" if several else ""))
    return notes


class _Trainings:
    """The columns that say which training a row is about; the seed is one of them where there are several."""

    def __init__(self, results: "Sequence[Result]") -> None:
        from invrob.empirical.analysis import told_apart

        self.several = len({result.cell.seed for result in results}) > 1
        self.named = dict(zip((result.cell.key for result in results), told_apart(results), strict=True))

    def table(self, *headings: str) -> Table:
        """A table of trainings, with these columns after those that say which."""
        keys = ["network", "A", "eps", "seed"] if self.several else ["network", "A", "eps"]
        return Table([*keys, *headings], len(keys))

    def columns(self, result: "Result") -> list[str]:
        from invrob.empirical.profiles import format_epsilon

        recipe = result.cell.recipe
        columns = [self.named[result.cell.key], f"{recipe.rotation:g}", format_epsilon(recipe.epsilon)]
        return [*columns, str(result.cell.seed)] if self.several else columns


def print_networks(console: "Console", results: "list[Result]") -> None:
    """One line per network, what its columns are, and why attacks are masked or weak."""
    from invrob.empirical.profiles import format_epsilon
    from invrob.empirical.training import AGAINST_COLLAPSE

    trainings = _Trainings(results)
    invariances = [f"inv{theta:g}" for theta in _table_values(results[0], "theta")]
    robustnesses = [f"rob{format_epsilon(epsilon)}" for epsilon in _table_values(results[0], "epsilon")]
    robustnesses = [heading.replace("rob0.", "rob.") for heading in robustnesses]
    table = trainings.table("acc.", *invariances, *robustnesses, "attack")
    reasons, widest = [], 0.0
    for result in results:
        shares = _shares(result).values()
        widest = max([widest, *((share.high - share.low) / 2 for share in shares if share is not None)])
        verdict = "collapsed" if result.collapsed else result.verdict
        table.add(*trainings.columns(result), *map(_percent, shares), verdict)
        reasons += [f"{result.cell} is masked: {reason}" for reason in result.robustness.sanity.reasons]
        reasons += [f"{result.cell} has collapsed to a constant: {AGAINST_COLLAPSE}"] if result.collapsed else []
        reasons += [f"{result.cell} is weak: {result.robustness.shortfall}"] if result.robustness.shortfall else []
        reasons += [f"{result.cell}: {finding.text}" for finding in result.robustness.sanity.findings]
    print_table(console, table)
    print_text(
        console,
        "In %; trained with rotations in [-A, A] and against perturbations of size eps.",
        f"95 % intervals are at most +-{percent(widest)} points wide; each stands in profiles.csv.",
        "inv90: rate of invariance for rotations in [-90, 90]; rob: 1 - fooling rate at that epsilon.",
        *floor_lines(results, _table_values(results[0], "epsilon")),
        *reasons,
    )


def _print_beside(console: "Console", results: "list[Result]") -> None:
    """What was measured beside the card at the same values, and exact quarter turns, if anything."""
    from invrob.empirical.profiles import Weak, format_epsilon

    measured = {name: result.cell.profiling.beside[name] for result in results for name in result.beside}
    measurements = [measurement for measurement in measured.values() if measurement.on_card_axis]
    turns = any(result.quarter_turns for result in results)
    if not measurements and not turns:
        return
    weak = [measurement for measurement in measurements if isinstance(measurement.attack, Weak)]
    strongest = _table_values(results[0], "epsilon")[-1]
    headings = [m.name.replace("weak:", "weak ").replace("there-and-back", "back") for m in measurements]
    trainings = _Trainings(results)
    table = trainings.table(*headings, *(["90s"] if turns else []))
    for result in results:
        columns = trainings.columns(result)
        for measurement in measurements:
            rates = result.beside.get(measurement.name)
            value = strongest if measurement.axis == "epsilon" else 180
            columns.append(_percent(None if rates is None else rates.measured_at(value)))
        if turns:
            exact = result.quarter_turns
            columns.append("-" if exact is None else percent(float(exact.rate.min())))
        if any(cell != "-" for cell in columns[table.keys :]):  # of many networks perhaps nothing was measured beside
            table.add(*columns)
    print_line(console, "\nBeside the profiles, in %:")
    print_table(console, table)
    at, notes = format_epsilon(strongest), []
    if len(measurements) > len(weak):
        notes.append("canvas, disc, back (turned there and back): rates of invariance for rotations in [-180, 180]")
    if weak:
        notes.append(f"weak: robustness at {at} as an attack that flatters reports it; compare rob above")
    if turns:
        notes.append("90s: predictions that stay under turns of exactly 90, 180 and 270 degrees, the least of them")
    print_text(console, *notes)


def _print_apart(console: "Console", results: "list[Result]") -> None:
    """Other transformations, worst cases and norms, if anything: a line each, at the end of their axes."""
    trainings = _Trainings(results)
    table = trainings.table("measured", "up to", "stay", "95 %")
    for result in results:
        for name, rates in result.beside.items():
            if result.cell.profiling.beside[name].on_card_axis:
                continue
            masked = " (masked)" if rates.verdict == "masked" else ""
            bounds = f"{percent(float(rates.low[-1]))} to {percent(float(rates.high[-1]))}"
            row = (name + masked, f"{rates.values[-1]:g}", percent(float(rates.rate[-1])), bounds)
            table.add(*trainings.columns(result), *row)
    if table.rows:
        print_line(console, "\nOther changes, the worst of them, other norms, in %:")
        print_table(console, table)


def _evidence(claim: "Claim") -> str:
    if claim.effect is None or claim.low is None or claim.high is None:
        return ""
    effect, low, high = map(_signed, (claim.effect, claim.low, claim.high))
    return f"{effect} points [{low}, {high}], {'not tested' if claim.p_holm is None else p_text(claim.p_holm)}"


def _signed(share: float) -> str:
    text = percent(share)
    return text if text.startswith("-") else f"+{text}"


def print_costs(rows: "Sequence[Spent]", peak: float, device: str) -> None:
    """Where the time went: rows of `plan.spent`; peak: floating-point operations per second of a matrix product."""
    from rich.console import Console

    if not rows:
        return
    table = Table(("network", "stage", "cells", "time", "TFLOP", "GFLOP/s", "of peak"), keys=2)
    for row in rows:
        rate = row.flops / max(row.seconds, 1e-9)
        work = (duration(row.seconds), f"{row.flops / 1e12:,.2f}", f"{rate / 1e9:,.1f}", f"{rate / peak:.0%}")
        table.add(row.network, row.stage, str(row.cells), *work)
    console = Console(highlight=False)
    print_line(console, "\nWhere the time went, and the arithmetic done in it:")
    print_table(console, table)
    print_text(
        console, f"peak: {peak / 1e9:,.0f} GFLOP/s, a matrix product in float32 on {device}, one process, measured now"
    )


def duration(seconds: float) -> str:
    """Seconds as 42 s, 12 min or 3.4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
