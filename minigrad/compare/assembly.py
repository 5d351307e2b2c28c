"""The rows of all runs become the results of a comparison: see `results` for what they hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.compare.pairs import compared
from minigrad.compare.protocol import Plan
from minigrad.compare.results import FORMAT
from minigrad.compare.sentences import sentences
from minigrad.compare.training import MEASURES, TRAINING, TRIAL, points
from minigrad.metrics.confidence import interval

COLUMNS = ("seconds", "train_loss", "validation_loss", "validation_accuracy")
OF_A_RUN = (
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "validation_loss",
    "seconds",
    "peak_bytes",
    "launches",
)
SUMMARY = (*OF_A_RUN[:3], "seconds", "forward_equivalents", "peak_bytes", "launches")


def assembled(plan: Plan, subjects: Sequence[Any], rows: Iterable[dict[str, Any]]) -> dict:
    """The results. subjects: the rules as `comparison.Subject`, in order. rows: of all runs."""
    rows = list(rows)
    rules = [_rule(plan, subject, rows) for subject in subjects]
    ended = {
        rule["name"]: {run["seed"]: run["test_accuracy"] for run in rule["runs"]}
        for rule in rules
        if rule["status"] == "done"
    }
    first = rows[0] if rows else {}
    results = {
        "format": FORMAT,
        "settings": plan.settings,
        "versions": first.get("versions", {}),
        "backend": first.get("backend"),
        "threads": first.get("threads"),
        "reference": plan.reference,
        "rules": rules,
        "pairs": compared(
            ended,
            plan.reference,
            {rule["name"]: rule["title"] for rule in rules},
            plan.settings["test"],
            plan.confidence,
        ),
    }
    return results | {"sentences": sentences(results)}


def chosen(trials: Sequence[dict[str, Any]]) -> float | None:
    """The learning rate with the best accuracy on the validation set; of equal ones, least loss.

    Where that is equal, too: the first, which is the lowest rate. None: no trial ended well.
    """
    ended = [t for t in trials if t["status"] == "done" and t["validation_accuracy"] is not None]
    if not ended:
        return None
    best = max(ended, key=lambda t: (t["validation_accuracy"], -_known(t["validation_loss"])))
    return best["lr"]


def _known(loss: float | None) -> float:
    return math.inf if loss is None else loss


def trials(rows: Iterable[dict[str, Any]], name: str, cost: float) -> list[dict[str, Any]]:
    """The search of a rule: an entry for each learning rate."""
    return [
        {
            "lr": row["settings"]["lr"],
            "steps": row["settings"]["steps"],
            "forward_equivalents": cost * row["settings"]["steps"],
            "status": row["status"],
            "validation_loss": _number(row, "validation_loss"),
            "validation_accuracy": _number(row, "validation_accuracy"),
            "seconds": row["results"].get("seconds"),
        }
        for row in sorted(_of(rows, name, TRIAL), key=lambda row: row["settings"]["lr"])
    ]


def _of(rows: Iterable[dict[str, Any]], name: str, kind: str) -> list[dict[str, Any]]:
    return [r for r in rows if r["settings"]["rule"] == name and r["settings"]["kind"] == kind]


def _number(row: dict[str, Any], name: str) -> float | None:
    value = row["results"].get(name)
    return value if value is not None and math.isfinite(value) else None


def _rule(plan: Plan, subject: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    search = trials(rows, subject.name, subject.cost)
    lr = chosen(search)
    runs = [
        _run(plan, row, subject.cost)
        for row in sorted(_of(rows, subject.name, TRAINING), key=lambda row: row["seed"])
    ]
    status, why = _status(plan, subject, search, lr, runs, rows)
    edge = None
    if lr is not None and len(plan.rates) > 1:
        edge = {min(plan.rates): "lowest", max(plan.rates): "highest"}.get(lr)
    ended = [run for run in runs if run["status"] == "done"]
    return {
        "name": subject.name,
        "title": subject.title,
        "repr": subject.repr,
        "about": subject.about,
        "cost": subject.cost,
        "cost_from": subject.cost_from,
        "status": status,
        "why": why,
        "lr": lr,
        "lr_at_edge": edge,
        "search": search,
        "runs": runs,
        "summary": _summary(ended, plan.confidence),
        "curve": _curve([run["curve"] for run in ended], plan.confidence),
        "quality": _qualities([run["quality"] for run in ended]),
    }


def _status(
    plan: Plan,
    subject: Any,
    search: list[dict[str, Any]],
    lr: float | None,
    runs: list[dict[str, Any]],
    rows: list[dict[str, Any]],
) -> tuple[str, str | None]:
    """(status, why not "done")."""
    if subject.why_not:
        return "left out", subject.why_not
    if lr is None:
        errors = [row["error"] for row in _of(rows, subject.name, TRIAL) if "error" in row]
        if errors:
            return "failed", f"no learning rate could be tried: {_line(errors[0])}"
        return "diverged", f"it diverged with each of the {len(search)} learning rates"
    for status in ("failed", "diverged"):
        lost = [run for run in runs if run["status"] == status]
        if lost:
            what = f"{len(lost)} of its {len(runs)} runs {status}"
            return status, f"{what}: {_line(lost[0]['error'])}" if lost[0]["error"] else what
    return "done", None


def _line(error: str) -> str:
    return next(iter(error.strip().splitlines()), "without a message")


def _run(plan: Plan, row: dict[str, Any], cost: float) -> dict[str, Any]:
    steps = row["settings"]["steps"]
    found: dict[str, Any] = {
        "seed": row["seed"],
        "status": row["status"],
        "error": row.get("error"),
        **{name: _number(row, name) for name in OF_A_RUN},
        "forward_equivalents": cost * row["results"].get("steps", 0),
    }
    if row["status"] != "done":
        found["test_accuracy"] = found["test_loss"] = None
    curve: dict[str, list[Any]] = {"step": [], "examples": [], "forward_equivalents": []}
    curve |= {name: [] for name in COLUMNS}
    quality = []
    for k, step in enumerate(points(steps)):
        if f"curve|{k}|seconds" not in row["results"]:
            continue  # it diverged before
        curve["step"].append(step)
        curve["examples"].append(plan.examples_after(step))
        curve["forward_equivalents"].append(cost * step)
        for name in COLUMNS:
            curve[name].append(_number(row, f"curve|{k}|{name}"))
        measures = _quality(row["results"], f"quality|{k}|")
        if measures is not None:
            quality.append({"step": step, "forward_equivalents": cost * step, **measures})
    return found | {"curve": curve, "quality": quality}


def _quality(numbers: dict[str, float], prefix: str) -> dict[str, Any] | None:
    """{"total": measures, "layers": {name: measures}} of the numbers with this prefix."""
    total: dict[str, float | None] = dict.fromkeys(MEASURES)
    layers: dict[str, dict[str, float | None]] = {}
    seen = False
    for key, value in numbers.items():
        if not key.startswith(prefix):
            continue
        seen = True
        where, *layer, name = key.removeprefix(prefix).split("|")
        if where == "total":
            total[name] = value
        else:
            layers.setdefault(layer[0], dict.fromkeys(MEASURES))[name] = value
    return {"total": total, "layers": layers} if seen else None


def _summary(runs: list[dict[str, Any]], confidence: float) -> dict[str, Any]:
    """The INTERVAL of each number over the seeds; None for what no run has."""
    found = {}
    for name in SUMMARY if runs else ():
        values = [run[name] for run in runs if run[name] is not None]
        found[name] = interval(values, confidence) if values else None
    return found


def _curve(curves: list[dict[str, list[Any]]], confidence: float) -> dict[str, list[Any]]:
    """Means over the seeds at each point."""
    if not curves:
        return {}
    found = {name: curves[0][name] for name in ("step", "examples", "forward_equivalents")}
    for name in COLUMNS:
        found[name] = [_mean(v) for v in zip(*(curve[name] for curve in curves), strict=True)]
    low, high = [], []
    for values in zip(*(curve["validation_accuracy"] for curve in curves), strict=True):
        known = [value for value in values if value is not None]
        band = interval(known, confidence) if known else {"low": None, "high": None}
        low.append(band["low"])
        high.append(band["high"])
    return found | {"validation_accuracy_low": low, "validation_accuracy_high": high}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _qualities(qualities: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Means over the seeds, at each point that all seeds have."""
    if not qualities or not all(qualities):
        return []
    found = []
    for same in zip(*qualities, strict=False):
        names = list(same[0]["layers"])
        found.append(
            {
                "step": same[0]["step"],
                "forward_equivalents": same[0]["forward_equivalents"],
                "total": _means([each["total"] for each in same]),
                "layers": {
                    name: _means([each["layers"].get(name, {}) for each in same]) for name in names
                },
            }
        )
    return found


def _means(measures: list[dict[str, Any]]) -> dict[str, float | None]:
    return {name: _mean(of.get(name) for of in measures) for name in MEASURES}
