"""The steps of one example through the network: what is computed, from what, in which formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minigrad.live.inside.text import Line

Definitions = tuple[tuple[str, str], ...]


@dataclass
class Side:
    """What one of the two pictures says in a step.

    lines  the formulas
    words  what they mean
    shows  the numbers that appear now: (kind, key), kind "value", "gradient" or "tangent"
    """

    lines: list[Line] = field(default_factory=list)
    words: str = ""
    shows: list[tuple[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "lines": [line.as_dict() for line in self.lines],
            "words": self.words,
            "shows": [list(shown) for shown in self.shows],
        }


@dataclass
class Step:
    """One step.

    phase    "forward", "backward" or "end"
    title    what it is about, in words
    nodes    what is computed; sources: from what; edges: through which weights
    arcs     (from, to) where no weight leads: a rule's own way
    labels   what is written on a weight, where it is not the weight itself
    defines  symbols that are new, with their meaning
    """

    phase: str
    title: str
    left: Side
    right: Side
    nodes: Sequence[str] = ()
    sources: Sequence[str] = ()
    edges: Sequence[str] = ()
    arcs: Sequence[tuple[str, str]] = ()
    defines: Definitions = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "phase": self.phase,
            "title": self.title,
            "left": self.left.as_dict(),
            "right": self.right.as_dict(),
            "nodes": list(self.nodes),
            "sources": list(self.sources),
            "edges": list(self.edges),
            "arcs": [list(arc) for arc in self.arcs],
            "labels": dict(self.labels),
            "defines": [list(pair) for pair in self.defines],
        }


def symbol(key: str, dot: bool = False) -> str:
    """The symbol of a key of the picture: "z1.2" -> z^{(1)}_{2}. With a dot: its tangent."""
    kind, _, index = key.partition(".")
    layer = kind[1:]
    letter = kind[:1]
    if dot:
        letter = DOTTED[letter]
    upper = f"^{{({layer})}}" if layer else ""
    lower = f"_{{{index.replace('.', ',')}}}" if index else ""
    return f"{letter}{upper}{lower}"


DOTTED = {
    "x": "ẋ",
    "z": "ż",
    "h": "ḣ",
    "s": "ṡ",
    "p": "ṗ",
    "W": "Ẇ",
    "b": "ḃ",
    "L": "L\u0307",
}
