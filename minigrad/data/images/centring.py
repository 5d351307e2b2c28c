"""A picture of one digit or letter, brought into the form of MNIST's."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.data.images.pillow import resize

SIDE = 28
BOX = 20  # pixels: the digit's longer side
WORKING = 280  # pixels: larger pictures are made smaller first
FAINT = 0.1  # contrast below which there is nothing to see
NOISE = 4  # standard deviations of the rim: less is no ink
LEAST = 0.03  # of the largest row's ink: rows with less are not the digit's


def like_mnist(picture: Any) -> np.ndarray:
    """One grey picture (H, W) of a digit, in [0, 1], as MNIST's: (28, 28), white ink on black.

    1. The background is a plane a + b row + c column that fits the picture's rim: paper in even or
       slanting light. What differs from it is ink, whether darker or lighter.
    2. Contrast: what is within 4 standard deviations of the rim becomes 0, the strongest ink 1.
    3. The digit's box is scaled to 20 pixels on its longer side.
    4. Its centre of mass comes to pixel (14, 14), as near as whole pixels allow.

    ValueError if there is nothing to see. It is for one digit alone, on plain paper, without lines,
    in strokes about a tenth as wide as the digit.
    Source: Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database (steps 3 and 4).
    """
    p = np.asarray(picture, np.float32)
    if p.ndim == 3 and p.shape[0] == 1:
        p = p[0]
    if p.ndim != 2 or min(p.shape) < 4:
        raise ValueError(f"expected one grey picture (H, W), at least 4x4, got {p.shape}")
    if not np.isfinite(p).all():
        raise ValueError("the picture has NaN or infinite values")
    scale = WORKING / max(p.shape)
    if scale < 1:
        p = resize(p, (max(4, round(p.shape[0] * scale)), max(4, round(p.shape[1] * scale))))
    ink = _ink(p)
    rows = np.flatnonzero(ink.sum(axis=1) > LEAST * ink.sum(axis=1).max())
    columns = np.flatnonzero(ink.sum(axis=0) > LEAST * ink.sum(axis=0).max())
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    h, w = digit.shape
    scale = BOX / max(h, w)
    digit = resize(digit, (max(1, round(h * scale)), max(1, round(w * scale))))
    digit = np.clip(digit / digit.max(), 0, 1)
    return _centred(digit)


def _ink(p: np.ndarray) -> np.ndarray:
    """How much each pixel differs from the background: 0 paper, 1 ink."""
    H, W = p.shape
    row, column = np.mgrid[0:H, 0:W] / max(H, W)
    plane = np.stack([np.ones_like(row), row, column], axis=-1)
    width = max(1, min(H, W) // 20)
    rim = np.ones((H, W), bool)
    rim[width:-width, width:-width] = False
    a, z = plane[rim], p[rim]
    # Least squares twice, the second time without what fits worst: a stroke may touch the rim.
    fit = np.linalg.lstsq(a, z, rcond=None)[0]
    off = np.abs(a @ fit - z)
    near = off <= np.quantile(off, 0.8)
    fit = np.linalg.lstsq(a[near], z[near], rcond=None)[0]
    difference = p - plane @ fit
    few = max(4, p.size // 2000)
    ordered = np.sort(difference, axis=None)
    darkest, lightest = ordered[few - 1], ordered[-few]
    ink = -difference if -darkest > lightest else difference
    peak = max(-darkest, lightest)
    noise = NOISE * float(difference[rim][near].std())
    if peak < FAINT + noise:
        raise ValueError("nothing to see: no ink stands out from the background")
    return np.clip((ink - noise) / (peak - noise), 0, 1).astype(np.float32)


def _centred(digit: np.ndarray) -> np.ndarray:
    """(28, 28) with the centre of mass as near to the middle as whole pixels allow."""
    y = np.zeros((SIDE, SIDE), np.float32)
    h, w = digit.shape
    middle = SIDE / 2  # pixel 14, as MNIST's pictures show, counted from 0
    mass = digit.sum()
    top = round(middle - float(digit.sum(axis=1) @ np.arange(h) / mass))
    left = round(middle - float(digit.sum(axis=0) @ np.arange(w) / mass))
    top = min(max(top, 0), SIDE - h)
    left = min(max(left, 0), SIDE - w)
    y[top : top + h, left : left + w] = digit
    return y
