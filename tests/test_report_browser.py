"""The report of a comparison in a real browser: wide, narrow, in the dark and printed.

It is skipped where there is no Chromium. With MINIGRAD_BROWSER=required that is an error.
MINIGRAD_BROWSER_PICTURES names a folder for pictures of the page.
"""

import base64
import copy
import re

import pytest
from compare_example import example
from pages import started

from minigrad.compare import report

pytestmark = pytest.mark.on_host
LONG = "a_rule_of_ones_own_with_a_name_that_has_no_place_to_break_" * 3

FIGURES = """[...document.querySelectorAll("figure")].map(figure => {
    const svg = figure.querySelector("svg"), box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")];
    return {
        name: figure.querySelector("h3").textContent,
        width: box.width, height: box.height,
        marks: svg.querySelectorAll("path, use").length,
        letters: Math.min(...texts.map(text => text.getBoundingClientRect().height)),
        outside: texts.filter(text => {
            const at = text.getBoundingClientRect(), of = figure.getBoundingClientRect();
            return at.left < of.left || at.right > of.right || at.bottom > of.bottom;
        }).length,
    };
})"""
COLOURS = """(() => {
    const of = (element, name) => getComputedStyle(element)[name];
    const svg = document.querySelector("figure svg");
    const lines = [...document.querySelectorAll(".key path[stroke]")];
    return {
        page: of(document.body, "backgroundColor"),
        card: of(document.querySelector("figure"), "backgroundColor"),
        text: of(document.body, "color"),
        soft: of(document.querySelector("figcaption"), "color"),
        letters: of(svg.querySelector("text"), "fill"),
        lines: lines.map(line => of(line, "stroke")),
    };
})()"""
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


@pytest.fixture(scope="module")
def browser():
    with started() as found:
        yield found


def contrast(a, b):
    """The ratio of WCAG 2, from 1 to 21."""
    bright, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour):
    shares = [int(n) / 255 for n in re.findall(r"\d+", colour)[:3]]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * s for w, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def assert_legible(colours):
    for name in ("text", "soft"):
        assert contrast(colours[name], colours["page"]) >= 4.5
    for name in ("soft", "letters"):
        assert contrast(colours[name], colours["card"]) >= 4.5
    for line in colours["lines"]:
        assert contrast(line, colours["card"]) >= 3, line


def test_the_report_in_a_browser(browser, tmp_path):
    """One page, one browser: everything is looked at in turn."""
    results = example()
    for i, rule in enumerate(results["rules"][:3] * 3):  # twelve rules that have all colours
        results["rules"].append(copy.deepcopy(rule) | {"name": f"more{i}", "title": f"rule {i}"})
    results["rules"][4] |= {"title": LONG, "repr": LONG}
    results["sentences"].append({"about": "cost", "rules": [], "text": LONG})
    path = tmp_path / "report.html"
    report.write(results, path)

    def view(width, height, **media):
        browser.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        features = [{"name": "prefers-color-scheme", "value": media.get("scheme", "light")}]
        kind = media.get("kind", "screen")
        browser.ask("Emulation.setEmulatedMedia", media=kind, features=features)

    view(1400, 900)
    browser.open(path.as_uri())
    wide = browser.value(FIGURES)
    assert len(wide) == 8
    for figure in wide:
        assert figure["width"] > 300, figure
        assert figure["height"] > 200, figure
        assert figure["marks"] > 10, figure
        assert figure["letters"] >= 12, figure
        assert figure["outside"] == 0, figure
    scroll, client = browser.value(WIDTHS)
    assert scroll <= client
    light = browser.value(COLOURS)
    assert_legible(light)
    browser.picture("wide", whole=True)

    view(1400, 900, scheme="dark")
    dark = browser.value(COLOURS)
    assert_legible(dark)
    assert luminance(dark["page"]) < 0.05 < 0.9 < luminance(light["page"])
    assert len(set(dark["lines"])) == 8
    browser.picture("dark", whole=True)

    view(390, 844)
    for figure in browser.value(FIGURES):
        assert 280 < figure["width"] <= 390, figure
        assert figure["letters"] >= 10, figure
        assert figure["outside"] == 0, figure
    scroll, client = browser.value(WIDTHS)
    assert scroll <= client == 390  # nobody scrolls sideways, tables apart
    browser.picture("narrow", whole=True)

    view(800, 1100, scheme="dark", kind="print")
    assert_legible(browser.value(COLOURS))
    assert luminance(browser.value(COLOURS)["page"]) == 1.0  # paper is white
    printed = browser.ask("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
    pdf = base64.b64decode(printed["data"])
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
    assert browser.value("document.querySelector('.scroll').scrollWidth") <= 800

    told = [
        e for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")
    ]
    told += [e for e in browser.events if e["method"] == "Runtime.consoleAPICalled"]
    assert told == []
    asked = [e for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    addresses = {e["params"]["request"]["url"] for e in asked}
    assert {a for a in addresses if not a.startswith("data:")} <= {path.as_uri(), "about:blank"}
    assert path.as_uri() in addresses
    for event in browser.events:
        assert event["method"] != "Network.loadingFailed", event


def test_what_is_not_legible_is_found():
    colours = dict.fromkeys(("page", "card"), "rgb(255, 255, 255)")
    colours |= dict.fromkeys(("text", "soft", "letters"), "rgb(0, 0, 0)")
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert_legible(colours | {"lines": ["rgb(0, 114, 178)"]})
    with pytest.raises(AssertionError):
        assert_legible(colours | {"lines": ["rgb(240, 228, 66)"]})
    with pytest.raises(AssertionError):
        assert_legible(colours | {"lines": [], "letters": "rgb(150, 150, 150)"})
