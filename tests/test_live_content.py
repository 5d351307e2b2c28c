"""What the live page says is so: of each rule, in its tours, and in the code that it shows."""

import re

import pytest
from conftest import ROOT

import minigrad as mg
from minigrad import cli
from minigrad.compare.rules import RULES
from minigrad.live.about import ABOUT, about

pytestmark = pytest.mark.on_host


# ------------------------------------------------------------------ what is said of each rule


def sizes(net):
    return sum(p.size for p in net.params.values())


def said_cost(name, rule, net):
    """The cost that the page states, as a number."""
    values = {"K": getattr(rule, "directions", 1), "p": getattr(rule, "update_probability", 1)}
    inner = rule.rule if name == "guided" else rule
    if name in ("cdni", "dni", "guided"):
        values["m"] = 2 * sum(sizes(module.net) for module in inner.modules) / sizes(net)
    if name == "local":
        values["h"] = sum(sizes(head.net) for head in rule.modules) / sizes(net)
    values["t"] = sizes(net.layers[-1]) / sizes(net)
    formula = re.sub(r"(\d) ([A-Za-z])", r"\1 * \2", ABOUT[name].cost)
    return eval(formula, values)


def test_each_rule_has_an_entry_and_no_other():
    assert list(ABOUT) == list(RULES)


@pytest.mark.parametrize("name", RULES)
def test_what_is_said_of_a_rule(name):
    net = mg.models.mlp((784, 16, 12, 10), seed=0)
    rule = RULES[name].make(net, 0)
    assert said_cost(name, rule, net) == pytest.approx(rule.cost)
    entry = ABOUT[name]
    (lesson,) = [one for one in cli.lessons() if one.path.stem == entry.lesson]
    doc = type(rule).__doc__
    assert entry.taught == ("Taught in" in doc)
    assert not entry.taught or entry.lesson in doc
    said = about(name)
    assert said["title"] == RULES[name].title
    assert said["lesson"].endswith(f"minigrad run {lesson.number}")
    assert (ROOT / said["lesson_file"]).is_file()
    for sentence in (said["needs"], said["watch"]):
        assert sentence.endswith(".")
    assert said["equation"].count("\n") <= 1
    for year in re.findall(r"\d{4}", entry.source):
        assert year in doc
