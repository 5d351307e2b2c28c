"""A history as a table of text, a line for each evaluated epoch."""

from __future__ import annotations

import math
from typing import Any

IN_ORDER = ("train", "validation", "test")  # the sets, as they are shown
SHOWN = 20  # epochs; of a longer run the first and the last ones


def table(history: Any) -> str:
    """The table of a History: epochs, then for each set its measurements, and the seconds.

    The best epoch has a star, see `best`. Below it stands what ended the run.
    """
    notes = [f"{name}: {text}" for name in ("ended", "stopped") if (text := vars(history)[name])]
    if not history.epoch:
        return "\n".join(["no epoch was evaluated", *notes])
    columns = [(name, kind, values) for name in IN_ORDER for kind, values in of_set(history, name)]
    found = best(history)
    cells = [["", "epoch"], *([name, kind] for name, kind, _ in columns), ["", "seconds"]]
    rows = _rows(len(history.epoch), found[1] if found else None)
    for row in rows:
        line = ["..."] + [""] * (len(columns) + 1)
        if row is not None:
            star = "*" if found and row == found[1] else " "
            line = [f"{history.epoch[row]}{star}"]
            line += [_number(values[row]) for _, _, values in columns]
            line += [f"{history.seconds[row]:.2f}"]
        for column, cell in zip(cells, line, strict=True):
            column.append(cell)
    cells[0][1] += " "  # above the numbers, not above the stars
    for i in range(len(cells) - 1, 0, -1):  # the name of a set stands above its first column
        if cells[i][0] == cells[i - 1][0]:
            cells[i][0] = ""
    widths = [max(map(len, column)) for column in cells]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*cells, strict=True)
    ]
    if found:
        notes.insert(0, f"* best epoch, by {found[0]}")
    return "\n".join(lines + notes)


def of_set(history: Any, name: str) -> list[tuple[str, list[float]]]:
    """(kind, values) of what was measured on a set: "loss", "accuracy", "mae", ...

    The accuracy before noise is left out if there was no noise.
    """
    own = vars(history)
    found = [(kind, own[f"{name}_{kind}"]) for kind in ("loss", "accuracy")]
    clean = own[f"{name}_clean_accuracy"]
    if repr(clean) != repr(found[1][1]):
        found.append(("clean accuracy", clean))
    kinds = [kind for kind, _ in found]
    start = f"{name}_"
    for key, values in history.metrics.items():
        kind = key.removeprefix(start)
        if key.startswith(start) and (kind not in kinds or not own.get(key)):
            found.append((kind, values))
    return [(kind, values) for kind, values in found if values]


def best(history: Any) -> tuple[str, int] | None:
    """(what the best epoch was chosen by, its place in the lists). None: there is no such epoch.

    It is early stopping's best epoch, else the lowest loss on the validation set, else on the
    training set. Never that of the test set: it must not help to choose anything.
    """
    if history.best_epoch in history.epoch:
        return "early stopping", history.epoch.index(history.best_epoch)
    for name in ("validation_loss", "train_loss"):
        values = getattr(history, name)
        places = [i for i, value in enumerate(values) if math.isfinite(value)]
        if places:
            return name, min(places, key=lambda i: values[i])
    return None


def _rows(n: int, marked: int | None) -> list[int | None]:
    """The places to show. None stands for those that are left out."""
    if n <= SHOWN:
        return list(range(n))
    half = SHOWN // 2
    shown = sorted(
        {*range(half), *range(n - half, n)} | ({marked} if marked is not None else set())
    )
    rows: list[int | None] = []
    for row in shown:
        if rows and row != shown[shown.index(row) - 1] + 1:
            rows.append(None)
        rows.append(row)
    return rows


def _number(value: float) -> str:
    """Four decimals, as long as they say enough."""
    size = abs(value)
    plain = size == 0 or 1e-3 <= size < 1e5 or not math.isfinite(size)
    return f"{value:.4f}" if plain else f"{value:.2e}"
