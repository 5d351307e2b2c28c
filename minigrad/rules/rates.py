"""The schedule moves on, and the learning rates that a rule has of its own follow it."""

from __future__ import annotations

from minigrad.optim import Schedule
from minigrad.rules.base import Rule


def move(schedule: Schedule | None, rule: Rule) -> None:
    """Move the schedule on by one, if there is one. The rule's own learning rates follow."""
    if schedule is not None:
        schedule.step()
        rescale(schedule, rule)


def rescale(schedule: Schedule, rule: Rule) -> None:
    """Multiply the rule's own learning rates, if it has any, by the schedule's factor."""
    if hasattr(rule, "rescale"):
        rule.rescale(schedule.factor(schedule.t))
