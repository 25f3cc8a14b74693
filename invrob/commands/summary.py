"""What a run came to, or would take: for a person in 80 columns, or for a machine as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from invrob.errors import InputError

if TYPE_CHECKING:
    from invrob.empirical.analysis import Claim
    from invrob.empirical.execution import Spent
    from invrob.empirical.experiments import Result

SHOWN_THETAS = (90, 180)


def conclude(
    path: Path,
    as_json: bool,
    quiet: bool,
    extra: dict[str, Any],
    theta: float | None = None,
    epsilon: float | None = None,
) -> "tuple[Claim, ...]":
    """CSV, figures (the trade-off plane at theta and epsilon), verdicts; then the tables, or one JSON object."""
    from invrob.empirical.analysis import check_claims, place_of, write_classes_csv, write_csv
    from invrob.empirical.experiments import class_names, read_run
    from invrob.empirical.figures import write_figures

    _, results, missing = read_run(path)
    if not results:
        raise InputError(f"{path} holds no finished cell: start `invrob empirical run --out {path}` again")
    theta, epsilon = place_of(results, theta, epsilon)
    classes = class_names(path)
    table = write_csv(path / "profiles.csv", results)
    by_class = write_classes_csv(path / "classes.csv", results, classes)
    drawn = write_figures(path, results, theta, epsilon, classes)
    claims = check_claims(results)
    if as_json:
        summary = {
            "run": str(path),
            "csv": str(table),
            "classes_csv": str(by_class),
            "figures": [str(figure) for figure in drawn],
            "missing_cells": missing,
            **extra,
            "cells": [_row(result) for result in results],
            "claims": [asdict(claim) for claim in claims],
            "plane": _plane(results, theta, epsilon),
        }
        typer.echo(json.dumps(summary, allow_nan=False))
    elif not quiet:
        _print(results, claims)
        if missing:
            typer.echo(f"{missing} cells are not finished: the same run command goes on with them")
        typer.echo("figures and data:\n" + "\n".join(f"  {shown}" for shown in [*drawn, table, by_class]))
    return claims


def _plane(results: "Sequence[Result]", theta: float, epsilon: float) -> dict[str, Any]:
    """The trade-off plane: its points, and what each is."""
    from invrob.empirical.analysis import pareto_front, plane

    points = plane(results, theta, epsilon)
    rows = [{**asdict(point), "status": status} for point, status in zip(points, pareto_front(points), strict=True)]
    return {"theta": theta, "epsilon": epsilon, "points": rows}


def _epsilons(result: "Result") -> list[float]:
    """Which epsilons stand in the tables."""
    from invrob.empirical.profiles import shown_epsilons

    return shown_epsilons(result.robustness["epsilons"])


def _row(result: "Result") -> dict[str, Any]:
    """A row of the summary; an estimate is None where the experiment did not measure it."""
    from invrob.empirical.experiments import rate_at

    recipe = result.cell.recipe
    shares = {
        "accuracy": result.accuracy,
        **{f"invariance_{theta}": result.rate_at("theta", theta) for theta in SHOWN_THETAS},
        **{f"robustness_{epsilon:.4g}": result.rate_at("epsilon", epsilon) for epsilon in _epsilons(result)},
    }
    beside = {
        name: {f"{value:.4g}": rate_at(profile, value) for value in _values(result, profile)}
        for name, profile in result.beside.items()
    }
    return {
        "network": result.network,
        "training_theta": recipe.rotation,
        "training_epsilon": recipe.epsilon,
        "seed": result.cell.seed,
        **{name: None if share is None else asdict(share) for name, share in shares.items()},
        "verdict": result.verdict,
        "reasons": list(result.robustness["sanity"]["reasons"]),
        "findings": [finding["name"] for finding in result.robustness["sanity"]["findings"]],
        "beside": {n: {v: s and asdict(s) for v, s in shares.items()} for n, shares in beside.items()},
        "quarter_turns": result.quarter_turns,
    }


def _values(result: "Result", profile: dict[str, Any]) -> Sequence[float]:
    """Which values of a profile stand in the summary: those of the tables, or the last one of an axis of its own."""
    from invrob.empirical.experiments import grid_of

    usual = _epsilons(result) if "epsilons" in profile else SHOWN_THETAS
    grid = grid_of(profile)
    return usual if any(value in grid for value in usual) else grid[-1:]


def _print(results: "list[Result]", claims: "tuple[Claim, ...]") -> None:
    """The summaries for a person."""
    from rich.console import Console

    console = Console(highlight=False)
    reasons, widest = _print_networks(console, results)
    console.print("In %; trained with rotations in [-A, A] and against perturbations of size eps.")
    console.print(f"95 % intervals are at most +-{100 * widest:.1f} points wide; each stands in profiles.csv.")
    console.print("inv90: rate of invariance for rotations in [-90, 90]; rob: 1 - fooling rate at that epsilon.")
    for reason in reasons:
        console.print(reason)
    _print_beside(console, results)
    _print_apart(console, results)
    console.print("\nThe paper's claims, by the trend of the mean rate, with 95 % intervals:")
    for name, text in dict.fromkeys((claim.name, claim.text) for claim in claims):
        console.print(f"  ({name}) {text}")
        for claim in claims:
            if claim.name == name:
                console.print(f"        {claim.network}: [bold]{claim.verdict}[/bold]{_evidence(claim)}")
    for note in dict.fromkeys(claim.note for claim in claims):
        console.print(f"  {note}")


def _table(*headings: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        text = heading in ("network", "attack", "stage", "measured")
        table.add_column(heading, justify="left" if text else "right", no_wrap=heading != "network")
    return table


def _print_networks(console: Any, results: "list[Result]") -> tuple[list[str], float]:
    """One line per network; returns why attacks are masked, and half the width of the widest interval."""
    from invrob.empirical.profiles import shown_epsilon

    several = len({result.cell.seed for result in results}) > 1
    epsilons = [f"rob{shown_epsilon(epsilon)}".replace("rob0.", "rob.") for epsilon in _epsilons(results[0])]
    invariances = [f"inv{theta}" for theta in SHOWN_THETAS]
    table = _table("network", "A", "eps", *["seed"] * several, "acc.", *invariances, *epsilons, "attack")
    reasons, widest = [], 0.0
    for result in results:
        shares = [
            result.accuracy,
            *(result.rate_at("theta", theta) for theta in SHOWN_THETAS),
            *(result.rate_at("epsilon", epsilon) for epsilon in _epsilons(results[0])),
        ]
        widest = max([widest, *((share.high - share.low) / 2 for share in shares if share is not None)])
        recipe, seed = result.cell.recipe, result.cell.seed
        of_cell = [f"{recipe.rotation:g}", shown_epsilon(recipe.epsilon), *[str(seed)] * several]
        percentages = ["-" if share is None else f"{100 * share.estimate:.1f}" for share in shares]
        table.add_row(result.network, *of_cell, *percentages, result.verdict)
        sanity = result.robustness["sanity"]
        reasons += [f"{result.cell} is masked: {reason}" for reason in sanity["reasons"]]
        reasons += [f"{result.cell}: {finding['text']}" for finding in sanity["findings"]]
    console.print(table)
    return reasons, widest


def _print_beside(console: Any, results: "list[Result]") -> None:
    """What was measured beside the two profiles, if anything."""
    from invrob.empirical.experiments import rate_at
    from invrob.empirical.profiles import shown_epsilon

    apart = {name for result in results for name in result.cell.profiling.apart}
    names = [name for name in dict.fromkeys(n for result in results for n in result.beside) if name not in apart]
    turns = any(result.quarter_turns for result in results)
    if not names and not turns:
        return
    strongest = _epsilons(results[0])[-1]
    short = {"there-and-back": "back", **{name: name.replace("weak:", "weak ") for name in names if ":" in name}}
    several = len({result.cell.seed for result in results}) > 1
    headings = (*["seed"] * several, *(short.get(name, name) for name in names), *["90s"] * turns)
    table = _table("network", "A", "eps", *headings)
    for result in results:
        shares = []
        for name in names:
            profile = result.beside.get(name)
            value = strongest if profile and "epsilons" in profile else 180
            share = None if profile is None else rate_at(profile, value)
            shares.append("-" if share is None else f"{100 * share.estimate:.1f}")
        quarter = result.quarter_turns
        exact = [f"{100 * min(quarter['rate']):.1f}" if quarter else "-"] * turns
        recipe = result.cell.recipe
        seed = [str(result.cell.seed)] * several
        table.add_row(result.network, f"{recipe.rotation:g}", shown_epsilon(recipe.epsilon), *seed, *shares, *exact)
    console.print("\nBeside the profiles, in %:")
    console.print(table)
    if set(names) - {name for name in names if ":" in name}:
        console.print("canvas, disc, back (turned there and back): rates of invariance for rotations in [-180, 180]")
    if any(":" in name for name in names):
        console.print(
            f"weak: robustness at {shown_epsilon(strongest)} as an attack that flatters reports it; compare rob above"
        )
    if turns:
        console.print("90s: predictions that stay under turns of exactly 90, 180 and 270 degrees, the least of them")


def _print_apart(console: Any, results: "list[Result]") -> None:
    """Other transformations, worst cases and norms, if anything: a line each, at the end of their axes."""
    from invrob.empirical.experiments import grid_of, rate_at
    from invrob.empirical.profiles import shown_epsilon

    several = len({result.cell.seed for result in results}) > 1
    table = _table("network", "A", "eps", *["seed"] * several, "measured", "up to", "stay", "95 %")
    for result in results:
        recipe, seed = result.cell.recipe, [str(result.cell.seed)] * several
        trained = (result.network, f"{recipe.rotation:g}", shown_epsilon(recipe.epsilon), *seed)
        for name in result.cell.profiling.apart:
            if (profile := result.beside.get(name)) is None:
                continue
            value = grid_of(profile)[-1]
            share = rate_at(profile, value)
            assert share is not None
            bounds = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
            masked = " (masked)" if profile.get("verdict") == "masked" else ""
            table.add_row(*trained, name + masked, f"{value:g}", f"{100 * share.estimate:.1f}", bounds)
    if table.row_count:
        console.print("\nOther changes, the worst of them, other norms, in %:")
        console.print(table)


def _evidence(claim: "Claim") -> str:
    if claim.effect is None or claim.low is None or claim.high is None:
        return ""
    interval = f"[{100 * claim.low:+.1f}, {100 * claim.high:+.1f}]"
    return f"  {100 * claim.effect:+.1f} points {interval}, p = {claim.p_value:.1g}".replace("[", "\\[")


def print_costs(rows: "Sequence[Spent]", peak: float, device: str) -> None:
    """Where the time went: rows of `plan.spent`; peak: floating-point operations per second of a matrix product."""
    from rich.console import Console

    if not rows:
        return
    table = _table("network", "stage", "cells", "time", "TFLOP", "GFLOP/s", "of peak")
    for row in rows:
        rate = row.flops / max(row.seconds, 1e-9)
        shown = (duration(row.seconds), f"{row.flops / 1e12:,.2f}", f"{rate / 1e9:,.1f}", f"{rate / peak:.0%}")
        table.add_row(row.network, row.stage, str(row.cells), *shown)
    console = Console(highlight=False)
    console.print("\nWhere the time went, and the arithmetic done in it:")
    console.print(table)
    console.print(
        f"peak: {peak / 1e9:,.0f} GFLOP/s, a matrix product in float32 on {device}, one process, measured now"
    )


def duration(seconds: float) -> str:
    """Seconds as 42 s, 12 min or 3.4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
