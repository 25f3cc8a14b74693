"""The notebook of the documentation: it runs in a fresh kernel, and what is kept of its outputs is whole."""

import json
import re
import sys

import nbformat
import pytest
from blocks import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import docs_notebook

COMMITTED = nbformat.read(docs_notebook.NOTEBOOK, as_version=4)


def shown(content, kind):
    """All outputs of a kind of the cells, as text."""
    return [
        output["data"][kind]
        for cell in content.cells
        for output in cell.get("outputs", [])
        if kind in output.get("data", {})
    ]


def printed(content):
    return "".join(
        output.text for cell in content.cells for output in cell.get("outputs", []) if output.output_type == "stream"
    )


def complete(content):
    """AssertionError unless every cell ran, in order and without complaint, and results show tables and pictures."""
    nbformat.validate(content)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    assert len(code) == 10
    assert [cell.execution_count for cell in code] == [*range(1, 11)]
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"execute_result", "display_data", "stream"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    html = shown(content, "text/html")
    assert len([text for text in html if "<table" in text and "<img" in text]) == 3  # a profile and two cards
    assert len(shown(content, "image/png")) == 1  # the plane
    assert "verdict: sound" in printed(content)
    assert "True" in shown(content, "text/plain")  # what was loaded is what was saved


def test_what_is_kept_of_the_notebook_is_whole_and_small():
    complete(COMMITTED)
    assert docs_notebook.NOTEBOOK.stat().st_size < 600_000


def test_lines_of_code_fit_the_page():
    lines = [line for cell in COMMITTED.cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    assert max(map(len, lines)) <= 80


def test_links_of_the_notebook_are_files():
    text = "".join(cell.source for cell in COMMITTED.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert len(links) > 3
    assert [link for link in links if not (docs_notebook.NOTEBOOK.parent / link).is_file()] == []


def test_the_page_needs_no_other_file_for_its_pictures():
    page = docs_notebook.page()
    assert page.startswith("# From a model to its card\n")
    assert page.count('src="data:image/png;base64,') == 4
    assert not re.search(r"!\[[^]]*\]\(", page)
    assert 'class="dataframe"' not in page
    assert page.count("```python") == 10


@pytest.mark.long
def test_it_runs_in_a_fresh_kernel(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))  # no settings of whoever runs the test
    complete(docs_notebook.executed())


def test_a_notebook_with_a_cell_that_fails_is_found():
    broken = nbformat.from_dict(json.loads(json.dumps(COMMITTED)))
    broken.cells[-2].outputs = [nbformat.v4.new_output("error", ename="NameError", evalue="card", traceback=[])]
    with pytest.raises(AssertionError):
        complete(broken)
