"""Arrays that a network has under two names: tied weights."""

from __future__ import annotations

from collections.abc import Mapping

from minigrad.backend import Array, array_module


def tied(params: Mapping[str, Array]) -> dict[str, str]:
    """{name: the first name of the same array}, for each name of a shared array but the first.

        b.params["W"] = a.params["W"]       ties two weights; {"1.W": "0.W"}

    ValueError for two arrays that share a part of their memory, as W and W.T do.
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
                    f"{other} and {name} are two arrays in the same memory (one is a view of the "
                    "other, as W.T is of W), so each step would move these numbers twice: tie "
                    "whole arrays, b.params['W'] = a.params['W'], or take a .copy()"
                )
    return found
