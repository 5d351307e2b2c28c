"""The state of a random generator as plain data: text, numbers, arrays, and dicts of these.

For example {"kind": "numpy.Generator", "bit_generator": "PCG64", "state": {...}, ...}.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

Known: TypeAlias = (
    np.random.Generator | np.random.BitGenerator | np.random.RandomState | random.Random
)
BITS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
KINDS = {
    "numpy.Generator": np.random.Generator,
    "numpy.BitGenerator": np.random.BitGenerator,
    "numpy.RandomState": np.random.RandomState,
    "random.Random": random.Random,
}
CLASSES = tuple(KINDS.values())
# The largest value of each whole number. NumPy does not check a position before it reads there.
LARGEST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "has_gauss": 1, "uinteger": 2**32 - 1}
PYTHON = 3  # the version of the state of Python's own generator
WORDS = 625  # its length: 624 words and a position

# The generators behind np.random.rand() and random.random(), which all of a program share.
COMMON: dict[str, Known] = {
    "numpy": vars(np.random)["rand"].__self__,
    "python": vars(random)["random"].__self__,
}


def is_known(value: Any) -> bool:
    """Whether this is a generator whose state can be read here."""
    if isinstance(value, random.Random):
        return not isinstance(value, random.SystemRandom)
    return isinstance(value, CLASSES) and _bits(value) in BITS


def is_unknown(value: Any) -> bool:
    """Whether this draws random numbers, and its state cannot be read here. CuPy's are such."""
    if isinstance(value, type) or is_known(value):
        return False
    draws = [getattr(value, name, None) for name in ("random", "standard_normal")]
    return isinstance(value, CLASSES) or all(map(callable, draws))


def described(generator: Known) -> dict[str, Any]:
    """The generator's present state as plain data, a copy."""
    kind = _kind(generator)
    if isinstance(generator, random.Random):
        version, words, gauss = generator.getstate()
        return {
            "kind": kind,
            "version": version,
            "state": np.array(words, "uint32"),
            "gauss": gauss,
        }
    if isinstance(generator, np.random.RandomState):
        return {"kind": kind} | _plain(generator.get_state(legacy=False))
    return {"kind": kind} | _plain(_source(generator).state)


def restored(state: Any, where: str) -> Known:
    """A new generator in this state. ValueError, which begins with `where`, for a damaged one."""
    kind = state.get("kind") if isinstance(state, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{where}: expected the state of a random generator, got {state!r:.60}")
    rest = {name: value for name, value in state.items() if name != "kind"}
    if kind == "random.Random":
        return _restored_python(rest, where)
    bits = rest.get("bit_generator")
    if not isinstance(bits, str) or bits not in BITS:
        raise ValueError(f"{where}: no bit generator is called {bits!r:.60}; known: {list(BITS)}")
    source = getattr(np.random, bits)(0)
    new: Known = source
    if kind == "numpy.Generator":
        new = np.random.Generator(source)
    elif kind == "numpy.RandomState":
        new = np.random.RandomState(source)
    like = {name: value for name, value in described(new).items() if name != "kind"}
    checked = _like(rest, like, where)
    if bits.startswith("PCG64") and checked["state"]["inc"] % 2 == 0:
        raise ValueError(f"{where}: the increment of {bits} must be odd")
    if isinstance(new, np.random.RandomState):
        new.set_state(checked)
    else:
        source.state = checked
    return new


def same_kind(a: Any, b: Known) -> bool:
    """Whether `a` can be set to the state of `b` in place."""
    return is_known(a) and _kind(a) == _kind(b) and _bits(a) == _bits(b)


def set_to(generator: Any, other: Known) -> None:
    """Give `generator` the state of `other`, which has the same kind. The object stays."""
    if isinstance(other, random.Random):
        generator.setstate(other.getstate())
    elif isinstance(other, np.random.RandomState):
        generator.set_state(other.get_state(legacy=False))
    else:
        _source(generator).state = _source(other).state


def common_state() -> dict[str, Any]:
    """The state of the generators that all of a program share."""
    return {name: described(generator) for name, generator in COMMON.items()}


def common_from(state: Mapping[str, Any], where: str) -> dict[str, Known]:
    """New generators in a state from `common_state`. ValueError for a damaged one."""
    return {name: restored(state.get(name), f"{where}: {name}") for name in COMMON}


def set_common(generators: Mapping[str, Known]) -> None:
    """Give the generators that all share the states of those from `common_from`."""
    for name, generator in generators.items():
        set_to(COMMON[name], generator)


def _kind(generator: Known) -> str:
    """The name in `KINDS`."""
    return next(name for name, made in KINDS.items() if isinstance(generator, made))


def _source(generator: Any) -> Any:
    """The bit generator of a Generator; a bit generator itself."""
    return getattr(generator, "bit_generator", generator)


def _bits(generator: Any) -> str:
    """The name of the bit generator, one of `BITS` if the generator is known."""
    if isinstance(generator, random.Random):
        return "MT19937"
    if isinstance(generator, np.random.RandomState):
        return str(generator.get_state(legacy=False)["bit_generator"])
    return type(_source(generator)).__name__


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's; arrays copied."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.copy()
    return value.item() if isinstance(value, np.generic) else value


def _restored_python(state: Mapping[str, Any], where: str) -> random.Random:
    """Python's generator. Its "gauss" is None, or a number that `gauss()` has kept for later."""
    new = random.Random(0)
    like = {"version": PYTHON, "state": np.zeros(WORDS, "uint32")}
    given = dict(state)
    gauss = given.get("gauss")
    if gauss is None:
        given.pop("gauss", None)
    else:
        like["gauss"] = 0.0
    checked = _like(given, like, where)
    if "gauss" not in state or checked["version"] != PYTHON or checked["state"][-1] > WORDS - 1:
        raise ValueError(f"{where}: this is no state of Python's random.Random")
    new.setstate((PYTHON, tuple(checked["state"].tolist()), gauss))
    return new


def _like(state: Any, like: Any, where: str, name: str = "") -> Any:
    """`state`, if it is built as `like` is, and every number is in range."""
    if isinstance(like, dict):
        if not isinstance(state, Mapping) or state.keys() != like.keys():
            got = sorted(map(str, state)) if isinstance(state, Mapping) else f"{state!r:.60}"
            raise ValueError(f"{where}: expected {sorted(like)}, got {got}")
        return {key: _like(state[key], value, where, key) for key, value in like.items()}
    if isinstance(like, np.ndarray):
        return _words(state, like, where, name)
    if getattr(state, "shape", None) == ():
        state = state.item()
    if isinstance(like, str):
        fits = state == like
    elif isinstance(like, float):
        fits = isinstance(state, float) and math.isfinite(state)
    else:
        fits = isinstance(state, int) and not isinstance(state, bool)
        fits = fits and 0 <= state <= LARGEST.get(name, 2**128 - 1)
    if not fits:
        raise ValueError(f"{where}: {name} cannot be {state!r:.60}")
    return state


def _words(state: Any, like: np.ndarray, where: str, name: str) -> np.ndarray:
    """An array of whole numbers, of the shape and dtype of `like`."""
    array = np.zeros(0)
    whole = isinstance(state, list) and all(type(item) is int for item in state)
    if whole and all(0 <= item < 2**64 for item in state):  # from JSON
        array = np.array(state, "uint64")
    elif isinstance(state, np.ndarray):
        array = state
    if array.shape != like.shape or array.dtype.kind not in "iu":
        raise ValueError(
            f"{where}: {name} must be {like.dtype} of shape {like.shape}, got {array.dtype} of "
            f"shape {array.shape}"
        )
    words = array.astype(like.dtype)
    if not np.array_equal(words, array):
        raise ValueError(f"{where}: {name} has numbers that are not {like.dtype}")
    return words
