"""Formulas as text: numbers with three digits, symbols, sums of products.

In a symbol, z^{(1)}_{2} has an upper and a lower index, and [∂L|∂z] is a fraction. The page draws
both; `plain` writes them in one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minigrad.live.protocol import finite

MINUS = "\u2212"
FEW = 4  # so many terms of a sum are written with symbols; of more, the first two and the last
MANY = 20  # so many are written with numbers

Product = tuple[tuple[str, float], ...]  # factors: (symbol, number)


@dataclass(frozen=True)
class Line:
    """symbol = formula = numbers = value.

    products  the value is Σ of these products of numbers, where it is such a sum
    """

    symbol: str
    formula: str
    numbers: str
    value: float
    products: tuple[tuple[float, ...], ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        said = number(self.value)
        return {
            "symbol": self.symbol,
            "formula": self.formula,
            "numbers": "" if self.numbers in (said, self.formula) else self.numbers,
            "value": finite(self.value),
            "text": said,
        }


def number(value: float, digits: int = 3) -> str:
    """The number with some digits, as a person writes it."""
    value = float(value)
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else MINUS + "∞"
    size = abs(value)
    if size < 1000 and size == int(size):
        return (MINUS if value < 0 else "") + str(int(size))
    if size < 1e-3 or size >= 1e6:
        mantissa, power = f"{size:.{max(digits - 2, 0)}e}".split("e")
        said = f"{mantissa}·10^{{{str(int(power)).replace('-', MINUS)}}}"
    else:
        said = f"{size:.{digits}g}"
        if "e" in said:
            said = f"{size:.0f}"
        elif size < 1e3:
            before = math.floor(math.log10(float(said))) + 1
            said = f"{size:.{max(digits - before, 0)}f}"
    return (MINUS if value < 0 else "") + said


def inside(value: float) -> str:
    """The number within a product: in parentheses if there is a sign."""
    said = number(value)
    return f"({said})" if said.startswith(MINUS) else said


def product(factors: Sequence[float]) -> str:
    """Numbers with · between them. The first keeps its sign."""
    return "·".join([number(factors[0]), *(inside(factor) for factor in factors[1:])])


def joined(parts: Sequence[str]) -> str:
    """A sum of parts; a part that begins with a minus is taken away."""
    said = parts[0]
    for part in parts[1:]:
        said += f" {MINUS} {part[1:]}" if part.startswith(MINUS) else f" + {part}"
    return said


def shortened(parts: Sequence[str], most: int) -> list[str]:
    """The parts; of too many, the first ones and the last."""
    if len(parts) <= most:
        return list(parts)
    first = 2 if most == FEW else most - 2
    return [*parts[:first], "…", parts[-1]]


def total(
    symbol: str, products: Sequence[Product], value: float, *, zeros: bool = True, none: str = "0"
) -> Line:
    """symbol = a sum of products.

    zeros: whether products that are 0 are among the numbers
    none: what is written if all are left out
    """
    formula = joined(shortened([" ".join(name for name, _ in p) for p in products], FEW))
    shown = [
        tuple(factor for _, factor in p)
        for p in products
        if zeros or all(factor != 0 for _, factor in p)
    ]
    numbers = joined(shortened([product(p) for p in shown], MANY)) if shown else none
    terms = tuple(tuple(factor for _, factor in p) for p in products)
    return Line(symbol, formula, numbers, float(value), terms)


def slope_of(below: str, hat: bool = False) -> str:
    """∂L/∂below; with a hat, what a rule takes in its place."""
    d = "∂\u0302" if hat else "∂"
    return f"[{d}L|∂{below}]"


def plain(text: str) -> str:
    """The same in one line, for a screen reader or a table."""
    text = re.sub(r"\[([^|\]]*)\|([^\]]*)\]", r"\1/\2", text)
    before = ""
    while before != text:
        before = text
        text = re.sub(r"\^\{(\(\d+\))\}", r"\1", text)
        text = re.sub(r"_\{([^{}]*)\}", r"\1", text)
        text = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", text)
    return text
