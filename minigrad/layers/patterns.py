"""Names of layers and parameters chosen by patterns: "0.*", "*.b"."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns fits the whole name. "*" stands for any text, "?" for one letter.

    "*.b" fits "0.b", "2.1.b", and the "b" of a single layer.
    """
    return any(fnmatchcase(name, p) or fnmatchcase(f".{name}", p) for p in patterns)


def checked_patterns(what: str, patterns: Any) -> tuple[str, ...]:
    """One pattern or several as a tuple. TypeError for anything else."""
    several = (patterns,) if isinstance(patterns, str) else patterns
    if (
        not isinstance(several, list | tuple)
        or not several
        or not all(isinstance(pattern, str) for pattern in several)
    ):
        raise TypeError(f'{what} must be a pattern of names, "*.b", or several: got {patterns!r}')
    return tuple(several)
