"""What docs_numbers writes: every number by name, computed from the results in docs/numbers.

docs/numbers/mini is a run of the preset `mini` without its weights, and tools/findings.py reads grids of rotations and
attacks in docs/reproduction/runs. The other sources are JSON files that
tools/docs_measure.py, `python -m benchmarks --json` and the simulations in tools wrote."""

from calendar import month_name
from collections.abc import Iterator
from io import StringIO
from json import loads
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from invrob.commands.summary import print_networks
from invrob.empirical.analysis import TABLE_THETAS, Claim, check_claims
from invrob.empirical.experiments import Experiment, Result, Store, read_measurement
from invrob.empirical.models import build
from invrob.empirical.profiles import table_epsilons
from invrob.intervals import percent
from tools.docs_tables import of_benchmarks
from tools.findings import findings

NUMBERS = Path(__file__).resolve().parents[1] / "docs" / "numbers"
Named = Iterator[tuple[str, str]]
SHOWN = {"stdcnn": "StdCNN", "gcnn": "GCNN", "madry_lenet": "LeNet"}
NETWORKS: dict[str, dict[str, Any]] = {  # as in docs/experiments.md
    "stdcnn": {},
    "gcnn": {},
    "gcnn invariant": {"head": "invariant"},
    "madry_lenet": {},
    "vgg16": {},
    "gcnn_vgg16": {},
    "gcnn_vgg16 invariant": {"head": "invariant"},
    "madry_resnet": {},
    "madry_resnet wide": {"width": 10},
}
WORDS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def values() -> dict[str, str]:
    """Every name, and what stands for it."""
    sources = {"mini": of_run(NUMBERS / "mini"), "networks": of_networks(), "findings": findings()}
    for path in sorted(NUMBERS.glob("*.json")):
        sources[path.stem] = of_benchmarks(path) if path.stem == "benchmarks" else of_json(path)
    return {f"{source}: {name}": value for source, named in sources.items() for name, value in named}


def of_json(path: Path) -> Named:
    """The values of a file of tools/docs_measure.py: shares as percentages, texts as they are; and what made them."""
    body = loads(path.read_text("utf-8"))
    for name, value in body["values"].items():
        if isinstance(value, str | float):
            yield name, value if isinstance(value, str) else percent(value)
    year, month, day = map(int, body["made"]["date"].split("-"))
    yield "version", body["made"]["invrob"]
    yield "date", f"{day} {month_name[month]} {year}"


def of_networks() -> Named:
    """How many parameters the networks of the paper have."""
    with torch.device("meta"):
        for name, settings in NETWORKS.items():
            parameters = build(name.split()[0], **settings).parameters()
            yield f"{name} parameters", f"{sum(weights.numel() for weights in parameters):,}"


def read_slim_run(path: Path) -> list[Result]:
    """The results of a run directory that has lost its weights."""
    body = loads((path / "experiment.json").read_text("utf-8"))["body"]
    results = []
    for cell in Experiment.model_validate(body["experiment"]).cells(body["fingerprint"]):
        both = read_measurement(Store(path), cell, "profiles")
        if not isinstance(both, tuple):
            raise SystemExit(f"{path} has no profiles of {cell}: copy them from the run, or make it again")
        results.append(Result(cell, *both[:2], quarter_turns=both[2]))
    return results


def of_run(path: Path) -> Named:
    """The numbers of a run."""
    results = read_slim_run(path)
    yield "table", networks_table(results)
    yield "networks", WORDS[len(results)] if len(results) < len(WORDS) else str(len(results))
    yield "images", "{} to {}".format(*_ends([r.robustness.images for r in results]))
    yield "widest", percent(max(_half_widths(results)))
    claims = tuple(claim for claim in check_claims(results) if claim.of_paper)
    yield "claims", claims_table(claims)
    for claim in claims:
        yield f"claim {claim.name} {claim.network.split()[0]}", effect(claim)
        yield f"verdict {claim.name} {claim.network.split()[0]}", claim.verdict
    for kind in ("sound", "weak", "masked"):
        yield f"{kind} attacks", WORDS[sum(result.verdict == kind for result in results)]
    natural = [r for r in results if r.cell.recipe.epsilon == 0]
    for name, some in (("natural", natural), ("adversarial", [r for r in results if r not in natural])):
        gradients = [r.robustness.gradient_evaluations for r in some]
        yield f"gradients {name}", "{:.0f} to {:.0f}".format(*_ends(gradients))
    made = Store(path).read_costs(results[0].cell.key)["profiles"]["versions"]
    yield "version", made["invrob"]
    yield "torch", made["torch"].partition("+")[0]
    for result in results:
        for name, value in of_network(result):
            yield f"{training(result)} {name}", value


def training(result: Result) -> str:
    """A network by how it was trained, as in names: "stdcnn A=60", "madry_lenet eps=0.3"."""
    recipe, network = result.cell.recipe, result.cell.model
    return f"{network} eps={recipe.epsilon:g}" if network == "madry_lenet" else f"{network} A={recipe.rotation:g}"


def of_network(result: Result) -> Named:
    """The numbers of one network."""
    robustness, invariance = result.robustness, result.invariance
    yield "verdict", result.verdict
    yield "accuracy", percent(float(robustness.clean_accuracy or 0))
    yield "images", str(robustness.images)
    yield "audited", str(robustness.audited)
    yield "gradients", f"{robustness.gradient_evaluations:.0f}"
    for profile, short in ((invariance, "inv"), (robustness, "rob")):
        for i, value in enumerate(profile.values.tolist()):
            at = f"{value:g}"
            yield f"{short} {at}", percent(profile.rate[i])
            yield f"{short} {at} interval", f"[{percent(profile.low[i])}, {percent(profile.high[i])}]"
    if robustness.floor is not None and robustness.gap is not None:
        for i, value in enumerate(robustness.values.tolist()):
            yield f"low {value:g}", percent(robustness.low[i])
            yield f"floor {value:g}", percent(robustness.floor[i])
            yield f"gap {value:g}", percent(robustness.gap[i])


def networks_table(results: list[Result]) -> str:
    """The table of a run as the terminal prints it, in a block of text."""
    console = Console(file=StringIO(), width=80, highlight=False)
    print_networks(console, results)
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().partition("In %;")[0].splitlines()
    return "\n".join(["```text", *(line.rstrip() for line in lines), "```"])


def claims_table(claims: tuple[Claim, ...]) -> str:
    """Each claim with its verdicts, as Markdown."""
    rows: dict[str, list[str]] = {}
    for claim in claims:
        said = f"**{claim.verdict}** for {_shown(claim)}: {effect(claim)}"
        rows.setdefault(f"({claim.name}) {claim.text}", []).append(said)
    lines = [f"| {text} | {'; '.join(said)} |" for text, said in rows.items()]
    return "\n".join(["| the paper's claim | verdict here |", "|---|---|", *lines])


def effect(claim: Claim) -> str:
    """The change of the mean rate, with its interval."""
    if claim.effect is None or claim.low is None or claim.high is None:
        return "nothing compared"
    low, high = (_signed(bound) for bound in (claim.low, claim.high))
    return f"{_signed(claim.effect)} points [{low}, {high}]"


def _signed(share: float) -> str:
    return percent(share) if share < 0 else f"+{percent(share)}"


def _shown(claim: Claim) -> str:
    return SHOWN.get(claim.network.split()[0], claim.network)


def _half_widths(results: list[Result]) -> Iterator[float]:
    """Of the intervals of the table's rates."""
    for result in results:
        epsilons = table_epsilons(result.robustness.values.tolist())
        for profile, at in ((result.invariance, TABLE_THETAS), (result.robustness, epsilons)):
            for value in at:
                if (rate := profile.measured_at(value)) is not None:
                    yield (rate.high - rate.low) / 2


def _ends(numbers: list[float]) -> tuple[float, float]:
    return min(numbers), max(numbers)
