"""Parameters with options of their own: biases without weight decay, a slower first layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from minigrad.checks import not_negative
from minigrad.layers.patterns import checked_patterns, fits

Groups = dict[Any, dict[str, float]]  # {pattern, or several of them: {option: value}}
LR_FACTOR = "lr_factor"


class Options:
    """While a parameter with options of its own moves, the optimiser has these options."""

    def __init__(self, optimizer: Any, options: Mapping[str, float]):
        own: dict[str, float] = dict(options)
        own["lr"] = optimizer.lr * own.pop(LR_FACTOR, 1.0)
        self.attributes = vars(optimizer)
        self.own = own
        self.before = {name: getattr(optimizer, name) for name in own}

    def __enter__(self) -> None:
        self.attributes.update(self.own)

    def __exit__(self, *exception: object) -> None:
        self.attributes.update(self.before)


def checked_groups(groups: Any, known: Collection[str], owner: str) -> Groups:
    """A copy of the groups. Raises if they are none, or have options that are not known.

    known  the options of this kind of optimiser, besides lr_factor
    """
    if not isinstance(groups, Mapping):
        raise TypeError(
            f'groups must be a dict, as {{"*.b": {{"{LR_FACTOR}": 0.1}}}}, got {groups!r:.60}'
        )
    found: Groups = {}
    for key, options in groups.items():
        checked_patterns("each key of groups", key)
        if not isinstance(options, Mapping) or not options:
            raise TypeError(f"groups[{key!r}] must be a dict of options, got {options!r:.60}")
        for name in options:
            if name not in (LR_FACTOR, *known):
                raise ValueError(
                    f"groups[{key!r}]: a group of {owner} has the options "
                    f"{[LR_FACTOR, *known]}, got {name!r}"
                    + ("; lr_factor multiplies the optimiser's lr" if name == "lr" else "")
                )
        found[key] = {n: not_negative(f"groups[{key!r}][{n!r}]", v) for n, v in options.items()}
    return found


def options_by_name(
    groups: Groups, names: Collection[str], tied: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """{parameter: its options}, for those that have any. Of two groups the later one counts.

    ValueError for a group that fits no name, or if names of one array have different options.
    """
    found: dict[str, dict[str, float]] = {}
    for key, options in groups.items():
        inside = [name for name in names if fits(name, checked_patterns("a key", key))]
        if not inside:
            raise ValueError(f"groups: {key!r} fits none of the parameters {sorted(names)}")
        for name in inside:
            found[name] = found.get(name, {}) | options
    for name, first in tied.items():
        if found.get(name) != found.get(first):
            raise ValueError(
                f"{first} and {name} are one array in this model, and groups gives them different "
                "options: give both the same"
            )
    return found
