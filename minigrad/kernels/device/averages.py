"""Average pooling, one launch each way. Plain forms: kernels/averages.

    window_sums            y = Σ of the pixels of each window
    spread_over_windows    dx[n, h, w, c] = Σ dy of the windows that have this pixel

x, dx, y, dy are (N, C, H, W) and (N, C, OH, OW), in any order in memory. The results have their
channels last.
"""

from __future__ import annotations

from minigrad.backend import Array
from minigrad.kernels import device
from minigrad.kernels.device.images import GEOMETRY, OVER_WINDOW, OVER_WINDOWS, launch
from minigrad.kernels.device.layout import Pair

WINDOW_SUMS = f"""{GEOMETRY}
extern "C" __global__ void window_sums(
    const T* pixels, T* y, Steps x, Windows g, I total
) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        T sum = 0;
        {OVER_WINDOW}
            sum += pixels[at];
        }}
        y[i] = sum;
    }}
}}
"""

SPREAD = f"""{GEOMETRY}
extern "C" __global__ void spread(const T* dy, T* dx, Steps y, Windows g, I total) {{
    EACH_PLACE(i, total) {{
        PLACE(i)
        {OVER_WINDOWS}
            sum += dy[at];
        }}
        dx[i] = sum;
    }}
}}
"""


def window_sums(x: Array, size: Pair, stride: Pair, padding: Pair, windows: Pair) -> Array:
    """y (N, OH, OW, C)."""
    y = device.module(x).empty((x.shape[0], *windows, x.shape[1]), x.dtype)
    launch("window_sums", WINDOW_SUMS, y, (x,), (x, y), (x.shape, windows, size, stride, padding))
    return y


def spread_over_windows(
    dy: Array, shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx (N, H, W, C) for x of the given shape (N, C, H, W)."""
    dx = device.module(dy).empty((shape[0], *shape[2:], shape[1]), dy.dtype)
    launch("spread", SPREAD, dx, (dy,), (dy, dx), (shape, dy.shape[2:], size, stride, padding))
    return dx
