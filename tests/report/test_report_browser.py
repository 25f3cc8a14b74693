"""The report in a real browser, offline: Debian's Chromium, driven by Playwright."""

import csv
import io
import os
import re
import shutil
import warnings
from pathlib import Path

import pytest

from invrob.empirical.report import write_report
from invrob.intervals import percent

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
    """Opens the report, or another page, with the given settings of a browser's context; nothing may be asked for or
    complained about."""
    contexts, faults = [], []

    def call(file=page, fragment="", **settings):
        context = browser.new_context(reduced_motion="reduce", **settings)
        contexts.append(context)
        tab = context.new_page()
        own = file.as_uri()
        tab.on("request", lambda asked: faults.append(asked.url) if asked.url.partition("#")[0] != own else None)
        tab.on("console", lambda message: faults.append(message.text))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("dialog", lambda dialog: faults.append(dialog.message))
        context.route(lambda url: not url.startswith("file:"), lambda route: route.abort())
        tab.goto(own + fragment)
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
    heads = tab.locator("#models thead th").all_inner_texts()
    assert [head for head in heads if "," in head] == ["invariance, 90°", "robustness, 0.05"]
    shown = tab.locator("#models [data-column=invariance]").all_inner_texts()
    assert [text.split()[0] for text in shown] == [percent(inv[1][0]) for inv in chart["invariance"]]
    assert tab.get_attribute("#plane-text", "aria-live") == "polite"
    assert tab.get_attribute("#epsilon", "aria-valuetext") == "0.05"
    classes = tab.evaluate("JSON.parse(document.getElementById('data').textContent).classes.invariance")
    cells = tab.locator(".heat[data-kind=invariance] tbody td").all_inner_texts()
    assert cells == [percent(values[1]) for network in classes for values in network]


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
    floors = [line["floor"] for line in data["profiles"][0]["lines"]]
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
    line = tab.evaluate("JSON.parse(document.getElementById('data').textContent).profiles[0].lines[1]")
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
    table = "table.sortable:not(#models)"
    column = tab.locator(f"{table} tbody td:nth-child(2)")
    tab.focus(f"{table} th:nth-child(2) button")
    tab.keyboard.press("Enter")
    assert column.all_inner_texts() == ["180", "0"]
    tab.keyboard.press("Enter")
    assert column.all_inner_texts() == ["0", "180"]
    assert tab.get_attribute(f"{table} th:nth-child(2)", "aria-sort") == "ascending"


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
    assert tab.locator("#models tbody tr").count() == 2
    assert not tab.locator("#theta").is_visible()
    assert "Sliders and charts need JavaScript" in tab.inner_text("#profiles")


def test_a_hostile_name_is_shown_and_does_nothing(opened):
    tab = opened()
    assert tab.title() == "tiny: rotation invariance against robustness"
    assert "document.title='owned'" in tab.inner_text("#classes")


@pytest.fixture(scope="session")
def pages(made, page, profiled, tmp_path_factory):
    """A page of a run, of a model of one's own, and of both."""
    folder = tmp_path_factory.mktemp("pages")
    return {
        "run": page,
        "profile": write_report([profiled], folder / "profile.html").path,
        "both": write_report([made, profiled], folder / "both.html").path,
    }


# Of each chart: the box of its points, in which no control may lie.
COVERED = """() => {
  const box = (one) => one.getBoundingClientRect();
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const seen = (one) => { const { width, height } = box(one); return width > 0 && height > 0; };
  const controls = [...document.querySelectorAll("button, input, fieldset, .modebar, .legend, .files")].filter(seen);
  const points = [...document.querySelectorAll(".chart .nsewdrag")];
  const on = (plot) => controls.filter((one) => meet(box(plot), box(one)));
  return [points.length, points.flatMap(on).map((one) => one.outerHTML)];
}"""
# Elements that reach beyond the window and cannot be scrolled to inside of a box of their own.
CUT = """() => [...document.querySelectorAll("main *, header *")].filter((one) => {
  const { width, right, left } = one.getBoundingClientRect();
  return width > 0 && (right > innerWidth + 1 || left < -1) && !one.closest(".scroll, .skip, #profiles h2");
}).map((one) => one.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize("kind", ["run", "profile", "both"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_covered_or_cut_on_a_phone_and_on_a_desk(opened, pages, width, scheme, kind):
    phone = {"has_touch": True, "is_mobile": True} if width == 390 else {}
    size = {"width": width, "height": 844 if phone else 800}
    tab = opened(pages[kind], viewport=size, color_scheme=scheme, **phone)
    charts, covered = tab.evaluate(COVERED)
    assert charts >= 3
    assert covered == []
    assert tab.evaluate(CUT) == []
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    left, right = (tab.locator(f"#chart-{name}").bounding_box() for name in ("robustness", "invariance"))
    legend, plane = (tab.locator(place).bounding_box() for place in ("#networks", "#chart-plane"))
    if phone:
        assert left["y"] < right["y"] < legend["y"] < plane["y"]
    else:
        assert left["x"] < right["x"] < legend["x"]
        assert max(one["y"] + one["height"] for one in (left, right)) <= 800  # above the fold
        assert right["y"] < plane["y"]


def test_an_address_keeps_what_was_chosen_and_leaves_no_trail(opened, pages):
    tab = opened(pages["both"])
    before = tab.evaluate("history.length")
    for slider in ("#theta", "#epsilon"):
        tab.focus(slider)
        tab.keyboard.press("ArrowLeft")
    tab.uncheck("input[data-training='1']")
    tab.check("input[value=accuracy]")
    tab.focus("#models th[data-sort=robustness] button")
    tab.keyboard.press("Enter")
    tab.wait_for_url(lambda url: "sort" in url)
    name = "without=tiny%3A%20stdcnn%20(width%200.3)%2C%20A%20%3D%20180"
    assert tab.url.partition("#")[2] == f"theta=90&epsilon=0&{name}&measure=accuracy&sort=-robustness"
    rows = tab.locator("#models tbody th:visible").all_inner_texts()
    tab.reload()
    assert tab.evaluate("history.length") == before
    assert (tab.inner_text("#theta-value"), tab.inner_text("#epsilon-value")) == ("90°", "0")
    assert tab.locator("input[data-training]").evaluate_all("(all) => all.map((one) => one.checked)") == [
        number != "1" for number in _numbers(tab)
    ]
    assert tab.is_checked("input[value=accuracy]")
    assert tab.get_attribute("#models th[data-sort=robustness]", "aria-sort") == "descending"
    assert tab.locator("#models tbody th:visible").all_inner_texts() == rows
    tab.click("nav a[href='#plane']")  # a link of the page goes there and keeps the rest
    tab.wait_for_url(lambda url: "#plane&theta=90" in url)


def _numbers(tab):
    return tab.locator("input[data-training]").evaluate_all("(all) => all.map((one) => one.dataset.training)")


def test_an_address_that_means_nothing_is_passed_over(opened, pages):
    plain = opened(pages["run"])
    odd = opened(
        pages["run"], "#theta=1e9&epsilon=%E0%A4%A&only=nobody&without=&measure=x&sort=-nothing&%%%&constructor=1"
    )
    for tab in (plain, odd):
        assert (tab.inner_text("#theta-value"), tab.inner_text("#epsilon-value")) == ("180°", "0.1")
        assert tab.evaluate(PLANE) == plain.evaluate(PLANE)
        assert tab.locator("#models tbody tr:visible").count() == 2
    only = opened(pages["run"], "#only=stdcnn%20(width%200.3)%2C%20A%20%3D%200")
    assert only.locator("#models tbody tr:visible").count() == 1


def _saved(tab, button):
    with tab.expect_download() as waiting:
        tab.click(button)
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes().decode()


def test_the_table_and_each_chart_can_be_saved(opened, pages):
    tab = opened(pages["both"], color_scheme="dark")
    tab.uncheck("input[data-training='1']")
    name, text = _saved(tab, "[data-csv=models]")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert name == "tiny-mynet-models.csv"
    assert [row["model"] for row in rows] == ["tiny: stdcnn (width 0.3), A = 0", "mynet"]
    assert (rows[1]["invariance in %"], rows[1]["epsilon"], rows[1]["theta"]) == ("12.4", "0.1", "180")
    name, text = _saved(tab, "[data-csv=robustness]")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert name == "tiny-mynet-robustness.csv"
    assert {row["model"] for row in rows} == {"tiny: stdcnn (width 0.3), A = 0", "mynet"}
    assert [row["stay in %"] for row in rows if row["model"] == "mynet"] == ["100.0", "70.0", "20.0"]
    for chart, title in (("robustness", "1 - fooling rate"), ("plane", "trade-off plane"), ("beside-0", "back")):
        name, text = _saved(tab, f"[data-svg={chart}]")
        assert name == f"tiny-mynet-{chart}.svg"
        assert text.startswith("<svg")
        assert title in text
        assert "mynet" in text or chart == "beside-0"  # the legend
        assert "A = 180" not in text  # it is hidden
        assert "rgb(230, 233, 238)" not in text  # the ink of dark pages


def test_the_table_of_models_sorts_by_click_and_key_and_keeps_the_order_of_equals(opened, pages):
    tab = opened(pages["both"])
    names = tab.locator("#models tbody th")
    first = names.all_inner_texts()
    tab.click("#models th[data-sort=invariance] button")
    rates = "(all) => all.map((one) => Number(one.dataset.value))"
    down = tab.locator("#models [data-column=invariance]").evaluate_all(rates)
    assert down == sorted(down, reverse=True)
    tab.keyboard.press("Space")
    assert tab.get_attribute("#models th[data-sort=invariance]", "aria-sort") == "ascending"
    assert tab.locator("#models [data-column=invariance]").evaluate_all(rates) == sorted(down)
    tab.evaluate(
        "all = document.querySelectorAll('#models [data-column=accuracy]').forEach((one) => one.dataset.value = 1)"
    )
    tab.click("#models th[data-sort=accuracy] button")
    assert names.all_inner_texts() == first


def test_the_page_rounds_as_python_does(opened, pages):
    tab = opened(pages["profile"])
    shown = tab.locator("#models [data-column]").evaluate_all(
        "(all) => all.map((one) => [one.dataset.value, one.firstChild.textContent])"
    )
    assert ["0.1235", "12.4"] in shown  # a tie, to the even side
    assert all(text == percent(float(value)) for value, text in shown if "." in text)


@pytest.mark.parametrize("kind", ["profile", "both"])
def test_paper_has_charts_and_tables_and_no_controls(opened, pages, kind):
    tab = opened(pages[kind], color_scheme="dark", viewport={"width": 1280, "height": 800})
    tab.emulate_media(media="print", color_scheme="dark")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    for hidden in ("nav", "button:not(th button)", "input", ".sliders", ".files", ".modebar"):
        assert not any(one.is_visible() for one in tab.locator(hidden).all()), hidden
    assert tab.locator("#models").is_visible()
    assert tab.locator("#networks").is_visible()  # the legend
    assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    assert tab.evaluate("document.getElementById('chart-plane').layout.font.color") == "#1b1f24"
    covered = tab.evaluate(COVERED)[1]
    assert covered == []
