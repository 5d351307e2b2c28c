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
SAME = ("minigrad", "versions", "backend", "device", "blas", "threads", "repeats")
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


def _columns(cells) -> str:
    first, *others = (str(cell) for cell in cells)
    return first.ljust(WIDTHS[0]) + "".join(
        text.rjust(width + 1) for text, width in zip(others, WIDTHS[1:], strict=False)
    )


def head(device: bool) -> str:
    return _columns(ON_A_GPU if device else COLUMNS)


def ms(value: float | None) -> str:
    """Milliseconds, with four digits or so."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def pair(a, b, form="{:.0f}") -> str:
    """ "7 / 9": ours and PyTorch's."""
    texts = ["-" if value is None else form.format(value) for value in (a, b)]
    return "-" if texts == ["-", "-"] else " / ".join(texts)


def line(row: dict, device: bool) -> str:
    """The row as text. Pairs are minigrad / PyTorch.

    On a GPU also our captured step, its ratio to PyTorch's best eager way, PyTorch's own graph.
    """
    medians, best = row["median_ms"], row["best"]
    torch = row["ratios"].get("PyTorch")
    launches = row.get("launches", {})
    jax = ms(medians.get(best.get("JAX")))
    memory = row.get("memory_mib", {})
    cells = [
        row["name"],
        ms(medians["minigrad"]),
        ms(medians.get(best.get("PyTorch"))),
        f"{torch['median']:.2f}" if torch else "-",
        f"({torch['low']:.2f}, {torch['high']:.2f})" if torch else "-",
        pair(launches.get("minigrad"), launches.get("PyTorch")) if device else jax,
        f"{row['gflops']:.3g}" if row["gflops"] < 1000 else f"{row['gflops']:.0f}",
        pair(memory.get("minigrad"), memory.get("PyTorch")),
    ]
    if device:
        captured = row["ratios"].get("captured")
        cells.append(ms(medians.get(CAPTURED)))
        cells.append(f"{captured['median']:.2f}" if captured else "-")
        cells.append(ms(medians.get(GRAPH)))
    return _columns(cells)


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


class Record:
    """The file of a run. `keep` writes all that is known so far: a run that is cut off leaves that.

    kind: "" for workloads, at the top of the file; "growth" or "load", a part of it.
    add: the rest of the file stays, and so do rows that this run has not measured.
    """

    def __init__(self, path: str | None, kind: str, head: dict, add: bool = False):
        self.path, self.kind, self.head = path, kind, head
        self.old = read(path) if add and path and Path(path).exists() else {}
        before = self.old.get(kind, {}) if kind else self.old
        self.rows = before.get("rows", [])
        for name in SAME if self.rows else ():
            if before[name] != head[name]:
                raise ValueError(
                    f"{path} is of another kind of run: its {name} is {before[name]}, here it is "
                    f"{head[name]}. Give the same --threads and --repeats, or leave out --add."
                )

    def keep(self, rows: list[dict]) -> None:
        if not self.path:
            return
        kept = {_key(row): row for row in [*self.rows, *rows]}
        part = self.head | {"rows": list(kept.values())}
        if not self.kind:
            part["summary"] = summary(part["rows"])
        write(self.path, self.old | ({self.kind: part} if self.kind else part))


def _key(row: dict) -> tuple:
    return (row["name"],) if "name" in row else (row["series"], row["value"])


def write(path: str, found: dict) -> None:
    """JSON: a line for each row, six digits for each figure."""
    Path(path).write_text(_text(found) + "\n", encoding="utf-8")


def _text(found: dict, pad: str = "") -> str:
    lines = []
    for name, value in found.items():
        if name == "rows":
            rows = [f"\n{pad}  {json.dumps(_short(row), ensure_ascii=False)}" for row in value]
            text = f"[{','.join(rows)}\n{pad} ]"
        elif isinstance(value, dict) and "rows" in value:
            text = _text(value, pad + " ")
        else:
            text = json.dumps(_short(value), ensure_ascii=False)
        lines.append(f"{pad} {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + f"\n{pad}}}"


def _short(value):
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items()}
    return [_short(part) for part in value] if isinstance(value, list) else value


def read(path: str) -> dict:
    """What `write` has written."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
