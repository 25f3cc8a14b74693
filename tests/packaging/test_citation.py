"""CITATION.cff says what this version is, in the Citation File Format 1.2.0."""

from pathlib import Path

import pytest
import yaml

import invrob

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def test_it_has_what_the_format_requires_and_only_names_of_the_format(citation):
    assert {"cff-version", "message", "title", "authors"} <= {*citation}
    assert {*citation} <= {
        *("cff-version", "message", "title", "abstract", "type", "authors", "version", "license", "keywords"),
        "references",
    }
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert all(isinstance(citation[name], str) for name in ("message", "title", "abstract", "license", "version"))


def test_it_names_this_version_and_its_licence(citation):
    assert citation["version"] == invrob.__version__
    assert citation["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License")
    assert citation["authors"] == [{"name": "The invrob authors"}]


def test_it_cites_the_paper(citation):
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= {*paper}  # what the format requires of a reference
    assert (paper["title"], paper["year"]) == ("Invariance vs. Robustness of Neural Networks", 2020)
    assert [author["family-names"] for author in paper["authors"]] == ["Kamath", "Deshpande", "Subrahmanyam"]
    assert [one["value"] for one in paper["identifiers"]] == ["arXiv:2002.11318"]
