"""Which runs of the file count for a call, and what is said about them."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from minigrad.search.row import ENDED, key

STALE = ("refuse", "use", "redo")


def taken(
    plan: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    parts: dict[str, str | None] | None,
    stale: str,
    path: str | Path,
    quiet: bool,
) -> dict[str, dict[str, Any]]:
    """The rows that need not be done again, by their key.

    plan   the runs of the call, with their settings, seed and tag
    rows   those in the file
    parts  the fingerprint of the function now. None: there is no function, every row counts
    stale  what to do with rows of another fingerprint: "use", "redo", or "refuse" (ValueError)
    quiet  say only what must not be overlooked
    """
    wanted = {key(run) for run in plan}
    fresh: dict[str, dict[str, Any]] = {}
    old: dict[str, dict[str, Any]] = {}
    changed: dict[str, None] = {}
    ours = [row for row in rows if row["status"] in ENDED and key(row) in wanted]
    changed_by_runs = _changed_by_runs(ours, parts or {})
    for row in ours:
        names = _changed(row, parts, changed_by_runs)
        changed |= dict.fromkeys(names)
        if names:
            old[key(row)] = row
        else:
            fresh[key(row)] = row
    old = {run: row for run, row in old.items() if run not in fresh}
    if old and stale == "refuse":
        raise ValueError(_refusal(old, plan, list(changed), path))
    if stale == "use":
        fresh |= old
    _tell(fresh, old, plan, list(changed), stale, path, quiet)
    return fresh


def _changed_by_runs(rows: list[dict[str, Any]], parts: dict[str, str | None]) -> set[str]:
    """The parts that the runs themselves change, now or when the rows were written."""
    found = {name for name, digest in parts.items() if digest is None}
    for row in rows:
        theirs = row.get("fingerprint", {})
        if theirs.get("run") == parts.get("run"):
            found |= {name for name, digest in theirs.items() if digest is None}
    return found


def _changed(
    row: dict[str, Any], parts: dict[str, str | None] | None, by_runs: set[str]
) -> list[str]:
    """The parts of the function that have changed since this run, those in `by_runs` apart."""
    theirs = row.get("fingerprint")
    if theirs is None or parts is None:
        return []
    names = [name for name in {**theirs, **parts} if name not in by_runs]
    return [name for name in names if theirs.get(name) != parts.get(name)]


def _list(names: list[str]) -> str:
    """The first five names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _refusal(
    old: dict[str, dict[str, Any]], plan: list[dict[str, Any]], names: list[str], path: str | Path
) -> str:
    """The error for rows of another version of the function, whose parts `names` have changed."""
    tag = "v2" if plan[0]["tag"] != "v2" else "v3"
    pythons = {row["versions"]["python"] for row in old.values() if "versions" in row}
    minor = {version.rpartition(".")[0] for version in pythons}
    now = platform.python_version().rpartition(".")[0]
    other = ""
    if minor - {now}:
        other = (
            f" (Python {', '.join(sorted(minor))} made them and this is Python {now}: code is "
            "compared only within one version)"
        )
    return (
        f"{len(old)} of these {len(plan)} runs are in {path}, but from another version of the "
        f"function: it has changed in {_list(names)}{other}. Nothing was run. "
        f'tag="{tag}" or another file makes new runs and keeps the old ones; stale="redo" does '
        'these runs anew in the same file; stale="use" takes the old numbers'
    )


def _tell(
    fresh: dict[str, dict[str, Any]],
    old: dict[str, dict[str, Any]],
    plan: list[dict[str, Any]],
    names: list[str],
    stale: str,
    path: str | Path,
    quiet: bool,
) -> None:
    """Say on standard error where the numbers come from."""
    if fresh and not quiet:
        print(
            f"{len(fresh)} of {len(plan)} runs were taken from {path}; another tag= or another "
            "file does them anew",
            file=sys.stderr,
        )
    unknown = sum("fingerprint" not in row for row in fresh.values())
    if unknown:
        print(
            f"{unknown} of the runs in {path} were written by an older minigrad: whether the "
            "function has changed since is not known",
            file=sys.stderr,
        )
    if old:
        what = "were taken all the same" if stale == "use" else "are done anew"
        print(
            f"{len(old)} runs in {path} are from another version of the function, which has "
            f'changed in {_list(names)}: they {what} (stale="{stale}")',
            file=sys.stderr,
        )
