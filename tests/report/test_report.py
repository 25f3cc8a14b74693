"""`invrob report`: what is on the page, that nothing in a run gets into it as code, and what happens to bad input."""

import base64
import hashlib
import io
import json
import re
from dataclasses import asdict, fields, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import planted
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from invrob.empirical.analysis import STATEMENTS, Claim, by_training, front_line, front_notes, pareto_front, plane
from invrob.empirical.attacks import Finding, Sanity
from invrob.empirical.experiments import (
    PRESETS,
    Experiment,
    ModelGrid,
    clean_accuracy,
    read_experiment,
    read_run,
    to_toml,
)
from invrob.empirical.experiments.store import read_json, write_json
from invrob.empirical.report import page as words
from invrob.empirical.report import write_report
from invrob.empirical.report.charts import styles
from invrob.empirical.report.compare import configuration_differences, differences, mean_difference
from invrob.empirical.report.examples import RunData, png
from invrob.empirical.report.gather import Training, read_runs, trainings_of
from invrob.empirical.report.planes import plane_chart
from invrob.empirical.report.render import rendered
from invrob.errors import InputError


class Parsed(HTMLParser):
    """Elements with their attributes, and the text outside scripts and styles; scripts apart."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.words, self._inside = [], [], [], ""
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif not self._inside:
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def parsed(path):
    return Parsed(Path(path).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def document(page):
    return parsed(page)


@pytest.fixture(scope="session")
def embedded(document):
    return json.loads(document.scripts[0])


@pytest.fixture(scope="session")
def results(made):
    return read_run(made)[1]


def spoil(run, name, change):
    """Change the body of the JSON files of a run that match `name`, and give them the right checksum again."""
    paths = sorted(run.glob(name))
    assert paths
    for path in paths:
        body = read_json(path)
        change(body)
        write_json(path, body)


def test_the_page_says_what_was_found_how_sure_it_is_and_how_to_make_it_again(document, results, made, tmp_path):
    ids = {attributes.get("id") for _, attributes in document.elements}
    assert {"summary", "plane", "profiles", "beside", "classes", "examples", "attacks", "about"} <= ids
    assert [f"({s.name}) {s.text}" in document.text for s in STATEMENTS] == [True] * 4
    for result in results:
        floor = 100 * result.robustness.floor[2]
        assert f"{100 * result.robustness.high[2]:.1f} floor {floor:.1f} " in document.text
        assert result.robustness.strength in document.text
        rates = (result.invariance.rate_at(90), result.robustness.rate_at(0.1))
        for share in (clean_accuracy(result.robustness), *rates):
            assert f"{100 * share.estimate:.1f} {100 * share.low:.1f} to {100 * share.high:.1f}" in document.text
        assert all(reason in document.text for reason in result.robustness.sanity.reasons)
    assert read_json(made / "experiment.json")["fingerprint"] in document.text
    assert f"invrob empirical run --config tiny.toml --out {made}" in document.text
    page = "".join(document.words)
    toml = page[page.index("dataset = ") : page.index("and make the run again")]
    (tmp_path / "again.toml").write_text(toml, encoding="utf-8")
    assert read_experiment(tmp_path / "again.toml") == read_run(made)[0]


def test_the_page_asks_for_nothing_and_runs_only_its_own_two_scripts(document, page):
    for tag, attributes in document.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    (policy,) = [m["content"] for m in document.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert [s.get("type") for s in document.all("script")] == ["application/json", None, None]
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in document.scripts[1:]]
    assert rules["script-src"] == " ".join(f"'sha256-{digest}'" for digest in hashes)
    style = re.search(r"<style>(.*?)</style>", page.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_names_that_are_markup_stay_text(document, embedded):
    assert "document.title='owned'" in document.text  # the class, in the tables and under the pictures
    assert "script><b>bold.npz" in document.text  # the data set
    assert {"src": "x", "onerror": "alert(1)"} not in document.all("img")
    assert not any("='owned'" in script for script in document.scripts[1:])
    assert "<" not in document.scripts[0]
    assert any("owned" in attributes.get("alt", "") for attributes in document.all("img"))
    assert embedded["classes"]["labels"] == [0, 1, 2]


def test_the_same_run_gives_the_same_bytes(made, page, tmp_path):
    again = write_report([made], tmp_path / "again.html").path
    assert again.read_bytes() == page.read_bytes()


def test_the_embedded_plane_is_the_plane_at_every_place(embedded, results):
    chart = embedded["plane"]
    assert (chart["thetas"], chart["epsilons"]) == ([0, 90, 180], [0, 0.05, 0.1, 0.3])
    assert (chart["theta"], chart["epsilon"]) == (2, 2)
    for i, theta in enumerate(chart["thetas"]):
        for j, epsilon in enumerate(chart["epsilons"]):
            points = plane(by_training(results), theta, epsilon)
            here, line = chart["places"][f"{i},{j}"], front_line(points)
            on_line = [any(point is other for other in line) for point in points]
            assert here["standings"] == [
                "estimated" if status == "undecided" and estimated else status
                for status, estimated in zip(pareto_front(points), on_line, strict=True)
            ]
            assert here["notes"] == list(front_notes(points))
            assert [points[k].name for k in here["line"]] == [p.name for p in line]
            for k, point in enumerate(points):
                assert chart["invariance"][k][i] == pytest.approx([*asdict(point.invariance).values()], abs=1e-5)
                assert chart["floors"][k][j] == pytest.approx(point.floor, abs=1e-5)
                assert chart["believed"][k] == point.believed
                assert chart["robustness"][k][j] == pytest.approx([*asdict(point.robustness).values()], abs=1e-5)


def test_charts_hold_every_profile_that_was_measured(embedded, results):
    charts = embedded["profiles"] + embedded["beside"]
    assert [chart["axis"] for chart in charts] == ["epsilon", "theta", "theta", "epsilon"]  # the paper's order
    kinds = [lambda r: r.robustness, lambda r: r.invariance, *(lambda r, n=n: r.beside[n] for n in results[0].beside)]
    for chart, kind in zip(charts, kinds, strict=True):
        for line, result in zip(chart["lines"], results, strict=True):
            for key, values in (("y", "rate"), ("low", "low"), ("high", "high")):
                assert line["rate"][key] == pytest.approx(getattr(kind(result), values), abs=1e-5)
            assert line["accuracy"]["y"] == pytest.approx(kind(result).accuracy, abs=1e-5)
    for line, result in zip(charts[0]["lines"], results, strict=True):
        assert line["floor"] == pytest.approx(result.robustness.floor, abs=1e-5)
    assert not any("floor" in line for line in charts[1]["lines"])


def decoded(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2])))).astype(float)


def test_examples_are_pictures_of_what_they_say(document):
    pictures = [image for image in document.all("img") if "predicted" in image.get("alt", "")]
    assert len(pictures) == 2 * 3 * 3  # networks, states, classes
    said = [
        re.fullmatch(r"(.*), (original|rotated|attacked) ?(.*): predicted (.*)", p["alt"]).groups() for p in pictures
    ]
    originals = {(i // 9, i % 3): i for i, (_, state, _, _) in enumerate(said) if state == "original"}
    for i, (truth, state, how, predicted) in enumerate(said):
        own = originals[i // 9, i % 3]
        assert said[own][0] == truth
        if state == "attacked":
            size = np.abs(decoded(pictures[i]) - decoded(pictures[own])).max() / 255
            assert size <= float(re.search(r"[\d.]+", how).group()) + 1 / 255
        if state != "original":
            assert (predicted == said[own][3]) == how.endswith("it stays")


def test_without_its_data_a_run_is_reported_without_examples(run, tmp_path):
    def elsewhere(body):
        body["experiment"]["dataset"] = "npz:gone.npz"

    spoil(run, "experiment.json", elsewhere)
    report = write_report([run], tmp_path / "r.html")
    text = parsed(report.path).text
    assert report.examples == 0
    assert "No example images: the data are not at hand: gone.npz cannot be read" in text
    assert "The trade-off plane" in text
    assert 'slanted & "quoted"' in text  # the run keeps what its classes are called


def test_other_data_than_the_runs_own_are_noticed(run, tmp_path):
    spoil(run, "experiment.json", lambda body: body["experiment"].update(dataset="mnist-mini"))
    report = write_report([run], tmp_path / "r.html")
    assert report.skipped == ("mnist-mini is not what it was when the run was made: its fingerprint differs",)


def test_damaged_cells_are_named_and_the_rest_is_reported(run, results, tmp_path):
    first, second = (result.cell for result in results)
    profile = run / "cells" / first.key / f"profiles-{first.profile_key}.json"
    profile.write_bytes(profile.read_bytes()[:-100])
    (run / "cells" / second.key / f"profiles-{second.addresses['weak:noise']}.json").unlink()
    report = write_report([run], tmp_path / "r.html")
    text = parsed(report.path).text
    assert "Missing or damaged: stdcnn (width 0.3) A = 0, seed 0." in text
    assert "Not everything was measured of: stdcnn (width 0.3) A = 180, seed 0." in text
    assert (len(report.runs[0].absent), len(report.runs[0].partial)) == (1, 1)


def test_weights_of_another_shape_cost_a_network_its_pictures_only(run, results, tmp_path):
    from safetensors.torch import save_file

    weights = run / "cells" / results[0].cell.key / "weights.safetensors"
    save_file({"nothing": torch.zeros(3)}, weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    spoil(run, f"cells/{results[0].cell.key}/cell.json", lambda body: body.update(weights_sha256=digest))
    report = write_report([run], tmp_path / "r.html")
    assert report.examples == 1
    assert "A = 0: Error(s) in loading state_dict" in report.skipped[0]


def test_a_masked_attack_is_marked_wherever_its_rate_stands_and_takes_no_part(run, results, tmp_path):
    def masked(body):
        if "robustness" in body:
            body["robustness"]["sanity"]["constant"] = False
            body["robustness"]["sanity"]["reasons"] = ["the gradient is <b>zero</b>"]

    spoil(run, f"cells/{results[1].cell.key}/profiles-*.json", masked)
    document = parsed(write_report([run], tmp_path / "r.html").path)
    models = document.text[document.text.index("The models") : document.text.index("The paper's claims")]
    assert "masked takes no part" in models
    summary = document.text[document.text.index("The networks of the run") :]
    summary = summary[: summary.index("Measured beside")]
    assert re.fullmatch(r".* sound stdcnn .* masked", summary.strip())
    assert "A = 180 is masked: the gradient is <b>zero</b>" in document.text
    chart = json.loads(document.scripts[0])
    assert chart["trainings"][1]["verdict"] == "masked"
    assert {here["standings"][1] for here in chart["plane"]["places"].values()} == {"excluded"}


def least(name):
    """The smallest share of the probed images that is suspicious in this field; None where none is."""
    shares = (k / 32 for k in range(33))
    return next((share for share in shares if name in planted.sanity(**{name: share}).suspicious()), None)


LEAST = {f.name: least(f.name) for f in fields(Sanity) if f.type is float and least(f.name) is not None}


def test_whatever_the_verdict_rests_on_is_marked_on_the_page_and_nothing_else(made):
    (run,) = read_runs([made])
    judged = {name: planted.sanity("planted", **{name: share}) for name, share in LEAST.items()}
    judged["constant"] = planted.sanity("planted", constant=True)
    judged["findings"] = replace(planted.sanity("planted"), findings=(Finding("random outputs", "planted"),))
    tolerated = planted.sanity(**{name: share - 1 / 32 for name, share in LEAST.items()})
    first, *_ = run.results
    results = [
        replace(
            first,
            cell=first.cell.model_copy(update={"seed": seed}),
            robustness=replace(first.robustness, sanity=sanity),
        )
        for seed, sanity in enumerate([*judged.values(), tolerated])
    ]
    run = replace(run, results=tuple(results))
    page = rendered([run], trainings_of([run]), {run.label: RunData(None)}, [])
    section = page[page.index('<section id="attacks">') : page.index('<section id="about">')]
    head, *rows = re.findall(r"<tr>.*?</tr>", section, re.DOTALL)
    headings = re.findall(r"<th [^>]*>(.*?)</th>", head)[1:]
    marks = [
        [heading for heading, cell in zip(headings, re.findall("<td.*?>", row), strict=True) if "above" in cell]
        for row in rows
    ]
    assert marks == [*([words.PROBES[name]] for name in judged), []]


def test_the_attacks_are_told_with_their_audit_and_weak_and_unaudited_ones_have_badges(made):
    (run,) = read_runs([made])
    kinds = {
        "weak": planted.robustness(missed=0.3, shortfall="planted <b>shortfall</b>"),
        "unaudited": planted.robustness(),
        "sound": planted.robustness(missed=0.02),
    }
    cells = [planted.result(rotation=30 * i, robustness=profile) for i, profile in enumerate(kinds.values())]
    claims = tuple(replace(one, effect=0.1, low=0.0, high=0.2, p_value=0.01, p_holm=0.04) for one in run.claims)
    run = replace(run, results=tuple(cells), claims=claims)
    page = Parsed(rendered([run], trainings_of([run]), {run.label: RunData(None)}, []))
    attacks = page.text[page.text.index("Whether to believe") : page.text.index("How this was made")]
    assert "stdcnn, A = 0 weak 32 4 15.0 30.0 32 " in attacks
    assert "stdcnn, A = 30 unaudited 0 - - - 32 " in attacks
    assert "stdcnn, A = 0 is weak: planted <b>shortfall</b>" in attacks
    assert "The audit: planted." in attacks
    badges = [a["class"] for tag, a in page.elements if tag == "span" and a.get("class", "").startswith("badge")]
    assert {"badge weak", "badge unaudited", "badge sound"} <= set(badges)
    lowest = 100 * kinds["weak"].floor[1]
    assert f"floor {lowest:.1f}" in page.text[: page.text.index("All values as tables")]
    assert "p = 0.04" in page.text
    assert "p = 0.01" not in page.text
    chart = json.loads(page.scripts[0])
    assert [style["verdict"] for style in chart["trainings"]] == [*kinds]
    assert ["floor" in line for line in chart["profiles"][0]["lines"]] == [True, False, True]


def test_a_run_beside_itself_differs_in_nothing_and_by_nothing(made, run, tmp_path):
    runs = read_runs([made, run.rename(tmp_path / "copy")])
    assert configuration_differences(runs) == []
    found = differences(runs)
    assert len(found) == 2
    for difference in found:
        assert difference.same_training
        assert difference.paired
        assert asdict(difference.invariance) == {"estimate": 0, "low": 0, "high": 0}
        assert asdict(difference.robustness) == {"estimate": 0, "low": 0, "high": 0}
    text = parsed(write_report([r.path for r in runs], tmp_path / "both.html").path).text
    assert "tiny against copy" in text
    assert "None: the configurations are equal." in text
    assert "+0.0 points (+0.0 to +0.0)" in text
    assert "copy: stdcnn (width 0.3), A = 180" in text


def test_settings_that_differ_are_listed_once_each(made):
    (run,) = read_runs([made])
    grid = run.experiment.models[0]
    longer = grid.model_copy(update={"training": grid.training.model_copy(update={"epochs": 9})})
    other = run.experiment.model_copy(update={"models": (longer, ModelGrid(name="gcnn")), "seeds": (0, 1)})
    rows = configuration_differences([run, replace(run, experiment=other)])
    assert rows == [
        ("models.stdcnn.training.epochs", ["12", "9"]),
        ("seeds", ["0", "0, 1"]),
        ("models.gcnn.name", ["-", "gcnn"]),
    ]


def measured(per_image, **fields):
    return planted.invariance(images=len(per_image), per_image=per_image, **fields)


def test_differences_are_paired_on_the_same_images_and_welchs_on_others():
    rng = np.random.default_rng(0)
    first, second, third = rng.random(40), rng.random(40), rng.random(25)
    paired = mean_difference(measured(first), measured(second))
    oracle = stats.bootstrap((second - first,), np.mean, rng=rng).confidence_interval
    assert paired.estimate == pytest.approx(second.mean() - first.mean())
    assert (paired.low, paired.high) == pytest.approx((oracle.low, oracle.high), abs=0.02)
    welch = mean_difference(measured(first), measured(third))
    variances = [values.var(ddof=1) / len(values) for values in (first, third)]
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 39 + variances[1] ** 2 / 24)  # Welch 1947
    half = stats.t.ppf(0.975, freedom) * sum(variances) ** 0.5
    assert (welch.low, welch.high) == pytest.approx((welch.estimate - half, welch.estimate + half))


def test_what_was_measured_otherwise_does_not_compare():
    rates = np.linspace(0, 1, 40)
    assert mean_difference(measured(rates), measured(rates, thetas=[0.0, 90.0, 100.0])) is None
    assert mean_difference(measured(rates), measured(rates, border="disc")) is None
    assert mean_difference(measured(rates), measured(rates[:1])) is None


@pytest.mark.parametrize("images", [40, 30])
def test_rates_that_all_images_share_differ_by_exactly_their_difference(images):
    difference = mean_difference(measured(np.full(40, 0.25)), measured(np.ones(images)))
    assert asdict(difference) == {"estimate": 0.75, "low": 0.75, "high": 0.75}


def claim(name, verdict, network="net"):
    return Claim(name, "", network, verdict, None, None, None, None, (), 0, "")


def test_the_answer_says_what_holds_and_what_is_open(made):
    (run,) = read_runs([made])
    claims = (
        claim("i", "holds"),
        claim("i", "holds"),
        claim("ii", "holds"),
        claim("ii", "undecided"),
        claim("iii", "fails"),
    )
    run = replace(run, claims=(*claims, claim("iv", "undecided", "-")), label="tiny")
    assert words.answer(run).partition(", tiny ")[2] == (
        "finds that larger training A raises the rate of invariance; it finds the contrary of this: larger adversarial "
        "epsilon raises robustness; it gives no single answer for all networks on whether larger training A lowers "
        "robustness; it does not test whether larger adversarial epsilon lowers the rate of invariance."
    )


def test_a_note_stands_under_its_own_network_and_once_where_all_say_the_same(made):
    (run,) = read_runs([made])
    claims = [replace(claim("i", "holds", network), note=f"note {network}") for network in ("one", "two")]
    claims += [replace(claim("ii", "holds", network), note="the same") for network in ("one", "two")]
    run = replace(run, claims=tuple(replace(c, text=STATEMENTS[len(c.name) - 1].text) for c in claims))
    page = rendered([run], trainings_of([run]), {run.label: RunData(None)}, [])
    first, second = re.findall(r"<article>.*?</article>", page, re.DOTALL)[:2]
    items = re.findall(r"<li>.*?</li>", first, re.DOTALL)
    assert [re.findall(r"note \w+|\bone\b|\btwo\b", item) for item in items] == [
        ["one", "note one"],
        ["two", "note two"],
    ]
    assert second.count("the same") == 1
    assert second.index("the same") > second.index("</ul>")


def test_whether_both_can_be_had_is_a_paragraph_for_each_network(made):
    (run,) = read_runs([made])
    said = [replace(claim("vi", "holds", network), finding=f"Finding {network}.") for network in ("one", "two")]
    run = replace(run, claims=tuple(said))
    page = rendered([run], trainings_of([run]), {run.label: RunData(None)}, [])
    paragraphs = re.findall(r'<p class="answer">(.*?)</p>', page, re.DOTALL)
    assert paragraphs[1:4] == list(words.whether_both(run.claims))
    assert paragraphs[2:4] == ["one: yes. Finding one.", "two: yes. Finding two."]


@pytest.mark.parametrize("name", PRESETS)
def test_the_configuration_can_be_pasted(name, tmp_path):
    path = tmp_path / "pasted.toml"
    path.write_text(to_toml(PRESETS[name]), encoding="utf-8")
    assert read_experiment(path) == PRESETS[name]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_of_a_data_set_survives_pasting(tmp_path_factory, name):
    experiment = Experiment(dataset=name, models=["stdcnn"])
    path = tmp_path_factory.getbasetemp() / "pasted.toml"
    path.write_bytes(to_toml(experiment).encode())
    assert read_experiment(path) == experiment


def test_bad_input_is_refused_with_the_way_out(made, run, tmp_path):
    (tmp_path / "plain").write_text("a file")
    for paths, out, message in (
        (
            [tmp_path],
            None,
            f"{tmp_path} holds no run and no profile: it has neither an experiment.json",
        ),
        ([made, made / "."], None, "is named twice: it has nothing to be compared with in itself"),
        ([made], tmp_path, f"{tmp_path} is a folder: name a file, such as {tmp_path / 'report.html'}"),
        ([made], tmp_path / "plain" / "r.html", f"{tmp_path / 'plain' / 'r.html'} cannot be written"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            write_report(paths, out)
    for cell in run.glob("cells/*/cell.json"):
        cell.unlink()
    with pytest.raises(InputError, match="holds no finished cell: start `invrob empirical run --out"):
        write_report([run])


def test_the_command_writes_into_the_run_and_prints_one_json_object(invoke, run, tmp_path, monkeypatch):
    result = invoke("report", run, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    path = run / "report.html"
    assert summary == {
        "report": str(path),
        "bytes": path.stat().st_size,
        "runs": [str(run)],
        "profiles": [],
        "cells": 2,
        "missing_cells": 0,
        "networks_with_examples": 2,
        "without_examples": [],
    }
    result = invoke("report", run, "--out", tmp_path / "sub" / "r.html")
    assert "self-contained)" in result.output
    assert result.output.endswith(f"next: open {(tmp_path / 'sub' / 'r.html').as_uri()} in a browser\n")
    assert (tmp_path / "sub" / "r.html").is_file()


def test_runs_of_other_grids_share_a_table_with_gaps(made, run, tmp_path):
    """The other run was measured at 2/255 and not at 0.1 and 0.3."""

    def moved(body):
        if "robustness" in body:
            body["robustness"]["epsilons"] = [0, 2 / 255, 4 / 255, 8 / 255]

    spoil(run, "cells/*/profiles-*.json", moved)
    text = parsed(write_report([made, run.rename(tmp_path / "other")], tmp_path / "r.html").path).text
    assert "inv 90° inv 180° rob 0.1 rob 0.3 rob 2/255 rob 8/255" in text
    assert "not comparable" in text


def test_colours_survive_in_pictures():
    image = torch.zeros(3, 4, 5)
    image[0], image[2, 1, 2] = 1, 0.5
    pixels = decoded({"src": png(image)})
    assert pixels.shape == (4, 5, 3)
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[1, 2].tolist() == [255, 0, 128]


def test_lines_and_points_are_told_apart_without_colour(made):
    (run,) = read_runs([made])
    two = replace(run, label="other")
    trainings = trainings_of([run, two])
    assert len({training.name for training in trainings}) == 4
    looks = {(style["marker"], style["dash"]) for style in styles(trainings)}
    assert len(looks) == 4


def test_numbers_that_are_no_numbers_make_a_cell_absent(run, results, tmp_path):
    """Whoever edits a run may give it the right checksums again."""

    def worded(body):
        if "robustness" in body:
            body["robustness"]["sanity"]["black_box"] = "<script>"
            body["robustness"]["classes"][0]["rate"].pop()

    spoil(run, f"cells/{results[0].cell.key}/profiles-*.json", worded)
    report = write_report([run], tmp_path / "r.html")
    assert [cell.key for cell in report.runs[0].absent] == [results[0].cell.key]


def test_versions_are_those_that_the_run_was_computed_with(made, run):
    def older(body):
        for note in body.values():
            note["versions"]["torch"] = "2.11.0"

    spoil(run, "cells/*/costs.json", older)
    rows = {name: (each, here) for name, each, here in words.version_rows(read_runs([made, run]))}
    assert rows["torch"] == ([torch.__version__, "2.11.0"], torch.__version__)
    assert rows["plotly"][0] == ["", ""]  # it draws pages, and computes nothing


def test_a_page_says_where_its_points_are_not_on_the_same_images(made, tmp_path, monkeypatch):
    trainings = [
        Training(name, name, "stdcnn", None, (planted.result(fingerprint=data, dataset=name),))
        for name, data in (("digits", "f"), ("bars", "g"))
    ]
    note = "not all on the same images: digits: 100 test images of digits; bars: 100 test images of bars"
    assert plane_chart(trainings)["images"] == note
    assert plane_chart(trainings[:1])["images"] == ""
    monkeypatch.setattr("invrob.empirical.report.planes.note_on_images", lambda _: "not <b>")
    text = write_report([made], tmp_path / "r.html").path.read_text(encoding="utf-8")
    assert '<p class="warning">The points are not &lt;b&gt;.</p>' in text


def test_a_page_that_cannot_be_written_is_refused_before_it_is_drawn_and_a_full_disk_is_one_line(
    made, tmp_path, monkeypatch, invoke
):
    def full(path, write):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("invrob.empirical.report.rendered", lambda *_: "a page")
        patched.setattr("invrob.empirical.report.write_atomically", full)
        done = invoke("report", made, "--out", tmp_path / "new" / "r.html")
        document = invoke("report", made, "--out", tmp_path / "new" / "r.html", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    for said in (done, document):
        assert said.stderr.endswith(
            f"error: {tmp_path / 'new' / 'r.html'} could not be written (No space left on device); the folders are as "
            "they were: the same command makes the page again once it can be written\n"
        )
    assert document.exit_code == 1
    summary = json.loads(document.stdout)
    assert (summary["report"], summary["bytes"], summary["runs"]) == (None, len("a page"), [str(made)])
    monkeypatch.setattr("invrob.empirical.report.rendered", lambda *_: pytest.fail("drawn"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"r\.html cannot be written \(.*file is a file, no folder\): choose another"):
        write_report([made], tmp_path / "file" / "r.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
