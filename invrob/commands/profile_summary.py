"""What `invrob profile` prints for a person."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invrob.commands.summary import duration
from invrob.commands.tables import Table, print_line, print_table, print_text
from invrob.errors import printable
from invrob.intervals import percent

if TYPE_CHECKING:
    from invrob.empirical.loading import Loaded
    from invrob.empirical.profiles import Rates, RobustnessProfile

ROWS = 6  # of a table, at most
NORMS = {"linf": "L-inf", "l2": "L2"}
UNAUDITED = "unaudited: nothing says what the attack missed; leave --audit 0 out for a bound"


def print_profile(
    loaded: "Loaded",
    document: Mapping[str, Any],
    profiles: "Mapping[str, Rates]",
    per_class: bool,
    seconds: float,
    paths: Sequence[Path],
) -> None:
    """Accuracy, rates with intervals, verdict and findings, cost, and where the files are."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    data = document["data"]
    images = f"{data['images']:,} {data['split']} images of {printable(data['name'])}"
    print_text(console, f"{loaded.spec} ({loaded.kind}) on {images}")
    print_text(console, *(f"note: {note}" for note in [*loaded.notes, *_fitting(loaded, data["shape"])]))
    print_text(console, f"accuracy: {_accuracy(profiles['robustness'])}")
    if doubt := _like_chance(profiles["robustness"], len(data["classes"])):
        print_text(console, f"note: {doubt}")
    for name, profile in profiles.items():
        print_text(console, f"\n{_heading(name, profile)}")
        print_table(console, _table(profile))
        if per_class:
            print_table(console, _classes(profile, data["classes"]))
        print_text(console, *verdict_lines(profile))
    print_text(console, f"\n{', '.join(_costs(profiles))}; {duration(seconds)} on {loaded.device}")
    if paths:
        print_line(console, "written: " + ", ".join(map(str, paths)))  # a path is there to be copied


def _fitting(loaded: "Loaded", shape: Sequence[int]) -> list[str]:
    """What is done to the images inside the model."""
    channels, *size = shape
    notes = []
    if loaded.channels is not None and channels == 1 < loaded.channels:
        notes.append(f"grey images are repeated to {loaded.channels} channels inside the model")
    if loaded.size is not None and tuple(size) != tuple(loaded.size):
        notes.append(f"images of {size[0]} x {size[1]} are resized to {loaded.size[0]} x {loaded.size[1]} inside it")
    if loaded.mean is not None and loaded.std is not None:
        mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (loaded.mean, loaded.std))
        notes.append(f"normalised inside it: mean {mean}, std {std}; --mean 0 --std 1 for none")
    return notes


def _accuracy(rates: "Rates") -> str:
    from invrob.empirical.experiments import clean_accuracy

    share = clean_accuracy(rates)
    assert share is not None
    interval = f"[{percent(share.low)}, {percent(share.high)}]"
    return f"{percent(share.estimate)}% {interval}; all intervals are of 95 %"


def _like_chance(rates: "Rates", classes: int) -> str:
    """What a network may lack whose accuracy is that of guessing; empty for others."""
    from invrob.empirical.experiments import clean_accuracy

    share, chance = clean_accuracy(rates), 1 / max(classes, 1)
    if share is None or share.low > chance or share.estimate >= 1.5 * chance:
        return ""
    return (
        f"that is no better than guessing among {classes} classes. Look whether the network has its weights, takes "
        "images scaled or normalised otherwise (--mean, --std; --mean 0 --std 0.003922 for pixels 0..255), and counts "
        "its classes as the labels do"
    )


def _heading(name: str, rates: "Rates") -> str:
    from invrob.empirical.profiles import BlackBoxProfile, InvarianceProfile, RobustnessProfile

    if isinstance(rates, (RobustnessProfile, BlackBoxProfile)):
        black_box = isinstance(rates, BlackBoxProfile)
        kind = "black box, an upper bound" if black_box else f"attack: {rates.verdict}"
        return f"Robustness, {NORMS[rates.norm]} ({kind}): 1 - fooling rate"
    if isinstance(rates, InvarianceProfile):
        return f"Rate of invariance, {rates.transformation}"
    return f"Rate of invariance, {name}"


def _rows(rates: "Rates") -> dict[int, str]:
    """Up to `ROWS` indices of its values, evenly spread, and each value as people read it.

    The last value is among them, and a first one of 0 is not."""
    from invrob.empirical.profiles import format_epsilon

    indices = [i for i, value in enumerate(rates.values) if value > 0] or [0]
    step = max(1, -(-len(indices) // ROWS))
    written = format_epsilon if rates.axis == "epsilon" else "{:g}".format
    return {i: written(float(rates.values[i])) for i in indices[::-1][::step][::-1]}


def _table(rates: "Rates") -> Table:
    floor = getattr(rates, "floor", None)
    more = [*(["floor"] if floor is not None else []), *(["is right"] if rates.accuracy is not None else [])]
    table = Table([rates.axis, "stays", "interval", *more], gap=3)
    for i, value in _rows(rates).items():
        interval = f"[{_percent(rates.low[i])}, {_percent(rates.high[i])}]"
        shares = [share[i] for share in (floor, rates.accuracy) if share is not None]
        table.add(value, f"{_percent(rates.rate[i])}%", interval, *(f"{_percent(share)}%" for share in shares))
    return table


def _percent(share: Any) -> str:
    return percent(float(share))


def _classes(rates: "Rates", names: Sequence[str]) -> Table:
    chosen = dict(list(_rows(rates).items())[-3:])
    table = Table(["class", "images", *chosen.values()], gap=3)
    for row in rates.classes:
        name = names[row.label] if row.label < len(names) else str(row.label)
        table.add(printable(name), str(row.images), *(f"{_percent(row.rate[i])}%" for i in chosen))
    return table


def verdict_lines(rates: "Rates") -> list[str]:
    """What is to be thought of the attack, a line for each reason; none where there was no attack by anyone."""
    from invrob.empirical.profiles import BlackBoxProfile, RobustnessProfile

    if not isinstance(rates, (RobustnessProfile, BlackBoxProfile)):
        return []
    reasons = [f"{rates.verdict}: {reason}" for reason in rates.sanity.reasons]
    warnings = (finding for finding in rates.sanity.findings if not finding.worthless)  # the others are among reasons
    reasons += [f"finding: {finding.name}: {finding.text}" for finding in warnings]
    return reasons if isinstance(rates, BlackBoxProfile) else [*_audit(rates), *reasons]


def _audit(rates: "RobustnessProfile") -> list[str]:
    """What the audit was, what it came to, and what follows from it."""
    from invrob.empirical.profiles import format_epsilon

    if rates.gap is None or rates.gap_high is None:
        return [*([] if rates.sanity.reasons else [UNAUDITED]), "audit: none"]
    worst = int(rates.gap.argmax()) if rates.gap.any() else int(rates.gap_high.argmax())
    gap, most, at = rates.gap[worst], rates.gap_high[worst], format_epsilon(float(rates.epsilons[worst]))
    lines = []
    if rates.shortfall:
        lines = [f"weak: {rates.shortfall}", f"try: --steps {5 * rates.steps} --restarts {5 * rates.restarts}"]
    if rates.verdict == "sound":
        lines = ["sound: the audit found a gap of 2 points at most, or a single image, at every epsilon"]
    lines.append(f"audit: {rates.audited} images, chosen by chance: {rates.strength}")
    lines.append(
        f"gap: the rates are about {_percent(gap)} points too high at worst, at {rates.axis} {at}; "
        f"{_percent(most)} points at most there, with {100 * rates.confidence:g} % confidence"
    )
    if rates.verdict != "masked":
        lines.append("floor: no attack as strong as the audit brings the rate of the population below it")
    return lines


def _costs(profiles: "Mapping[str, Rates]") -> list[str]:
    """What the model was asked per image."""
    costs = {"gradient_evaluations": "gradients", "queries_per_image": "queries", "evaluations": "queries"}
    asked = ((name, field, getattr(r, field, None)) for name, r in profiles.items() for field in costs)
    return [f"{name}: {count:.0f} {costs[field]} per image" for name, field, count in asked if count is not None]
