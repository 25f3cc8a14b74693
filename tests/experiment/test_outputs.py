"""What a run leaves behind: a tidy CSV, figures that say what they show, the same bytes for the same results."""

import csv
import json
from dataclasses import replace

import matplotlib.image
import numpy as np
import planted
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from rich.console import Console
from threadpoolctl import threadpool_limits

from invrob.commands.audits import audit_of, floor_lines
from invrob.commands.summary import print_networks
from invrob.empirical.analysis import by_training, floor_means, plane
from invrob.empirical.experiments import class_names, read_run
from invrob.empirical.figures import network_figure, write_figures
from invrob.empirical.figures.classes import class_figure
from invrob.empirical.profiles import Card
from invrob.errors import InputError
from invrob.intervals import mean_bounds

FIRST = "dataset model training_theta training_epsilon seed axis value rate low high accuracy images verdict".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def results(whole):
    return read_run(whole[0])[1]


def test_the_csv_has_the_promised_columns_and_one_row_per_cell_axis_and_value(whole):
    with (whole[0] / "profiles.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[: len(FIRST)] == FIRST
    assert len(rows) == 3 * (3 + 3)
    assert {(row["axis"], float(row["value"])) for row in rows} == {
        *(("theta", v) for v in (0.0, 90.0, 180.0)),
        *(("epsilon", v) for v in (0.0, 0.1, 0.3)),
    }
    for row in rows:
        low, rate, high = (float(row[key]) for key in ("low", "rate", "high"))
        assert 0 <= low <= rate <= high <= 1
        assert 0 <= float(row["accuracy"]) <= 1
        assert row["verdict"] in ("sound", "weak", "masked")
        if row["axis"] == "theta":
            assert (row["gap"], row["gap_high"], row["floor"]) == ("", "", "")
        else:
            assert 0 <= float(row["gap"]) <= float(row["gap_high"]) <= rate
            assert 0 <= float(row["floor"]) <= low
        assert row["images"] == "40"
        if float(row["value"]) == 0:
            assert (low, rate) == (1, 1)
    for theta in ("0.0", "90.0", "180.0"):
        rates = [float(r["rate"]) for r in rows if r["axis"] == "epsilon" and r["training_theta"] == theta]
        assert rates == sorted(rates, reverse=True)


def test_the_json_summary_has_cells_claims_and_paths(whole):
    out, summary = whole
    assert [cell["training_theta"] for cell in summary["cells"]] == [0, 90, 180]
    assert {claim["name"] for claim in summary["claims"]} == {"i", "ii", "iii", "iv"}
    assert {claim["verdict"] for claim in summary["claims"]} <= {"holds", "fails", "undecided"}
    for cell in summary["cells"]:
        for name in ("accuracy", "invariance_90", "invariance_180", "robustness_0.1", "robustness_0.3"):
            assert cell[name]["low"] <= cell[name]["estimate"] <= cell[name]["high"]
        for epsilon in ("0.1", "0.3"):
            assert 0 <= cell[f"floor_{epsilon}"] <= cell[f"robustness_{epsilon}"]["low"]
            assert 0 <= cell[f"gap_{epsilon}"] <= cell[f"gap_high_{epsilon}"]
        assert cell["audited"] >= 32
        assert cell["strength"]
        assert (cell["shortfall"] == "") == (cell["verdict"] != "weak")
    assert all(claim["p_holm"] is None or claim["p_holm"] >= claim["p_value"] for claim in summary["claims"])
    assert (summary["csv"], summary["classes_csv"]) == (str(out / "profiles.csv"), str(out / "classes.csv"))
    assert {path.rsplit("/")[-1] for path in summary["figures"]} == {
        f"{name}.{suffix}"
        for name in ("plane", "figure-stdcnn-width-0.3", "figure-stdcnn-width-0.3-classes")
        for suffix in ("png", "svg")
    }
    plane = summary["plane"]
    assert (plane["theta"], plane["epsilon"]) == (180, 0.1)
    assert [point["name"] for point in plane["points"]] == [f"stdcnn (width 0.3), A = {a}" for a in (0, 90, 180)]
    for point, cell in zip(plane["points"], summary["cells"], strict=True):
        assert point["invariance"] == cell["invariance_180"]
        assert point["robustness"] == cell["robustness_0.1"]
        assert (point["status"] == "excluded") == (cell["verdict"] == "masked")


def test_weights_and_profiles_are_those_that_were_measured(results, whole):
    body = json.loads(next(whole[0].glob("cells/*/cell.json")).read_text())["body"]
    assert len(body["epochs"]) == 2
    assert set(body["cell"]) >= {"model", "recipe", "seed", "options"}
    assert all(len(result.robustness.levels) == 40 for result in results)
    assert all(len(result.invariance.per_image) == 40 for result in results)


def test_figures_are_png_and_svg_and_the_same_bytes_for_the_same_results(whole, results, tmp_path):
    for path in write_figures(tmp_path, results, classes=class_names(whole[0])):
        assert path.read_bytes() == (whole[0] / path.name).read_bytes()
        if path.suffix == ".png":
            image = torch.tensor(matplotlib.image.imread(path))
            assert image.shape[0] > 500
            assert image.std() > 0.01
        else:
            assert path.read_text().startswith("<?xml")


def test_the_plane_takes_the_seeds_of_a_training_together(results):
    seeds = [replace(result, cell=result.cell.model_copy(update={"seed": 1})) for result in results]
    single, both = plane(by_training(results)), plane(by_training([*results, *seeds]))
    assert [point.name for point in both] == [point.name for point in single]
    for alone, twice in zip(single, both, strict=True):  # the same rates twice: nothing between the seeds
        assert twice.robustness.estimate == alone.robustness.estimate
        assert twice.accuracy.low < twice.accuracy.estimate < twice.accuracy.high


def test_figures_cut_the_plane_where_the_options_say(invrob, finished):
    process = invrob("empirical", "figures", finished, "--theta", "90", "--epsilon", "0.3", "--json")
    plane = json.loads(process.stdout)["plane"]
    assert (plane["theta"], plane["epsilon"]) == (90, 0.3)
    process = invrob("empirical", "figures", finished, "--theta", "45")
    assert process.returncode == 2
    assert "--theta 45 was not measured: choose one of 0, 90, 180" in process.stderr


def test_the_classes_have_a_csv_of_their_own_whose_rows_are_the_parts_of_the_other(whole):
    whole_rows, rows = (
        list(csv.DictReader((whole[0] / name).read_text().splitlines())) for name in ("profiles.csv", "classes.csv")
    )
    assert {(row["class"], row["name"]) for row in rows} == {("0", "level"), ("1", "upright"), ("2", "slanted")}
    for whole_row in whole_rows:
        same = ("cell", "axis", "value", "variant")
        parts = [row for row in rows if all(row[key] == whole_row[key] for key in same)]
        assert sum(int(row["images"]) for row in parts) == 40
        mean = sum(int(row["images"]) * float(row["rate"]) for row in parts) / 40
        assert mean == pytest.approx(float(whole_row["rate"]))
        assert all(float(row["low"]) <= float(row["rate"]) <= float(row["high"]) for row in parts)


def test_the_figure_of_the_classes_has_their_names_and_the_mean_of_their_seeds(results):
    names = ["a", "b", "a name that is longer than the column"]
    figure = class_figure("$a$", {"A = 0": results[:2]}, names, 180, 0.1)
    left, right, bar = figure.axes
    assert [text.get_text() for text in left.get_xticklabels()][:2] == ["a", "b"]
    assert left.get_xticklabels()[2].get_text() == "a name that is \u2026"
    assert (left.get_title(), right.get_title()) == (
        r"Robustness at $\epsilon$ = 0.1, by class",
        "Rate of invariance at 180 degrees, by class",
    )
    assert (left.get_xlabel(), right.get_xlabel(), bar.get_ylabel()) == ("class", "class", "predictions that stay")
    assert [text.get_text() for text in left.get_yticklabels()] == ["A = 0"]
    slanted = [next(row for row in r.invariance.classes if row.label == 2).rate[2] for r in results[:2]]
    assert right.images[0].get_array()[0, 2] == pytest.approx(np.mean(slanted))
    single = replace(results[0], invariance=replace(results[0].invariance, classes=results[0].invariance.classes[:1]))
    assert class_figure("", {"A = 0": [single]}, names, 180, 0.1) is None


def test_a_figure_says_its_units_its_trainings_and_its_doubts(results):
    figure = network_figure(results)
    left, right = figure.axes
    assert "pixels in [0, 1]" in left.get_xlabel()
    assert "degrees" in right.get_xlabel()
    (legend,) = figure.legends  # for both panels
    assert legend.get_title().get_text() == "trained with rotations in [-A, A]  (accuracy)"
    labels = [text.get_text() for text in legend.get_texts()]
    assert [label.split("  ")[0] for label in labels] == ["A = 0", "A = 90", "A = 180"]
    assert len({line.get_marker() for line in left.lines}) == 3
    assert len({str(line.get_linestyle()) for line in left.lines}) > 1 or len(left.lines) < 2
    sanity = replace(results[0].robustness.sanity, reasons=("planted",))
    masked = replace(results[0], robustness=replace(results[0].robustness, sanity=sanity))
    text = network_figure([masked, *results[1:]]).legends[0].get_texts()[0].get_text()
    assert "MASKED" in text


def drawn(figure):
    """The labels of the legend of robustness, the fills of its markers, and the floors below its curves."""
    axes = figure.axes[0]
    floors = [c.get_segments()[0][:, 1] for c in axes.collections if isinstance(c, LineCollection)]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    return labels, [to_rgba(line.get_markerfacecolor()) for line in axes.lines], floors


def test_a_figure_tells_weak_masked_and_unaudited_curves_apart_and_draws_the_floor():
    kinds = {
        "sound": planted.robustness(missed=0.05),
        "weak": planted.robustness(missed=0.3, shortfall="planted"),
        "masked": planted.robustness(missed=0.9, judged=planted.sanity("planted")),
        "unaudited": planted.robustness(),
    }
    group = [planted.result(rotation=30 * i, robustness=profile) for i, profile in enumerate(kinds.values())]
    labels, fills, floors = drawn(network_figure(group))
    for label, doubt in zip(labels, ("(90.0 %)", "WEAK", "MASKED", "not audited"), strict=False):
        assert doubt in label
    assert labels[-1] == "floor, after the audit"
    assert [fill[3] for fill in fills] == [1, 0.35, 1, 1]
    assert [fill == (1, 1, 1, 1) for fill in fills] == [False, False, True, False]
    assert np.allclose(floors, [kinds["sound"].floor, kinds["weak"].floor])
    seeds = [planted.result(seed=s, robustness=planted.robustness(missed=m)) for s, m in enumerate((0.1, 0.2))]
    assert np.allclose(drawn(network_figure(seeds))[2], [floor_means([r.robustness for r in seeds])])
    card = Card(planted.invariance(), kinds["weak"]).plot()
    assert np.allclose(drawn(card)[2], [kinds["weak"].floor])
    assert "WEAK" in drawn(card)[0][0]
    plain = Card(planted.invariance(), kinds["unaudited"]).plot()
    assert drawn(plain)[2] == []
    assert not any("floor" in label for label in drawn(plain)[0])


def test_the_summary_names_the_floor_that_lies_farthest_below_its_rate_and_why_attacks_are_weak(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    profiles = (planted.robustness(missed=0.05), planted.robustness(missed=0.3, shortfall="planted shortfall"))
    masked = planted.robustness(missed=0.9, judged=planted.sanity("planted reason"))
    results = [planted.result(rotation=30 * i, robustness=p) for i, p in enumerate((*profiles, masked))]
    (line,) = floor_lines(results, (0.1, 0.3))
    floor = 100 * profiles[1].floor[1]
    assert f"The farthest below its rate: {floor:.1f} under 70.0, stdcnn A = 30, seed 0, at 0.1." in line
    assert floor_lines([planted.result()], (0.1, 0.3)) == floor_lines(results[2:], (0.1, 0.3)) == []
    print_networks(Console(highlight=False), results)
    told = " ".join(capsys.readouterr().out.split())
    assert "stdcnn A = 30, seed 0 is weak: planted shortfall" in told
    assert "stdcnn A = 60, seed 0 is masked: planted reason" in told
    assert audit_of(planted.result(), (0.1,))["floor_0.1"] is None


def test_several_seeds_are_drawn_as_their_mean_with_a_band(results):
    again = [replace(result, cell=result.cell.model_copy(update={"seed": 1})) for result in results]
    figure = network_figure([*results, *again])
    assert len(figure.axes[0].lines) == 3
    assert "2 seeds" in figure.get_suptitle()
    assert figure.axes[0].lines[0].get_ydata().tolist() == pytest.approx(results[0].robustness.rate)


def test_a_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        read_run(tmp_path)


def test_the_bits_of_an_interval_do_not_depend_on_the_threads_of_blas():
    values = np.random.default_rng(0).random((800, 13))
    bounds = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            bounds.append(mean_bounds(values))
    assert np.array_equal(bounds[0], bounds[1])
