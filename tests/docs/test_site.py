"""The documentation site: it builds without a warning, fetches nothing, and has every command and public name."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from blocks import ROOT
from playwright.sync_api import sync_playwright
from typer.main import get_command

import invrob
from invrob.cli import app

pytestmark = pytest.mark.long
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))


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
            if address.startswith("data:"):  # a picture that is inside the page
                continue
            assert not re.match(r"(https?:)?//", address), f"{page.name}: {address}"
            assert (page.parent / address.partition("?")[0]).is_file(), f"{page.name}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text("utf-8")), style


def test_the_first_page_leads_on_by_pictures(site):
    text = (site / "index.html").read_text("utf-8")
    gallery = text[text.index("grid cards gallery") :]
    cards = re.findall(r'<a href="([^"]+)"><img alt="[^"]{15,}" src="([^"]+)"', gallery)
    assert len(cards) >= 9
    for page, picture in cards:
        assert (site / page).is_file()
        assert (site / picture).is_file()
    assert "rate of invariance" in text
    assert "make run" in text
    assert 'href="readme.html"' in text
    readme = (site / "readme.html").read_text("utf-8")
    assert 'href="theory.html' in readme


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


def test_parameters_are_tables_with_types_also_where_names_share_an_entry(site):
    page = (site / "reference" / "experiments.html").read_text("utf-8")
    function = page[page.index('id="invrob.empirical.figures.plane.plane_figure"') :]
    table = function[: function.index("</table>")]
    rows = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", row)) for row in table.split("<tr")[2:]]
    shared = next(row for row in rows if "theta" in row and "epsilon" in row)
    assert "theta float epsilon float where the plane is cut" in shared
    assert "default: &#39;linf&#39;" in " ".join(rows)


def test_what_a_function_returns_has_its_type_and_its_whole_text(site):
    page = (site / "reference" / "index.html").read_text("utf-8")
    function = page[page.index('id="invrob.robustness_profile"') : page.index('id="invrob.invariance_profile"')]
    returns = function[function.index("Returns:") :]
    row = returns[returns.index("<tbody") : returns.index("</tbody>")]
    assert row.count("<tr") == 1
    kind, text = re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
    assert "WeakProfile" in kind
    assert "A <code>RobustnessProfile</code>" in text


@pytest.mark.parametrize("width", [390, 1280])
def test_search_works_from_the_disk_without_a_network(site, width):
    asked = []
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        for word, expected in (
            ("DataLoader", "How do I take images from a DataLoader?"),
            ("ImageNet", "How do I measure an ImageNet model of torchvision or timm?"),
            ("RobustBench", "How do I measure a RobustBench model, and compare with the leaderboard?"),
        ):
            page.locator("label.md-header__button[for=__search]" if width == 390 else "input.md-search__input").click()
            page.locator("input.md-search__input").press_sequentially(word)
            found = page.locator(".md-search-result__article", has_text=expected).first
            found.wait_for(state="attached", timeout=60_000)
            page.locator("button.md-search__icon[type=reset]").click()
            page.keyboard.press("Escape")
        browser.close()
    assert any("search_index.js" in address for address in asked)
    assert not [address for address in asked if not address.startswith(("file:", "data:", "blob:", "about:"))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_phone(site, scheme):
    pages = ["index.html", "questions.html", "profiles.html", *(f"reference/{page.stem}.html" for page in REFERENCE)]
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
        for name in pages:
            page.goto((site / name).as_uri())
            wide = page.evaluate(
                "() => [...document.querySelectorAll('.md-content *')]"
                ".filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('pre'))"
                ".filter(e => !e.closest('.md-typeset__scrollwrap') || e.closest('.doc-contents'))"
                ".slice(0, 3).map(e => e.outerHTML.slice(0, 120))"
            )
            assert not wide, f"{name}: {wide}"
        browser.close()
