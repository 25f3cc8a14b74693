"""Figures: every format is written whole, an unknown one is refused, and what is drawn is what was computed."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from invrob.errors import InputError
from invrob.pictures import checked_figure_path, write_figure
from invrob.theory import GaussianTradeoff, frontier_curve, paper_rule, reachable_outline
from invrob.theory.check import check
from invrob.theory.classifiers import build, parse
from invrob.theory.plots import COLOURS, MARKERS, check_figure, frontier_figure, sweep_figure


@pytest.fixture(scope="module")
def report():
    g = GaussianTradeoff(0.7, 2)
    return check(g, [build(parse(name), g, 0) for name in ("sign-x0", "paper", "linear:tau=4")], 500, 0)


@pytest.mark.parametrize(
    ("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_each_format_is_written_whole(tmp_path, suffix, magic):
    path = write_figure(tmp_path / "new" / f"figure.{suffix}", frontier_figure(0.7))
    assert path.read_bytes().startswith(magic)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_unknown_format_or_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError) as error:
        checked_figure_path("figure.bmp")
    assert str(error.value) == "figure 'figure.bmp' has no known format: let it end in one of .png, .svg, .pdf"
    with pytest.raises(InputError, match="has no known format"):
        checked_figure_path("figure")
    folder = tmp_path / "a.png"
    folder.mkdir()
    with pytest.raises(InputError, match="is a folder: name a file in it"):
        checked_figure_path(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"a\.png cannot be written \(.*file is a file, no folder\): name another"):
        checked_figure_path(tmp_path / "file" / "new" / "a.png")
    assert checked_figure_path(tmp_path / "new" / "a.svg") == tmp_path / "new" / "a.svg"


def test_the_frontier_and_the_lines_are_drawn_with_labelled_axes():
    axes = frontier_figure(0.7).axes[0]
    assert axes.get_xlabel() == "a: accuracy on clean samples"
    assert axes.get_ylabel() == "b: accuracy under the attack A"
    (shaded,) = axes.patches
    assert shaded.get_label() == "can be reached"
    assert np.array_equal(shaded.get_xy(), reachable_outline(0.7))
    labels = axes.get_legend_handles_labels()[1]
    assert labels[0] == "exact frontier"
    assert (axes.lines[0].get_xydata() == frontier_curve(0.7)).all()
    for line in axes.lines[1:4]:  # each supporting line goes through the corner
        (x0, y0), (x1, y1) = line.get_xydata()
        assert y0 + (0.7 - x0) * (y1 - y0) / (x1 - x0) == pytest.approx(0.7)


def test_the_papers_own_rule_lies_in_what_is_shaded_where_the_signal_is_weak():
    (shaded,) = frontier_figure(0.9, c=0.5).axes[0].patches
    rule = paper_rule(0.5)
    assert shaded.get_path().contains_point((rule.accuracy, rule.attacked))
    assert not shaded.get_path().contains_point((0.95, 0.6))


def test_every_classifier_is_drawn_where_it_was_found_under_its_name(report):
    axes = check_figure(report).axes[0]
    drawn = {line.get_label(): line.get_xydata()[0] for line in axes.lines}
    for result in report.classifiers:
        assert tuple(drawn[result.name]) == (result.a.estimate, result.b.estimate)
    assert "holds" in axes.get_title()


@pytest.mark.parametrize("count", [1, 3, 4, 8])
def test_a_sweep_has_a_panel_per_p_and_one_of_distances(report, count, tmp_path):
    figure = sweep_figure([replace(report, p=0.6 + 0.04 * index) for index in range(count)])
    assert len(figure.axes) == count + 1
    assert figure.axes[-1].get_ylabel() == "distance to the frontier"
    write_figure(tmp_path / "sweep.png", figure)


def test_colours_differ_and_markers_tell_neighbours_apart_in_grey():
    assert len({to_rgb(colour) for colour in COLOURS}) == len(COLOURS)
    assert len(set(MARKERS)) == len(MARKERS) >= 11
