"""What MkDocs needs beyond Markdown: pages that are written elsewhere, and links that are right in the repository too.

README, CHANGELOG and CONTRIBUTING are pages of the site without a copy of them, and the commands' page is what Typer
says about them. A link in any page is written as on a code host, from file to file; here it is led to the page."""

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docs_notebook  # beside this file, in whose folder MkDocs looks
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.main import get_command

from invrob.cli import app
from invrob.commands.helping import continued, note_and_examples, paragraphs, sections, usage

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {  # page of the site -> file of the repository
    "readme.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "digits.md": "invrob/empirical/data/assets/README.md",
}
WIDE = {"readme.md", "how-to/commands.md", "how-to/faults.md"}  # lines and tables that need the room of the contents
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    files.append(File.generated(config, "reference/cli.md", content=command_line()))
    files.append(File.generated(config, "model-to-card.md", content=docs_notebook.page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links from file to file of the repository to the pages that those files are."""
    here = page.file.src_uri
    if here in WIDE:
        page.meta["hide"] = ["toc"]
    source = ELSEWHERE.get(here, f"docs/{here}")
    pages = {file: uri for uri, file in ELSEWHERE.items()}
    if here != "model-to-card.md":  # which has the link to the notebook as a file
        pages["docs/model-to-card.ipynb"] = "model-to-card.md"

    def led(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        uri = pages.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(uri, posixpath.dirname(here) or ".")

    return outside_code(markdown, lambda text: LINK.sub(led, text))


def outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """`markdown` with what is not in a fenced block changed."""
    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if index % 2 else change(part) for index, part in enumerate(parts))


def command_line() -> str:
    """The page of every command and option, made of what their --help prints, with each example on a line of its
    own."""
    command = get_command(app)
    return "\n\n".join(_documented(command, typer.Context(command, info_name="invrob"), "#")) + "\n"


def _documented(command: Any, context: Any, level: str) -> Iterator[str]:
    """The parts of a command and of those below it, as Markdown."""
    yield f"{level} `{usage(command, context).partition(' [')[0]}`" if level != "#" else "# Commands"
    yield from paragraphs(command)
    yield "\n".join(["```console", f"$ {usage(command, context)}", "```"])
    for heading, entries in sections(command, context).items():
        if heading != "Commands":  # which follow
            yield f"**{heading}**:\n\n" + "\n".join(f"* `{name}`: {text}" for name, text in entries)
    note, lines = note_and_examples(command)
    if note:
        yield note
    yield "**Examples**:\n\n" + "\n".join(["```console", *(f"$ {continued(line, 100, '')}" for line in lines), "```"])
    for name, below in getattr(command, "commands", {}).items():
        yield from _documented(below, typer.Context(below, info_name=name, parent=context), f"{level}#")
