"""The words of a report about models of one's own, which folders of `invrob profile` hold."""

from collections.abc import Callable, Mapping, Sequence
from shlex import quote
from typing import Any

from invrob.empirical.analysis import DOMINATED, EXCLUDED, FRONT, UNDECIDED
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.report.gather import Profiled, Training
from invrob.empirical.report.planes import ESTIMATED
from invrob.intervals import Estimate, percent

TOLD = 2  # models that have a sentence each; more share one
TRUST = {
    "sound": "The attack is sound",
    "weak": "The attack is weak: trust the floor alone",
    "unaudited": "The attack was not audited",
    "masked": "The attack is masked: do not believe the robustness",
    "black-box": "The attack asked for predictions alone, so the robustness is an upper bound",
    "constant": "The model gives one class to everything, so its rates say nothing",
}
STANDINGS = {  # of a point in the plane, in words
    FRONT: "certainly on the front",
    ESTIMATED: "on the estimated front",
    UNDECIDED: "undecided",
    DOMINATED: "dominated",
    EXCLUDED: "takes no part",
}


def own_answers(trainings: Sequence[Training], rows: Sequence[dict[str, Any]], chart: dict[str, Any]) -> list[str]:
    """What was found about the models of one's own, in a sentence or two: each by itself, or where there are many, how
    they stand to each other in the plane.

    Args:
        trainings: all of the report.
        rows: of `model_rows`, for the same trainings.
        chart: of `plane_chart`.
    """
    own = [row for training, row in zip(trainings, rows, strict=True) if isinstance(training.source, Profiled)]
    theta, epsilon = (chart[f"shown{axis}s"][chart[axis.lower()]] for axis in ("Theta", "Epsilon"))
    if len(own) > TOLD:
        return [_together(own, theta, epsilon)]
    changed = {"rotation": f"rotations by up to {theta}"}.get(chart["change"], f"{chart['change']} up to {theta}")
    return [_alone(row, changed, f"{chart['norm']} attacks up to epsilon = {epsilon}") for row in own]


def _alone(row: dict[str, Any], changed: str, attacked: str) -> str:
    kept, withstood = row["invariance"], row["robustness"]
    floor = "" if row["floor"] is None else f", floor {percent(row['floor'])} %"
    return (
        f"{row['name']} keeps {_told(kept)} of its predictions under {changed}, and {_told(withstood)} under "
        f"{attacked}{floor}. {TRUST[row['verdict']]}."
    )


def _told(share: Estimate) -> str:
    return f"{percent(share.estimate)} % ({percent(share.low)} to {percent(share.high)})"


def _together(rows: Sequence[dict[str, Any]], theta: str, epsilon: str) -> str:
    groups = {text: [row["name"] for row in rows if row["standing"] == key] for key, text in STANDINGS.items()}
    listed = "; ".join(f"{text}: {', '.join(names)}" for text, names in groups.items() if names)
    return f"Of the {len(rows)} own models, at theta = {theta} and epsilon = {epsilon}: {listed}."


def about_profile(profile: Profiled) -> dict[str, Any]:
    """The model, the data and the settings, as far as the folder knows them."""
    model, data, settings = (profile.document[name] for name in ("model", "data", "settings"))
    measured = profile.card.measured_on
    rows = {
        "model": _joined(model.get("spec"), *_list(model.get("notes"))),
        "weights": _joined(model.get("fingerprint")),
        "data": _joined(data.get("name"), data.get("split"), f"{profile.card.robustness.images:,} images"),
        "fingerprint of the data": _joined(data.get("fingerprint")),
        **{name: _plain(value) for name, value in settings.items() if value is not None and name != "epsilons"},
        "epsilons": _plain(settings.get("epsilons", ""), format_epsilon),
    }
    return {
        "label": profile.label,
        "path": quote(str(profile.path)),
        "dataset": (measured.dataset if measured else None) or "images that nobody named",
        "images": profile.card.robustness.images,
        "classes": tuple(map(str, _list(data.get("classes")))),
        "rows": [(name, text) for name, text in rows.items() if text],
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _joined(*parts: Any) -> str:
    return ", ".join(str(part) for part in parts if part)


def _plain(value: Any, write: Callable[[float], str] = "{:g}".format) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_plain(inner, write)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(inner, write) for inner in value)
    return write(value) if isinstance(value, float) else str(value)
