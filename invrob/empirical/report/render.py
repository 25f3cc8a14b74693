"""The page as text: the template, and what goes into it."""

import base64
import hashlib
import io
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from shlex import quote
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from invrob.empirical.analysis import grouped, place_of, plane, settings_of
from invrob.empirical.experiments import ModelCard
from invrob.empirical.figures import network_figure, plane_figure
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.report import charts, compare, page
from invrob.empirical.report.examples import RunData, TrainingExamples
from invrob.empirical.report.gather import Profiled, Run, Source, Training, profiles_of, runs_of
from invrob.empirical.report.planes import model_rows, plane_chart
from invrob.empirical.report.singles import STANDINGS, about_profile, own_answers
from invrob.intervals import Estimate, p_text, percent

SCRIPTS = ("base", "charts", "plane", "tables", "downloads", "address", "page")  # of the page, in their order


def rendered(
    sources: Sequence[Source],
    trainings: Sequence[Training],
    data: dict[str, RunData],
    examples: Sequence[TrainingExamples],
    card: ModelCard | None = None,
) -> str:
    """The whole page. data: of each run, by its label. card: what is said of the models."""
    runs, profiles, shared = runs_of(sources), profiles_of(sources), _drawn(trainings)
    about = [page.about(run, data[run.label].dataset) for run in runs]
    singles = [about_profile(profile) for profile in profiles]
    models = model_rows(trainings, shared["plane"])
    assets = files("invrob.empirical.report") / "assets"
    scripts = [get_plotlyjs(), _script(assets)]
    context = {
        "title": _title([source.label for source in sources]),
        "sources": [source.label for source in sources],
        "several": len(sources) > 1,
        "several_runs": len(runs) > 1,
        "several_seeds": len({result.cell.seed for run in runs for result in run.results}) > 1,
        "answers": [
            *map(page.answer, runs),
            *(text for run in runs for text in page.both_answers(run, len(runs) > 1)),
            *own_answers(trainings, models, shared["plane"]),
        ],
        "cards": _cards(runs, card),
        "claims": page.claim_rows(runs),
        "further": page.further_rows(runs),
        "models": models,
        "standings": STANDINGS,
        "summary": page.summary_table(trainings),
        "trainings": trainings,
        "styles": shared["trainings"],
        "groups": sorted(
            dict.fromkeys(style["group"] for style in shared["trainings"]), key=lambda group: group != charts.OWN
        ),
        "charts": shared,
        "class_names": _class_names(shared["classes"]["labels"], [entry["classes"] for entry in [*about, *singles]]),
        "tables": page.value_tables([*shared["profiles"], *shared["beside"]], trainings),
        "examples": examples,
        "sanity": page.sanity_rows(trainings),
        "probes": list(page.PROBES.values()),
        "about": about,
        "singles": singles,
        "paths": " ".join(quote(str(source.path)) for source in sources),
        "no_data": [of_run.why_not for of_run in data.values() if of_run.why_not],
        "changes": compare.configuration_differences(runs),
        "differences": compare.differences(runs),
        "costs": page.cost_rows(runs),
        "versions": page.version_rows(sources),
        "static": _static(sources, trainings),
        "style": (assets / "page.css").read_text(encoding="utf-8"),
        "scripts": scripts,
        "policy": _policy(scripts),
    }
    return _environment().get_template("page.html").render(context)


def _title(labels: Sequence[str]) -> str:
    *first, last = labels
    return f"{', '.join(first)} and {last}" if len(first) > 1 else " against ".join(labels)


def _cards(runs: Sequence[Run], given: ModelCard | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """(whose, its fields) of each model card. A card that was given is about all of the page; on the page of a single
    run its fields take the place of those in the configuration."""
    own = [(run.label, run.experiment.card) for run in runs if run.experiment.card is not None]
    if given is not None and len(runs) == 1 and own:
        label, card = own[0]
        fields = {**card.model_dump(exclude_none=True), **given.model_dump(exclude_none=True)}
        return [(label, ModelCard(**fields).rows)]
    return [*([] if given is None else [("", given.rows)]), *((label, card.rows) for label, card in own)]


def _script(assets: Traversable) -> str:
    """The page's own script: its parts, one after the other, in one function."""
    parts = [(assets / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("invrob.empirical.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "interval": lambda share: f"{percent(share.low)} to {percent(share.high)}",
        "points": _points,
        "chance": p_text,
        "size": _size,
        "epsilon": format_epsilon,
        "g": lambda value: f"{value:g}",
    }
    return environment


def _points(change: Estimate) -> str:
    texts = [percent(share) for share in (change.estimate, change.low, change.high)]
    estimate, low, high = [text if text.startswith("-") else f"+{text}" for text in texts]
    return f"{estimate} points ({low} to {high})"


def _size(value: float) -> str:
    """A number that may be a rounding error, as people write it."""
    return "0" if value == 0 else "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:,.1f}"


def _class_names(labels: Sequence[int], of_runs: Sequence[tuple[str, ...]]) -> list[str]:
    """What the classes are called; numbers where nobody knows, or the runs do not agree."""
    namings = {classes for classes in of_runs if classes}
    known = namings.pop() if len(namings) == 1 else ()
    return [known[label] if label < len(known) else str(label) for label in labels]


def _static(sources: Sequence[Source], trainings: Sequence[Training]) -> list[tuple[str, str]]:
    """(what it shows, data URI) of the figures, for readers without scripts."""
    models = {training.name: training.seeds for training in trainings}
    place = place_of(models, None, None)
    title = _title([source.label for source in sources])
    whole = plane_figure(plane(models, *place, mixed=True), *place, title, *settings_of(models))
    figures: list[tuple[str, Any]] = [(f"{title}: trade-off plane", whole)]
    for source in sources:
        if isinstance(source, Profiled):
            figures.append((f"{source.label}: both profiles", source.card.plot()))
            continue
        for network, group in grouped(source.results, lambda result: result.network).items():
            figures.append((f"{source.label}: both profiles of {network}", network_figure(group)))
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
        "plane": plane_chart(trainings),
        "profiles": charts.profile_charts(trainings),
        "beside": charts.beside_charts(trainings),
        "classes": charts.class_tables(trainings),
        "standings": list(STANDINGS.items()),
    }
