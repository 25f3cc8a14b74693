"""The report in a real browser, offline: Debian's Chromium, driven by Playwright."""

import os
import re
import shutil
import warnings

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("chromium") is None,
        reason="NO CHROMIUM: nothing of the report was tried in a browser; install Debian's package chromium",
    ),
]

POINTS = "document.getElementById('chart-plane').data.filter((trace) => trace.mode === 'markers')"
PLANE = f"{POINTS}.map((point) => [point.x[0], point.y[0]])"
SHOWN = "(id) => document.getElementById(id).data.map((trace) => trace.visible)"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium has no sandbox for it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Playwright's event loop warns about itself
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"] if root else []
            )
            yield chromium
            chromium.close()


@pytest.fixture
def opened(browser, page):
    """Opens the report with the given settings of a browser's context; nothing may be asked for or complained about."""
    contexts, faults = [], []

    def call(**settings):
        context = browser.new_context(reduced_motion="reduce", **settings)
        contexts.append(context)
        tab = context.new_page()
        tab.on("request", lambda request: faults.append(request.url) if request.url != page.as_uri() else None)
        tab.on("console", lambda message: faults.append(message.text))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("dialog", lambda dialog: faults.append(dialog.message))
        context.route(lambda url: not url.startswith("file:"), lambda route: route.abort())
        tab.goto(page.as_uri())
        return tab

    yield call
    for context in contexts:
        context.close()
    assert [fault for fault in faults if not fault.startswith(("data:", "blob:"))] == []


def test_sliders_move_the_plane_by_keyboard_and_say_so(opened):
    tab = opened()
    chart = tab.evaluate("JSON.parse(document.getElementById('data').textContent).plane")

    def place(theta, epsilon):
        pairs = zip(chart["invariance"], chart["robustness"], strict=True)
        return [[inv[theta][0], rob[epsilon][0]] for inv, rob in pairs]

    assert tab.evaluate(PLANE) == place(2, 2)
    tab.focus("#theta")
    tab.keyboard.press("ArrowLeft")
    tab.focus("#epsilon")
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate(PLANE) == place(1, 1) != place(2, 2)
    assert (tab.inner_text("#theta-value"), tab.inner_text("#epsilon-value")) == ("90°", "0.05")
    assert tab.inner_text("#plane-text").startswith("At theta = 90°, epsilon = 0.05:")
    assert tab.get_attribute("#plane-text", "aria-live") == "polite"
    assert tab.get_attribute("#epsilon", "aria-valuetext") == "0.05"
    classes = tab.evaluate("JSON.parse(document.getElementById('data').textContent).classes.invariance")
    cells = tab.locator(".heat[data-kind=invariance] tbody td").all_inner_texts()
    assert cells == [f"{100 * values[1]:.0f}" for network in classes for values in network]


def test_a_network_is_hidden_everywhere_by_the_space_bar(opened):
    tab = opened()
    tab.focus("input[data-training='0']")
    tab.keyboard.press("Space")
    for chart in ("chart-invariance", "chart-robustness", "chart-beside-0", "chart-beside-1"):
        shown = [False, True, False, True]  # bands, then lines
        assert tab.evaluate(SHOWN, chart) == ([*shown, False, True] if chart == "chart-robustness" else shown)  # floors
    assert tab.evaluate(SHOWN, "chart-plane")[1:] == [False, True, False, True]  # points, then their floors
    assert "A = 0" not in tab.inner_text("#plane-text")
    tab.click("#none")
    assert not any(tab.evaluate(SHOWN, "chart-robustness"))
    tab.click("#all")
    assert all(tab.evaluate(SHOWN, "chart-robustness"))


def test_the_floor_is_a_dotted_line_below_the_rates_and_a_light_one_below_the_points(opened):
    tab = opened()
    data = tab.evaluate("JSON.parse(document.getElementById('data').textContent)")
    floors = [line["floor"] for line in data["profiles"][1]["lines"]]
    dotted = "document.getElementById('chart-robustness').data.slice(4).map((trace) => [trace.y, trace.line.dash])"
    assert tab.evaluate(dotted) == [[floor, "dot"] for floor in floors]
    tab.check("input[value=accuracy]")
    assert tab.evaluate(dotted) == []  # it bounds the predictions that stay, and not those that are right
    below = "document.getElementById('chart-plane').data.slice(3).map((trace) => trace.y)"
    plane = data["plane"]
    wanted = [
        [floor[plane["epsilon"]], rob[plane["epsilon"]][1]]
        for floor, rob in zip(plane["floors"], plane["robustness"], strict=True)
    ]
    assert tab.evaluate(below) == [
        row if believed else [] for row, believed in zip(wanted, plane["believed"], strict=True)
    ]


def test_the_accuracy_takes_the_place_of_the_rates(opened):
    tab = opened()
    line = tab.evaluate("JSON.parse(document.getElementById('data').textContent).profiles[1].lines[1]")
    drawn = "document.getElementById('chart-robustness').data[3].y"
    assert tab.evaluate(drawn) == line["rate"]["y"]
    tab.check("input[value=accuracy]")
    assert tab.evaluate(drawn) == line["accuracy"]["y"] != line["rate"]["y"]


def test_hovering_shows_value_interval_and_accuracy(opened):
    tab = opened(viewport={"width": 1200, "height": 900})
    tab.locator("#chart-robustness").scroll_into_view_if_needed()
    tab.locator("#chart-robustness .scatterlayer .trace .point").last.hover(force=True)
    label = tab.locator("#chart-robustness .hoverlayer text").first
    label.wait_for()
    text = label.text_content()
    assert re.search(r"epsilon = 0.3stay: [\d.]+ % \([\d.]+ to [\d.]+\)floor: [\d.]+ %right: [\d.]+ % \(", text), text


def test_a_heading_sorts_the_table_both_ways(opened):
    tab = opened()
    column = tab.locator("table.sortable tbody td:nth-child(2)")
    tab.focus("table.sortable th:nth-child(2) button")
    tab.keyboard.press("Enter")
    assert column.all_inner_texts() == ["180", "0"]
    tab.keyboard.press("Enter")
    assert column.all_inner_texts() == ["0", "180"]
    assert tab.get_attribute("table.sortable th:nth-child(2)", "aria-sort") == "ascending"


def test_dark_and_light_follow_the_system_and_the_button_and_so_do_the_charts(opened):
    background = "getComputedStyle(document.body).backgroundColor"
    line = "document.getElementById('chart-robustness').data[2].line.color"
    text = "document.getElementById('chart-robustness').layout.font.color"
    light, dark = opened(color_scheme="light"), opened(color_scheme="dark")
    assert light.evaluate(background) == "rgb(255, 255, 255)"
    assert dark.evaluate(background) == "rgb(20, 23, 28)"
    for what in (line, text):
        assert light.evaluate(what) != dark.evaluate(what)
    wanted = [dark.evaluate(what) for what in (background, line, text)]
    light.focus("#theme")
    light.keyboard.press("Enter")
    assert [light.evaluate(what) for what in (background, line, text)] == wanted


def test_a_phone_scrolls_tables_and_not_the_page(opened):
    tab = opened(viewport={"width": 375, "height": 700}, has_touch=True, is_mobile=True)
    width, window = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert (width, window) == (375, 375)
    wide = tab.evaluate("[...document.querySelectorAll('.scroll')].some((one) => one.scrollWidth > one.clientWidth)")
    assert wide
    assert tab.evaluate("document.getElementById('chart-plane').clientWidth") < 375


def test_paper_is_light_and_holds_the_charts_in_its_width(opened):
    tab = opened(color_scheme="dark", viewport={"width": 1400, "height": 900})
    widths = "[...document.querySelectorAll('.chart')].map((one) => one.layout.width)"
    tab.evaluate(f"addEventListener('beforeprint', () => {{ window.seen = {widths}; }})")
    pdf = tab.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
    assert max(tab.evaluate("window.seen")) <= 688  # A4 less its margins
    assert tab.evaluate("document.documentElement.dataset.theme") is None  # as it was before
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)"


def test_without_scripts_the_tables_and_the_figures_are_there(opened):
    tab = opened(java_script_enabled=False)
    assert tab.locator("img.static").count() == 2  # the plane, and both profiles of the one network
    assert all(image.bounding_box()["width"] > 300 for image in tab.locator("img.static").all())
    assert tab.locator("table.sortable tbody tr").count() == 2
    assert not tab.locator("#theta").is_visible()
    assert "Sliders and charts need JavaScript" in tab.inner_text("#plane")


def test_a_hostile_name_is_shown_and_does_nothing(opened):
    tab = opened()
    assert tab.title() == "tiny: rotation invariance against robustness"
    assert "document.title='owned'" in tab.inner_text("#classes")
