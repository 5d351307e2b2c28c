"""Augmentation: each batch of a training is changed a little, by random numbers.

An augmentation is a function (x, rng) -> x', of a batch and a numpy.random.Generator. All numbers
are drawn on the host, so that NumPy and CuPy give the same. It changes no array that it is given.

    mg.fit(..., augment=[augment.shift(2), augment.noise(0.1)])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from minigrad.backend import Array, array_module, host_generator, to_device
from minigrad.checks import not_negative, positive_int
from minigrad.kernels.windows import channels_first, channels_last, windows

Function: TypeAlias = Callable[[Array, np.random.Generator], Array]


class Augmentation:
    """A function (x, rng) -> x' whose repr says its settings, as `shift(2)`."""

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """x' like x: the same shape and dtype, on the same device."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__(x, rng) yet")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{v:g}' for v in vars(self).values())})"


class shift(Augmentation):
    """x'[n, c, i, j] = x[n, c, i - a_n, j - b_n], 0 outside: each image is moved, zeros move in.

    a_n and b_n are integers from -pixels to pixels, drawn for each image. With 4 pixels this is the
    usual "4 zeros on each side, then a random crop" of CIFAR-10.
    Shapes: x (N, C, H, W) or (N, H, W).
    Source: Simard, Steinkraus, Platt 2003; He, Zhang, Ren, Sun 2016, §4.2.
    """

    def __init__(self, pixels: int):
        """pixels: how far at most, in each direction, an integer >= 1. Less than the image."""
        self.pixels = positive_int("pixels", pixels)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        H, W = _image(self, x)
        p = self.pixels
        if p >= min(H, W):
            raise ValueError(f"{self} moves images of {H} x {W} pixels out of sight")
        N = len(x)
        a, b = (to_device(draw, like=x) for draw in host_generator(rng).integers(-p, p + 1, (2, N)))
        # all images within a frame of p zeros, seen through windows of their own size
        seen = windows(channels_last(x.reshape(N, -1, H, W), (p, p)), (H, W), (1, 1))
        # x'[i] = x[i - a]: the window begins at p - a
        return channels_first(seen[array_module(x).arange(N), p - a, p - b]).reshape(x.shape)


class flip(Augmentation):
    """x'[n, c, i, j] = x[n, c, i, W - 1 - j] with probability p: images as in a mirror.

    Left and right are exchanged. Not for digits or letters, which become others.
    Shapes: x (N, C, H, W) or (N, H, W).
    Source: Krizhevsky, Sutskever, Hinton 2012, §4.1.
    """

    def __init__(self, p: float = 0.5):
        """p: the probability for each image, from 0 to 1."""
        self.p = not_negative("p", p)
        if self.p > 1:
            raise ValueError(f"p must be in [0, 1], got {p!r}")

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _image(self, x)
        mirrored = np.flatnonzero(host_generator(rng).random(len(x)) < self.p)
        rows = to_device(mirrored, like=x)
        y = x.copy()
        y[rows] = x[rows][..., ::-1]
        return y


class noise(Augmentation):
    """x' = x + std n, n ~ N(0, 1) for each number.

    Shapes: any; x is float32 or float64.
    Source: Sietsma, Dow 1991; Bishop 1995.
    """

    def __init__(self, std: float):
        """std: the standard deviation, a number >= 0."""
        self.std = not_negative("std", std)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        if x.dtype.kind != "f":
            raise TypeError(f"{self} is for floating-point x, got x of {x.dtype}")
        n = host_generator(rng).standard_normal(x.shape, np.dtype(x.dtype))
        # x' = x + std n
        n *= self.std
        return x + to_device(n, like=x)


class chain(Augmentation):
    """x' = f_K(... f_2(f_1(x))): one augmentation after another, with one generator."""

    def __init__(self, *functions: Function):
        """functions: f_1, f_2, ..., augmentations or functions (x, rng) -> x' of your own."""
        if not functions:
            raise ValueError("chain needs an augmentation, as chain(shift(2), noise(0.1))")
        self.functions = [checked(function) for function in functions]
        # Text, since a search that is made again compares the plain attributes of such an object
        self.said = f"chain({', '.join(described(function) for function in self.functions)})"

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        for function in self.functions:
            x = function(x, rng)
        return x

    def __repr__(self) -> str:
        return self.said


def checked(function: Any) -> Function:
    """The function of the argument `augment`: a list of several becomes a chain.

    TypeError unless it can be called with (x, rng).
    """
    if isinstance(function, list | tuple):
        return chain(*function)
    if isinstance(function, type) and issubclass(function, Augmentation):
        raise TypeError(f"augment got the class {function.__name__}; make one, as flip()")
    try:
        inspect.signature(function).bind(None, None)
    except ValueError:  # built-in functions do not say what they take
        pass
    except TypeError as error:
        what = getattr(function, "__name__", type(function).__name__)
        raise TypeError(
            "augment must be a function (x, rng) -> x of a batch and a numpy.random.Generator, "
            f"such as augment.shift(2), or a list of them, got {what} ({error})"
        ) from None
    return function


def several(function: Function) -> dict[str, Function]:
    """{"augment shift(2)": the function}: the function, or those of a chain."""
    if type(function) is chain:
        return {name: f for inner in function.functions for name, f in several(inner).items()}
    return {f"augment {described(function)}": function}


def described(function: Function) -> str:
    """The augmentation as a text that is the same in another process: shift(2)."""
    if isinstance(function, partial):
        values = [repr(value) for value in function.args]
        values += [f"{key}={value!r}" for key, value in function.keywords.items()]
        return f"partial({', '.join([described(function.func), *values])})"
    said = repr(function)
    name = getattr(function, "__name__", type(function).__name__)
    return str(name) if " at 0x" in said else said


def _image(augmentation: Augmentation, x: Array) -> tuple[int, int]:
    """(H, W) of a batch of images."""
    if x.ndim not in (3, 4):
        raise ValueError(
            f"{augmentation} is for images (N, C, H, W) or (N, H, W), got {tuple(x.shape)}"
        )
    return x.shape[-2], x.shape[-1]
