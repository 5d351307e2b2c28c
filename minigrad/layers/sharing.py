"""Tied weights: one array with two names in a network."""

from __future__ import annotations

from collections.abc import Mapping

from minigrad.backend import Array, array_module


def tied(params: Mapping[str, Array]) -> dict[str, str]:
    """{name: the first name of the same array}, for every further name of a shared array.

        b.params["W"] = a.params["W"]       ties two weights: the result is {"1.W": "0.W"}

    Raises ValueError for two different arrays in the same memory, such as W and W.T.
    """
    first: dict[int, str] = {}
    found = {}
    for name, array in params.items():
        other = first.setdefault(id(array), name)
        if other != name:
            found[name] = other
    names = list(first.values())
    for i, name in enumerate(names):
        xp = array_module(params[name])
        for other in names[:i]:
            if xp.shares_memory(params[other], params[name]):
                raise ValueError(
                    f"{other} and {name} are two arrays in the same memory, as W and W.T are. "
                    "Each step would move these numbers twice. Tie whole arrays, "
                    "b.params['W'] = a.params['W'], or take a .copy()"
                )
    return found
