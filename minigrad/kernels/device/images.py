"""What the kernels of pooling share: places in images, loops over windows, the launch itself.

An image batch is (N, C, H, W), in any order in memory. Results are (N, h, w, C). A thread computes
a pack of V neighbouring channels.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.kernels import device
from minigrad.kernels.device.layout import (
    EACH_PLACE,
    NARROW_REACH,
    PACK,
    divisor,
    indexed,
    numbers,
    packed,
    reach,
    together,
)

GEOMETRY = f"""{EACH_PLACE}{PACK}
// Strides of an image batch, counted in numbers.
struct Steps {{ I n, c, h, w; }};
// (H, W): size of the image. Window (i, j) has KH x KW pixels from (i*sh - ph, j*sw - pw) on.
struct Windows {{ I H, W, OH, OW, KH, KW, ph, pw; Divisor C, down, across, sh, sw; }};
// Pack i of an array (N, h, w, C) with channels last. `down` and `across` are h and w.
// C counts packs.
#define PLACE(i) \\
    I q = over(i, g.C), c = i - q * g.C.d, row = over(q, g.across), w = q - row * g.across.d; \\
    I n = over(row, g.down), h = row - n * g.down.d;
#define TOP (h * g.sh.d - g.ph)
#define LEFT (w * g.sw.d - g.pw)
"""

# In the loop over the pixels (k, l) of a window: `at` is the pixel's place in x. If V > 1, the
# channels of x are neighbours in memory.
OVER_WINDOW = """
    I top = TOP, left = LEFT;
    for (I k = top < 0 ? -top : 0; k < g.KH && top + k < g.H; k++)
        for (I l = left < 0 ? -left : 0; l < g.KW && left + l < g.W; l++) {
            I at = n * x.n + c * V * x.c + (top + k) * x.h + (left + l) * x.w;
"""

# In the loop over the windows (a, b) that have pixel (h, w): `at` is the window's place in dy.
# Window a has the rows a·s - p ... a·s - p + K - 1.
OVER_WINDOWS = """
    T sum = 0;
    I y_h = h + g.ph, y_w = w + g.pw;
    I first_a = y_h < g.KH ? 0 : over(y_h - g.KH, g.sh) + 1, last_a = over(y_h, g.sh);
    I first_b = y_w < g.KW ? 0 : over(y_w - g.KW, g.sw) + 1, last_b = over(y_w, g.sw);
    for (I a = first_a; a <= last_a && a < g.OH; a++)
        for (I b = first_b; b <= last_b && b < g.OW; b++) {
            I at = n * y.n + c * y.c + a * y.h + b * y.w;
"""


def packs(x: Array) -> int:
    """V for images (N, C, H, W), in any order in memory."""
    return together(x.shape[1], x) if _has_packs(x.strides, x.itemsize) else 1


@lru_cache(maxsize=4096)
def _has_packs(strides: tuple[int, ...], itemsize: int) -> bool:
    """Whether channels are neighbours in memory, and all pixels begin at multiples of 16 bytes."""
    n, c, h, w = strides
    return c == itemsize and n % 16 == h % 16 == w % 16 == 0


def launch(
    name: str,
    source: str,
    result: Array,
    strided: tuple[Array, ...],
    arrays: tuple[Array, ...],
    geometry: tuple[tuple[int, ...], ...],
    V: int = 1,
) -> None:
    """One launch with a thread for each pack of the result, (N, h, w, C).

    strided: the arrays whose strides the kernel gets. geometry: x.shape, (OH, OW), (KH, KW),
    stride, padding. V: numbers in a pack.
    """
    if result.size:
        orders = tuple((x.shape, x.strides, x.itemsize) for x in (result, arrays[0], *strided))
        wide, structs = _structs(orders, geometry, V)
        run = device.kernel(name, indexed(packed(source, V), wide), arrays[0])
        run(device.blocks(result.size // V), (device.THREADS,), (*arrays, *structs))


@lru_cache(maxsize=4096)
def _structs(
    orders: tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...],
    geometry: tuple[tuple[int, ...], ...],
    V: int,
) -> tuple[bool, tuple[Any, ...]]:
    """(whether places need 64 bits, the last arguments: Steps of each array, Windows, total)."""
    (result, _, _), _, *strided = orders
    shape, windows, size, stride, padding = geometry
    wide = math.prod(shape) > NARROW_REACH or any(reach(*each) > NARROW_REACH for each in orders)
    flat = (number for d in (shape[1] // V, *result[1:3], *stride) for number in divisor(d))
    g = numbers(*shape[2:], *windows, *size, *padding, *flat, wide=wide)
    places = (numbers(*(s // item for s in strides), wide=wide) for _, strides, item in strided)
    total = math.prod(result) // V
    return wide, (*places, g, total if wide else np.int32(total))
