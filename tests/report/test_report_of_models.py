"""`invrob report` about folders of `invrob profile`, alone and beside runs, and about model cards."""

import json
import re
from dataclasses import replace

import planted
import pytest
import torch

from invrob.empirical.experiments import ModelCard
from invrob.empirical.profiles import RobustnessProfile, WorstOf, worst_case_profile
from invrob.empirical.report import make_report, write_report
from invrob.empirical.report.examples import RunData
from invrob.empirical.report.gather import read_runs, trainings_of
from invrob.empirical.report.render import rendered
from invrob.errors import InputError
from invrob.intervals import percent


def data_of(text):
    """What the page's script draws."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def words_of(text):
    """The page without its scripts, styles and tags."""
    body = re.sub(r"<(script|style).*?</\1>", " ", text[text.index("<body") :], flags=re.DOTALL)
    return " ".join(re.sub("<[^>]*>", " ", body).split())


def test_a_model_of_ones_own_has_a_page_with_its_verdict_and_both_pictures(profiled, tmp_path):
    report = make_report([profiled], tmp_path / "r.html")
    text, data = words_of(report.text), data_of(report.text)
    assert "mynet keeps 12.4 % (10.9 to 13.9) of its predictions under rotations by up to 180°, and 70.0 %" in text
    assert "The attack is weak" not in text
    assert "one model, 2000 images of bars" in text
    assert [chart["title"] for chart in data["profiles"]] == ["Robustness: 1 - fooling rate", "Rate of invariance"]
    assert [training["group"] for training in data["trainings"]] == ["own models"]
    assert "the only one" in text
    assert "epsilons linf: 0, 8/255" in text
    assert (report.runs, [one.path for one in report.profiles]) == ((), [profiled])
    assert "The paper's claims" not in text
    assert "<script>document" not in report.text.replace("&lt;", "")


def test_runs_and_models_share_a_page_a_plane_and_a_table(made, profiled, profile_folder, tmp_path):
    other = profile_folder(tmp_path / "other")
    report = make_report([made, profiled, other], tmp_path / "r.html")
    text, data = words_of(report.text), data_of(report.text)
    names = ["tiny: stdcnn (width 0.3), A = 0", "tiny: stdcnn (width 0.3), A = 180", "mynet", "other"]
    assert [training["name"] for training in data["trainings"]] == names
    assert data["plane"]["shownEpsilons"] == ["0", "0.1", "0.3"]  # what all were measured at
    assert len({training["light"] for training in data["trainings"]}) == 4
    assert "tiny, mynet and other" in text
    assert "The paper's claims" in text
    assert "The runs against each other" not in text
    assert re.search(r"The models are not .*known to be on the same images|not all on the same images", text)


def test_many_models_of_ones_own_share_a_sentence(profile_folder, tmp_path):
    folders = [
        profile_folder(tmp_path / name, robustness=planted.robustness(rate=(1, rate, 0), images=2000))
        for name, rate in (("a", 0.9), ("b", 0.5), ("c", 0.4))
    ]
    text = words_of(make_report(folders, tmp_path / "r.html").text)
    assert (
        "Of the 3 own models, at theta = 180° and epsilon = 0.1: on the estimated front: a; undecided: b, c." in text
        or "certainly on the front: a; undecided: b, c." in text
    )


def test_what_was_measured_beside_is_drawn_and_models_without_labels_have_no_accuracy(profile_folder, tmp_path):
    worst = worst_case_profile(lambda x: x.flatten(1)[:, :3], torch.rand(4, 1, 4, 4), [0, 90], against=WorstOf(2))
    bare = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "clean_accuracy"))
    folder = profile_folder(
        tmp_path / "bare",
        beside={"rotation:worst-of-2": worst.to_dict()},
        invariance=replace(planted.invariance(), **bare),
        robustness=replace(planted.robustness(), **bare),
    )
    data = data_of(make_report([folder], tmp_path / "r.html").text)
    assert [chart["title"] for chart in data["beside"]] == ["Rate of invariance, worst-of-2: rotation"]
    assert data["plane"]["accuracy"] == [None]
    assert [chart["lines"][0]["accuracy"] for chart in data["profiles"]] == [None, None]


def test_what_has_no_plane_in_common_is_refused_before_anything_is_drawn(profile_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("invrob.empirical.report.rendered", lambda *_: pytest.fail("drawn"))
    plain = profile_folder(tmp_path / "plain")
    in_l2 = planted.robustness().to_dict() | {"norm": "l2"}
    other = profile_folder(tmp_path / "other", robustness=RobustnessProfile.from_dict(in_l2))
    with pytest.raises(InputError, match="norm"):
        make_report([plain, other], tmp_path / "r.html")
    grid = profile_folder(tmp_path / "grid", robustness=planted.robustness(epsilons=[0.01, 0.02, 0.04]))
    with pytest.raises(InputError, match="share none of their epsilons"):
        make_report([plain, grid], tmp_path / "r.html")


def test_models_of_other_data_are_shown_with_a_word_on_it(profile_folder, tmp_path):
    one = profile_folder(tmp_path / "one")
    data = {"name": "other <b>data", "split": "test", "fingerprint": "z", "classes": []}
    page = make_report([one, profile_folder(tmp_path / "two", data=data)], tmp_path / "r.html").text
    assert "The models are not all on the same images" in words_of(page)
    assert "two: 2,000 test images of other &lt;b&gt;data" in page


def test_one_value_is_written_alike_in_the_table_of_models_and_in_the_sentence_above(profiled, tmp_path):
    page = make_report([profiled], tmp_path / "r.html").text
    shown = re.findall(r'data-column="\w+" data-value="([\d.]+)">([\d.]+)', page)
    assert [text for _, text in shown] == [percent(float(value)) for value, _ in shown]
    assert ("0.1235", "12.4") in shown


def test_a_damaged_profile_is_refused_with_the_way_out(profile_folder, tmp_path):
    folder = profile_folder(tmp_path / "odd", beside={"x": {"nothing": 1}})
    with pytest.raises(InputError, match=r"x of its profile\.json is no profile that this version of invrob writes"):
        make_report([folder])
    (folder / "profile.json").write_text("{")
    with pytest.raises(InputError, match=r"its profile\.json is missing or damaged"):
        make_report([folder])


def test_a_model_card_is_on_the_page_as_text_whoever_gave_it(profiled, run, tmp_path, invoke):
    card = ModelCard(author="A. <i>N.</i> Author", date="2026-01-02", intended_use="Sorting\nmail.")
    page = make_report([profiled], tmp_path / "r.html", card=card).text
    assert "by A. &lt;i&gt;N.&lt;/i&gt; Author, 2026-01-02" in page
    assert '<dt>intended use</dt><dd class="lines">Sorting\nmail.</dd>' in page
    (tmp_path / "card.toml").write_text('caveats = "<b>few</b>"\nauthor = "B"\n')
    result = invoke("report", run, "--card", tmp_path / "card.toml", "--out", tmp_path / "c.html")
    assert result.exit_code == 0, result.output
    assert '<dt>caveats</dt><dd class="lines">&lt;b&gt;few&lt;/b&gt;</dd>' in (tmp_path / "c.html").read_text()
    (tmp_path / "card.toml").write_text('autor = "B"\n')
    result = invoke("report", run, "--card", tmp_path / "card.toml")
    with pytest.raises(InputError, match=r"autor is unknown; did you mean 'author'\? \(known here: author, date"):
        raise result.exception


def test_the_card_of_a_run_is_that_of_its_configuration_and_an_explicit_one_goes_before(run):
    (one,) = read_runs([run])
    told = one.experiment.model_copy(update={"card": ModelCard(author="A", factors="light")})
    runs = [replace(one, experiment=told)]
    page = rendered(runs, trainings_of(runs), {one.label: RunData(None)}, [], ModelCard(author="B"))
    fields = re.findall(r'<dt>(\w+)</dt><dd class="lines">(\w+)</dd>', page)
    assert fields == [("author", "B"), ("factors", "light")]


def test_a_report_is_written_beside_a_single_profile(profiled, profile_folder, tmp_path):
    folder = profile_folder(tmp_path / "profile-x")
    assert write_report([folder]).path == folder / "report.html"
