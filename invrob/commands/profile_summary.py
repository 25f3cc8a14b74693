"""What `invrob profile` prints for a person, in 80 columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invrob.commands.summary import duration
from invrob.errors import printable

if TYPE_CHECKING:
    from invrob.empirical.loading import Loaded
    from invrob.empirical.profiles import Profile

SHOWN = 6  # values of an axis in a table
NORMS = {"linf": "L-inf", "l2": "L2"}


def print_profile(
    loaded: "Loaded",
    document: Mapping[str, Any],
    profiles: "Mapping[str, Profile]",
    per_class: bool,
    seconds: float,
    paths: Sequence[Path],
) -> None:
    """Accuracy, rates with intervals, verdict and findings, cost, and where the files are."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    data = document["data"]
    images = f"{data['images']:,} {data['split']} images of {printable(data['name'])}"
    console.print(f"{loaded.spec} ({loaded.kind}) on {images}")
    for note in [*loaded.notes, *_fitting(loaded, data["shape"])]:
        console.print(f"note: {note}")
    console.print(f"accuracy: {_accuracy(profiles['robustness'])}")
    for name, profile in profiles.items():
        console.print(f"\n{_heading(name, profile)}")
        console.print(_table(profile))
        if per_class:
            console.print(_classes(profile, data["classes"]))
        for line in _verdict(profile):
            console.print(line)
    console.print(f"\n{', '.join(_costs(profiles))}; {duration(seconds)} on {loaded.device}")
    console.print("written: " + ", ".join(map(str, paths)), soft_wrap=True)  # a path is there to be copied


def _fitting(loaded: "Loaded", shape: Sequence[int]) -> list[str]:
    """What is done to the images inside the model."""
    channels, *size = shape
    said = []
    if loaded.channels is not None and channels == 1 < loaded.channels:
        said.append(f"grey images are repeated to {loaded.channels} channels inside the model")
    if loaded.size is not None and tuple(size) != tuple(loaded.size):
        said.append(f"images of {size[0]} x {size[1]} are resized to {loaded.size[0]} x {loaded.size[1]} inside it")
    if loaded.mean is not None and loaded.std is not None:
        mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (loaded.mean, loaded.std))
        said.append(f"normalised inside it: mean {mean}, std {std}; --mean 0 --std 1 for none")
    return said


def _accuracy(profile: "Profile") -> str:
    from invrob.intervals import clopper_pearson

    share = profile.clean_accuracy or 0.0
    interval = clopper_pearson(round(share * profile.images), profile.images, profile.confidence)
    return f"{share:.1%} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]; all intervals are of 95 %"


def _heading(name: str, profile: "Profile") -> str:
    about = vars(profile)
    if "epsilons" in about:
        kind = "black box, an upper bound" if "queries" in about else f"attack: {about['sanity'].verdict}"
        return f"Robustness, {NORMS[about['norm']]} ({kind}): 1 - fooling rate"
    return f"Rate of invariance, {about['transformation'] if name == 'invariance' else name}"


def _axis(profile: "Profile") -> tuple[str, Any]:
    about = vars(profile)
    return ("epsilon", about["epsilons"]) if "epsilons" in about else ("theta", about["thetas"])


def _shown(values: Sequence[float]) -> list[int]:
    """Indices of up to `SHOWN` values, evenly spread; the last one is among them, and a first one of 0 is not."""
    some = [i for i, value in enumerate(values) if value > 0] or [0]
    step = max(1, -(-len(some) // SHOWN))
    return some[::-1][::step][::-1]


def _value(value: float) -> str:
    """8/255 for 0.0313725...; a short number as it is."""
    short, levels = f"{value:.6g}", f"{255 * value:.6g}"
    return f"{levels}/255" if len(levels) <= 3 and len(short) > 5 else short


def _table(profile: "Profile") -> Any:
    from rich.table import Table

    axis, values = _axis(profile)
    table = Table(axis, "stays", "interval", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    if profile.accuracy is not None:
        table.add_column("is right")
    for column in table.columns:
        column.justify = "right"
    for i in _shown(values):
        interval = f"[{100 * profile.low[i]:.1f}, {100 * profile.high[i]:.1f}]"
        right = [] if profile.accuracy is None else [f"{profile.accuracy[i]:.1%}"]
        table.add_row(_value(values[i]), f"{profile.rate[i]:.1%}", interval, *right)
    return table


def _classes(profile: "Profile", names: Sequence[str]) -> Any:
    from rich.table import Table

    _, values = _axis(profile)
    chosen = _shown(values)[-3:]
    table = Table("class", "images", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for i in chosen:
        table.add_column(_value(values[i]), justify="right")
    for row in profile.classes:
        name = names[row.label] if row.label < len(names) else str(row.label)
        table.add_row(printable(name), str(row.images), *(f"{row.rate[i]:.1%}" for i in chosen))
    return table


def _verdict(profile: "Profile") -> list[str]:
    sanity = vars(profile).get("sanity")
    if sanity is None:
        return []
    reasons = [f"{sanity.verdict}: {reason}" for reason in sanity.reasons]
    warnings = (finding for finding in sanity.findings if not finding.worthless)  # the others are among the reasons
    return reasons + [f"finding: {finding.name}: {finding.text}" for finding in warnings]


def _costs(profiles: "Mapping[str, Profile]") -> list[str]:
    """What the model was asked per image."""
    said = []
    for name, profile in profiles.items():
        about = vars(profile)
        if "gradient_evaluations" in about:
            said.append(f"{name}: {about['gradient_evaluations']:.0f} gradients per image")
        else:
            said.append(f"{name}: {about.get('queries_per_image', about.get('evaluations', 0)):.0f} queries per image")
    return said
