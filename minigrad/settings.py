"""A repr that shows the arguments of an object."""

from __future__ import annotations

import inspect
from inspect import isfunction
from typing import Any

import numpy as np


class Configured:
    """Its repr shows all arguments but the first: SGD(lr=0.1, ...).

    The first argument is left out: it is a model, or an optimiser. The value shown is the
    attribute with the argument's name. If there is none, it is the value that was given. An
    argument that has to be given by name is left out while it has its default value.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        except TypeError:  # __init__ will raise a better error, or this is a copy
            return self
        bound.apply_defaults()
        vars(self)["_given"] = dict(list(bound.arguments.items())[2:])
        return self

    def __repr__(self) -> str:
        said: list[str] = []
        given = vars(self).get("_given", {})
        for name, parameter in list(inspect.signature(type(self).__init__).parameters.items())[2:]:
            value = vars(self).get(name, given.get(name, parameter.default))
            if parameter.kind is parameter.VAR_POSITIONAL:
                said += [_text(item) for item in given.get(name, ())]
            elif parameter.kind is parameter.VAR_KEYWORD:
                options = given.get(name, {})
                said += [f"{k}={_text(vars(self).get(k, v))}" for k, v in options.items()]
            elif parameter.kind is not parameter.KEYWORD_ONLY or (
                _text(value) != _text(parameter.default)
            ):
                said.append(f"{name}={_text(value)}")
        return f"{type(self).__name__}({', '.join(said)})"


def _text(value: Any) -> str:
    """The value as text, in its shortest form: 0.1, and 0 for 0.0."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    if isfunction(value):
        return value.__name__
    return repr(value)
