"""Settings as the text of an address: data=moons&hidden=8,8&lanes=backprop~lr:.1,forward~K:4"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

LONGEST = 2000  # letters; a race with all its lanes takes a few hundred

# name in the address: (name of the setting, its kind)
SHARED = {
    "data": ("data", str),
    "noise": ("data_noise", float),
    "label-noise": ("label_noise", float),
    "hidden": ("hidden", list),
    "activation": ("activation", str),
    "batch": ("batch_size", int),
    "optimizer": ("optimizer", str),
    "seed": ("seed", int),
}
OF_A_LANE = {
    "lr": ("lr", float),
    "K": ("directions", int),
    "p": ("update_probability", float),
    "softmax-twice": ("softmax_twice", bool),
}


def written(settings: Mapping[str, Any], usual: Mapping[str, Any], lane: Mapping[str, Any]) -> str:
    """The text. What is as usual is left out."""
    parts = [
        f"{short}={_word(settings[name])}"
        for short, (name, _) in SHARED.items()
        if settings[name] != usual[name]
    ]
    if settings["lanes"] != usual["lanes"]:
        parts.append("lanes=" + ",".join(_lane(own, lane) for own in settings["lanes"]))
    return "&".join(parts)


def _lane(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    parts = [settings["rule"]]
    for short, (name, _) in OF_A_LANE.items():
        value = settings[name]
        if value != usual[name]:
            parts.append(short if value is True else f"{short}:{_word(value)}")
    return "~".join(parts)


def _word(value: Any) -> str:
    """A value as it is typed: .1, not 0.1."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    text = repr(value) if isinstance(value, float) else str(value)
    text = text.removesuffix(".0")
    return text.removeprefix("0") if text.startswith("0.") else text


def read(text: str) -> dict[str, Any]:
    """The settings in a text, as a dict for `Settings.from_dict`. ValueError if it is none."""
    if not isinstance(text, str) or len(text) > LONGEST:
        raise ValueError(f"an address is a text of at most {LONGEST} letters")
    found: dict[str, Any] = {}
    for part in unquote(text).removeprefix("#").split("&"):
        if not part:
            continue
        short, equals, value = part.partition("=")
        if not equals or (short not in SHARED and short != "lanes"):
            names = ", ".join(f"{name}=" for name in [*SHARED, "lanes"])
            raise ValueError(f"address: {part!r:.60} is not understood, there are {names}")
        name, kind = SHARED.get(short, ("lanes", None))
        if name in found:
            raise ValueError(f"address: {short}= is there twice")
        found[name] = _lanes(value) if kind is None else _value(short, kind, value)
    return found


def _lanes(text: str) -> list[dict[str, Any]]:
    return [_read_lane(part) for part in text.split(",")]


def _read_lane(text: str) -> dict[str, Any]:
    rule, *options = text.split("~")
    found: dict[str, Any] = {"rule": rule}
    for option in options:
        short, colon, value = option.partition(":")
        if short not in OF_A_LANE:
            names = ", ".join(OF_A_LANE)
            raise ValueError(f"address: {option!r:.60} is not understood, a lane has {names}")
        name, kind = OF_A_LANE[short]
        if name in found:
            raise ValueError(f"address: {short} is there twice in the lane {text!r:.60}")
        if (kind is bool) == bool(colon):
            example = short if kind is bool else f"{short}:1"
            raise ValueError(f"address: write {example}, got {option!r:.60}")
        found[name] = True if kind is bool else _value(short, kind, value)
    return found


def _value(short: str, kind: Callable[[Any], Any], text: str) -> Any:
    """A value of its kind. Its limits are checked by the settings."""
    if kind is list:
        return [] if text == "none" else [_value(short, int, part) for part in text.split(",")]
    if kind is str:
        return text
    try:
        if not text.isascii() or "_" in text or text != text.strip():
            raise ValueError
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"address: {short} must be {what}, got {text!r:.40}") from None
