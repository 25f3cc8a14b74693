"""Writes docs/reproduction: the CSV and figures of finished runs, and the tables that set them beside the paper.

    python tools/reproduction.py --mnist runs/mnist --mnist-large runs/mnist-large --cifar runs/cifar --root DATA

Every number on the page comes from the run directories, or is measured here on their weights (the table of weak attacks
and of units)."""

import argparse
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from invrob.empirical import data
from invrob.empirical.analysis import check_claims, floor_means, grouped, mean_of
from invrob.empirical.experiments import Result, Store, clean_accuracy, model_of, profiled, read_run
from invrob.empirical.profiles import WEAK, Rates, Weak, format_epsilon, robustness_profile
from invrob.intervals import Estimate, p_text

OUT = Path(__file__).resolve().parents[1] / "docs" / "reproduction"
MNIST_STD = 0.3081  # an epsilon in units of normalised pixels is that many pixels of [0, 1]
JPEG = "**CIFAR-10 here is a lossy JPEG copy: its accuracies and rates must not be compared with published ones.**"


def percent(share: Estimate) -> str:
    return f"{100 * share.estimate:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def mean_over_seeds(results: Sequence[Result], read: Callable[[Result], Estimate | None]) -> str:
    """A rate in % with its 95 % interval over images and, where there are several, seeds."""
    measured = [estimate for result in results if (estimate := read(result)) is not None]
    return percent(mean_of(measured, results[0].robustness.images)) if measured else "-"


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |"]
    lines.append("|" + "---|" * (lines[0].count("|") - 1))
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def training(result: Result) -> tuple[str, float, float]:
    """What the seeds of a training have in common: network, A and epsilon."""
    return result.network, result.cell.recipe.rotation, result.cell.recipe.epsilon


def claims_table(results: Sequence[Result]) -> str:
    rows = []
    for claim in check_claims(results):
        if claim.effect is None:
            continue
        effect = f"{100 * claim.effect:+.1f} points [{100 * claim.low:+.1f}, {100 * claim.high:+.1f}]"
        p = "-" if claim.p_holm is None else p_text(claim.p_holm).removeprefix("p ").removeprefix("= ")
        shown = (claim.network, f"**{claim.verdict}**", effect, p, str(claim.seeds), claim.note)
        rows.append((f"({claim.name}) {claim.text}", *shown))
    headings = ("network", "verdict here", "change of the mean rate", "p (Holm)", "seeds", "why, and on what it rests")
    return table(("the paper's claim", *headings), rows)


def attack_verdict(results: Sequence[Result]) -> str:
    """The worst verdict on the attacks of some seeds."""
    verdicts = {result.verdict for result in results}
    return next((verdict for verdict in ("masked", "weak", "unaudited") if verdict in verdicts), "sound")


def with_floor(results: Sequence[Result], epsilon: float) -> str:
    """The robustness at epsilon as in `mean_over_seeds`, and the floor of it, where every attack was audited."""
    rate = mean_over_seeds(results, lambda r: r.robustness.measured_at(epsilon))
    profiles = [result.robustness for result in results]
    floors, grid = floor_means(profiles), profiles[0].values.tolist()
    if floors is None or epsilon not in grid or attack_verdict(results) == "masked":
        return rate
    return f"{rate}, floor {100 * floors[grid.index(epsilon)]:.1f}"


def profiles_table(results: Sequence[Result], epsilons: Sequence[float]) -> str:
    headings = ["network", "A", "trained epsilon", "seeds", "accuracy", "inv. 90", "inv. 180"]
    headings += [f"rob. {format_epsilon(e)}" for e in epsilons] + ["attack"]
    rows = []
    for (network, rotation, trained), group in grouped(results, training).items():
        rows.append(
            [
                network,
                f"{rotation:g}",
                format_epsilon(trained),
                str(len(group)),
                mean_over_seeds(group, lambda r: clean_accuracy(r.robustness)),
                *(mean_over_seeds(group, lambda r, t=t: r.invariance.measured_at(t)) for t in (90, 180)),
                *(with_floor(group, epsilon) for epsilon in epsilons),
                attack_verdict(group),
            ]
        )
    return table(headings, rows)


def beside_table(results: Sequence[Result], epsilon: float) -> str:
    names = list(dict.fromkeys(name for result in results for name in result.beside))
    headings = ["network", "A", "trained epsilon", "zero fill", *names, "exact quarter turns"]

    def at(result: Result, name: str) -> Estimate | None:
        rates = result.beside.get(name)
        return None if rates is None else rates.measured_at(epsilon if rates.axis == "epsilon" else 180)

    def turns(result: Result) -> Estimate | None:
        exact = result.quarter_turns
        if exact is None:
            return None
        least = exact.rate.argmin()
        return Estimate(*(float(numbers[least]) for numbers in (exact.rate, exact.low, exact.high)))

    rows = [
        [
            network,
            f"{rotation:g}",
            format_epsilon(trained),
            mean_over_seeds(group, lambda r: r.invariance.measured_at(180)),
            *(mean_over_seeds(group, lambda r, n=n: at(r, n)) for n in names),
            mean_over_seeds(group, turns),
        ]
        for (network, rotation, trained), group in grouped(results, training).items()
    ]
    return table(headings, rows)


def explanation_table(
    run: Path, results: Sequence[Result], dataset: data.Dataset, epsilons: Sequence[float], images: int, unit: float
) -> str:
    """What each weak attack says of the trained networks `results`, beside the strong one, and in other units."""
    rows = []
    for result in results:
        model = model_of(result.cell, dataset)
        state = Store(run).read_training(result.cell.key)
        assert state is not None
        model.load_state_dict(state[0])
        x, y = profiled(dataset.test, images)
        label = f"{result.network}, A = {result.cell.recipe.rotation:g}, seed {result.cell.seed}"
        strong = robustness_profile(model, x, epsilons, y)
        rows.append([label, "strong (search)", strong.verdict, *_rates(strong)])
        if unit != 1:
            scaled = robustness_profile(model, x, [unit * e for e in epsilons], y)
            name = f"strong, epsilon in normalised units (x {unit:g})"
            rows.append([label, name, scaled.verdict, *_rates(scaled)])
        for name, attack in WEAK.items():
            weak = robustness_profile(model, x, epsilons, y, attack=Weak(name))
            rows.append([label, f"`{name}`: {attack.text}", weak.verdict, *_rates(weak)])
    return table(["network", "attack", "verdict", *(f"at {format_epsilon(e)}" for e in epsilons)], rows)


def _rates(profile: Rates) -> list[str]:
    return [percent(Estimate(*triple)) for triple in zip(profile.rate, profile.low, profile.high, strict=True)]


def costs_table(runs: dict[str, tuple[Path, Sequence[Result]]]) -> str:
    rows = []
    for name, (path, results) in runs.items():
        stages: dict[tuple[str, str], list[float]] = {}
        for result in results:
            for stage, cost in Store(path).read_costs(result.cell.key).items():
                stages.setdefault((result.network, stage), []).append(cost["seconds"])
        rows += [
            (name, network, stage, str(len(seconds)), f"{np.median(seconds):.0f} s")
            for (network, stage), seconds in sorted(stages.items())
        ]
    return table(("run", "network", "stage", "cells", "median time of a cell, one CPU thread"), rows)


def copy_outputs(name: str, path: Path) -> None:
    """CSV and PNG figures of a run, under names that begin with the run's."""
    shutil.copy(path / "profiles.csv", OUT / f"{name}-profiles.csv")
    for figure in path.glob("*.png"):
        shutil.copy(figure, OUT / f"{name}-{figure.name}")


def main() -> None:
    """Copy, measure, write `tables.md`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("mnist", "mnist-large", "cifar"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="folder of fetched data, for MNIST")
    parser.add_argument("--images", type=int, default=500, help="for the table of weak attacks")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    paths = {"mnist": asked.mnist, "mnist-large": asked.mnist_large, "cifar": asked.cifar}
    runs = {name: (path, read_run(path)[1]) for name, path in paths.items()}
    for name, path in paths.items():
        copy_outputs(name, path)
    mnist = data.load("mnist", asked.root)
    in_paper = [r for r in runs["mnist"][1] if r.cell.seed == 0 and r.cell.recipe.rotation in (60, 180)]
    small = [*runs["mnist"][1], *runs["mnist-large"][1]]
    parts = [
        "# Tables of the reproduction",
        "Written by `tools/reproduction.py` from the run directories. In %, with 95 % intervals over images, and over "
        "seeds where there are several. Floor: no attack as strong as the audit brings the robustness below it. The "
        "p-values of claims are adjusted (Holm) for all tests of a run.",
        "## MNIST: the paper's claims",
        claims_table(small),
        "## MNIST: profiles",
        profiles_table(small, (0.1, 0.3)),
        "## MNIST: confounds",
        "Rates of invariance for rotations in [-180, 180], with zero fill and with each confound.",
        beside_table(small, 0.1),
        "## MNIST: what other attacks and other units say of the two networks that the paper gives numbers for",
        explanation_table(asked.mnist, in_paper, mnist, (0.1, 0.2, 0.3), asked.images, MNIST_STD),
        "## CIFAR-10: the paper's claims",
        JPEG,
        claims_table(runs["cifar"][1]),
        "## CIFAR-10: profiles",
        JPEG,
        profiles_table(runs["cifar"][1], (2 / 255, 8 / 255)),
        "## CIFAR-10: confounds",
        JPEG,
        beside_table(runs["cifar"][1], 8 / 255),
        "## Cost",
        costs_table(runs),
    ]
    (OUT / "tables.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
