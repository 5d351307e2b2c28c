"""Grading of the lessons' exercises: each on its own, right, wrong or not done yet."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minigrad import printing, resources

Check = Callable[[Any], str]


class NotRight(AssertionError):
    """An answer is wrong; the message says so in words for the student."""


def expect(condition: Any, words: str) -> None:
    """Raise NotRight with these words unless the condition holds.

    Use it instead of `assert`: python -O leaves every `assert` out, and then all answers would
    count as right.
    """
    if not condition:
        raise NotRight(words)


def grade(answers: Any, checks: Mapping[str, Check]) -> int:
    """Print a verdict for each exercise; returns the exit status: 0 when all are right.

    A check gets the answers (a module) and returns what to print. With `expect` it says, in
    words for the student, where an answer is wrong. An error in an answer, or a sys.exit, is a
    verdict on this answer alone. Ctrl-C ends the grading.
    """
    printing.guard()
    right = 0
    for name, check in checks.items():
        try:
            words = check(answers)
        except KeyboardInterrupt:
            raise
        except NotImplementedError as todo:
            verdict, words = "not done yet", str(todo)
        except AssertionError as fault:
            verdict, words = "not right", str(fault)
        except BaseException as error:  # the student's own code may raise anything
            verdict, words = "stopped by an error", _where(error)
        else:
            verdict = "right"
            right += 1
        print(f"exercise {name}: {verdict}: {words}")
    print(f"{right} of {len(checks)} exercises right", flush=True)
    return 0 if right == len(checks) else 1


def _where(error: BaseException) -> str:
    """The error, and the file and line that it comes from."""
    line = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(line.filename).name}:{line.lineno})"


def checks_of(solution: str) -> Mapping[str, Check]:
    """The checks of the exercise that a solution's file answers: the same for both."""
    path = Path(solution).resolve().parent.parent / "exercises" / Path(solution).name
    if not path.is_file():  # a copy, made by `minigrad exercise 05 --solution`
        number = path.stem[-2:]
        found = [p for p in resources.files("lessons/exercises") if p.name.startswith(number)]
        if len(number) < 2 or len(found) != 1:
            raise ValueError(
                f"{path.name}: its name must end in the lesson's number: solution_05.py"
            )
        (path,) = found
    spec = importlib.util.spec_from_file_location(f"exercise_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file: the exercises stand beside the solutions")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CHECKS
