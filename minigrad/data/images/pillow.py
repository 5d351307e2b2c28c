"""Pillow, the library that reads pictures: imported where it is needed, and what is asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

LARGE = (
    1024  # pixels: a JPEG file that is much larger is decoded at a smaller size, which is faster
)


def pillow() -> Any:
    """The module PIL.Image. ImportError says how to install it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            'pictures are read by Pillow, which is not installed: pip install "minigrad[images]", '
            "or pip install pillow"
        ) from error
    return Image


def levels(path: str | Path, grayscale: bool) -> np.ndarray:
    """A picture as float32 (C, H, W) in [0, 1], C = 1 (grey) or 3 (red, green, blue).

    It stands upright, as the camera's note in the file (EXIF) says. What is transparent becomes
    white, as paper. Of several pictures in a file the first is read. ValueError for damaged files.
    """
    Image = pillow()
    if Path(path).is_dir() or not Path(path).exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with Image.open(path) as image:
            image.draft("L" if grayscale else "RGB", (LARGE, LARGE))
            image.load()
            return _levels(Image, image, grayscale)
    except Exception as error:  # Pillow has nearly any error for damaged files
        raise ValueError(
            f"{path}: cannot be read as a picture ({str(error) or type(error).__name__}). Save it "
            "anew as PNG or JPEG, or take it out of the folder"
        ) from error


def _levels(Image: Any, image: Any, grayscale: bool) -> np.ndarray:
    from PIL import ImageOps

    kind, mode = image.format, image.mode
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode.startswith("I"):  # grey, 16 bits
        grey = np.asarray(image).astype(np.float32) / 65535
        if grey.min() < 0 or grey.max() > 1:
            raise ValueError("its pixels have more than 16 bits")
        if mode == "I" and kind == "TIFF" and 0 < grey.max() <= 255 / 65535:
            raise ValueError("its pixels have 32 bits, and none is above 255: save it with 8 bits")
        return np.stack([grey] * (1 if grayscale else 3))
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    pixels = np.asarray(image.convert("L" if grayscale else "RGB"), np.float32) / 255
    return pixels[None] if grayscale else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def resize(channel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 to another size (rows, columns); every pixel that goes away is averaged in."""
    if channel.shape == size:
        return channel
    Image = pillow()
    image = Image.fromarray(np.ascontiguousarray(channel, np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR), np.float32)
