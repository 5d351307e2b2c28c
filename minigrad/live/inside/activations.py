"""The activations as formulas: f(z) and f'(z), with symbols and with numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from minigrad import layers
from minigrad.layers import Layer
from minigrad.live.inside.text import inside, number

Products = tuple[tuple[float, ...], ...]


class Formula(NamedTuple):
    """f(z) = formula, and its slope.

    name      for titles
    value     (z) -> (symbols, numbers, the value); {z} stands for the symbol
    slope     (z, h) -> (symbols, numbers, products whose sum is f'(z))
    about     defines what is new in the formula, or ""
    """

    name: str
    value: Callable[[float], tuple[str, str, float]]
    slope: Callable[[float, float], tuple[str, str, Products]]
    about: str = ""


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def _Phi(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def _phi(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _relu() -> Formula:
    return Formula(
        "relu",
        lambda z: ("max({z}, 0)", f"max({number(z)}, 0)", max(z, 0.0)),
        lambda z, h: (
            ("1, since {z} is above 0", "1", ((1.0,),))
            if z > 0
            else ("0, since {z} is not above 0", "0", ((0.0,),))
        ),
        "max takes the larger of two numbers",
    )


def _leaky(a: float) -> Formula:
    said = number(a)
    return Formula(
        "leaky relu",
        lambda z: (
            ("{z}, since it is above 0", number(z), z)
            if z > 0
            else (f"{said} {{z}}, since {{z}} is not above 0", f"{said}·{inside(z)}", a * z)
        ),
        lambda z, h: (
            ("1, since {z} is above 0", "1", ((1.0,),))
            if z > 0
            else (f"{said}, since {{z}} is not above 0", said, ((a,),))
        ),
    )


def _of_sigmoid() -> Formula:
    return Formula(
        "sigmoid",
        lambda z: ("1 / (1 + e^{−{z}})", f"1 / (1 + e^{{{number(-z)}}})", _sigmoid(z)),
        lambda z, h: (
            "{h} (1 − {h})",
            f"{number(h)}·(1 − {number(h)})",
            ((h, 1 - h),),
        ),
        "e is the number 2.718…",
    )


def _tanh() -> Formula:
    return Formula(
        "tanh",
        lambda z: ("tanh({z})", f"tanh({number(z)})", math.tanh(z)),
        lambda z, h: ("1 − ({h})²", f"1 − {inside(h)}²", ((1.0,), (-1.0, h, h))),
        "tanh is the hyperbolic tangent: it presses every number between −1 and 1",
    )


def _gelu() -> Formula:
    return Formula(
        "gelu",
        lambda z: ("{z} Φ({z})", f"{number(z)}·{number(_Phi(z))}", z * _Phi(z)),
        lambda z, h: (
            "Φ({z}) + {z} φ({z})",
            f"{number(_Phi(z))} + {inside(z)}·{number(_phi(z))}",
            ((_Phi(z),), (z, _phi(z))),
        ),
        "Φ(z) is the chance that a normal random number is below z, φ its slope",
    )


def _silu() -> Formula:
    def slope(z: float, h: float) -> tuple[str, str, Products]:
        s = _sigmoid(z)
        said = number(s)
        return (
            "σ + {z} σ (1 − σ)",
            f"{said} + {inside(z)}·{said}·(1 − {said})",
            ((s,), (z, s, 1 - s)),
        )

    return Formula(
        "silu",
        lambda z: ("{z} σ", f"{number(z)}·{number(_sigmoid(z))}", z * _sigmoid(z)),
        slope,
        "σ is short for 1 / (1 + e^{−z}), a number between 0 and 1",
    )


def _softplus(threshold: float) -> Formula:
    def value(z: float) -> tuple[str, str, float]:
        exact = z if z > threshold else max(z, 0) + math.log1p(math.exp(-abs(z)))
        return "ln(1 + e^{{z}})", f"ln(1 + e^{{{number(z)}}})", exact

    def slope(z: float, h: float) -> tuple[str, str, Products]:
        s = 1.0 if z > threshold else _sigmoid(z)
        return "1 / (1 + e^{−{z}})", f"1 / (1 + e^{{{number(-z)}}})", ((s,),)

    return Formula("softplus", value, slope, "ln is the natural logarithm, e the number 2.718…")


def formula_of(layer: Layer | None) -> Formula:
    """The formulas of an activation of the library; of any other, only its values.

    A class that is derived from one of these may compute something else, so its type counts.
    """
    kind = type(layer)
    found: Any = layer
    if kind is layers.ReLU:
        return _relu()
    if kind is layers.LeakyReLU:
        return _leaky(found.negative_slope)
    if kind is layers.Sigmoid:
        return _of_sigmoid()
    if kind is layers.Tanh:
        return _tanh()
    if kind is layers.GELU and found.approximate == "none":
        return _gelu()
    if kind is layers.SiLU:
        return _silu()
    if kind is layers.Softplus and found.beta == 1:
        return _softplus(found.threshold)
    return Formula(
        kind.__name__,
        lambda z: ("f({z})", f"f({number(z)})", math.nan),
        lambda z, h: ("f′({z})", f"f′({number(z)})", ()),
        f"f is the activation {layer!r}",
    )
