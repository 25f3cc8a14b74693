"""The two numbers that the paper gives: verdicts by rule, and what other attacks and units say of the same networks.

The other attacks need weights and data. What they found is kept in attacks.json beside the page, which is written from
that file from then on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invrob.empirical import data
from invrob.empirical.analysis import mean_of
from invrob.empirical.experiments import Result, Store, model_of, profiled
from invrob.empirical.profiles import WEAK, Rates, Weak, robustness_profile
from invrob.intervals import Estimate
from tools.reproduction_runs import FIGURES, Run, own
from tools.reproduction_tables import (
    attack_verdict,
    beside_at,
    floor_at,
    mean,
    robustness_at,
    table,
    trainings,
    written,
)
from tools.reproduction_words import listed

MNIST_STD = 0.3081  # an epsilon in units of normalised pixels is that many pixels of [0, 1]
UNITS = "normalised units"
AT = (0.1, 0.2, 0.3)
REPRODUCED, NOT, OPEN = "reproduced", "not reproduced", "undecided"
Kept = dict[str, Any]


@dataclass(frozen=True)
class Number:
    """A number that the paper gives for the StdCNN of Figure 1."""

    name: str
    text: str
    rotation: float
    epsilons: tuple[float, ...]
    share: float
    above: bool  # whether the rate is said to lie above the share, or below

    def verdict(self, rates: Sequence[Estimate | None], floors: Sequence[float | None]) -> str:
        """By the intervals of 95 %, at each of the epsilons: a rate that is to lie above must do so with its floor,
        for what the attack missed would lower it; one that is to lie below cannot be raised by what was missed."""
        pairs = [(rate, floor) for rate, floor in zip(rates, floors, strict=True) if rate is not None]
        lows = [rate.low if floor is None else min(rate.low, floor) for rate, floor in pairs]
        whole = len(pairs) == len(self.epsilons)
        if self.above:
            if any(rate.high < self.share for rate, _ in pairs):
                return NOT
            return REPRODUCED if whole and min(lows) > self.share else OPEN
        if whole and all(rate.high < self.share for rate, _ in pairs):
            return REPRODUCED
        return NOT if any(low > self.share for low in lows) else OPEN


NUMBERS = (
    Number("a", "trained to 180 degrees, it loses more than 50 % at epsilon 0.1", 180.0, (0.1,), 0.5, above=False),
    Number("b", "trained to 60 degrees, it holds above 80 % up to epsilon 0.3", 60.0, AT, 0.8, above=True),
)


def networks_of_numbers(run: Run | None) -> dict[float, list[Result]]:
    """The seeds of the StdCNN that the paper gives numbers for, by A."""
    found = trainings(FIGURES[0], own(FIGURES[0], run))
    return {number.rotation: found[number.rotation] for number in NUMBERS if number.rotation in found}


def numbers_in_short(by_rotation: dict[float, list[Result]]) -> Iterator[str]:
    """The verdict on each number, as items of a list."""
    for number in NUMBERS:
        seeds = by_rotation.get(number.rotation, [])
        yield f"- ({number.name}) {number.text}: {f'**{strong_verdict(number, seeds)}**' if seeds else 'not run yet'}."


def numbers_table(by_rotation: dict[float, list[Result]]) -> str:
    """Each number beside ours, with its verdict."""
    rows = []
    for number in NUMBERS:
        seeds = by_rotation.get(number.rotation, [])
        said, verdict = "not run yet", "-"
        if seeds:
            rates = [mean(seeds, robustness_at(e)) for e in number.epsilons]
            floors = [floor_at(seeds, e) for e in number.epsilons]
            pairs = zip(number.epsilons, rates, floors, strict=True)
            said = "<br>".join(f"at {e:g}: {written(rate, floor, ' ')}" for e, rate, floor in pairs)
            verdict = f"**{strong_verdict(number, seeds)}**"
        rows.append([f"({number.name}) {number.text}", said, str(len(seeds)), verdict])
    return table(("the paper, of its StdCNN on MNIST", "here it keeps, %", "seeds", "verdict"), rows)


def strong_verdict(number: Number, seeds: Sequence[Result]) -> str:
    """By the strong attack; undecided where that failed its checks."""
    rates = [mean(seeds, robustness_at(epsilon)) for epsilon in number.epsilons]
    verdict = number.verdict(rates, [floor_at(seeds, epsilon) for epsilon in number.epsilons])
    distrusted = any(result.collapsed for result in seeds) or attack_verdict(seeds) == "masked"
    unbounded = number.above and any(floor_at(seeds, epsilon) is None for epsilon in number.epsilons)
    return OPEN if verdict == REPRODUCED and (distrusted or unbounded) else verdict


def measure_attacks(run: Run, folder: Path, root: Path | None, images: int) -> None:
    """Attack the networks of the two numbers in all other ways, and keep what each leaves in `folder`/attacks.json."""
    by_rotation = networks_of_numbers(run)
    results = [result for seeds in by_rotation.values() for result in seeds]
    found: Kept = {"images": images, "epsilons": list(AT), "cells": {}}
    dataset = data.load(run.experiment.dataset, root)
    x, y = profiled(dataset.test, images)
    for result in results:
        state = Store(run.path).read_training(result.cell.key)
        if state is None:
            raise SystemExit(f"{run.path} has no weights of {result.cell}: keep the run again from its own folder")
        model = model_of(result.cell, dataset)
        model.load_state_dict(state[0])
        scaled = robustness_profile(model, x, [MNIST_STD * epsilon for epsilon in AT], y)
        attacks = {UNITS: _plain(scaled)}
        for name in WEAK:
            attacks[name] = _plain(robustness_profile(model, x, AT, y, attack=Weak(name)))
        found["cells"][result.cell.key] = {"weights_sha256": state[1]["weights_sha256"], "attacks": attacks}
        print(f"measured: {result.cell}", flush=True)
    text = json.dumps(found, indent=1, allow_nan=False)
    (folder / "attacks.json").write_text(text + "\n", encoding="utf-8")


def _plain(profile: Rates) -> dict[str, list[float]]:
    return {name: getattr(profile, name).tolist() for name in ("rate", "low", "high")}


def read_attacks(run: Run, folder: Path) -> Kept | None:
    """What `measure_attacks` kept of the weights that the run has now; None where that is missing or about others."""
    path = folder / "attacks.json"
    if not path.is_file():
        return None
    kept: Kept = json.loads(path.read_text("utf-8"))
    cells = [result.cell for seeds in networks_of_numbers(run).values() for result in seeds]
    same = all(
        kept["cells"].get(cell.key, {}).get("weights_sha256") == run.trained(cell)["weights_sha256"] for cell in cells
    )
    return kept if same else None


@dataclass(frozen=True)
class Tried:
    """What one attack leaves of both networks: by A, a rate at each of AT."""

    name: str
    text: str
    images: int
    rates: dict[float, list[Estimate | None]]
    verdicts: dict[str, str] | None = None  # where they rest on more than the rates

    def says(self, number: Number) -> str:
        """The verdict that somebody would come to who trusts this attack alone."""
        at = self.rates.get(number.rotation)
        if at is None:
            return "-"
        if self.verdicts is not None:
            return self.verdicts[number.name]
        rates = [at[AT.index(epsilon)] for epsilon in number.epsilons]
        return number.verdict(rates, [None] * len(rates))


def tried(run: Run, kept: Kept | None) -> list[Tried]:
    """The strong attack, then the others: of the run where that has them, else of attacks.json."""
    by_rotation = networks_of_numbers(run)
    images = next(iter(by_rotation.values()))[0].robustness.images

    def of_run(read_at: Any) -> dict[float, list[Estimate | None]]:
        return {rotation: [mean(seeds, read_at(e)) for e in AT] for rotation, seeds in by_rotation.items()}

    judged = {n.name: strong_verdict(n, by_rotation[n.rotation]) for n in NUMBERS if n.rotation in by_rotation}
    found = [Tried("the strong attack", "that of the table above", images, of_run(robustness_at), judged)]
    if kept is not None:
        text = f"the strong attack, epsilon x {MNIST_STD}: as for normalised pixels"
        found.append(Tried(UNITS, text, kept["images"], _of_kept(UNITS, by_rotation, kept)))
    for name, attack in WEAK.items():
        everywhere = all(f"weak:{name}" in r.beside for seeds in by_rotation.values() for r in seeds)
        if everywhere:
            rates = of_run(lambda epsilon, name=name: beside_at(f"weak:{name}", epsilon))
            found.append(Tried(f"`{name}`", attack.text, images, rates))
        elif kept is not None:
            found.append(Tried(f"`{name}`", attack.text, kept["images"], _of_kept(name, by_rotation, kept)))
    return found


def _of_kept(name: str, by_rotation: dict[float, list[Result]], kept: Kept) -> dict[float, list[Estimate | None]]:
    def at(result: Result, index: int) -> Estimate:
        rates = kept["cells"][result.cell.key]["attacks"][name]
        return Estimate(*(rates[bound][index] for bound in ("rate", "low", "high")))

    return {
        rotation: [mean_of([at(r, i) for r in seeds], kept["images"]) for i in range(len(AT))]
        for rotation, seeds in by_rotation.items()
    }


def attacks_table(attacks: Sequence[Tried]) -> str:
    """What each attack leaves, and what it says of both numbers."""
    a, b = NUMBERS
    headings = ["attack", "images", f"A = {a.rotation:g} at 0.1", "(a)", *(f"A = {b.rotation:g} at {e:g}" for e in AT)]
    rows = [
        [
            f"{attack.name}: {attack.text}",
            str(attack.images),
            written(attack.rates.get(a.rotation, [None])[0]),
            attack.says(a),
            *(written(rate) for rate in attack.rates.get(b.rotation, [None] * len(AT))),
            attack.says(b),
        ]
        for attack in attacks
    ]
    return table([*headings, "(b)"], rows)


def attacks_in_words(attacks: Sequence[Tried]) -> Iterator[str]:
    """Which of the attacks show the paper's numbers."""
    a, b = NUMBERS
    others = attacks[1:]
    both = [t.name for t in others if t.says(a) == REPRODUCED and t.says(b) == REPRODUCED]
    alone = [t.name for t in others if t.says(b) == REPRODUCED and t.name not in both]
    if both:
        yield f"Both numbers are what one finds with {listed(both)}."
    else:
        yield "None of these attacks shows both numbers with these networks."
    if alone:
        yield f"(b) is what one finds with {listed(alone)}."
    if "`noise`" in alone:
        yield "An attack whose gradient is zero leaves what `noise` leaves, whatever the network."
    units = next((t for t in others if t.name == UNITS), None)
    if units is not None:
        yield f"With epsilon in units of normalised pixels (a) is {units.says(a)} and (b) is {units.says(b)}."
