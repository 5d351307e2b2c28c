"""A run's file as tables for pages. Nobody copies a figure by hand.

    python -m tests.benchmarks --markdown FILE     prints all tables of a file
    python -m tests.benchmarks --readme FILE       prints the short one
    python -m tests.benchmarks --pages FILE        puts them where the pages have marks

A page has a line `<!-- table NAME -->`, the table, and a line `<!-- end of table -->`.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from .table import CAPTURED, GRAPH, ms, pair, read, summary_text

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / "docs" / "performance.json"  # the file of the run that the pages show
PAGES = (ROOT / "README.md", ROOT / "docs" / "performance.md")
WIDTH = 105
END = "<!-- end of table -->"
MARKED = re.compile(rf"(<!-- table (\w+) -->\n).*?({re.escape(END)})", re.DOTALL)
ONLY_HERE = "Absolute times hold for this machine only."


def main(what: str, path: str) -> int:
    """Print one form, or write the pages."""
    found = read(path)
    if what == "pages":
        fill_in(found)
    else:
        print(markdown(found) if what == "markdown" else short(found))
    return 0


def speed(found: dict) -> str:
    """Every workload of a run, with what its figures mean nothing without."""
    device = found["backend"] == "cupy"
    columns = ["workload", "minigrad, ms", "PyTorch, ms", "ratio (lowest, highest)"]
    columns += ["launches, minigrad / PyTorch"] if device else ["JAX, ms"]
    columns += ["GFLOP/s", "MiB, minigrad / PyTorch"]
    columns += ["captured, ms", "its ratio", "PyTorch's graph, ms"] if device else []
    rows = []
    for row in found["rows"]:
        medians, best, memory = row["median_ms"], row["best"], row.get("memory_mib", {})
        launches = row.get("launches", {})
        cells = _first_cells(row)
        if device:
            cells.append(pair(launches.get("minigrad"), launches.get("PyTorch")))
        else:
            cells.append(ms(medians.get(best.get("JAX"))))
        cells.append(f"{row['gflops']:.3g}")
        cells.append(pair(memory.get("minigrad"), memory.get("PyTorch")))
        if device:
            captured = row["ratios"].get("captured")
            cells.append(ms(medians.get(CAPTURED)))
            cells.append(_spread(captured))
            cells.append(ms(medians.get(GRAPH)))
        rows.append(cells)
    return "\n\n".join([_of_what(found), _table(columns, rows), _means(found)])


def short(found: dict) -> str:
    """The workloads of the mean, for the README."""
    columns = ["workload", "minigrad, ms", "PyTorch, ms", "ratio (lowest, highest)"]
    rows = [_first_cells(row) for row in found["rows"] if row["counts"]]
    return "\n\n".join([_table(columns, rows), _filled(_means(found), _of_what(found))])


def growth(found: dict) -> str:
    """Time and memory per example as one size grows."""
    found = found["growth"]
    columns = ["what grows", "", "minigrad, µs", "PyTorch, µs", "ratio (lowest, highest)"]
    columns += ["GFLOP/s", "KiB"]
    rows = []
    for name in dict.fromkeys(row["series"] for row in found["rows"]):
        points = [row for row in found["rows"] if row["series"] == name]
        for i, row in enumerate(sorted(points, key=lambda row: row["value"])):
            torch = f"{row['torch_us']:.2f}" if "torch_us" in row else "-"
            kib = "-" if row["kib"] is None else f"{row['kib']:.1f}"
            cells = [name if i == 0 else "", row["value"], f"{row['us']:.2f}", torch]
            rows.append([*cells, _spread(row.get("ratio")), f"{row['gflops']:.3g}", kib])
    return "\n\n".join([_of_what(found), _table(columns, rows, left=1)])


def load(found: dict) -> str:
    """Steps on an idle machine, and beside a process that keeps a core busy."""
    found = found["load"]
    columns = ["step", "idle, ms", "beside a busy core, ms", "ratio (lowest, highest)"]
    columns += ["on one thread, ms", "its ratio"]
    rows = []
    for row in found["rows"]:
        idle, busy, one = (
            ms(row["median_ms"].get(kind)) for kind in ("idle", "busy", "busy, one thread")
        )
        ratios = _spread(row["ratio"]), _spread(row.get("ratio_one"))
        rows.append([row["name"], idle, busy, ratios[0], one, ratios[1]])
    return "\n\n".join([_of_what(found), _table(columns, rows)])


TABLES = {"speed": speed, "short": short, "growth": growth, "load": load}


def markdown(found: dict) -> str:
    """All long tables of a file."""
    names = [name for name in ("growth", "load") if name in found]
    names = ["speed", *names] if "rows" in found else names
    return "\n\n".join(TABLES[name](found) for name in names)


def filled_in(page: str, found: dict) -> str:
    """The page with all marked tables as this file has them. A table without a run stays."""

    def new(match: re.Match) -> str:
        begin, name, end = match.groups()
        if name not in TABLES:
            raise ValueError(f"no table is called {name!r}; there are {', '.join(TABLES)}")
        there = "rows" in found if name in ("speed", "short") else name in found
        return f"{begin}{TABLES[name](found)}\n{end}" if there else match[0]

    return MARKED.sub(new, page)


def fill_in(found: dict) -> None:
    """Put the tables into the pages."""
    for path in PAGES:
        path.write_text(filled_in(path.read_text(encoding="utf-8"), found), encoding="utf-8")


def _first_cells(row: dict) -> list:
    medians, best = row["median_ms"], row["best"]
    times = [ms(medians["minigrad"]), ms(medians.get(best.get("PyTorch")))]
    return [row["name"], *times, _spread(row["ratios"].get("PyTorch"))]


def _spread(ratio: dict | None) -> str:
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}, {ratio['high']:.2f})" if ratio else "-"


def _table(columns: list[str], rows: list[list], left: int = 0) -> str:
    """The first columns, to number `left`, are words."""
    rule = "|---" * (left + 1) + "|--:" * (len(columns) - left - 1) + "|"
    return "\n".join([_line(columns), rule, *map(_line, rows)])


def _line(cells: list) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _means(found: dict) -> str:
    text = summary_text(found["summary"])
    return ".\n".join(line[0].upper() + line[1:] for line in text.splitlines()) + "."


def _of_what(found: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    before = found["load_before"]
    return _filled(
        f"{ONLY_HERE} minigrad {found['minigrad']}, {versions}; {found['device']}, "
        f"{found['threads']} threads, {found['blas']}; peak {found['peak_gflops']:.0f} GFLOP/s; "
        f"{found['repeats']} blocks of each; {found['when']}, load average before it "
        f"{'unknown' if before is None else f'{before:.1f}'}."
    )


def _filled(*parts: str) -> str:
    return textwrap.fill(" ".join(parts), WIDTH, break_on_hyphens=False)
