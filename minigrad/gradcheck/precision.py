"""For a while a layer computes in another dtype, on copies of its arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.layers import Layer, Sequential
from minigrad.losses import Loss


@contextmanager
def in_dtype(subject: Layer | Loss | None, dtype: Any) -> Iterator[None]:
    """Inside this block the layers compute in `dtype`, on copies of all their arrays.

    An array that stands in several places, also of several layers, is copied once: what was
    tied stays tied. Afterwards each layer has its own arrays back.
    """
    parts = every_part(subject)
    kept = [dict(vars(part)) for part in parts]
    copies: dict[int, Array] = {}
    try:
        for part in parts:
            _convert(part, np.dtype(dtype), copies)
        yield
    finally:
        for part, attributes in zip(parts, kept, strict=True):
            vars(part).clear()
            vars(part).update(attributes)


def every_part(subject: Layer | Loss | None) -> list[Any]:
    """The layer or loss, and the layers within it, each once."""
    if subject is None or isinstance(subject, Loss):
        return [subject] if subject is not None else []
    parts: list[Any] = [subject]
    if isinstance(subject, Sequential):
        for layer in subject.layers:
            parts += every_part(layer)
    seen = {id(part) for part in parts}
    return parts + [leaf for _, leaf in subject.leaves() if id(leaf) not in seen]


def _convert(part: Any, dtype: np.dtype, copies: dict[int, Array]) -> None:
    """Replace each array of a layer, also one that it knows by two names, by one copy in dtype."""

    def converted(array: Any) -> Any:
        if not hasattr(array, "dtype") or not hasattr(array, "__setitem__"):
            return array
        if id(array) not in copies:
            copies[id(array)] = contiguous(array, dtype)
        return copies[id(array)]

    for name, value in list(vars(part).items()):
        if name in ("params", "buffers", "grads"):
            setattr(part, name, {key: converted(array) for key, array in value.items()})
        elif name == "dtype" and value is not None:
            part.dtype = dtype
        elif name != "cache":
            setattr(part, name, converted(value))


def own_dtype(subject: Layer | Loss) -> np.dtype:
    """The dtype in which the subject computes outside the checker."""
    if getattr(subject, "dtype", None) is not None:
        return subject.dtype  # type: ignore[union-attr, return-value]
    params = subject.params.values() if isinstance(subject, Layer) else ()
    return next((param.dtype for param in params), np.dtype("float32"))


def contiguous(array: Any, dtype: Any = np.float64) -> Array:
    """A contiguous copy where the array lives: floating-point numbers in dtype, others as are."""
    host = backend.to_host(array)
    kind = dtype if host.dtype.kind == "f" else host.dtype
    like = array if hasattr(array, "dtype") else host
    return backend.to_device(np.array(host, kind, order="C"), like=like)
