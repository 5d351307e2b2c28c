"""One page about a comparison: an HTML file that needs nothing beside it, and no script."""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

from minigrad.compare import figures
from minigrad.files import replacing

HEADINGS = {  # of the sentences, in this order
    "accuracy": "What the rules reach",
    "cost": "What they cost",
    "quality": "How good their gradients are",
    "trouble": "What to keep in mind",
    "protocol": "How it was measured",
}


def write(results: dict[str, Any], path: str | Path) -> None:
    """Write the report of these results (see `minigrad.compare.results`) into an HTML file.

    A crash leaves the old file, or none. KeyError for results without one of their parts.
    """
    text = html(results)
    with replacing(path) as file:
        file.write(text.encode())


def html(results: dict[str, Any]) -> str:
    """The report as text. The figures are within it; everything from the results is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    template = files("minigrad.compare").joinpath("report.html").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=percent, number=number, spread=spread, points=points)
    rules = len(results["rules"])
    return environment.from_string(template).render(
        results=results,
        heading=f"{rules} learning rules side by side" if rules > 1 else "One learning rule",
        settings=results["settings"],
        looks=[figures.look(i) for i in range(len(results["rules"]))],
        titles={rule["name"]: rule["title"] for rule in results["rules"]},
        said=[(about, HEADINGS[about], _about(results, about)) for about in HEADINGS],
        drawn=[(title, text, Markup(svg)) for title, text, svg in _drawn(results)],
        last=[(rule, rule["quality"][-1]) for rule in results["rules"] if rule["quality"]],
        command=command(results),
    )


def command(results: dict[str, Any]) -> str:
    """The command that makes this comparison again."""
    s = results["settings"]
    options = {
        "rules": ",".join(rule["name"] for rule in results["rules"]),
        "model": s["model"],
        "data": s["data"],
        "epochs": s["epochs"],
        "seeds": len(s["seeds"]),
        "batch-size": s["batch_size"],
        "optimizer": s["optimizer"],
        "rates": ",".join(f"{rate:g}" for rate in s["rates"]),
        "reference": results["reference"],
    }
    words = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items()]
    return " ".join(["minigrad compare", *words, *["--quick"] * bool(s["quick"])])


def percent(share: float | None, digits: int = 2) -> str:
    """A share in per cent, without the sign; a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.{digits}f}".replace("-", "−")


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits that count; a dash for what is not known."""
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}".replace("-", "−")


def spread(interval: dict[str, Any] | None, scale: float = 1, digits: int = 3) -> str:
    """mean ± half an interval; the mean alone where there is no interval, or no difference."""
    if not interval or interval["mean"] is None:
        return "–"
    mean = number(scale * interval["mean"], digits)
    return f"{mean} ± {number(scale * interval['half'], 2)}" if interval["half"] else mean


def points(interval: dict[str, Any]) -> str:
    """A share and half of its interval, in per cent."""
    if interval["half"] is None:
        return percent(interval["mean"])
    return f"{percent(interval['mean'])} ± {percent(interval['half'])}"


def _about(results: dict[str, Any], about: str) -> list[str]:
    return [sentence["text"] for sentence in results["sentences"] if sentence["about"] == about]


def _drawn(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(title, what is to be seen, SVG) of each figure."""
    if not any(rule["summary"] for rule in results["rules"]):
        return []
    seeds = len(results["settings"]["seeds"])
    interval = f"{100 * results['settings']['confidence']:g} % interval by Student's t"
    large = "The last probe is large. "
    return [
        (
            "Test accuracy",
            (f"The line is a {interval}; " if seeds > 1 else "One seed has no interval; ")
            + "a stroke below it is one seed. The test set was used once, at the end.",
            figures.accuracies(results),
        ),
        (
            "Bias and variance",
            "To the right a rule points elsewhere than the gradient, also on average. Upwards "
            f"its single estimates scatter. The gradient itself is at 0. {large}"
            "Near 0 the axes are linear, then logarithmic. What is below 0 is drawn at 0.",
            figures.plane(results),
        ),
        (
            "Accuracy against cost",
            "A forward-equivalent is the work of one forward pass of a batch. A step of backprop "
            "costs 3.",
            figures.progress(results, "forward_equivalents", "forward-equivalents", "cost"),
        ),
        (
            "Accuracy against time",
            "The same against the seconds of the steps, on this machine.",
            figures.progress(results, "seconds", "seconds", "seconds"),
        ),
        (
            "Direction over time",
            "The cosine between a rule's estimate and the true gradient at the same weights, on a "
            "probe batch. 1: the same direction. 0: none of it.",
            figures.over_time(results, "cosine", "cosine"),
        ),
        (
            "Direction by layer",
            "The same for each layer, at the last probe.",
            figures.by_layer(results, "cosine", "cosine"),
        ),
        (
            "Signs by layer",
            "The share of weights whose sign of the gradient is right, at the last probe. "
            "0.5 is chance.",
            figures.by_layer(results, "sign_agreement", "sign agreement"),
        ),
        (
            "The search for the learning rate",
            "Accuracy on the validation set after the same number of forward-equivalents. The "
            "chosen rate is large: the highest accuracy; of equal ones, the lowest loss. Where "
            "there is no point, the rule diverged.",
            figures.rates(results),
        ),
    ]
