"""Results draw themselves: in a figure of their own that a notebook shows, in axes of a user, and for a paper."""

import re
import zlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import planted
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from invrob import pictures
from invrob.empirical.figures import network_figure, study_figure, write_figures
from invrob.empirical.profiles import Card, QuarterTurns
from invrob.empirical.profiles.plots import DASHES, MARKERS, profile_figures
from invrob.empirical.selftest import Row, SelfTest
from invrob.errors import InputError
from invrob.pictures import COLOURS, PAPER, SCREEN, Picture, fitted, small, style_named, width_of, write_figure
from invrob.theory import GaussianTradeoff, frontier_point, paper_rule, threshold_rule
from invrob.theory.check import check
from invrob.theory.classifiers import build, parse
from invrob.theory.sweep import SweepReport

COLOUR = [k / 255 for k in (0, 0.5, 1, 2, 4, 8, 12, 16)]
CARD = Card(planted.invariance(), planted.robustness(missed=0.05))
TURNED = ([90.0, 180.0, 270.0], [0.9] * 3, [0.8] * 3, [1.0] * 3, [0.0] * 3)
TURNS = QuarterTurns(*map(np.array, TURNED), 9, 0.95)
LONG = "a network with a name that is longer than any axes are wide, and goes on and on"


@pytest.fixture(scope="module")
def report():
    g = GaussianTradeoff(0.7, 2)
    return check(g, [build(parse(f"linear:tau={tau}"), g, 0) for tau in (1, 4)], 100, 0)


def results_of(report):
    """Every kind of result that can be drawn, and how many axes it takes."""
    sweep = SweepReport(0.99, "holds", (report, replace(report, p=0.8)))
    rules = (frontier_point(0.7, 0.9), frontier_point(0.7, 0.5), threshold_rule(0.7, -1, 0.5, mirror=True))
    caught = Row("softmax outputs", "softmax outputs", 0.2, 0.9, 0.1, "masked", (), caught=True)
    judged = SelfTest((caught, replace(caught, model="honest network", expected=None, caught=False)), True, 0)
    single = [CARD.robustness, CARD.invariance, TURNS, report, sweep, judged, paper_rule(), *rules]
    return [*((result, 1) for result in single), (CARD, 2), (planted.result(), 2)]


def test_every_result_draws_itself_in_a_figure_of_its_own_or_in_axes_of_a_user(report):
    for result, count in results_of(report):
        figure = result.plot()
        assert isinstance(figure, Picture)
        assert all(axes.has_data() for axes in figure.axes)
        own = Figure()
        places = own.subplots(1, count)
        assert result.plot(places) is own
        assert len(own.axes) == count
        assert all(axes.has_data() and axes.get_title() and axes.get_xlabel() for axes in own.axes)
        part = Figure().subfigures(1, 2)[0]
        assert result.plot(part.subplots(1, count)) is part.figure


def test_a_self_test_shows_both_rates_of_each_model_and_what_became_of_it_and_exact_rates_their_values():
    row = Row("softmax outputs", "softmax outputs", 0.2, 0.9, 0.1, "masked", (), caught=True)
    figure = SelfTest((row, replace(row, model="<honest>", expected=None, caught=False)), True, 0).plot()
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["softmax outputs", "<honest>"]
    assert [line.get_xdata().tolist() for line in axes.lines] == [[0.9, 0.9], [0.1, 0.1]]
    assert [text.get_text() for text in axes.texts] == ["masked: caught", "masked: DOUBTED"]
    assert axes.yaxis_inverted()
    assert len(figure.legends) == 1
    assert overflowing(figure) == []
    figure = paper_rule().plot()
    assert [text.get_text() for text in figure.axes[0].texts][:2] == ["0.9987", "0.0013"]
    assert overflowing(figure) == []


@pytest.mark.parametrize("ax", [3, "axes", None.__class__, [], [Figure()]])
def test_what_is_no_axes_is_refused_with_the_line_that_makes_some(ax, report):
    for result, count in results_of(report):
        with pytest.raises(InputError, match=re.escape("subplots(1, 2)`" if count == 2 else "plt.subplots()`")):
            result.plot(ax)


def test_a_figure_brings_the_png_that_a_notebook_shows_at_half_its_pixels():
    png, shown = CARD.plot()._repr_png_()
    assert png.startswith(b"\x89PNG")
    width, height = (int.from_bytes(png[16 + 4 * i : 20 + 4 * i], "big") for i in range(2))
    assert (width // 2, height // 2) == pytest.approx((shown["width"], shown["height"]), abs=1)


def test_a_study_has_a_row_for_each_network_and_a_legend_that_tells_its_trainings_apart():
    mixed = [planted.result(model=m, rotation=a) for m in ("stdcnn", "gcnn") for a in (0, 60)]
    mixed += [planted.result(model="madry_lenet", epsilon=e) for e in (0, 0.1)]
    figure = study_figure(mixed)
    assert [axes.get_title().split("\n")[0] for axes in figure.axes[::2]] == ["stdcnn", "gcnn", "madry_lenet"]
    assert figure.get_suptitle().startswith("3 networks on mnist-mini")
    with pytest.raises(InputError, match=re.escape("plt.subplots(3, 2)")):
        study_figure(mixed, Figure().subplots())
    own = Figure()
    assert study_figure(mixed, own.subplots(3, 2)) is own


@pytest.mark.parametrize(
    ("model", "dataset", "number"),
    [
        ("stdcnn", "mnist", 1),
        ("vgg16", "cifar10", 2),
        ("gcnn", "mnist-mini", 3),
        ("gcnn_vgg16", "npz:data/cifar10-jpeg.npz", 4),
        ("madry_lenet", "folder:of/mine/mnist/", 5),
        ("madry_resnet", "npz:cifar10-jpeg.npz", 6),
        ("vgg16", "npz:fashion-mnist.npz", None),
        ("stdcnn", "npz:fashion-mnist.npz", None),
        ("stdcnn", "cifar10", None),
    ],
)
def test_a_title_names_the_figure_of_the_paper_where_there_is_one(model, dataset, number):
    title = network_figure([planted.result(model=model, dataset=dataset)]).get_suptitle()
    assert (f"(the paper's Figure {number})" in title) == (number is not None)
    assert ("paper" in title) == (number is not None)
    assert title.endswith("bands of 95 %")


def test_epsilons_of_colour_are_levels_of_eight_bits_on_the_axis_and_in_the_legend():
    profile = planted.robustness(rate=np.linspace(1, 0, 8), epsilons=COLOUR)
    figure = network_figure([planted.result(epsilon=e, robustness=profile) for e in (0, 8 / 255)])
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks == ["0", "4/255", "8/255", "12/255", "16/255"]
    assert np.allclose(figure.axes[0].get_xticks(), [k / 255 for k in (0, 4, 8, 12, 16)])
    assert [text.get_text().split("  ")[0] for text in figure.legends[0].get_texts()] == [
        r"$\epsilon$ = 0",
        r"$\epsilon$ = 8/255",
    ]
    grey = network_figure([planted.result()]).axes[0]
    assert not any("/255" in tick.get_text() for tick in grey.get_xticklabels())


def test_no_two_curves_are_told_apart_by_colour_alone():
    group = [planted.result(rotation=20 * k) for k in range(9)]
    for figure in (network_figure(group), network_figure(group[:4])):
        for axes in figure.axes:
            looks = {(line.get_marker(), str(line._unscaled_dash_pattern)) for line in axes.lines}
            assert len(looks) == len(axes.lines)
            assert len({str(line.get_color()) for line in axes.lines}) == len(axes.lines)
    assert len(set(MARKERS)) == len(MARKERS) > len(COLOURS) > len(DASHES) > 1
    assert not any(dash == (0, (1, 1)) for dash in DASHES)  # dots are for floors


def overflowing(figure):
    """The texts of a figure that reach beyond its edges."""
    figure.set_dpi(600)  # letters of a PDF are not pushed to pixels, which makes lines of small ones wider
    figure.draw_without_rendering()
    whole = figure.bbox.padded(2)
    seen = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in seen]
    return [text for text, box in boxes if not (whole.x0 <= box.x0 and box.x1 <= whole.x1) or box.y1 > whole.y1]


@pytest.mark.parametrize("style", [SCREEN, PAPER], ids=lambda style: style.name)
def test_no_title_label_or_legend_reaches_beyond_the_picture(style):
    weak = planted.robustness(missed=0.3, shortfall="planted")
    group = [planted.result(rotation=a, robustness=weak, options={"note": LONG}) for a in (0, 60, 180)]
    with style.applied():
        both = {"robustness": weak, "invariance": planted.invariance()}
        figures = [network_figure(group, style), *profile_figures(both, LONG, style).values()]
        assert [overflowing(figure) for figure in figures] == [[]] * len(figures)
        if style.width is not None:
            assert {figure.get_figwidth() for figure in figures} == {style.width}


def test_lines_are_as_wide_as_they_may_be_and_no_formula_or_bracket_is_broken():
    text = rf"$\epsilon$, L-inf norm of the perturbation (pixels in [0, 1]) {'x' * 60}"
    for inches in np.linspace(1.0, 3.0, 9):
        lines = fitted(text, inches).split("\n")
        assert all(width_of(line) <= inches for line in lines)
        assert all(line.count("$") % 2 == 0 and line.count("[") == line.count("]") for line in lines)
        assert " ".join(lines).replace(" ", "") == text.replace(" ", "")
    assert fitted("$a$.npz" * 30, 1.0, parse_math=False).replace("\n", "") == "$a$.npz" * 30


def test_a_word_that_is_too_long_is_broken_as_late_as_it_can_be_and_few_letters_are_measured(monkeypatch):
    measured = []

    def counted(text, *how):
        measured.append(text)
        return width_of(text, *how)

    word = "/models/" + "a_long_name" * 12
    monkeypatch.setattr(pictures, "width_of", counted)
    lines = fitted(word, 1.5, 8).split("\n")
    assert sum(map(len, measured)) < 5 * len(word)
    assert "".join(lines) == word
    for line, following in pairwise(lines):
        assert width_of(line, 8) <= 1.5 < width_of(line + following[0], 8)


def test_a_paper_gets_pdfs_as_wide_as_a_column_with_embedded_fonts_the_same_bytes_twice(tmp_path):
    results = [planted.result(rotation=a) for a in (0, 60)]
    written = [write_figures(tmp_path / name, results, style=PAPER) for name in ("once", "again")]
    assert {path.suffix for path in written[0]} == {".pdf"}
    assert [path.name for path in written[0]] == [path.name for path in written[1]]
    for path, again in zip(*written, strict=True):
        content = path.read_bytes()
        assert content == again.read_bytes()
        (width, _), *_ = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
        assert float(width) == pytest.approx(3.25 * 72, abs=0.1)
        assert b"/Type3" not in content
        assert b"/FontFile2" in content  # a TrueType font, in the file
        sizes = {float(size) for size in re.findall(rb"/F\d+ ([\d.]+) Tf", unpacked(content))}
        assert {round(size, 2) for size in sizes} == {8.0}


def unpacked(pdf):
    """The streams of a PDF in plain text."""
    parts = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    plain = b""
    for part in parts:
        try:
            plain += zlib.decompress(part)
        except zlib.error:
            continue
    return plain


def test_a_style_is_known_by_its_name_and_has_text_of_eight_points_at_least():
    assert style_named("paper") is PAPER
    with pytest.raises(InputError, match="did you mean 'paper'"):
        style_named("papper")
    for style in (SCREEN, PAPER):
        with style.applied():
            assert small() >= 8


def test_a_png_takes_few_bytes_and_differs_nowhere_that_an_eye_sees(tmp_path):
    from matplotlib.image import imread

    figure = network_figure([planted.result(rotation=a) for a in (0, 60)])
    path = write_figure(tmp_path / "small.png", figure)
    figure.savefig(tmp_path / "whole.png", dpi=150, metadata={"Software": None})
    ours, whole = (imread(tmp_path / f"{name}.png")[..., :3] for name in ("small", "whole"))
    assert np.abs(ours - whole).max() < 0.1
    assert path.stat().st_size < 0.5 * (tmp_path / "whole.png").stat().st_size
    seen_through = Figure()
    seen_through.patch.set_alpha(0)
    assert imread(write_figure(tmp_path / "clear.png", seen_through))[..., 3].min() == 0


NOTEBOOK = """
import numpy as np
from invrob.empirical.profiles import Card, InvarianceProfile, RobustnessProfile
import json
card = Card.from_dict(json.loads(open("card.json").read()))
card.plot()
"""


@pytest.mark.long
@pytest.mark.parametrize(
    "before", ["", "%matplotlib inline", "import matplotlib.pyplot as plt\nplt.close(plt.figure())"]
)
def test_a_figure_as_the_last_line_of_a_cell_shows_once_in_a_fresh_kernel(before, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    (tmp_path / "card.json").write_text(CARD.to_json())
    cells = [nbformat.v4.new_code_cell(text) for text in (before, NOTEBOOK)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [output for output in notebook.cells[-1].outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == len(notebook.cells[-1].outputs) == 1
