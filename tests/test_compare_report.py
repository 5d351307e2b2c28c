"""The report of a comparison: one HTML file with all that it needs, and everything escaped."""

import copy
import html
import math
import re
import shlex
from html.parser import HTMLParser

import pytest
from compare_example import example

from minigrad.compare import figures, report

pytestmark = pytest.mark.on_host
FIGURES = 8
EVIL = "<script>alert('$x^2$ & \"')</script>"
VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """The elements of a page: each is closed, and what the attributes say is kept."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def text():
    return report.html(example())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def changed(change):
    results = copy.deepcopy(example())
    change(results)
    return results


def test_everything_that_was_measured_is_there(page):
    words = " ".join(" ".join(page.words).split())
    assert page.tags.count("figure") == FIGURES
    for sentence in example()["sentences"]:
        assert sentence["text"] in words
    for rule in example()["rules"]:
        assert rule["title"] in words
        assert rule["repr"] in words
    assert "95.00 ± 0.50" in words  # backprop's test accuracy: 4.30 · .2/√3
    assert "left out: Convolution has no jvp" in words
    assert "minigrad 0.3.0, numpy 2.0.0, python 3.10.1" in words
    assert "numpy, 1 thread a run" in words


def test_nothing_is_fetched_and_nothing_is_run(page, text):
    assert {"script", "iframe", "img", "object", "form", "base"}.isdisjoint(page.tags)
    for tag, name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "action", "srcset"):
            assert value.startswith(("#", "data:")), (tag, name, value)
        assert not name.startswith("on")
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_names_in_the_page_are_there_once_and_found(page, text):
    names = [value for _, name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert {a or b for a, b in used} <= set(names)


def test_all_colours_are_the_pages(text):
    """Nothing is black or white for good: the page has other colours in the dark."""
    drawn = "".join(re.findall(r"<figure>.*?</figure>", text, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) <= {"#ffffff"}  # where nothing is drawn
    assert re.findall(r"#ffffff[^\"]*", drawn) == []
    assert "currentColor" in drawn


def test_what_comes_from_outside_is_escaped():
    def change(results):
        for i, field in ((1, "title"), (1, "repr"), (1, "about"), (3, "name"), (3, "why")):
            results["rules"][i][field] = EVIL
        results["sentences"][1]["text"] = EVIL
        results["settings"] |= {"model": EVIL, "source": EVIL, "data": EVIL}
        results["versions"]["numpy"] = EVIL
        for probe in results["rules"][0]["quality"]:
            probe["layers"] = {EVIL: probe["layers"]["1"]}
        results["rules"][2]["name"] = results["pairs"][1]["b"] = "_a_$rule$"

    text = report.html(changed(change))
    assert "<script" not in text
    assert text.count(html.escape(EVIL, quote=False)[:20]) > 10
    Page(text)


def nothing_known(value):
    """The same without a number that may be missing."""
    if isinstance(value, dict):
        kept = ("n", "step", "seed", "lr", "mean", "cost")
        return {k: v if k in kept else nothing_known(v) for k, v in value.items()}
    if isinstance(value, list):
        return [nothing_known(item) for item in value]
    return None if isinstance(value, float) else value


def test_numbers_that_are_not_known_are_dashes():
    def change(results):
        for rule in results["rules"]:
            rule.update({k: nothing_known(rule[k]) for k in ("quality", "runs", "summary")})
            rule["curve"] = rule["curve"] and rule["curve"] | {
                name: [None] * 4 for name in rule["curve"] if name.startswith("validation")
            }

    text = report.html(changed(change))
    assert "None" not in " ".join(Page(text).words)
    assert "nan" not in text.lower()


def test_a_comparison_in_which_no_rule_ended():
    def change(results):
        results["rules"] = [results["rules"][3] | {"name": str(i)} for i in range(2)]
        results["pairs"] = []

    page = Page(report.html(changed(change)))
    assert "figure" not in page.tags


def test_one_seed_has_no_interval_and_twenty_rules_have_room():
    def change(results):
        rules = [copy.deepcopy(results["rules"][i % 3]) for i in range(20)]
        results["rules"] = [rule | {"name": f"r{i}"} for i, rule in enumerate(rules)]
        results["settings"]["seeds"] = [0]
        results["pairs"] = []
        for rule in results["rules"]:
            rule["runs"] = rule["runs"][:1]
            for found in rule["summary"].values():
                if found:
                    found.update(low=None, high=None, half=None, sd=None, n=1)
            for end in ("_low", "_high"):
                if rule["curve"]:
                    rule["curve"][f"validation_accuracy{end}"] = [None] * 4

    text = report.html(changed(change))
    assert "One seed has no interval" in text
    assert "None" not in " ".join(Page(text).words)


def test_many_rules_look_different():
    looks = [figures.look(i) for i in range(32)]
    assert len({(look["number"], look["line"]) for look in looks}) == 32
    first = [look["marker"] for look in looks[:8]]
    assert len(set(first)) == 8


def test_the_command_makes_the_comparison_again():
    words = shlex.split(report.command(example()))
    assert words[:2] == ["minigrad", "compare"]
    given = dict(zip(words[2:-1:2], words[3:-1:2], strict=True))
    assert given["--rules"] == "backprop,dfa,forward,activities"
    assert given["--rates"] == "0.0001,0.001,0.01"
    assert (given["--epochs"], given["--seeds"], given["--reference"]) == ("10", "3", "backprop")
    assert words[-1] == "--quick"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (-0.25, "−0.25"), (12345.6, "12,346"), (0.000111, "0.000111")],
)
def test_numbers(value, text):
    assert report.number(value) == text


def test_shares_and_spreads():
    assert report.percent(0.95432) == "95.43"
    assert report.percent(-0.01) == "−1.00"
    found = {"mean": 2.0, "half": 0.125}
    assert report.spread(found) == "2 ± 0.12"
    assert report.spread(found | {"half": None}) == "2"
    assert report.spread(None) == "–"
    assert report.points({"mean": 0.5, "half": math.sqrt(0.0001)}) == "50.00 ± 1.00"


def test_the_file_is_whole_or_not_there(tmp_path, text):
    path = tmp_path / "report.html"
    with pytest.raises(KeyError):
        report.write({"rules": []}, path)
    assert list(tmp_path.iterdir()) == []
    report.write(example(), path)
    assert path.read_text("utf-8") == text  # the same results give the same page
