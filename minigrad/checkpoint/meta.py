"""What a checkpoint has besides arrays: numbers and text, as strict JSON.

    value     objects with text as keys, lists, text, integers, finite floats, true, false, null
    at least  {"format": an integer}
    bounds    at most 64 MiB, 50 lists or objects inside each other, integers of 100 digits

NaN and infinities are not JSON: save them as arrays or as text. A key is there once.
`encode` refuses what `decode` would refuse.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

LARGEST = 2**26  # bytes
DEEPEST = 50
DIGITS = 100
BOUND = 10**DIGITS


def encode(meta: Mapping[str, Any]) -> bytes:
    """The JSON of `meta`. TypeError or ValueError for what is not strict JSON."""
    check(meta)
    content = json.dumps(meta, allow_nan=False, separators=(",", ":")).encode()
    if len(content) > LARGEST:
        raise ValueError(
            f"meta has {len(content):,} bytes, more than {LARGEST:,}: save long lists of numbers "
            "as arrays"
        )
    return content


def decode(content: bytes) -> dict[str, Any]:
    """The object in the JSON. ValueError for anything that `encode` does not write."""
    if len(content) > LARGEST:
        raise ValueError(f"its meta has more than {LARGEST:,} bytes")
    value = parse(content)
    try:
        check(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its meta is not what was written: {error!s:.200}") from error
    return value


def parse(content: bytes) -> Any:
    """The value in the JSON, each key once. ValueError if it is not strict JSON in UTF-8."""
    try:
        return json.loads(
            content.decode(),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except RecursionError as error:
        raise ValueError("its text has too many lists inside each other") from error
    except ValueError as error:
        raise ValueError(f"its text is not the JSON that was written: {error}") from error


def check(meta: Any) -> None:
    """TypeError or ValueError unless `meta` is an object of strict JSON with a format."""
    _check("meta", meta, 0)
    if not isinstance(meta, dict):
        raise TypeError(f"meta must be a dict, got {type(meta).__name__}")
    number = meta.get("format")
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError(f"meta['format'] must be an integer, got {number!r:.40}")


def _check(name: str, value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"meta has more than {DEEPEST} lists or dicts inside each other")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the keys of {name} must be text, got {key!r:.40}")
            _check(name, key, depth)
            _check(f"{name}[{key!r:.40}]" if depth < 3 else name, inner, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(name, inner, depth + 1)
    elif isinstance(value, str):
        if not value.isascii():
            value.encode()  # UnicodeEncodeError, a ValueError: half a character
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name} has {value}: save it as an array, or as text")
    elif isinstance(value, int):
        if abs(value) >= BOUND:
            raise ValueError(f"{name} has an integer of more than {DIGITS} digits")
    elif value is not None:
        raise TypeError(f"{name} has a {type(value).__name__}, which is not JSON: {value!r:.40}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is there twice")
    return value


def _integer(text: str) -> int:
    if len(text) > DIGITS + 1:
        raise ValueError(f"an integer has more than {DIGITS} digits")
    return int(text)


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
