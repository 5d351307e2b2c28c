"""Grading of the lessons' exercises: each on its own, right, wrong or not done yet."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minigrad import resources

Check = Callable[[Any], str]


def grade(answers: Any, checks: Mapping[str, Check]) -> int:
    """Print a verdict for each exercise; returns the exit status: 0 when all are right.

    A check gets the answers (a module) and returns what to print; it raises AssertionError, with
    words for the student, where an answer is wrong.
    """
    right = 0
    for name, check in checks.items():
        try:
            verdict, words = "right", check(answers)
            right += 1
        except NotImplementedError as todo:
            verdict, words = "not done yet", str(todo)
        except AssertionError as fault:
            verdict, words = "not right", str(fault)
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            verdict = "stopped by an error"
            words = f"{type(error).__name__}: {error} ({Path(line.filename).name}:{line.lineno})"
        print(f"exercise {name}: {verdict}: {words}")
    print(f"{right} of {len(checks)} exercises right")
    return 0 if right == len(checks) else 1


def checks_of(solution: str) -> Mapping[str, Check]:
    """The checks of the exercise that a solution's file answers: the same for both."""
    path = Path(solution).resolve().parent.parent / "exercises" / Path(solution).name
    if not path.is_file():  # a copy, made by `minigrad exercise 03 --solution`
        number = path.stem[-2:]
        (path,) = (p for p in resources.files("lessons/exercises") if p.name.startswith(number))
    spec = importlib.util.spec_from_file_location(f"exercise_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CHECKS
