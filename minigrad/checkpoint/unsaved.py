"""What a checkpoint does not contain: plain attributes of the parts, and hidden generators.

A layer's sigma is a setting: it must be the same when a run goes on. A counter in an attribute
changes in a run: what goes on then is another run. Neither is in a `state_dict`.
"""

from __future__ import annotations

import inspect
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from types import BuiltinMethodType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from minigrad import streams
from minigrad.backend import to_host
from minigrad.data import Dataset
from minigrad.generators import COMMON, is_known
from minigrad.layers import Layer, Sequential
from minigrad.losses import Loss
from minigrad.optim import Optimizer, Schedule
from minigrad.rules import Rule, Wrapper
from minigrad.settings import Configured

BASES: tuple[type, ...] = (
    Layer,
    Sequential,
    Loss,
    Rule,
    Wrapper,
    Optimizer,
    Schedule,
    Dataset,
    Configured,
)
BASES += (streams.RandomStreams, streams.StreamsOfParts)
STATES = [cls.state_dict for cls in (Layer, Rule, Wrapper, Optimizer, Schedule)]
# Attributes that are state, or that are compared in another way
KNOWN = {"cache", "lr", "start", "frozen", "state", "x", "y", "clean_y", "source", "classes"}
KNOWN |= {"model", "optimizer", "pending_schedule", "cost", "is_chain", "drawn"}
KNOWN |= {"_given", "_leaves", "_nets", "_params", "_tied", "_schedule"}
BEFORE = ("__init__", "__post_init__", "reseed")  # methods that draw before the training
MOST = (1000, 100, 10, 5, 5)  # entries of a list that are looked at; fewer in a list inside it
DEEPEST = len(MOST) - 1
LONGEST = 60  # letters of a value that are kept


def drawing(parts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, what may draw random numbers): every layer of the model, and each other part."""
    for name, part in parts.items():
        if isinstance(part, Layer):
            layers = {id(layer): layer for layer in part.modules()}.values()
            for i, layer in enumerate(layers):
                yield f"{name} {i} {type(layer).__name__}", layer
        elif hasattr(part, "rng_state"):
            yield name, part


def attributes(parts: Mapping[str, Any]) -> dict[str, str]:
    """{"model 1 Noise.sigma": "0.1", ...}: plain attributes that no `state_dict` contains.

    parts  {"model": ..., "loss": ..., "train": ...}
    """
    found = {}
    for name, owner in _owners(parts):
        own = getattr(owner, "_own", ()) if isinstance(owner, Layer) else ()
        arguments = inspect.signature(type(owner).__init__).parameters
        private = any(_is_from_here(cls) and cls not in BASES for cls in type(owner).__mro__)
        for key, value in (_of_classes(owner) | dict(getattr(owner, "__dict__", {}))).items():
            if key in KNOWN or key in own or key.startswith("_" if private else "__"):
                continue
            if _is_from_here(type(owner)) and key not in arguments:
                continue
            text = None if key == "t" and isinstance(owner, Schedule) else _text(value)
            if text is not None:
                found[f"{name}.{key}"] = text
    return found


def hidden(parts: Mapping[str, Any]) -> list[str]:
    """The places of generators that no `rng_state` contains: "model 1 Noise.helper.rng"."""
    owners = [(name, owner) for name, owner in _everything(parts) if not _is_from_here(type(owner))]
    saved = {id(generator) for generator in COMMON.values()}
    for _, owner in owners:
        for value in (_of_classes(owner) | dict(getattr(owner, "__dict__", {}))).values():
            several = value.values() if isinstance(value, dict) else value
            several = several if isinstance(value, dict | list | tuple) else ()
            saved |= {id(item) for item in [value, *list(several)[: MOST[0]]] if is_known(item)}
    found = []
    for name, owner in owners:
        draws = getattr(type(owner), "rng_state", None)
        if draws is not None and draws is not streams.RandomStreams.rng_state:
            continue  # this class answers for itself
        if draws is None:
            saved -= {id(value) for value in vars(owner).values()}
        inside = {k: v for k, v in vars(owner).items() if k not in KNOWN}
        methods = {
            key: value
            for cls in reversed(type(owner).__mro__)
            if not _is_from_here(cls)
            for key, value in vars(cls).items()
            if isinstance(value, FunctionType) and key not in BEFORE
        }
        for key, value in (methods | inside).items():
            for place, generator in _search(value, f"{name}.{key}", 0):
                if id(generator) not in saved:
                    found.append(place)
    return list(dict.fromkeys(found))


def drawn_by(name: str, function: Any) -> list[str]:
    """The places of generators that a function draws from, apart from those that all share."""
    saved = {id(generator) for generator in COMMON.values()}
    found = [place for place, item in _search(function, name, 0) if id(item) not in saved]
    return list(dict.fromkeys(found))


def _everything(parts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, object): every layer, every other part, and the rules, modules, ... inside it."""
    yield from drawing({name: part for name, part in parts.items() if isinstance(part, Layer)})
    for name, part in parts.items():
        if isinstance(part, Layer) or not hasattr(part, "__dict__"):
            continue
        yield name, part
        if isinstance(part, streams.StreamsOfParts):
            yield from ((f"{name}/{inner}", value) for inner, value in streams.parts_of(part))


def _owners(parts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Those whose attributes are not in a state of their own, and not in their repr."""
    for name, owner in _everything(parts):
        plain = getattr(type(owner), "state_dict", None) in (None, *STATES)
        if isinstance(owner, Layer) or (plain and not _is_from_here(type(owner))):
            yield name, owner


def _is_from_here(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("minigrad", "builtins", "abc", "typing")


def _of_classes(owner: Any) -> dict[str, Any]:
    """Attributes of the owner's classes, apart from those of this library."""
    classes = [cls for cls in reversed(type(owner).__mro__) if not _is_from_here(cls)]
    return {
        key: value
        for cls in classes
        for key, value in vars(cls).items()
        if not key.startswith("__") and not hasattr(value, "__get__")
    }


def _text(value: Any, depth: int = 0) -> str | None:
    """The value as a short text that is the same in another process. None: it is not plain."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return _short(repr(value))
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        array = np.ascontiguousarray(to_host(value))
        if array.dtype.hasobject:
            return None
        return f"{array.dtype} {array.shape}, checksum {zlib.crc32(array.tobytes()):08x}"
    if depth > DEEPEST or not isinstance(value, dict | list | tuple | deque):
        return None
    if len(value) > MOST[depth]:
        return f"{len(value)} entries"
    if isinstance(value, dict):
        said = {key: _text(item, depth + 1) for key, item in value.items()}
        # A generator under a key that is no text is not found again.
        kinds = {k: type(value[k]).__name__ for k in said if not isinstance(k, str)}
        entries = [f"{k!r}: {t or kinds.get(k)}" for k, t in said.items() if t or k in kinds]
    else:
        entries = [_text(item, depth + 1) or "" for item in value]
    return None if value and not any(entries) else _short("; ".join(entries))


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}..., checksum {zlib.crc32(text.encode('utf-8', 'replace')):08x}"


def _search(value: Any, place: str, depth: int) -> Iterator[tuple[str, Any]]:
    """(place, generator) for each generator inside a value: in containers, functions, objects."""
    if is_known(value):
        yield place, value
        return
    if depth > DEEPEST or isinstance(value, type | streams.RandomStreams):
        return
    inside: dict[str, Any] = {}
    if isinstance(value, Mapping):
        inside = {f"[{key!r}]": item for key, item in list(value.items())[: MOST[depth]]}
    elif isinstance(value, list | tuple | set | frozenset | deque):
        inside = {f"[{i}]": item for i, item in enumerate(list(value)[: MOST[depth]])}
    elif isinstance(value, BuiltinMethodType | MethodType):
        inside = {".__self__": value.__self__}
    elif isinstance(value, partial):
        inside = {".func": value.func, ".args": value.args, ".keywords": value.keywords}
    elif isinstance(value, FunctionType):
        for name, item in _variables(value):
            if is_known(item):
                yield f"{place} ({name})", item
        return
    elif not _is_from_here(type(value)) and type(value).__module__.partition(".")[0] != "numpy":
        inside = {f".{key}": item for key, item in getattr(value, "__dict__", {}).items()}
    for key, item in inside.items():
        yield from _search(item, place + key, depth + 1)


def _variables(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """(name, value) of the variables around a function that it uses."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it has no value yet
            continue
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        yield from (
            (n, function.__globals__[n]) for n in code.co_names if n in function.__globals__
        )
