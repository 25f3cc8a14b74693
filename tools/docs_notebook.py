"""The notebook of the documentation: run again with its outputs kept, and as a page of the site.

    python tools/docs_notebook.py          # docs/model-to-card.ipynb in a fresh kernel, its outputs written into it

The page has every picture inside itself, so that the site needs no other file for it."""

import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "model-to-card.ipynb"
LINKS = "[Download the notebook](model-to-card.ipynb), or read on: it is shown here with what it printed."
INLINE = re.compile(r"(?<=data:image/png;base64,)[A-Za-z0-9+/=]+")
FRAME = re.compile(r'<table border="1" class="dataframe">')  # of pandas, which the theme would neither style nor scroll
PICTURE = re.compile(r"!\[[^\]]*\]\((output_[^)]+)\)")


def page(notebook: Path = NOTEBOOK) -> str:
    """The notebook with its outputs as Markdown, with a link to the notebook below the title."""
    from nbconvert import MarkdownExporter  # only the site needs it

    text, resources = MarkdownExporter().from_notebook_node(nbformat.read(notebook, as_version=4))
    pictures = resources["outputs"]

    def inline(found: re.Match[str]) -> str:
        content = base64.b64encode(pictures[found[1]]).decode()
        return f'<img alt="The figure that the cell above draws" src="data:image/png;base64,{content}">'

    text = FRAME.sub("<table>", PICTURE.sub(inline, text))
    title, _, rest = text.lstrip().partition("\n")
    return f"{title}\n\n{LINKS}\n{rest}"


def executed(notebook: Path = NOTEBOOK) -> Any:
    """The notebook, run from top to bottom in a fresh kernel and in an empty folder. Raises CellExecutionError where a
    cell fails."""
    from nbclient import NotebookClient

    content = nbformat.read(notebook, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(content, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    for cell in content.cells:
        cell.metadata.pop("execution", None)  # when it was run, which would be another each time
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = smaller(data["image/png"])
            if "text/html" in data:
                data["text/html"] = INLINE.sub(lambda found: smaller(found[0]), data["text/html"])
    content.metadata["language_info"] = {"name": "python"}  # by which its code is coloured; not the version of this one
    return content


def smaller(content: str) -> str:
    """A PNG in base64 with a palette of 256 colours, which is enough for curves and a third of the size."""
    picture, written = Image.open(io.BytesIO(base64.b64decode(content))), io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def main() -> None:
    """Run it and keep what it showed."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    done = executed()
    nbformat.validate(done)
    nbformat.write(done, NOTEBOOK)
    print(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size / 1000:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
