"""A row: one run, as it stands in the file, and the check of a line that is read."""

from __future__ import annotations

import json
import math
from typing import Any

from minigrad.history import NOT_FINITE

ENDED = ("done", "diverged")  # a failed run is tried again
STATUS = (*ENDED, "failed")
BEGIN = b'{"settings": '  # how each line begins
_NEEDED = {"settings": dict, "seed": int, "tag": str, "status": str, "results": dict}


def key(row: dict[str, Any]) -> str:
    """A text that two rows share if they are the same run: of its settings, seed and tag.

    1 and 1.0 are the same setting.
    """
    settings = {k: int(v) if _is_whole(v) else v for k, v in row["settings"].items()}
    return json.dumps([settings, row["seed"], row["tag"]], sort_keys=True)


def _is_whole(value: Any) -> bool:
    return type(value) is float and value.is_integer()


def plain(value: Any) -> Any:
    """A setting as a file gives it back. ValueError unless it is one of JSON's simple values.

    A number of NumPy or of an enumeration becomes Python's.
    """
    if getattr(value, "shape", None) == ():
        value = value.item()
    if not isinstance(value, str | int | float | None):
        raise ValueError(f"a {type(value).__name__} is none of JSON's simple values")
    return json.loads(json.dumps(value, allow_nan=False))


def parsed(line: bytes) -> dict[str, Any]:
    """The row in a line of the file. ValueError, with what is wrong, for any other line."""
    try:
        row = json.loads(line, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(row, dict):
        raise ValueError("it is not an object")
    for name, kind in _NEEDED.items():
        value = row.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name!r} is missing or not a {kind.__name__}: {value!r:.50}")
    if row["status"] not in STATUS:
        raise ValueError(f"'status' must be one of {STATUS}, got {row['status']!r}")
    for name, value in row["settings"].items():
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"the setting {name!r} must be a number or a text, got {value!r:.50}")
    row["results"] = {name: _number(name, value) for name, value in row["results"].items()}
    parts = row.get("fingerprint", {})
    if not isinstance(parts, dict) or not all(isinstance(v, str | None) for v in parts.values()):
        raise ValueError(f"'fingerprint' must be texts by name, got {parts!r:.50}")
    for name in ("error", "traceback"):
        if not isinstance(row.get(name, ""), str):
            raise ValueError(f"{name!r} must be a text, got {row[name]!r:.50}")
    return row


def _number(name: str, value: Any) -> float:
    """A result. It may be one of the texts `NOT_FINITE`."""
    if isinstance(value, str) and value in NOT_FINITE:
        return float(value)
    if not isinstance(value, int | float):
        raise ValueError(f"the result {name!r} must be a number, got {value!r:.50}")
    try:
        math.isfinite(value)
    except OverflowError:
        raise ValueError(f"the result {name!r} is larger than any float") from None
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
