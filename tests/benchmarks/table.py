"""The table: what it prints, and what it writes as JSON."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

from .timing import best_of, ratio

COLUMNS = ("workload", "minigrad", "PyTorch", "ratio", "(lowest, highest)", "JAX", "GFLOP/s", "MiB")
ON_A_GPU = (*COLUMNS[:5], "launches", *COLUMNS[6:], "captured", "ratio", "PyTorch's")
WIDTHS = (35, 10, 10, 6, 18, 10, 12, 14, 9, 6, 10)
CAPTURED, GRAPH = "captured minigrad", "graph PyTorch"


def row(work, found: dict[str, list[float]], extra: dict) -> dict:
    """Everything that was measured of one workload, ready for JSON. Times in milliseconds."""
    medians = {name: 1e3 * statistics.median(times) for name, times in found.items()}
    result = {
        "name": work.name,
        "batch": work.batch,
        "flops": work.flops,
        "counts": work.counts,
        "blocks_ms": {name: [1e3 * t for t in times] for name, times in found.items()},
        "median_ms": medians,
        "gflops": work.flops / medians["minigrad"] / 1e6,
        "ratios": {},
        "best": {},
    }
    for kind in ("PyTorch", "JAX", "sketch"):
        name = best_of(found, kind)
        if name is not None:
            result["best"][kind] = name
            result["ratios"][kind] = ratio(found["minigrad"], found[name])
    if CAPTURED in found and "PyTorch" in result["best"]:
        result["ratios"]["captured"] = ratio(found[CAPTURED], found[result["best"]["PyTorch"]])
    return result | extra


def _text(cells) -> str:
    first, *others = (str(cell) for cell in cells)
    return first.ljust(WIDTHS[0]) + "".join(
        text.rjust(width + 1) for text, width in zip(others, WIDTHS[1:], strict=False)
    )


def head(device: bool) -> str:
    return _text(ON_A_GPU if device else COLUMNS)


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _pair(a, b, form="{:.0f}") -> str:
    texts = ["-" if value is None else form.format(value) for value in (a, b)]
    return "-" if texts == ["-", "-"] else " / ".join(texts)


def line(row: dict, device: bool) -> str:
    """The row as text. Pairs are minigrad / PyTorch.

    On a GPU also our captured step, its ratio to PyTorch's best eager way, PyTorch's own graph.
    """
    medians, best = row["median_ms"], row["best"]
    torch = row["ratios"].get("PyTorch")
    launches = row.get("launches", {})
    jax = _ms(medians.get(best.get("JAX")))
    memory = row.get("memory_mib", {})
    cells = [
        row["name"],
        _ms(medians["minigrad"]),
        _ms(medians.get(best.get("PyTorch"))),
        f"{torch['median']:.2f}" if torch else "-",
        f"({torch['low']:.2f}, {torch['high']:.2f})" if torch else "-",
        _pair(launches.get("minigrad"), launches.get("PyTorch")) if device else jax,
        f"{row['gflops']:.3g}" if row["gflops"] < 1000 else f"{row['gflops']:.0f}",
        _pair(memory.get("minigrad"), memory.get("PyTorch")),
    ]
    if device:
        captured = row["ratios"].get("captured")
        cells.append(_ms(medians.get(CAPTURED)))
        cells.append(f"{captured['median']:.2f}" if captured else "-")
        cells.append(_ms(medians.get(GRAPH)))
    return _text(cells)


def summary(rows: list[dict]) -> dict:
    """The geometric mean of the ratios to PyTorch, and the worst; of captured steps likewise."""
    found = _mean(rows, "PyTorch")
    captured = _mean(rows, "captured")
    return found | ({"captured": captured} if captured else {})


def _mean(rows: list[dict], kind: str) -> dict:
    counted = {
        row["name"]: row["ratios"][kind]["median"]
        for row in rows
        if row["counts"] and kind in row["ratios"]
    }
    if not counted:
        return {}
    worst = max(counted, key=counted.get)
    mean = math.exp(statistics.fmean(math.log(value) for value in counted.values()))
    return {
        "workloads": len(counted),
        "geometric_mean": mean,
        "worst": {"name": worst, "ratio": counted[worst]},
    }


def summary_text(found: dict, of: str = "ratios to PyTorch") -> str:
    if not found:
        return "nothing to compare with"
    text = (
        f"geometric mean of {found['workloads']} {of} {found['geometric_mean']:.2f}, "
        f"worst {found['worst']['ratio']:.2f} ({found['worst']['name']})"
    )
    if "captured" in found:
        text += "\n" + summary_text(found["captured"], "ratios of captured steps to PyTorch eager")
    return text


def write(path: str, head: dict, rows: list[dict]) -> None:
    """All that is known so far: a run that is cut off leaves its first rows."""
    text = json.dumps(head | {"rows": rows, "summary": summary(rows)}, indent=1)
    Path(path).write_text(text, encoding="utf-8")


def read(path: str) -> dict:
    """What `write` has written."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def markdown(found: dict) -> str:
    """A run as a table for a page, with what its figures mean nothing without."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        f"minigrad {found['minigrad']}, {versions}; {found['device']}, {found['threads']} threads, "
        f"{found['blas']}; peak {found['peak_gflops']:.0f} GFLOP/s; {found['repeats']} blocks of "
        f"each; {found['when']}.",
        "",
        "| workload | minigrad, ms | PyTorch, ms | ratio (lowest, highest) | JAX, ms | GFLOP/s "
        "| MiB, minigrad / PyTorch |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in found["rows"]:
        medians, best = row["median_ms"], row["best"]
        torch = row["ratios"].get("PyTorch")
        memory = row.get("memory_mib", {})
        cells = [
            row["name"],
            _ms(medians["minigrad"]),
            _ms(medians.get(best.get("PyTorch"))),
            f"{torch['median']:.2f} ({torch['low']:.2f}, {torch['high']:.2f})" if torch else "-",
            _ms(medians.get(best.get("JAX"))),
            f"{row['gflops']:.3g}",
            _pair(memory.get("minigrad"), memory.get("PyTorch")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    text = summary_text(found["summary"])
    return "\n".join([*lines, "", text[0].upper() + text[1:] + "."])
