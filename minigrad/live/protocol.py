"""Messages as text: what a page says is checked here, and what it is told is made JSON here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

LONGEST = 1 << 18  # bytes of a message of a page; a drawn digit has a third of it
NUMBERS = 10**9  # whole numbers of a page are at most as large


class Message(NamedTuple):
    """A message of a page: {"do": name, "id": number, ...fields}."""

    name: str
    number: int | None
    fields: Mapping[str, Any]


def read(text: str) -> Message:
    """A message from its text. ValueError in a sentence for the page."""
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ValueError(f"the message is not JSON: {reason:.200}") from None
    if not isinstance(found, dict):
        raise ValueError(f"a message is an object, {{'do': ...}}; got {_short(found)}")
    name = found.pop("do", None)
    if not isinstance(name, str):
        raise ValueError(f"'do' must be the name of an order; got {_short(name)}")
    number = found.pop("id", None)
    if number is not None and not _is_whole(number):
        raise ValueError(f"'id' must be a whole number from 0 to {NUMBERS}; got {_short(number)}")
    return Message(name, number, found)


def checked(
    name: str, given: Mapping[str, Any], fields: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Any]:
    """The fields of an order, each checked. ValueError in a sentence that names the field."""
    found = {}
    for field, check in fields.items():
        if field not in given:
            raise ValueError(f"the order {name!r} needs {field!r}")
        try:
            found[field] = check(given[field])
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{field}: {error}") from None
    return found


def write(message: Mapping[str, Any]) -> str:
    """JSON in which NaN and infinity are null."""
    try:
        return json.dumps(message, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(finite(message), allow_nan=False, separators=(",", ":"))


def finite(found: Any) -> Any:
    """The same data with None for each NaN and each infinity."""
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    if isinstance(found, Mapping):
        return {name: finite(value) for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [finite(value) for value in found]
    return found


# ------------------------------------------------------------------ checks of single fields


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {_short(value)}")
    return value


def whole(value: Any) -> int:
    if not _is_whole(value):
        raise ValueError(f"expected a whole number from 0 to {NUMBERS}, got {_short(value)}")
    return int(value)


def number(value: Any) -> float:
    """A finite number. A whole one stays whole."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300:
        raise ValueError(f"expected a number, got {_short(value)}")
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value}")
    return value


def positive(value: Any) -> float:
    found = number(value)
    if not 0 < found <= NUMBERS:
        raise ValueError(f"expected a number above 0, at most {NUMBERS}, got {_short(value)}")
    return float(found)


def text(value: Any, longest: int = 4000) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {_short(value)}")
    if len(value) > longest:
        raise ValueError(f"expected text of at most {longest} characters, got {len(value)}")
    return value


def word(value: Any) -> str:
    """A short text: a name."""
    return text(value, 80)


def words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 40:
        raise ValueError(f"expected a list of at most 40 names, got {_short(value)}")
    return tuple(word(one) for one in value)


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {_short(value)}")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= NUMBERS


def _short(value: Any) -> str:
    """A value for a sentence, never long."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > NUMBERS:
        return "a number that is too large" if value > 0 else "a number that is too small"
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    if value is None:
        return "nothing"
    return f"{value!r:.40}"
