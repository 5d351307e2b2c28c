"""Cases of layers: forward, backward and jvp, at several settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.layers import Layer, holding

Arrays = dict[str, Any]
Case = Callable[[Any], Arrays]  # (class) -> arrays


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([17, seed])


def normal(*shape: int, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    return rng(seed).standard_normal(shape).astype(dtype)


Make = Callable[[Any], Layer]


def _after(make: Make, x: np.ndarray, cls: Any, train: bool = True) -> tuple[Layer, np.ndarray]:
    """A layer after a forward of x, and y."""
    layer = make(cls)
    return layer, layer.forward(x.copy(), train)


def _stays(name: str, given: np.ndarray) -> Arrays:
    """What was given must be what it was: it is compared, too."""
    return {f"{name}, which must stay as it is,": given}


def _forward(make: Make, x: np.ndarray) -> Case:
    def case(cls: Any) -> Arrays:
        layer, given = make(cls), x.copy()
        y = layer.forward(given, True).copy()
        trained = {name: array.copy() for name, array in layer.buffers.items()}
        y_later = layer.forward(given, False)
        later = {f"{name}, train=False": array for name, array in layer.buffers.items()}
        return {"y": y, "y, train=False": y_later, **trained, **later} | _stays("x", given)

    return case


def _backward(make: Make, x: np.ndarray) -> Case:
    def case(cls: Any) -> Arrays:
        found: Arrays = {}
        for train in (True, False):
            layer, y = _after(make, x, cls, train)
            dy = _tangent(y, 1, x)
            dx = layer.backward(dy)
            how = "" if train else ", train=False"
            found |= {f"d{name}{how}": grad for name, grad in layer.grads.items()}
            found[f"dx{how}"] = dx
            found |= _stays(f"dy{how}", dy)
        return found

    return case


def _params_alone(make: Make, x: np.ndarray) -> Case:
    def case(cls: Any) -> Arrays:
        layer, y = _after(make, x, cls)
        dy = _tangent(y, 1, x)
        layer.backward_params(dy)
        return {f"d{name}": grad for name, grad in layer.grads.items()} | _stays("dy", dy)

    return case


def _jvp(make: Make, x: np.ndarray) -> Case:
    def case(cls: Any) -> Arrays:
        found: Arrays = {}
        for train in (True, False):
            layer, _ = _after(make, x, cls, train)
            x_dot = _tangent(x, 2, x)
            moving = {
                name: normal(*p.shape, seed=3 + k, dtype=str(p.dtype))
                for k, (name, p) in enumerate(layer.params.items())
            }
            how = "" if train else ", train=False"
            found[f"y_dot, x moves{how}"] = layer.jvp(x_dot, None)
            for name in moving:
                alone = {n: a if n == name else 0 * a for n, a in moving.items()}
                found[f"y_dot, {name} moves{how}"] = layer.jvp(None, alone)
            if moving:
                found[f"y_dot, the parameters move{how}"] = layer.jvp(None, moving)
                found[f"y_dot, both move{how}"] = layer.jvp(x_dot, moving)
            found |= _stays(f"x_dot{how}", x_dot)
            for name, array in moving.items():
                found |= _stays(f"{name}_dot{how}", array)
        return found

    return case


def _tangent(like: np.ndarray, seed: int, x: np.ndarray) -> np.ndarray:
    """Numbers in the shape of `like` and in x's dtype. If x has infinite ones, so has this."""
    found = normal(*like.shape, seed=seed, dtype=str(x.dtype))
    if np.isinf(x).any():
        found[0, :4] = np.inf, np.inf, np.nan, np.nan
    return found


def _layer(
    settings: Mapping[str, tuple[Make, np.ndarray]], gradients: str = "backward"
) -> dict[str, list[tuple[str, Case]]]:
    """The cases of a layer, by method. gradients: the method that writes `grads`."""
    methods = dict.fromkeys(("forward", gradients, "backward", "jvp"))
    found: dict[str, list[tuple[str, Case]]] = {method: [] for method in methods}
    for said, (make, x) in settings.items():
        found["forward"].append((said, _forward(make, x)))
        if gradients != "backward":
            found[gradients].append((said, _params_alone(make, x)))
        found["backward"].append((said, _backward(make, x)))
        found["jvp"].append((said, _jvp(make, x)))
    return found


def spread(x: np.ndarray) -> np.ndarray:
    """The same with numbers that are all different, so that no window has two winners."""
    return x + 1e-3 * rng(9).permutation(x.size).reshape(x.shape)


LINEAR = _layer(
    {
        "x (5, 4)": (lambda cls: cls(4, 3, dtype="float64", seed=0), normal(5, 4)),
        "no bias": (lambda cls: cls(4, 3, bias=False, dtype="float64", seed=0), normal(5, 4)),
        "x (5, 2, 4)": (lambda cls: cls(4, 3, dtype="float64", seed=0), normal(5, 2, 4)),
        "float32": (lambda cls: cls(4, 3, seed=0), normal(5, 4, dtype="float32")),
    },
    "_gradients",
)
RELU = _layer(
    {
        "x (6, 7)": (lambda cls: cls(), normal(6, 7)),
        "with zeros": (lambda cls: cls(), np.array([[-1.0, 0.0, 2.0], [0.0, 3.0, -0.0]])),
        "images": (lambda cls: cls(), normal(2, 3, 4, 4, dtype="float32")),
        "NaN and infinite": (
            lambda cls: cls(),
            np.array([[-1.0, 1.0, -1.0, 1.0, np.nan, np.inf, -np.inf, 2.0]]),
        ),
    }
)
CONV2D = _layer(
    {
        "3x3": (lambda cls: cls(2, 3, 3, dtype="float64", seed=0), normal(2, 2, 6, 5)),
        "stride 2": (
            lambda cls: cls(2, 3, 3, stride=2, dtype="float64", seed=0),
            normal(2, 2, 7, 6),
        ),
        "padding 1": (
            lambda cls: cls(2, 3, 3, padding=1, dtype="float64", seed=0),
            normal(2, 2, 5, 4),
        ),
        "stride (2, 1), padding (0, 1)": (
            lambda cls: cls(2, 3, 3, stride=(2, 1), padding=(0, 1), dtype="float64", seed=0),
            normal(2, 2, 7, 6),
        ),
        "2x3, no bias": (
            lambda cls: cls(1, 2, (2, 3), bias=False, dtype="float64", seed=0),
            normal(3, 1, 4, 5),
        ),
        "float32": (lambda cls: cls(1, 4, 5, seed=0), normal(2, 1, 12, 12, dtype="float32")),
    }
)
MAX_POOL2D = _layer(
    {
        "2x2": (lambda cls: cls(2), spread(normal(2, 3, 6, 4))),
        "rows and columns left out": (lambda cls: cls(2), spread(normal(2, 1, 5, 7))),
        "overlapping": (lambda cls: cls(3, stride=2), spread(normal(2, 2, 7, 7))),
        "padding 1": (lambda cls: cls(3, stride=2, padding=1), spread(normal(1, 2, 6, 6)) - 5),
        "ties": (lambda cls: cls(2), np.ones((1, 1, 4, 4))),
        "2x3, stride (1, 2), padding (0, 1)": (
            lambda cls: cls((2, 3), stride=(1, 2), padding=(0, 1)),
            spread(normal(2, 2, 5, 6)),
        ),
        "NaN": (lambda cls: cls(2), np.array([[[[1.0, np.nan, 2.0, 3.0], [2.0, 0.0, 1.0, 0.0]]]])),
    }
)
BATCH_NORM1D = _layer(
    {
        "x (8, 3)": (lambda cls: scaled(cls(3, dtype="float64")), 2 + 3 * normal(8, 3)),
        "affine=False": (lambda cls: cls(3, affine=False, dtype="float64"), normal(8, 3)),
        "eps=0.5, momentum=0.3": (
            lambda cls: scaled(cls(3, eps=0.5, momentum=0.3, dtype="float64")),
            2 + 3 * normal(8, 3),
        ),
        "far from 0": (lambda cls: scaled(cls(3, dtype="float64")), 1e5 + normal(8, 3)),
        "float32": (lambda cls: scaled(cls(3)), normal(8, 3, dtype="float32")),
        "x (4, 3, 5)": (lambda cls: scaled(cls(3, dtype="float64")), normal(4, 3, 5)),
        "no running statistics": (
            lambda cls: cls(3, track_running_stats=False, dtype="float64"),
            normal(8, 3),
        ),
    }
)


def scaled(layer: Layer) -> Layer:
    """The same layer with other γ and β than 1 and 0."""
    for k, param in enumerate(layer.params.values()):
        param += normal(*param.shape, seed=20 + k, dtype=str(param.dtype))
    return layer


def _held(cls: Any) -> Arrays:
    """Two forwards within `holding` move the running statistics once."""
    layer = cls(3, dtype="float64")
    with holding(layer):
        layer.forward(normal(8, 3))
        layer.forward(normal(8, 3, seed=1))
    return dict(layer.buffers)


def _one_row(cls: Any) -> Arrays:
    """A training batch of one row has no spread: it is refused."""
    try:
        cls(3, dtype="float64").forward(normal(1, 3))
    except ValueError:
        return {"the number of training batches of one row that are refused": np.int64(1)}
    return {"the number of training batches of one row that are refused": np.int64(0)}


BATCH_NORM1D["forward"] += [("one step with two forwards", _held), ("one row", _one_row)]
