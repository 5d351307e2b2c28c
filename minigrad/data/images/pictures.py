"""One picture from a file, in the form that a network takes. It takes Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minigrad.checks import pair
from minigrad.data.images import centring
from minigrad.data.images.pillow import levels, resize

Size = int | tuple[int, int] | None


def read_image(
    path: str | Path,
    size: Size = (28, 28),
    grayscale: bool = True,
    *,
    invert: bool = False,
    like_mnist: bool = False,
) -> np.ndarray:
    """A picture as float32 (C, H, W) in [0, 1]. A network takes a batch of them:

        x = mg.data.read_image("seven.jpg", like_mnist=True)
        digit = net.forward(x[None], train=False).argmax()

    size        (rows, columns); the picture is stretched to it. None: as it is
    grayscale   C = 1, grey: 0.299 R + 0.587 G + 0.114 B. False: C = 3, red, green, blue
    invert      1 - x: MNIST is white on black, a pen writes black on white
    like_mnist  whether it is brought into MNIST's form, by the function `mg.data.like_mnist`, which
                also sees by itself whether the ink is dark or light

    It stands upright, as the camera's note (EXIF) says. What is transparent is white. ValueError
    that names the file if it cannot be read; ImportError without Pillow: "minigrad[images]".
    """
    rows_columns = check_options(size, grayscale, like_mnist)
    try:
        return prepared(levels(path, grayscale), rows_columns, invert, like_mnist)
    except ValueError as error:
        named = str(path) in str(error)
        raise error if named else ValueError(f"{path}: {error}") from None


def check_options(size: Any, grayscale: bool, like_mnist: bool) -> tuple[int, int] | None:
    """The size as (rows, columns). ValueError for what does not go together."""
    rows_columns = None if size is None else pair("size", size)
    if like_mnist and (not grayscale or rows_columns != (centring.SIDE, centring.SIDE)):
        raise ValueError("like_mnist=True gives grey pictures of 28x28: leave size and grayscale")
    return rows_columns


def prepared(
    picture: np.ndarray, size: tuple[int, int] | None, invert: bool, like_mnist: bool
) -> np.ndarray:
    """(C, H, W) in the size that is asked for, inverted or centred if that is asked for."""
    if invert:
        picture = 1 - picture
    if like_mnist:
        return centring.like_mnist(picture)[None]
    if size is None:
        return picture
    return np.stack([resize(channel, size) for channel in picture])
