"""What a run depends on, as short texts that change when it changes: its code and its values.

Two calls of `grid` are of the same experiment if their fingerprints are equal. A fingerprint is
{part: digest}: the code of `run`, of the functions and classes that it calls by name, and the
values that they use: defaults, closures, globals, attributes, arguments of functools.partial.

The code is the bytecode: comments, formatting and the lines around a lambda do not matter. What is
installed (minigrad, NumPy, ...) counts by its name. Of an object of an installed class only the
public numbers, texts and arrays count: neither the weights of a network nor a generator's state.
The content of a file that `run` reads does not count.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import os
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.search.bytecode import code_of, names_in
from minigrad.search.origin import installed, title

SIMPLE: tuple[Any, ...] = (bool, int, float, complex, str, bytes, range, type(None), type(Ellipsis))
MOST = 100_000  # values in a part that are looked at. A graph of more is no setting
MOST_PARTS = 60  # that are named; all further ones have one digest together
DEEPEST = 50
CONTAINERS = (dict, list, tuple, deque, set, frozenset, types.MappingProxyType)
CODE = (types.FunctionType, types.MethodType, functools.partial, type)
LARGE = 2**20  # bytes; an array of this size is read once a search
SKIPPED = {"__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__annotations__"}
SKIPPED |= {"__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__"}
SKIPPED |= {"__annotations_cache__", "__abstractmethods__", "_abc_impl", "__parameters__"}


class Fingerprint:
    """The fingerprint of a function, `parts` {name: digest}.

    A part that the runs themselves change, such as a list that counts them, has None in place of a
    digest. It says nothing about the experiment.
    """

    def __init__(self, run: Callable[..., Any]):
        self._run = run
        self._arrays: dict[int, tuple[Any, str]] = {}
        self.parts: dict[str, str | None] = dict(self._read())

    def refresh(self) -> None:
        """After a run in this process: the runs change what has changed since the last call."""
        now = self._read()
        for name in self.parts.keys() | now.keys():
            if self.parts.get(name) != now.get(name):
                self.parts[name] = None

    def _read(self) -> dict[str, str]:
        reader = _Reader(self._arrays)
        reader.part("run", self._run)
        parts = list(reader.parts.items())
        named = dict(parts[:MOST_PARTS])
        others = parts[MOST_PARTS:]
        if others:
            named["other parts"] = _digest(str(others))
        return named


class _Reader:
    """One walk over what a function refers to."""

    def __init__(self, arrays: dict[int, tuple[Any, str]]):
        self.parts: dict[str, str] = {}
        self._arrays = arrays
        self._names: dict[int, tuple[Any, str]] = {}  # by id; the object is kept alive
        self._count = 0
        self._depth = 0

    def part(self, name: str, value: Any) -> str:
        """Note a value under this name, if it has none yet. Returns the name that it has."""
        if isinstance(value, SIMPLE):
            if name in self.parts and self.parts[name] != _digest(self._text(value)):
                return self.part(f"{name}'", value)
            self.parts[name] = _digest(self._text(value))
            return name
        if id(value) in self._names:
            return self._names[id(value)][1]
        while name in self.parts:  # another object of this name, of another module
            name += "'"
        self._names[id(value)] = value, name
        self.parts[name] = ""
        before = self._count
        self._count = 0
        self._depth += 1
        more = self._depth < DEEPEST and len(self.parts) < MOST
        try:
            content = self._content(name, value) if more else "more"
        except Exception:  # an object with a code of its own for what is asked here
            content = f"{type(value)}"
        self._depth -= 1
        self._count = before
        self.parts[name] = _digest(content)
        return name

    def _content(self, name: str, value: Any) -> str:
        """A text about this part. What it contains or calls becomes parts of their own."""
        if isinstance(value, functools.partial):
            self.part(f"{name}.func", value.func)
            for i, argument in enumerate(value.args):
                self.part(f"{name}.args[{i}]", argument)
            for key, argument in value.keywords.items():
                self.part(f"{name}.{key}", argument)
            return "partial"
        if isinstance(value, types.MethodType):
            self.part(f"{name}.__self__", value.__self__)
            return f"method {self.part(value.__func__.__qualname__, value.__func__)}"
        if isinstance(value, types.FunctionType):
            return title(value) if installed(value) else self._function(name, value)
        if isinstance(value, type):
            return title(value) if installed(value) else self._class(value)
        wrapped = dict(_attributes(value)).get("__wrapped__")
        if callable(wrapped):  # functools.lru_cache
            return f"wrapped {self.part(f'{name}.__wrapped__', wrapped)}"
        if isinstance(value, CONTAINERS):
            return self._text(value)
        if _is_own_object(value):
            for attribute, content in _attributes(value):
                self.part(f"{name}.{attribute}", content)
            return f"object of {self.part(type(value).__name__, type(value))}"
        return self._text(value)

    def _function(self, name: str, function: types.FunctionType) -> str:
        """The digest of its code. Its defaults, and what it uses by name, become parts."""
        code = function.__code__
        arguments = code.co_varnames[: code.co_argcount]
        defaults = function.__defaults__ or ()
        pairs = list(zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True))
        for argument, value in [*pairs, *(function.__kwdefaults__ or {}).items()]:
            self.part(f"{name}({argument}=)", value)
        closure = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        for chain in names_in(code):
            with suppress(ValueError):  # an empty cell
                if chain[0] in closure:
                    self._used(chain, closure[chain[0]].cell_contents)
                elif chain[0] in function.__globals__:
                    self._used(chain, function.__globals__[chain[0]])
        return code_of(code)

    def _used(self, chain: tuple[str, ...], value: Any) -> None:
        """Note what `helpers.layers.SIZE` is: the attributes of modules and objects, one by one."""
        path = chain[0]
        for attribute in chain[1:]:
            inside = _inside(value)
            if attribute not in inside:
                break
            value = inside[attribute]
            path += f".{attribute}"
        if not isinstance(value, types.ModuleType):
            self.part(path, value)

    def _class(self, kind: type) -> str:
        """The names in a class of the user. Methods, values and bases become parts."""
        names = []
        for name, value in vars(kind).items():
            if name in SKIPPED or isinstance(value, types.MemberDescriptorType):
                continue
            inner = value
            if isinstance(value, staticmethod | classmethod):
                inner = value.__func__
            elif isinstance(value, property):
                inner = (value.fget, value.fset, value.fdel)
            elif isinstance(value, functools.cached_property):
                inner = value.func
            names.append(f"{name} {self.part(f'{kind.__name__}.{name}', inner)}")
        bases = [self.part(base.__name__, base) for base in kind.__bases__ if base is not object]
        return f"class {sorted(names)} of {bases}"

    def _text(self, value: Any, inside: tuple[int, ...] = ()) -> str:
        """A text that is equal for equal values, in every process."""
        self._count += 1
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        if isinstance(value, enum.Enum):
            return f"{kind}.{value.name}"
        for simple in SIMPLE:
            if isinstance(value, simple):
                return f"{kind} {simple.__repr__(value)}"
        if id(value) in inside or self._count > MOST:
            return f"{kind} ..."
        array = _array(value)
        if array is not None and array.dtype != object:
            return f"{array.dtype.str} {array.shape} {self._bytes(value, array)}"
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"
        if isinstance(value, os.PathLike):
            return f"path {os.fspath(value)!r}"
        inside = (*inside, id(value))
        if isinstance(value, slice):
            value = (value.start, value.stop, value.step)
        if isinstance(value, dict | types.MappingProxyType):
            pairs = [(self._text(k, inside), self._text(v, inside)) for k, v in value.items()]
            return f"{kind} {pairs}"
        if isinstance(value, CONTAINERS):
            texts = [self._text(v, inside) for v in value]
            return f"{kind} {sorted(texts) if isinstance(value, set | frozenset) else texts}"
        if isinstance(value, CODE) or _is_own_object(value):
            return f"{kind} {self.part(getattr(value, '__name__', type(value).__name__), value)}"
        public = {k: v for k, v in _attributes(value) if not k.startswith("_")}
        plain = {k: v for k, v in public.items() if isinstance(v, SIMPLE) or _array(v) is not None}
        return f"{kind} {title(value)} {[(k, self._text(v, inside)) for k, v in plain.items()]}"

    def _bytes(self, value: Any, array: np.ndarray) -> str:
        """A digest of an array's numbers. That of a large one is computed once."""
        if id(value) in self._arrays:
            return self._arrays[id(value)][1]
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        digest = hashlib.sha256(flat.data).hexdigest()
        if array.nbytes >= LARGE:
            self._arrays[id(value)] = value, digest
        return digest


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _array(value: Any) -> np.ndarray | None:
    """The array or NumPy number on the host, also of CuPy and PyTorch. None for anything else."""
    if isinstance(value, type) or not hasattr(type(value), "__array__"):
        return None
    try:
        if hasattr(type(value), "__cuda_array_interface__"):
            value = backend.to_host(value)
        return np.asarray(value)
    except Exception:  # what cannot be read counts by its type
        return None


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object, without calling any code of its class."""
    for kind in type(value).__mro__:
        for name, slot in vars(kind).items():
            if isinstance(slot, types.MemberDescriptorType):
                with suppress(AttributeError):
                    yield name, slot.__get__(value)
    with suppress(AttributeError, TypeError):
        yield from list(object.__getattribute__(value, "__dict__").items())


def _inside(value: Any) -> Mapping[str, Any]:
    """What `value.name` is, as far as it can be known without calling any code."""
    if isinstance(value, types.ModuleType):
        return {} if installed(value) else vars(value)
    if isinstance(value, type | types.FunctionType):
        return {}
    return dict(_attributes(value))


def _is_own_object(value: Any) -> bool:
    """Whether the value is an object of a class that the user has written."""
    return not isinstance(value, type | types.ModuleType) and not installed(type(value))
