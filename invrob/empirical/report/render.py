"""The page as text: the template, and what goes into it."""

import base64
import hashlib
import io
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from invrob.empirical.analysis import by_training, grouped, place_of, plane
from invrob.empirical.figures import network_figure, plane_figure
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.report import charts, compare, page
from invrob.empirical.report.examples import RunData, TrainingExamples
from invrob.empirical.report.gather import Run, Training
from invrob.intervals import Estimate


def rendered(
    runs: Sequence[Run],
    trainings: Sequence[Training],
    data: dict[str, RunData],
    examples: Sequence[TrainingExamples],
) -> str:
    """The whole page. data: of each run, by its label."""
    shared, about = _drawn(trainings), [page.about(run, data[run.label].dataset) for run in runs]
    assets = files("invrob.empirical.report") / "assets"
    scripts = [get_plotlyjs(), (assets / "page.js").read_text(encoding="utf-8")]
    context = {
        "title": " against ".join(run.label for run in runs),
        "several": len(runs) > 1,
        "several_seeds": len({result.cell.seed for run in runs for result in run.results}) > 1,
        "answers": [page.answer(run) for run in runs],
        "claims": page.claim_rows(runs),
        "summary": page.summary_table(trainings),
        "trainings": trainings,
        "styles": shared["trainings"],
        "charts": shared,
        "class_names": _class_names(shared["classes"]["labels"], [run["classes"] for run in about]),
        "tables": page.value_tables([*shared["profiles"], *shared["beside"]], trainings),
        "examples": examples,
        "sanity": page.sanity_rows(trainings),
        "probes": list(page.PROBES.values()),
        "about": about,
        "no_data": [of_run.why_not for of_run in data.values() if of_run.why_not],
        "changes": compare.configuration_differences(runs),
        "differences": compare.differences(runs),
        "costs": page.cost_rows(runs),
        "versions": page.version_rows(runs),
        "static": _static(runs),
        "style": (assets / "page.css").read_text(encoding="utf-8"),
        "scripts": scripts,
        "policy": _policy(scripts),
    }
    return _environment().get_template("page.html").render(context)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("invrob.empirical.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda share: f"{100 * share.estimate:.1f}",
        "interval": lambda share: f"{100 * share.low:.1f} to {100 * share.high:.1f}",
        "points": _points,
        "epsilon": format_epsilon,
        "g": lambda value: f"{value:g}",
    }
    return environment


def _points(change: Estimate) -> str:
    return f"{100 * change.estimate:+z.1f} points ({100 * change.low:+z.1f} to {100 * change.high:+z.1f})"


def _class_names(labels: Sequence[int], of_runs: Sequence[tuple[str, ...]]) -> list[str]:
    """What the classes are called; numbers where nobody knows, or the runs do not agree."""
    namings = {classes for classes in of_runs if classes}
    known = namings.pop() if len(namings) == 1 else ()
    return [known[label] if label < len(known) else str(label) for label in labels]


def _static(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """(what it shows, data URI) of the figures, for readers without scripts."""
    figures = []
    for run in runs:
        trainings = by_training(run.results)
        place = place_of(trainings, None, None)
        figures.append((f"{run.label}: trade-off plane", plane_figure(plane(trainings, *place), *place, run.label)))
        for network, group in grouped(run.results, lambda result: result.network).items():
            figures.append((f"{run.label}: both profiles of {network}", network_figure(group)))
    return [(text, _uri(figure)) for text, figure in figures]


def _uri(figure: Any) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=80, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _policy(scripts: Sequence[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {rest}"


def _drawn(trainings: Sequence[Training]) -> dict[str, Any]:
    """All that the page's script draws."""
    return {
        "trainings": charts.styles(trainings),
        "plane": charts.plane_chart(trainings),
        "profiles": charts.profile_charts(trainings),
        "beside": charts.beside_charts(trainings),
        "classes": charts.class_tables(trainings),
    }
