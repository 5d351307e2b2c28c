"""Every learning rule side by side: what its gradient is worth, what it costs, what it buys.

    results = mg.compare(["backprop", "dfa", "forward"], "mlp", "mnist", epochs=3, out="comparison")

`minigrad compare` is the same as a command. It writes report.html, and results.json, from which
`compare.report.write(compare.load("results.json"), "report.html")` draws the report again.
"""

import sys
from types import ModuleType
from typing import Any

from minigrad.compare.comparison import DEFAULT, compare
from minigrad.compare.results import load, save
from minigrad.compare.rules import RULES

__all__ = ["DEFAULT", "RULES", "compare", "load", "save"]


class _Compare(ModuleType):
    """This module: `mg.compare(...)` is `mg.compare.compare(...)`."""

    def __call__(self, *args: Any, **options: Any) -> dict[str, Any]:
        return compare(*args, **options)


sys.modules[__name__].__class__ = _Compare
