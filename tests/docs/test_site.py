"""The documentation site: it builds without a warning, fetches nothing, and has every command and public name."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from blocks import ROOT
from typer.main import get_command

import invrob
from invrob.cli import app

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Loaded(HTMLParser):
    """What a browser loads by itself when it shows a page."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.addresses += [given[name] for name in ("src", "srcset", "poster", "data") if given.get(name)]
        if tag == "link" and given.get("rel") in {"stylesheet", "icon", "preconnect", "preload", "modulepreload"}:
            self.addresses.append(given["href"])


def loaded(page):
    parser = Loaded()
    parser.feed(page.read_text("utf-8"))
    return parser.addresses


def test_no_page_loads_anything_from_elsewhere(site):
    pages = [page for page in site.rglob("*.html") if page.name != "404.html"]
    assert len(pages) > 15
    for page in pages:
        for address in loaded(page):
            assert not re.match(r"(https?:)?//", address), f"{page.name}: {address}"
            assert (page.parent / address.partition("?")[0]).is_file(), f"{page.name}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text("utf-8")), style


def test_the_first_page_is_the_readme(site):
    text = (site / "index.html").read_text("utf-8")
    assert "What does rotation invariance cost a network in adversarial robustness" in text
    assert 'src="images/figure-stdcnn.png"' in text
    assert 'href="theory.html"' in text


def commands(command, name="invrob"):
    yield name
    for below, sub in getattr(command, "commands", {}).items():
        yield from commands(sub, f"{name} {below}")


def test_every_command_and_every_public_name_has_its_place(site):
    page = (site / "reference" / "cli.html").read_text("utf-8")
    for name in commands(get_command(app)):
        assert f"<code>{name}</code>" in page or name == "invrob", name
    page = (site / "reference" / "index.html").read_text("utf-8")
    for name in {*invrob.__all__} - {"__version__"}:
        assert f'id="invrob.{name}"' in page, name


def test_fields_of_a_class_are_shown_with_their_comments(site):
    page = (site / "reference" / "index.html").read_text("utf-8")
    assert "per image, those of the audit and of the judge included" in page
