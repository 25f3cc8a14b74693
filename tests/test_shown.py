"""Every public result shows itself on one screen and in a notebook, becomes rows, goes into a file and comes back."""

import inspect
import json
import re
import sys
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from importlib import import_module
from math import inf
from typing import get_args, get_type_hints

import numpy as np
import pandas
import pytest
import torch

import invrob
import invrob.theory
from invrob import InputError
from invrob.empirical.analysis import check_claims
from invrob.empirical.data import sampled
from invrob.empirical.execution import Failure
from invrob.empirical.experiments import PRESETS, Result
from invrob.empirical.profiles import QuarterTurns, quarter_turn_consistency
from invrob.empirical.selftest import Row, SelfTest, selftest
from invrob.empirical.study import Study
from invrob.saved import KINDS
from invrob.shown import LINES, WIDTH, Shown, Summary, Table, as_html, as_text
from invrob.theory import GaussianTradeoff, frontier_point, paper_rule, threshold_rule
from invrob.theory.check import check, train_and_check
from invrob.theory.classifiers import parse
from invrob.theory.sweep import SweepReport, sweep

FACES = (
    *("invrob", "invrob.empirical.profiles", "invrob.empirical.experiments", "invrob.empirical.study"),
    *("invrob.empirical.selftest", "invrob.theory", "invrob.theory.check", "invrob.theory.sweep"),
)
NO_RESULTS = {"Loaded", "Inequality"}  # a model that is ready to be measured; a bound with its two sides
SETTINGS = {"PGD", "Auto", "Grid", "Rotation", "Square", "Weak", "WorstOf", "Preprocessing", "Loaded"}


def concrete(kind):
    """The classes below `kind` that something is an instance of."""
    below = [other for other in kind.__subclasses__() if other.__module__.startswith("invrob.")]  # not those of tests
    return {kind} if not below and kind is not Shown else set().union(*map(concrete, below))


def of_ours(hint):
    """The classes of this package in a type."""
    if get_args(hint):
        return set().union(*map(of_ours, get_args(hint)))
    return {hint} if inspect.isclass(hint) and hint.__module__.startswith("invrob.") else set()


@pytest.fixture(scope="module")
def examples():
    """Results of every kind, some of them long, with names that are to be escaped."""
    images = torch.rand((6, 1, 6, 6), generator=torch.Generator().manual_seed(0))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 4))
    labels, epsilons = torch.arange(6) % 4, [0, 0.1, 0.3]
    report = train_and_check(GaussianTradeoff(0.7, 5), [parse("sign-x0"), parse("paper")], 200, 0)
    broken = replace(report.inequalities[0], classifier="<i>odd</i>", verdict="violated")
    cells = PRESETS["mini"].cells("0" * 64)[:3]
    shared = invrob.tradeoff(model, images, labels, epsilons=[0, 0.1, 0.3], thetas=[0, 90, 180])
    beside = {"worst": invrob.invariance_profile(model, images, [0, 90], labels, against="worst-of-3")}
    turns = quarter_turn_consistency(model, images)
    results = tuple(Result(cell, shared.invariance, shared.robustness, beside, turns) for cell in cells)
    study = Study(results, check_claims(results), ())
    rows = [Row(f"fault {n} <b>", None, 0.1, 0.5, 0.25, "masked", ("a", "b"), caught=n > 1) for n in range(40)]
    made = [
        invrob.robustness_profile(model, images, epsilons, labels),
        invrob.robustness_profile(lambda x: model(x).detach(), images, epsilons, attack=invrob.PGD(2, 1)),
        invrob.robustness_profile(model, images, [k / 400 for k in range(300)], attack=invrob.PGD(2, 1), audit=0),
        invrob.robustness_profile(model, images, epsilons, attack=invrob.Square(5)),
        invrob.robustness_profile(model, images, epsilons, labels, attack="weak"),
        invrob.invariance_profile(model, images, range(0, 181, 5), labels),
        invrob.invariance_profile(model, images, [0, 1, 2], over="translation"),
        invrob.invariance_profile(model, images, [0, 90], labels, against="worst-of-3"),
        invrob.tradeoff(model, images, labels, epsilons=[k / 10 for k in range(9)], attack=invrob.PGD(2, 1)),
        invrob.tradeoff(model, images, epsilons=epsilons, thetas=[0, 90]),
        quarter_turn_consistency(model, images),
        *(threshold_rule(0.7, tau) for tau in (1.0, inf, -inf)),
        *(frontier_point(0.7, weight) for weight in (0.5, 0.9)),
        paper_rule(),
        report,
        replace(report, inequalities=(broken, *report.inequalities)),
        SweepReport(0.99, "holds", (report,) * 30),
        SweepReport(0.99, "holds", (report,)),
        SelfTest(tuple(rows), quick=True, seed=0),
        study.results[0],
        replace(study, failures=(Failure(cells[0], "<b>no</b> " * 40),) * 9, results=study.results * 12),
        replace(study, results=(), claims=()),
        study,
    ]
    return {f"{type(result).__name__} {number}": result for number, result in enumerate(made)}


def of_each(examples):
    """One result of each kind."""
    return {type(result).__name__: result for result in examples.values()}


# ---- which results there are


def test_every_result_is_known_to_load_and_has_an_example(examples):
    for face in FACES:
        import_module(face)
    kinds = {kind.__name__ for kind in concrete(Shown)} | {"ExactRates"}  # which a rule is as well
    assert kinds == {*KINDS} == {*of_each(examples)}
    assert all(issubclass(getattr(import_module(module), kind), Shown) for kind, module in KINDS.items())


def test_whatever_a_public_function_returns_shows_itself():
    functions = [getattr(face, name) for face in (invrob, invrob.theory) for name in face.__all__]
    functions += [quarter_turn_consistency, selftest, check, train_and_check, sweep]
    returned = [
        (function.__name__, kind)
        for function in filter(inspect.isfunction, functions)
        for kind in of_ours(get_type_hints(function)["return"])
    ]
    assert len(returned) > 10
    strange = [f"{name} returns a {kind.__name__}" for name, kind in returned if not issubclass(kind, Shown)]
    assert [text for text in strange if text.split()[-1] not in NO_RESULTS] == []


def test_every_public_class_is_a_result_or_a_setting():
    for name in invrob.__all__:
        public = getattr(invrob, name)
        if inspect.isclass(public) and is_dataclass(public):
            assert issubclass(public, Shown) or name in SETTINGS, name


# ---- on a screen


def test_a_result_fits_on_one_screen_and_dumps_no_array(examples):
    for name, result in examples.items():
        lines = repr(result).split("\n")
        assert len(lines) <= LINES + 1 <= 25, name
        assert max(map(len, lines)) <= WIDTH == 80, name
        assert lines[0].startswith(f"{type(result).__name__}: ")
        assert not re.search(r"array\(|tensor\(|\bnan\b|  +$", repr(result), re.MULTILINE), name


def test_what_is_left_out_of_a_long_table_is_its_middle_and_dots_say_so(examples):
    result = next(result for result in examples.values() if len(getattr(result, "rate", ())) > 100)
    lines = repr(result).split("\n")
    places = [line.split()[0] for line in lines[2:-1]]
    assert places[:2] == ["0", "0.0025"]
    assert places.count("...") == 1
    assert "0.7475" in places


def test_names_that_are_too_long_give_way_to_numbers():
    table = Table(("network", "kind", "rate"), [("n" * 90, "k" * 60, "12.3"), ("short", "k", "4.5")])
    lines = as_text("Study", Summary("two", (table,))).split("\n")
    assert max(map(len, lines)) <= 80
    assert "..." in lines[2]
    assert lines[2].endswith("12.3")
    assert lines[3].endswith(" 4.5")


def test_rates_are_rounded_as_everywhere(examples):
    profile = of_each(examples)["Card"].robustness
    half = replace(profile, rate=np.array([1.0, 0.0625, 0.1875]))  # half to even
    assert re.findall(r"^ +\S+ +(\S+)", repr(half), re.MULTILINE)[1:4] == ["100.0", "6.2", "18.8"]


def test_why_rates_cannot_be_believed_is_said(examples):
    masked = next(result for result in examples.values() if getattr(result, "verdict", "") == "masked")
    assert "verdict: masked" in repr(masked)
    assert "not to be believed" in repr(masked)


def test_models_and_data_sets_are_told_in_a_line_or_two_and_dump_no_weights_and_no_images():
    sample = sampled("mnist-mini", 5)
    assert repr(sample) == (
        "Sample(5 of 2,000 test images of Dataset('mnist-mini': 10 classes, images of 1 x 28 x 28; "
        "train 10,000, validation 1,000, test 2,000))"
    )
    assert repr(sample.dataset.test) == "Split(images [2000, 1, 28, 28], labels [2000])"
    loaded = invrob.load_model("torchvision:squeezenet1_1")
    assert repr(loaded).split("\n")[0] == "Loaded: torchvision:squeezenet1_1 (torchvision), images as they come, on cpu"
    assert repr(loaded).split("\n")[1].strip() == loaded.notes[0]


# ---- in a notebook


class Checked(HTMLParser):
    """Collects what a page holds, and refuses tags that do not close."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_in_a_notebook_a_result_is_its_picture_and_its_table_and_needs_nothing_else(examples):
    for name, result in of_each(examples).items():
        page = Checked()
        page.feed(result._repr_html_())
        assert page.open == []
        assert "script" not in page.tags
        assert {"div", "p"} <= {*page.tags}
        sources = [value for key, value in page.attributes if key in ("src", "href")]
        assert all(value.startswith("data:image/png;base64,") for value in sources), name
        assert len(sources) == hasattr(result, "plot"), name
        assert not any(re.search(r"color:|background:#", value or "") for _, value in page.attributes)  # dark and light


def test_names_are_escaped():
    table = Table(("<th>",), [("<img src=x onerror=alert(1)>",)], "a & b")
    html = as_html("Study", Summary("</p><script>", (table,), ('"<li>',)), None)
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert "a &amp; b" in html
    page = Checked()
    page.feed(html)
    assert page.open == []


def test_showing_leaves_no_figure_with_pyplot(examples):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    of_each(examples)["Card"]._repr_html_()
    assert pyplot.get_fignums() == before


# ---- as rows


def test_rows_are_tidy_and_say_their_units(examples):
    for name, result in of_each(examples).items():
        rows = result.records()
        frame = result.to_dataframe()
        assert len(frame) == len(rows)
        assert all(row.keys() == rows[0].keys() for row in rows), name
        for column in frame:
            assert not isinstance(rows[0][column], np.ndarray | torch.Tensor | list | dict), (name, column)
        rates = [column for column in frame if column in ("rate", "low", "high", "accuracy", "value", "floor")]
        assert all(pandas.api.types.is_float_dtype(frame[column]) for column in rates), name
    frame = of_each(examples)["Card"].to_dataframe()
    assert {*frame["axis"]} == {"theta", "epsilon"}
    assert {*frame["unit"]} == {"degrees", "pixels in [0, 1]"}


def test_the_numbers_of_the_rows_are_those_of_the_result(examples):
    profile = of_each(examples)["InvarianceProfile"]
    frame = profile.to_dataframe()
    for column, numbers in {"value": profile.values, "rate": profile.rate, "low": profile.low}.items():
        assert frame[column].to_numpy().tobytes() == numbers.tobytes()


def test_without_pandas_the_way_out_is_said(examples, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r'^to_dataframe needs pandas: pip install "invrob\[pandas\]"; records\(\)'):
        of_each(examples)["Card"].to_dataframe()


# ---- into a file and back


def same(again, result):
    """Equal, and of the same types down to every field and every array."""
    assert type(again) is type(result)
    if isinstance(result, np.ndarray):
        assert (again.dtype, again.tobytes()) == (result.dtype, result.tobytes())
    elif is_dataclass(result):
        for field in fields(result):
            same(getattr(again, field.name), getattr(result, field.name))
    elif isinstance(result, tuple):
        assert len(again) == len(result)
        for ours, theirs in zip(again, result, strict=True):
            same(ours, theirs)
    elif isinstance(result, dict):
        assert again.keys() == result.keys()
        for key in result:
            same(again[key], result[key])
    else:
        assert again == result


def test_a_result_comes_back_from_its_file_equal_and_of_the_same_types(examples, tmp_path):
    for number, result in enumerate(examples.values()):
        path = result.save(tmp_path / f"{number}.json")
        for again in (type(result).load(path), invrob.load(path)):
            assert again == result
            assert hash(again) == hash(result)
            same(again, result)
        json.loads(path.read_text(), parse_constant=pytest.fail)
    assert not [*tmp_path.glob(".*")]


def test_a_file_of_something_else_is_not_overwritten_unless_asked(examples, tmp_path):
    card, path = of_each(examples)["Card"], tmp_path / "card.json"
    path.write_text("my notes")
    with pytest.raises(InputError, match=r"holds something else: name another file, or save it with overwrite=True$"):
        card.save(path)
    assert path.read_text() == "my notes"
    assert card.save(path, overwrite=True) == path
    before = path.stat().st_mtime_ns
    assert card.save(str(path)) == path  # the same again is no loss
    assert path.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="holds something else"):
        replace(card, measured_on=None).save(path)


def test_what_cannot_be_written_is_said_before_anything_is(examples, tmp_path):
    with pytest.raises(InputError, match=r"cannot be written \(it is a folder, no file\): name another file$"):
        of_each(examples)["Card"].save(tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_a_file_of_another_kind_is_refused_with_a_line_that_reads_it(examples, tmp_path):
    path = of_each(examples)["Card"].save(tmp_path / "card.json")
    with pytest.raises(InputError) as caught:
        QuarterTurns.load(path)
    assert str(caught.value) == f"{path} holds a Card, no QuarterTurns: read it with invrob.load({str(path)!r})"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda text: text[:-9], "holds no JSON, or is damaged"),
        (lambda text: text.replace('"confidence": 0.95', '"confidence": NaN'), r"NaN is no number of JSON"),
        (
            lambda text: text.replace('"confidence": 0.95', '"confidence": "0.95"'),
            r"is damaged \(this is no RobustnessProfile: confidence: ",
        ),
        (lambda text: text.replace('"format": 1', '"format": 2'), "another version of invrob"),
        (lambda text: text.replace('"kind": "RobustnessProfile"', '"kind": "os.system"'), "does not know"),
        (lambda text: "[" * 100_000, "holds no JSON, or is damaged"),
        (lambda text: '{"kind": 3}', "holds no result of invrob"),
        (lambda text: "[]", "holds no result of invrob"),
    ],
)
def test_a_damaged_file_is_named_with_the_way_out(examples, tmp_path, damage, told):
    path = of_each(examples)["RobustnessProfile"].save(tmp_path / "saved.json")
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=told) as caught:
        invrob.load(path)
    assert str(caught.value).startswith(f"{path} ")


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_refused(tmp_path):
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    for name, told in (("b.json", "is damaged"), ("none.json", "cannot be read"), (".", "neither a profile nor a run")):
        with pytest.raises(InputError, match=told):
            invrob.load(tmp_path / name)


# ---- the rate at a value


@pytest.mark.parametrize(
    "value",
    [0.1, np.float32(0.1), torch.tensor(0.1), np.float64(0.1) * (1 + 1e-9), torch.tensor(0.1).double()],
    ids=repr,
)
def test_a_rate_is_found_at_a_value_that_is_off_by_rounding(examples, value):
    profile = of_each(examples)["WeakProfile"]
    found = profile.rate_at(value)
    assert (found.estimate, found.low, found.high) == (profile.rate[1], profile.low[1], profile.high[1])
    assert profile.measured_at(value) == found


@pytest.mark.parametrize("value", [0.11, 0.1001, -0.1, 1e-30, float("nan"), inf, "0.1x", None, [0.1, 0.2]], ids=repr)
def test_a_value_that_was_not_measured_is_an_error_that_lists_those_that_were(examples, value):
    profile = of_each(examples)["WeakProfile"]
    assert profile.measured_at(value) is None
    with pytest.raises(
        InputError, match=r"^no rate was measured at epsilon .*: the profile has 0, 0\.1, 0\.3; measure"
    ) as caught:
        profile.rate_at(value)
    assert str(caught.value).endswith("measure again with that value in `epsilons`")
