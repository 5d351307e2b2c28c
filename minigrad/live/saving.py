"""The order "save": settings, histories and figures of the race, in a folder of their own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigrad.files import cause, replacing
from minigrad.live.orders import Order
from minigrad.live.protocol import finite
from minigrad.live.worker import Worker
from minigrad.version import __version__

FOLDER = Path("results", "live")
# The colours and dashes of the page's lanes (page/style.css, page/colours.js).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#4B4F55")
DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 2)),
    (0, (1.2, 1.5)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1.2)),
    (0, (6, 1.5, 1.2, 1.5, 1.2, 1.5)),
)
FIGURES = {
    "loss": "loss of training batches",
    "accuracy": "accuracy on test examples",
    "cosine": "cosine with the true gradient",
}


def snapshot(worker: Worker) -> dict[str, Any]:
    """How the race stands, as plain data that nobody changes any more."""
    race = worker.race
    described = race.described()
    frame = race.frame()[0]
    lanes = []
    for lane, now in zip(described["lanes"], frame["lanes"], strict=True):
        points = {name: list(of) for name, of in now["points"].items()}
        lanes.append({**lane, "status": now["status"], "why": now["why"], "points": points})
    return {
        "minigrad": __version__,
        "step": frame["step"],
        "address": described["address"],
        "settings": described["settings"],
        "lanes": lanes,
    }


def save(found: dict[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """Write what `snapshot` has found. Returns {"folder", "files"}, for the page.

    A folder is new: results/live/1, 2, ... ValueError in a sentence if it cannot be written.
    """
    parent = FOLDER if folder is None else folder
    try:
        made = _new(parent)
        files = {"results.json": _json(found), "points.csv": _csv(found["lanes"])}
        files |= {f"{name}.{kind}": of for name, kind, of in figures(found)}
        for name, content in files.items():
            with replacing(made / name) as file:
                file.write(content)
    except OSError as error:
        raise ValueError(f"cannot save to {parent.absolute()}: {cause(error)}") from None
    return {"folder": str(made), "files": list(files)}


def _new(parent: Path) -> Path:
    """A folder that was not there: the next number."""
    parent.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name) for path in parent.iterdir() if path.name.isdecimal()]
    number = max(taken, default=0) + 1
    while True:
        try:
            (parent / str(number)).mkdir()
        except FileExistsError:  # another program was faster
            number += 1
        else:
            return parent / str(number)


def _json(found: dict[str, Any]) -> bytes:
    return (json.dumps(finite(found), indent=1, allow_nan=False) + "\n").encode("utf-8")


def _csv(lanes: list[dict[str, Any]]) -> bytes:
    """A line for each point: the lane's number and name, the step, and what was measured."""
    text = io.StringIO(newline="")
    names = list(lanes[0]["points"])
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["lane", "name", *names])
    for k, lane in enumerate(lanes):
        for row in zip(*(lane["points"][name] for name in names), strict=True):
            writer.writerow([k, lane["label"], *("" if v is None else v for v in row)])
    return text.getvalue().encode("utf-8")


def figures(found: dict[str, Any]) -> list[tuple[str, str, bytes]]:
    """(name, "svg" or "png", content) of each figure that has something to show.

    Nothing of pyplot is used: its list of figures belongs to the main thread.
    """
    made = []
    for name, label in FIGURES.items():
        drawn = [
            (k, lane)
            for k, lane in enumerate(found["lanes"])
            if any(value is not None for value in lane["points"].get(name, ()))
        ]
        if drawn:
            made += [(name, kind, of) for kind, of in _figure(name, label, drawn)]
    return made


def _figure(
    name: str, label: str, lanes: list[tuple[int, dict[str, Any]]]
) -> list[tuple[str, bytes]]:
    """A figure with a line for each lane, as SVG and as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    fig = Figure(figsize=(9, 5.5), layout="constrained")
    ax = fig.subplots()
    for k, lane in lanes:
        points = lane["points"]
        y = [float("nan") if value is None else value for value in points[name]]
        look: dict[str, Any] = {
            "color": COLOURS[k % 6],
            "linestyle": DASHES[k % 6],
            "linewidth": 2.4,
        }
        if len(y) == 1:  # a line of one point is not seen
            look["marker"] = "o"
        ax.plot(points["step"], y, label=lane["label"], **look)
    values = [v for _, lane in lanes for v in lane["points"][name] if v is not None]
    if name == "loss" and min(values) > 0:
        ax.set_yscale("log")
    ax.set_xlabel("step", fontsize=15)
    ax.set_ylabel(label, fontsize=15)
    ax.tick_params(labelsize=13)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    fig.legend(loc="outside lower center", ncols=2, fontsize=13, handlelength=4)
    canvases: dict[str, Callable[[Figure], Any]] = {"svg": FigureCanvasSVG, "png": FigureCanvasAgg}
    made = []
    for kind, canvas in canvases.items():
        content = io.BytesIO()
        if kind == "svg":
            canvas(fig).print_svg(content, metadata={"Date": None})
        else:
            canvas(fig).print_png(content)
        made.append((kind, content.getvalue()))
    return made


ORDERS = {"save": Order(snapshot, then=save)}
