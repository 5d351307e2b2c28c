"""All runs of a comparison: first the search, then the trainings with the rates that it chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minigrad.compare.assembly import assembled, chosen, trials
from minigrad.compare.planning import Subject
from minigrad.compare.protocol import Plan
from minigrad.compare.training import TRAINING, TRIAL
from minigrad.compare.work import Work


def carried_out(
    plan: Plan, subjects: list[Subject], folder: Path, options: dict[str, Any]
) -> dict[str, Any]:
    """The results of all runs, which are kept in this folder."""
    able = [subject for subject in subjects if not subject.why_not]
    costs = {subject.name: subject.cost for subject in able}
    steps = plan.steps_of_training()
    search = [
        _task(subject.name, TRIAL, lr, plan.steps_of_trial(subject.cost), plan.search_seed)
        for subject in able
        for lr in plan.rates
    ]
    total = sum(costs[t["settings"]["rule"]] * t["settings"]["steps"] for t in search)
    total += steps * len(plan.seeds) * sum(costs.values())
    busy = Work(plan, folder, total, **options)
    try:
        rows = busy.do(search, costs)
        best = {s.name: chosen(trials(rows, s.name, s.cost)) for s in able}
        rows += busy.do(
            [
                _task(name, TRAINING, lr, steps, seed)
                for name, lr in best.items()
                if lr is not None
                for seed in plan.seeds
            ],
            costs,
        )
    finally:
        busy.close()
    return assembled(plan, subjects, rows)


def _task(rule: str, kind: str, lr: float, steps: int, seed: int) -> dict[str, Any]:
    return {
        "settings": {"rule": rule, "kind": kind, "lr": lr, "steps": steps},
        "seed": seed,
        "tag": "",
    }
