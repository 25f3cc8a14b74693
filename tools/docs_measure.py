"""Measures what the pages of docs say about networks, and keeps it in docs/numbers for tools/docs_numbers.py.

    python -m tools.docs_measure transformations          # any of the functions below by name; some minutes in all
    python -m tools.docs_measure black_box costs --run runs/mini      # these ask networks of a finished run

Each writes docs/numbers/NAME.json: what made it, and its values by name.
A number is a share of 1; a text stands as it is."""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn

import invrob
from invrob.empirical import data, models
from invrob.empirical.experiments import Result, Store, model_of, profiled, read_run
from invrob.empirical.profiles import format_epsilon, usual_epsilons
from invrob.empirical.training import RECIPES, train
from invrob.intervals import percent
from invrob.versions import versions

NUMBERS = Path(__file__).resolve().parents[1] / "docs" / "numbers"
Values = dict[str, Any]
CHANGES: dict[str, list[float]] = {  # the transformations of the table, and the values that are measured of each
    "rotation": [15, 30, 60, 180],
    "translation": [1, 2, 3, 5],
    "scaling": [1.2, 1.5, 2],
    "shear": [20, 40, 60],
    "rotation+translation": [5, 10, 15, 20, 25, 30],
    "horizontal-flip": [1],
    "vertical-flip": [1],
}
BORDERS = [15, 45, 90, 180]


@cache
def small_network() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """The StdCNN of docs/how-to/transformations.md, with the images and labels, and the labels of all of them."""
    digits = data.load("mnist-mini")
    model = models.build("stdcnn", seed=0)
    recipe = RECIPES["fast"].model_copy(update={"epochs": 3})
    train(model, digits.train, digits.validation, recipe, seed=0)
    return model.eval(), digits.test.images[:400], digits.test.labels[:400], digits.test.labels


def table(headings: list[str], rows: list[list[str]], right: int = 0) -> str:
    """A table of Markdown whose last `right` columns are numbers."""
    rule = ["---"] * (len(headings) - right) + ["---:"] * right
    return "\n".join(["| " + " | ".join(row) + " |" for row in (headings, rule, *rows)])


def transformations(run: Path | None) -> Values:
    """On average, in the worst of ten draws and on a grid; other grids; both norms; two classes."""
    model, images, labels, _ = small_network()
    values, rows = {}, []
    kinds: dict[str, Any] = {"average": "average", "worst of 10": invrob.WorstOf(10), "grid": "grid"}
    for change, at in CHANGES.items():
        profiles = {
            kind: invrob.invariance_profile(
                model, images, [0, *at] if at[0] != 1.2 else [1, *at], labels, over=change, against=against
            )
            for kind, against in kinds.items()
        }
        asked = ", ".join(f"{profile.evaluations:.0f}" for profile in profiles.values())
        for value in at:
            rates = {
                kind: float(profile.rate[profile.values.tolist().index(value)]) for kind, profile in profiles.items()
            }
            values |= {f"{change} {value:g} {kind}": rate for kind, rate in rates.items()}
            if value not in (15, 25) or change == "rotation":
                first = value == at[0]
                name, price = (f"`{change}`", asked) if first else ("", "")
                rows.append([name, f"{value:g}", *(f"{percent(rate)} %" for rate in rates.values()), price])
    headings = ["transformation", "value", "average", "worst of 10", "grid", "evaluations per image"]
    values["table"] = table(headings, rows)
    for change, at, finer in (("rotation", [0, 15, 30], 5), ("translation", [0, 1, 2], 2)):
        for name, grid in (("coarse", invrob.Grid()), ("fine", invrob.Grid(finer=finer))):
            found = invrob.invariance_profile(model, images, at, labels, over=change, against=grid)
            place = 2 if change == "rotation" else 1
            values |= {
                f"{name} {change}": float(found.rate[place]),
                f"{name} {change} asked": f"{found.evaluations:.0f}",
            }
    rows = []
    for norm, epsilons, shown in (("linf", [0, 0.05, 0.1, 0.15, 0.2], "L-inf"), ("l2", [0, 0.5, 1, 1.5, 2], "L2")):
        attacked = invrob.robustness_profile(model, images, epsilons, labels, norm=norm)
        at_each = ", ".join(percent(rate) for rate in attacked.rate[1:])
        rows.append([f"{shown} at {', '.join(f'{e:g}' for e in epsilons[1:])}", f"{at_each} %", attacked.verdict])
        rows[-1].append(f"{attacked.gradient_evaluations:.0f}")
    values["norms"] = table(["norm", "robustness", "attack", "gradients per image, with the audit"], rows, 1)
    turned = invrob.invariance_profile(model, images, [0, 15, 30, 60, 180], labels)
    values["turned 180"] = float(turned.rate[-1])
    by_rate = sorted((row for row in turned.classes if row.images >= 20), key=lambda row: float(row.rate[-1]))
    for name, row in (("least", by_rate[0]), ("most", by_rate[-1])):
        values |= {f"{name} class": str(row.label), f"{name} rate": float(row.rate[-1])}
        values[f"{name} interval"] = f"[{percent(row.low[-1])}, {percent(row.high[-1])}]"
    values["accuracy"] = float(turned.clean_accuracy or 0)
    return values


def confounds(run: Path | None) -> Values:
    """What border and interpolation make of the rate of invariance."""
    model, images, labels, _ = small_network()
    rows, values = [], {}
    for border in ("zero", "canvas", "disc"):
        there, back = (
            invrob.invariance_profile(
                model, images, [0, *BORDERS], labels, over=invrob.Rotation(border=border, path=path)
            )
            for path in ("there", "there-and-back")
        )
        values[f"{border} back 180"] = float(back.rate[-1])
        rates = (", ".join(percent(rate) for rate in profile.rate[1:]) + " %" for profile in (there, back))
        rows.append([border, f"{percent(there.clean_accuracy or 0)} %", *rates])
    at = ", ".join(map(str, BORDERS))
    return {**values, "table": table(["border", "clean accuracy", f"rate at {at} degrees", "there and back"], rows)}


def _network(run: Path | None, model: str, rotation: float, epsilon: float) -> tuple[nn.Module, data.Dataset]:
    """A network of the finished run."""
    if run is None:
        raise SystemExit("--run is missing: name a finished run of the preset mini, such as --run runs/mini")
    results: list[Result] = read_run(run)[1]
    (cell,) = (
        r.cell
        for r in results
        if (r.cell.model, r.cell.recipe.rotation, r.cell.recipe.epsilon) == (model, rotation, epsilon)
    )
    digits = data.load(cell.dataset)
    network = model_of(cell, digits)
    stored = Store(run).read_training(cell.key)
    assert stored is not None
    network.load_state_dict(stored[0])
    return network.eval(), digits


def black_box(run: Path | None) -> Values:
    """Gradients beside queries: the StdCNN of A = 180, 100 digits."""
    model, digits = _network(run, "stdcnn", 180, 0)
    images, labels = profiled(digits.test, 100)
    values: Values = {}
    for norm, epsilons in (("linf", [0.02, 0.05, 0.1, 0.15, 0.2, 0.25]), ("l2", [0.5, 1, 1.5, 2])):
        rows = []
        found = invrob.robustness_profile(model, images, [0, *epsilons], labels, norm=norm)
        rows.append([f"gradients, {found.gradient_evaluations:.0f} evaluations per image with the audit"])
        rows[-1] += [f"{100 * rate:.0f}" for rate in found.rate[1:]]
        values[f"{norm} gradients"] = [float(rate) for rate in found.rate[1:]]
        for queries in (1000, 300, 100):
            attack = invrob.Square(queries=queries)
            asked = invrob.robustness_profile(model, images, [0, *epsilons], labels, norm=norm, attack=attack)
            rows.append([f"{queries:,} queries, {asked.queries_per_image:,.0f} per image"])
            rows[-1] += [f"{100 * rate:.0f}" for rate in asked.rate[1:]]
            values[f"{norm} {queries}"] = [float(rate) for rate in asked.rate[1:]]
        name = "L-inf" if norm == "linf" else "L2"
        values[f"{norm} table"] = table([f"{name} epsilon", *map(format_epsilon, epsilons)], rows, len(epsilons))
    for name in ("gradients", "1000", "100"):  # at epsilon 0.1
        values[f"linf {name} at 0.1"] = f"{100 * values[f'linf {name}'][2]:.0f}"
    return values


def costs(run: Path | None) -> Values:
    """Gradients per image of 1,000 images at 11 and 41 epsilons, with and without the audit."""
    values: Values = {}
    for name, where in (("stdcnn", ("stdcnn", 0, 0)), ("lenet", ("madry_lenet", 0, 0.3))):
        model, digits = _network(run, *where)
        images, labels = profiled(digits.test, 1000)
        few = list(usual_epsilons("linf", 1))
        for count, epsilons in (("11", few), ("41", [i * few[-1] / 40 for i in range(41)])):
            for audit, settings in (("search", {"audit": 0, "attack": invrob.PGD()}), ("audited", {})):
                found = invrob.robustness_profile(model, images, epsilons, labels, **settings)
                values[f"{name} {count} {audit}"] = f"{found.gradient_evaluations:.0f}"
    return values


def recipes(run: Path | None) -> Values:
    """The fast recipe against the one of the paper's code: accuracy on all test images, processor time."""
    digits, rows = data.load("mnist-mini"), []
    for name, epochs in (("fast", 8), ("fast", 16), ("paper-mnist", 10), ("paper-mnist", 40)):
        shares, seconds = [], []
        for seed in (0, 1):
            model, begun = models.build("stdcnn", seed=seed), process_time()
            recipe = RECIPES[name].model_copy(update={"epochs": epochs})
            train(model, digits.train, digits.validation, recipe, seed=seed)
            seconds.append(process_time() - begun)
            with torch.no_grad():
                right = model.eval()(digits.test.images).argmax(1) == digits.test.labels
            shares.append(float(right.float().mean()))
        both = ", ".join(f"{percent(share)} %" for share in shares)
        rows.append([f"`{name}`", str(epochs), both, f"{sum(seconds) / 2:.0f} s"])
    return {"table": table(["recipe", "epochs", "test accuracy", "time"], rows, 3)}


MEASUREMENTS: dict[str, Callable[[Path | None], Values]] = {
    "transformations": transformations,
    "confounds": confounds,
    "black_box": black_box,
    "costs": costs,
    "recipes": recipes,
}


def keep(name: str, values: Values, by: str) -> None:
    """Write what was measured, with what made it."""
    made = {"by": by, "date": datetime.now(UTC).strftime("%Y-%m-%d"), **versions()}
    text = json.dumps({"made": made, "values": values}, indent=1, ensure_ascii=False)
    (NUMBERS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(MEASUREMENTS), metavar="NAME")
    parser.add_argument("--run", type=Path, help="a finished run of the preset mini, with its weights")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.names:
        keep(name, MEASUREMENTS[name](asked.run), f"python -m tools.docs_measure {name}")
        print(f"docs/numbers/{name}.json")


if __name__ == "__main__":
    main()
