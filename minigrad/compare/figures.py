"""The figures of a report: SVG that stands in the page and takes the page's colours."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

NUMBERS = 8  # colours of rules; the next rule has the first colour again, and another line
INK = "#010203"  # what has this colour in a figure has the colour of the page's text
LINES = ("-", "--", ":", "-.")
MARKERS = "osD^vPX*"
SIZE = (4.4, 3.3)  # inches: legible on a telephone, and it grows with the page
LETTERS = 16  # of a rule's name beside an axis
LINEAR = 0.01  # bias² and variance: below, their axes are linear, so that 0 has a place
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters: they can be searched for, and read aloud
    "text.parse_math": False,  # a rule's name may have a $
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2.0,
    "figure.constrained_layout.use": True,
}
Rule = dict[str, Any]


def look(i: int) -> dict[str, Any]:
    """The colour, line and marker of the i-th rule: no two of 32 rules have the same."""
    number = i % NUMBERS
    return {
        "number": number,
        "color": f"#0a0b{number:02d}",  # the page has the true one, one for light and one for dark
        "line": LINES[i // NUMBERS % len(LINES)],
        "marker": MARKERS[number],
    }


def accuracies(results: dict[str, Any]) -> str:
    """Test accuracy of each rule: the mean, its interval, and each seed."""
    rules = _finished(results)
    high = max(SIZE[1], 1.0 + 0.22 * len(rules))  # a line of text for each
    with _figure("accuracy", "Test accuracy of each rule, with its interval", high) as (axes, svg):
        for row, (i, rule) in enumerate(rules):
            style, found = look(i), rule["summary"]["test_accuracy"]
            y, mean = len(rules) - 1 - row, 100 * found["mean"]
            if found["half"] is not None:
                ends = [100 * found["low"], 100 * found["high"]]
                axes.plot(ends, [y, y], color=style["color"], lw=3, solid_capstyle="butt")
            axes.plot([mean], [y], style["marker"], color=style["color"], ms=9)
            seeds = [_percent(run["test_accuracy"]) for run in rule["runs"]]
            axes.plot(seeds, [y - 0.22] * len(seeds), "|", color=INK, ms=7)
        axes.set_yticks(range(len(rules)), [_short(r["name"]) for _, r in reversed(rules)])
        axes.set_ylim(-0.7, len(rules) - 0.3)
        axes.set_xlim(*_shares(axes.get_xlim()))
        axes.set_xlabel("test accuracy (%)")
    return svg()


def plane(results: dict[str, Any]) -> str:
    """Bias² against variance of each rule's estimate, in units of |g|²; the last probe is large.

    Both are corrected for the number of estimates, so chance takes some below 0: drawn at 0.
    """
    from matplotlib.ticker import NullLocator

    with _figure("plane", "Bias squared against variance, of each rule") as (axes, svg):
        values = [0.0]
        for i, rule in _finished(results):
            points = [q["total"] for q in rule["quality"]]
            x, y = (
                [max(value, 0.0) if math.isfinite(value) else value for value in found]
                for found in (
                    _numbers(p["bias2"] for p in points),
                    _numbers(p["variance"] for p in points),
                )
            )
            style = look(i)
            axes.plot(x, y, style["line"], color=style["color"], lw=1, alpha=0.6)
            axes.plot(x, y, style["marker"], color=style["color"], ms=4, alpha=0.6)
            axes.plot(x[-1:], y[-1:], style["marker"], color=style["color"], ms=10)
            values += [v for v in x + y if math.isfinite(v)]
        most = 3 * max(1.0, *values)
        for scale in (axes.set_xscale, axes.set_yscale):
            scale("symlog", linthresh=LINEAR)
        for limit in (axes.set_xlim, axes.set_ylim):
            limit(-LINEAR / 2, most)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks([0.0, *(10.0**k for k in range(-2, 16, 2) if 10.0**k <= most)])
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_locator(NullLocator())
        axes.set_xlabel("bias² / |g|²")
        axes.set_ylabel("variance / |g|²")
    return svg()


def progress(results: dict[str, Any], against: str, label: str, name: str) -> str:
    """Validation accuracy against what it has cost, as a band over the seeds."""
    with _figure(name, f"Validation accuracy against {label}") as (axes, svg):
        rules = [(i, rule) for i, rule in _finished(results) if rule["curve"]]
        ends = [rule["curve"][against][-1] or 0 for _, rule in rules]
        wide = bool(ends) and min(ends) > 0 and max(ends) > 8 * min(ends)
        for i, rule in rules:
            style, curve = look(i), rule["curve"]
            x = _numbers(curve[against])
            if wide:  # 0 has no place on a logarithmic axis
                x = [value if value > 0 else math.nan for value in x]
            low, y, high = (
                [_percent(v) for v in curve[f"validation_accuracy{end}"]]
                for end in ("_low", "", "_high")
            )
            axes.fill_between(x, low, high, color=style["color"], alpha=0.18, lw=0)
            axes.plot(x, y, style["line"], marker=style["marker"], ms=5, color=style["color"])
        if wide:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(*_shares(axes.get_ylim()))
        axes.set_xlabel(label)
        axes.set_ylabel("validation accuracy (%)")
    return svg()


def over_time(results: dict[str, Any], measure: str, label: str) -> str:
    """A measure of the whole gradient, at each probe."""
    with _figure(f"time-{measure}", f"{label} over time, of each rule") as (axes, svg):
        for i, rule in _finished(results):
            style, probes = look(i), rule["quality"]
            y = _numbers(q["total"][measure] for q in probes)
            x = [q["step"] for q in probes]
            axes.plot(x, y, style["line"], marker=style["marker"], ms=5, color=style["color"])
        axes.set_xlabel("step")
        axes.set_ylabel(label)
    return svg()


def by_layer(results: dict[str, Any], measure: str, label: str) -> str:
    """A measure of each layer's gradient, at the last probe."""
    with _figure(f"layer-{measure}", f"{label} of each layer, of each rule") as (axes, svg):
        names: list[str] = []
        rules = [(i, rule) for i, rule in _finished(results) if rule["quality"]]
        for _, rule in rules:
            names += [n for n in rule["quality"][-1]["layers"] if n not in names]
        for i, rule in rules:
            style, layers = look(i), rule["quality"][-1]["layers"]
            y = _numbers(layers[n][measure] if n in layers else None for n in names)
            x = range(len(names))
            axes.plot(x, y, style["line"], marker=style["marker"], ms=7, color=style["color"])
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.3, max(len(names) - 0.7, 0.3))
        axes.set_xlabel("layer, from the input to the output")
        axes.set_ylabel(label)
    return svg()


def rates(results: dict[str, Any]) -> str:
    """The search of the learning rates: accuracy on the validation set; the chosen ones large."""
    with _figure("rates", "Validation accuracy of each learning rate") as (axes, svg):
        for i, rule in _finished(results):
            style = look(i)
            tried = [r for r in rule["search"] if r["status"] == "done"]
            tried = sorted(tried, key=lambda row: row["lr"])
            x, y = [r["lr"] for r in tried], [_percent(r["validation_accuracy"]) for r in tried]
            axes.plot(x, y, style["line"], marker=style["marker"], ms=4, color=style["color"])
            chosen = [(a, b) for a, b in zip(x, y, strict=True) if a == rule["lr"]]
            for a, b in chosen:
                axes.plot([a], [b], style["marker"], ms=11, color=style["color"])
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(*_shares(axes.get_ylim()))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("validation accuracy (%)")
    return svg()


def _finished(results: dict[str, Any]) -> list[tuple[int, Rule]]:
    """(position, rule) of those that have something to draw."""
    return [(i, rule) for i, rule in enumerate(results["rules"]) if rule["summary"]]


def _numbers(values: Sequence[float | None] | Iterator[float | None]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]


def _short(name: str) -> str:
    """A name that leaves room for what is drawn."""
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _percent(share: float | None) -> float:
    return math.nan if share is None else 100 * share


def _shares(limits: tuple[float, float]) -> tuple[float, float]:
    """The limits of an axis of per cents: an interval may be wider than what there is."""
    return max(limits[0], -3), min(limits[1], 103)


@contextmanager
def _figure(
    name: str, title: str, high: float = SIZE[1]
) -> Iterator[tuple[Any, Callable[[], str]]]:
    """(axes, a function that gives the SVG once the figure is drawn)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    made: list[str] = []
    with rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(SIZE[0], high))
        yield figure.add_subplot(), lambda: made[0]
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        made.append(_inline(buffer.getvalue(), name, title))


def _inline(svg: str, name: str, title: str) -> str:
    """An SVG file as an element of the page: with its colours, and with names of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    opening, rest = svg.split(">", 1)
    box = re.search(r'viewBox="[\d. ]+"', opening)
    links = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    rest = rest.replace(INK, "currentColor")
    rest = re.sub(r"#0a0b(\d\d)", lambda found: f"var(--rule-{int(found[1])})", rest)
    rest = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', rest)
    rest = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', rest)
    rest = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", rest)
    return f'<svg {links} {box[0] if box else ""} role="img" aria-label="{title}">{rest}'
