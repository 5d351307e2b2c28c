"""Find values in an object's attributes, also inside lists, tuples, sets and dicts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

SEQUENCES = (list, tuple, set, frozenset, deque)


def held(
    owner: object, wanted: Callable[[Any], bool], skip: Collection[str] = ()
) -> Iterator[tuple[str, Any]]:
    """(name, value) for each value that is wanted. Names: "inner", "blocks[0]", "by_name['a']"."""
    for name, value in vars(owner).items():
        if name not in skip:
            yield from _within(name, value, wanted, ())


def _within(
    name: str, value: Any, wanted: Callable[[Any], bool], above: tuple[int, ...]
) -> Iterator[tuple[str, Any]]:
    """The same for one value. `above` has the ids of the containers around it.

    A container may contain itself. It is then searched only once.
    """
    if wanted(value):
        yield name, value
    elif id(value) not in above:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                yield from _within(f"{name}[{key!r}]", inner, wanted, (*above, id(value)))
        elif isinstance(value, SEQUENCES):
            for i, inner in enumerate(value):
                yield from _within(f"{name}[{i}]", inner, wanted, (*above, id(value)))


def is_float_array(value: Any) -> bool:
    """Whether the value is an array of floats, on the CPU or a GPU. A single number is not."""
    dtype = getattr(value, "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.kind == "f" and hasattr(value, "__setitem__")
