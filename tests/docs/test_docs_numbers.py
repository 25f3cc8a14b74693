"""Numbers of README and docs that come from a run are what the committed results say."""

import pytest
from blocks import ROOT

from tools.docs_numbers import named, pages, written
from tools.docs_sources import values


@pytest.fixture(scope="module")
def known():
    return values()


def test_every_number_in_the_docs_is_what_its_run_says(known):
    for path in pages():
        text = path.read_text("utf-8")
        assert written(text, known, path.name) == text, f"{path.name} is old: run `python -m tools.docs_numbers`"


def test_the_tool_finds_the_places_that_the_docs_have():
    assert len([name for path in pages() for name in named(path.read_text("utf-8"))]) > 100


def test_a_place_in_a_line_and_a_place_of_several_lines_are_filled():
    page = "keeps <!-- from a: b -->1<!-- / --> %\n\n<!-- from a: t -->\nold\n<!-- / -->\n"
    new = written(page, {"a: b": "62.3", "a: t": "| x |\n|---|"})
    assert new == "keeps <!-- from a: b -->62.3<!-- / --> %\n\n<!-- from a: t -->\n| x |\n|---|\n<!-- / -->\n"


def test_an_empty_place_takes_nothing_of_what_comes_after_it():
    page = (
        "<!-- from a: t -->\n<!-- / -->\n\ntext <!-- from a: b --><!-- / -->\n\n<!-- from a: t -->\nold\n<!-- / -->\n"
    )
    table = "| x |\n|---|"
    filled = f"<!-- from a: t -->\n{table}\n<!-- / -->\n"
    new = written(page, {"a: b": "1", "a: t": table})
    assert new == f"{filled}\ntext <!-- from a: b -->1<!-- / -->\n\n{filled}"


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("it keeps <!-- from a: c -->1<!-- / -->", "nothing is called 'a: c'; near it: "),
        ("it keeps <!-- from a: b -->1 %", "no partner"),
        ("it keeps 1<!-- / --> %", "no partner"),
        ("it keeps\n<!-- from a: b -->1<!-- / --> %", "takes it for HTML"),
        ("- <!-- from a: b -->1<!-- / --> %", "takes it for HTML"),
        ("it keeps <!-- from a: t -->1<!-- / --> %", "several lines"),
    ],
)
def test_a_place_that_cannot_be_filled_is_refused(page, complaint):
    with pytest.raises(SystemExit, match=complaint):
        written(page, {"a: b": "2", "a: t": "1\n2"})


def test_the_committed_results_are_small():
    files = [path for path in (ROOT / "docs" / "numbers").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000
    assert not [path for path in files if path.suffix in (".safetensors", ".pt", ".npz")]
