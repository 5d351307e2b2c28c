"""Rules and models of one's own: FILE:NAME, as `minigrad check` takes a layer."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

from minigrad.gradcheck.command import UsageError
from minigrad.gradcheck.worker import opened


def is_own(target: Any) -> bool:
    """Whether this names something in a file: my_rule.py:MyRule."""
    return isinstance(target, str) and ".py:" in target


def absolute(target: str) -> str:
    """The same, so that it can be found from any folder."""
    file, _, name = target.partition(".py:")
    return f"{Path(file + '.py').resolve()}:{name}"


def digest(target: str) -> str:
    """A text that changes with the content of the file."""
    file = Path(target.partition(".py:")[0] + ".py")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def made(target: str, kind: type, what: str, **offered: Any) -> Any:
    """The object that FILE:NAME makes. ValueError, in words for the student, if it does not.

    NAME is an object of this kind, or a class or function. That is called with those of the
    `offered` arguments whose names it has: model= and seed= for a rule.
    """
    try:
        path, names, expression = opened(target)
    except UsageError as error:
        raise ValueError(str(error)) from None
    try:
        subject = eval(expression, names)
        if isinstance(subject, type) or not isinstance(subject, kind):
            subject = subject(**_wanted(subject, offered))
    except Exception as error:
        raise ValueError(
            f"{expression} of {path.name} could not be made: {type(error).__name__}: {error}; "
            f'give its arguments, as in "{path.name}:{expression.partition("(")[0]}(0.1)". '
            f"Arguments named {' and '.join(offered)} are given by the comparison"
        ) from error
    if not isinstance(subject, kind):
        raise ValueError(f"{expression} of {path.name} is a {type(subject).__name__}, not a {what}")
    return subject


def _wanted(function: Any, offered: dict[str, Any]) -> dict[str, Any]:
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    return {name: value for name, value in offered.items() if name in names}
